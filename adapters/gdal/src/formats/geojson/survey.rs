//! The first look at a GeoJSON file: its columns, their types, and what it says about itself.

use super::cursor::{Broken, unescaped};
use super::feature::{Feature, not_json};
use super::kinds::{KeptAsText, Seen};
use super::stream::{FileItems, Layout, Stream};
use crate::source::Tallies;
use arrow_schema::DataType;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use ukimet_model::{Error, Result, Severity};

/// Members of a collection that are kept or mean nothing more than the rows do.
const MEMBERS: &[&str] = &["type", "features", "bbox", "crs", "name"];

/// The columns of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    /// Names as people read them, and what was seen.
    pub(super) named: Vec<(String, Seen)>,
    /// Positions by name as written, quotes and escapes included.
    positions: HashMap<Vec<u8>, usize>,
    /// One way in which each name is written.
    written: Vec<Vec<u8>>,
}

impl Columns {
    /// The position of a column, which mostly follows the one before it.
    pub(super) fn position(&self, name: &[u8], expected: usize) -> Option<usize> {
        if self.written.get(expected).is_some_and(|written| written == name) {
            return Some(expected);
        }
        self.positions.get(name).copied()
    }

    fn position_or_new(&mut self, name: &[u8], expected: usize) -> usize {
        self.position(name, expected).unwrap_or_else(|| self.add(name))
    }

    fn add(&mut self, written: &[u8]) -> usize {
        let mut name = String::new();
        unescaped(written, &mut name);
        let known = self.named.iter().position(|(known, _)| *known == name);
        let position = known.unwrap_or_else(|| {
            self.named.push((name, Seen::default()));
            self.written.push(written.to_vec());
            self.named.len() - 1
        });
        self.positions.insert(written.to_vec(), position);
        position
    }
}

/// What the first look found.
#[derive(Clone, Debug)]
pub(super) struct Survey {
    pub(super) layout: Layout,
    pub(super) columns: Columns,
    /// The features' own identifiers, if they are a column: its name and what was seen.
    pub(super) id: Option<(String, Seen)>,
    pub(super) crs: Option<Vec<u8>>,
    pub(super) name: Option<String>,
    pub(super) rows: u64,
    pub(super) tallies: Tallies,
}

/// Looks through a file that is UTF-8.
///
/// # Errors
///
/// `DataLoss` if it is cut, `InvalidData` if it is no JSON or an item of a sequence is no feature, `LimitReached` for
/// too many columns.
pub(super) fn survey(path: &Path, format: &'static str, fields_max: usize) -> Result<Survey> {
    let mut look = Look { fields_max, ..Look::default() };
    let mut stream = Stream::open(path, format, 0)?;
    stream.peek()?;
    let mut type_name = Vec::new();
    let (mut crs, mut name, mut layout) = (None, None, None);
    let mut is_first = true;
    stream.step(|cursor| cursor.take(b'{', "an object"))?;
    while stream.step(|cursor| cursor.next_item(b'}', is_first))? {
        is_first = false;
        let member = stream.step(|cursor| cursor.member_name().map(text))?;
        let may_be_collection = type_name.is_empty() || is_collection(&type_name);
        if member == "features" && may_be_collection && stream.peek()? == Some(b'[') {
            if layout.is_some() {
                return Err(Error::invalid_data(format!("a {format} has one list of features, found two")));
            }
            stream.step(|cursor| cursor.take(b'[', "a list"))?;
            let list = Layout::List(stream.position());
            layout = Some(list);
            let mut items = FileItems::of(stream, list);
            while let Some(item) = items.next()? {
                look.item(item, true)?;
            }
            stream = items.into_stream();
            continue;
        }
        let value = stream.value()?;
        match member.as_str() {
            "type" => type_name = value.to_vec(),
            "crs" => crs = Some(value.to_vec()),
            "name" if value.first() == Some(&b'"') => name = Some(text(value)),
            other if !MEMBERS.contains(&other) => look.foreign(other),
            _ => (),
        }
    }
    let is_collection = is_collection(&type_name);
    let Some(layout) = layout.filter(|_| is_collection || type_name.is_empty()) else {
        if is_collection {
            return Err(Error::invalid_data(format!("a {format} collection has a list of features, found none")));
        }
        return sequence(path, format, fields_max, crs);
    };
    if stream.peek()?.is_some() {
        return Err(Error::invalid_data(format!(
            "a {format} has one collection of features, found more text behind it at byte {}",
            stream.position()
        )));
    }
    Ok(look.finish(layout, crs, name))
}

fn is_collection(type_name: &[u8]) -> bool {
    type_name.eq_ignore_ascii_case(b"\"FeatureCollection\"")
}

/// Looks through a file of features or geometries at its top level.
fn sequence(path: &Path, format: &'static str, fields_max: usize, crs: Option<Vec<u8>>) -> Result<Survey> {
    let mut look = Look { fields_max, ..Look::default() };
    let mut items = FileItems::open(path, format, Layout::Sequence)?;
    let mut values = 0_u64;
    while let Some(item) = items.next()? {
        values += 1;
        look.item(item, false)?;
    }
    if look.rows < values {
        return Err(Error::invalid_data(format!(
            "the file has {values} values, of which {} are GeoJSON features or geometries; the others are none",
            look.rows
        )));
    }
    Ok(look.finish(Layout::Sequence, crs, None))
}

fn text(value: &[u8]) -> String {
    let mut text = String::new();
    unescaped(value, &mut text);
    text
}

#[derive(Default)]
struct Look {
    columns: Columns,
    id: Seen,
    has_id: bool,
    /// Whether every identifier also stands among the properties.
    id_differs: bool,
    rows: u64,
    fields_max: usize,
    left_out: BTreeMap<String, u64>,
    members: Vec<String>,
    tallies: Tallies,
}

impl Look {
    fn foreign(&mut self, member: &str) {
        if self.members.len() < 256 {
            self.members.push(member.to_owned());
        }
    }

    /// Looks at one item; in a collection any object is a feature.
    fn item(&mut self, item: &[u8], is_member: bool) -> Result<()> {
        let row = self.rows;
        let broken = |broken: Broken| not_json(broken, row);
        let feature = Feature::of(item, row)?;
        let Some(feature) = feature.filter(|feature| feature.is_one || is_member) else {
            return Ok(());
        };
        let mut seen_at: Vec<(usize, &[u8])> = Vec::new();
        let mut expected = 0;
        feature.attributes(row, |name, value| {
            let position = self.columns.position_or_new(name, expected);
            expected = position + 1;
            if self.columns.named.len() > self.fields_max {
                return Err(Error::limit_reached(format!(
                    "a layer has at most {} columns, found more in row {}",
                    self.fields_max,
                    row + 1
                )));
            }
            self.columns.named[position].1.add(value).map_err(broken)?;
            seen_at.push((position, value));
            Ok(())
        })?;
        for name in feature.left_out() {
            if self.left_out.len() < 256 {
                *self.left_out.entry(text(name)).or_default() += 1;
            }
        }
        if let Some(id) = feature.id {
            self.has_id = true;
            self.id.add(id).map_err(broken)?;
            let own = self.columns.position(b"\"id\"", 0);
            let same = seen_at.iter().rev().find(|(position, _)| Some(*position) == own);
            self.id_differs |= same.is_none_or(|(_, value)| *value != id);
        }
        self.rows += 1;
        Ok(())
    }

    fn finish(mut self, layout: Layout, crs: Option<Vec<u8>>, name: Option<String>) -> Survey {
        self.tell_columns();
        let id = (self.has_id && self.id_differs).then(|| {
            let names = ["id", "feature_id", "geojson_feature_id"];
            let is_free = |name: &&&str| !self.columns.named.iter().any(|(known, _)| known == **name);
            ((*names.iter().find(is_free).unwrap_or(&"id")).to_owned(), self.id)
        });
        Survey { layout, columns: self.columns, id, crs, name, rows: self.rows, tallies: self.tallies }
    }

    fn tell_columns(&mut self) {
        for member in &self.members {
            let message = "members of the file that are no GeoJSON were left out";
            self.tallies.add("geojson.foreign_members", Severity::Note, message, None, None, member, None);
        }
        for (member, count) in &self.left_out {
            let message = "members of features beside their properties were left out";
            let found = format!("{member}, {count} times");
            self.tallies.add("geojson.feature_members", Severity::Warning, message, None, Some(member), &found, None);
        }
        for (name, seen) in &self.columns.named {
            let (rule, message, found) = match seen.kept_as_text() {
                Some(KeptAsText::Json) => {
                    ("geojson.nested", "objects and mixed lists are kept as their JSON text", "JSON".to_owned())
                }
                Some(KeptAsText::Numbers) => (
                    "geojson.wide_number",
                    "numbers that no column of numbers keeps exactly are kept as text",
                    "numbers".to_owned(),
                ),
                Some(KeptAsText::Offsets) => (
                    "geojson.mixed_offsets",
                    "times of which only some have an offset are kept as text",
                    "times".to_owned(),
                ),
                Some(KeptAsText::Mixed(kinds)) => {
                    ("geojson.mixed_kinds", "columns with values of several kinds are kept as text", kinds)
                }
                None if seen.has_not_a_number() && seen.data_type() == DataType::Float64 => (
                    "geojson.not_a_number",
                    "NaN and infinities are no JSON; they were taken as such",
                    "NaN".to_owned(),
                ),
                None => continue,
            };
            self.tallies.add(rule, Severity::Note, message, None, Some(name), &found, None);
        }
    }
}
