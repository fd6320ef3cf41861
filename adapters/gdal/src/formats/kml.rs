//! KML; a KMZ is a zip archive with one inside. Network links are not followed.

mod undeclared;

use super::Format;
use crate::features::{OgrFile, OgrFormat};
use crate::source::{Context, Source, Staged, Tallies};
use crate::transcode::replace;
use crate::xml::{self, Tags, attribute};
use std::collections::{BTreeMap, BTreeSet};
use ukimet_model::{Diagnostic, Result, Severity};

pub(super) const FORMAT: Format = Format {
    name: "KML",
    driver: Some("LIBKML"),
    media_types: &["application/vnd.google-earth.kml+xml"],
    extensions: &["kml"],
    sidecars: &[],
    recognize: |clues| clues.has_root("kml"),
    open,
};

fn open(staged: &Staged, context: Context<'_>) -> Result<Box<dyn Source>> {
    let (text, transcoded) = xml::read_text(staged, context)?;
    let mut format = OgrFormat::plain(FORMAT.name, "LIBKML");
    let (copy, kept) = undeclared::with_undeclared_data(&text);
    format.findings = findings(&text, &kept);
    let (copy, names) = with_plain_names(&copy);
    let copy = with_texts_for_truth_values(&copy);
    if copy != text {
        replace(&staged.main, copy.as_bytes())?;
        format.names = names;
    }
    format.transcoded(transcoded);
    format.untyped = true;
    OgrFile::open(format, staged, context)
}

/// The text with other names of data where they are more than ASCII, and what the names were.
///
/// GDAL makes an underscore of every other letter, so that two names could become one column.
fn with_plain_names(text: &str) -> (String, BTreeMap<String, String>) {
    let mut copy = String::new();
    let mut names = BTreeMap::new();
    let mut taken = 0;
    for tag in Tags::of(text).filter(|tag| tag.is_start && tag.name == "Data") {
        let Some(name) = attribute(tag.attributes, "name").filter(|name| !name.is_ascii()) else { continue };
        let known = names.iter().find(|(_, known)| **known == name).map(|(plain, _): (&String, _)| plain.clone());
        let plain = known.unwrap_or_else(|| format!("ukimet_data_{}", names.len()));
        let attributes_at = tag.attributes.as_ptr() as usize - text.as_ptr() as usize;
        let Some(at) = tag.attributes.find(&name).map(|at| attributes_at + at) else { continue };
        copy.push_str(&text[taken..at]);
        copy.push_str(&plain);
        taken = at + name.len();
        names.insert(plain, name);
    }
    copy.push_str(&text[taken..]);
    (copy, names)
}

/// The text with columns of texts where a schema declares truth values: GDAL makes 0 of `true`. What they are is decided
/// by the values, as for every other text.
fn with_texts_for_truth_values(text: &str) -> String {
    let mut copy = String::new();
    let mut taken = 0;
    for tag in Tags::of(text).filter(|tag| tag.is_start && tag.name == "SimpleField") {
        let kind = attribute(tag.attributes, "type").filter(|kind| matches!(kind.as_str(), "bool" | "boolean"));
        let Some(kind) = kind else { continue };
        let attributes_at = tag.attributes.as_ptr() as usize - text.as_ptr() as usize;
        let found = ['"', '\'']
            .iter()
            .find_map(|quote| Some(tag.attributes.find(&format!("type={quote}{kind}{quote}"))? + "type=".len() + 1));
        let Some(at) = found.map(|at| attributes_at + at) else { continue };
        copy.push_str(&text[taken..at]);
        copy.push_str("string");
        taken = at + kind.len();
    }
    copy.push_str(&text[taken..]);
    copy
}

/// Elements that become no row or column, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("NetworkLink", "kml.network_link"),
    ("GroundOverlay", "kml.overlay"),
    ("ScreenOverlay", "kml.overlay"),
    ("PhotoOverlay", "kml.overlay"),
    ("LookAt", "kml.view"),
    ("Camera", "kml.view"),
    ("Model", "kml.model"),
    ("Update", "kml.update"),
];

/// What the reader leaves out of a text, and what it keeps of typed data that no schema declares.
fn findings(text: &str, kept: &BTreeSet<String>) -> Vec<Diagnostic> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut placemark = (Vec::new(), false);
    let mut tallies = Tallies::default();
    let mut rows = RowNumbers::of(text);
    let mut declared: BTreeSet<String> = Tags::of(text)
        .filter(|tag| tag.is_start && tag.name == "SimpleField")
        .filter_map(|tag| attribute(tag.attributes, "name"))
        .collect();
    declared.extend(kept.iter().cloned());
    for tag in Tags::of(text) {
        if let Some((name, _)) = LEFT_OUT.iter().find(|(name, _)| tag.is_start && *name == tag.name) {
            *counts.entry(name).or_default() += 1;
        }
        match (tag.name, tag.is_start) {
            ("Placemark", true) => placemark = (Vec::new(), false),
            ("Data", true) => placemark.0.extend(attribute(tag.attributes, "name")),
            ("SchemaData", true) => placemark.1 = true,
            ("SimpleData", true) => {
                let name = attribute(tag.attributes, "name").filter(|name| !declared.contains(name));
                if let Some(name) = name {
                    let message = "typed data that no schema declares were left out";
                    let rule = "kml.undeclared_data";
                    tallies.add(rule, Severity::Warning, message, rows.now(), Some(&name), "SimpleData", None);
                }
            }
            _ => (),
        }
        if tag.name == "Placemark" && tag.is_end {
            for name in placemark.0.drain(..).filter(|_| placemark.1) {
                let message = "data beside typed data of the same place were left out";
                let rule = "kml.data_beside_schema_data";
                tallies.add(rule, Severity::Warning, message, rows.now(), Some(&name), "Data", None);
            }
            rows.number += 1;
        }
    }
    undeclared::tell(kept, &mut tallies);
    for (name, rule) in LEFT_OUT {
        if let Some(count) = counts.get(name) {
            let message = "elements that are no places with attributes were left out, links were not followed";
            tallies.add(rule, Severity::Warning, message, None, None, &format!("{count} {name}"), None);
        }
    }
    tallies.diagnostics()
}

/// The numbers of rows, as far as they say which row it is.
struct RowNumbers {
    number: u64,
    /// Whether all places lie in one folder, and so in one layer.
    is_one_layer: bool,
}

impl RowNumbers {
    fn of(text: &str) -> Self {
        let (mut open, mut folders, mut with_places) = (Vec::new(), 0, BTreeSet::new());
        for tag in Tags::of(text) {
            match (tag.name, tag.is_start, tag.is_end) {
                ("Folder" | "Document", true, false) => {
                    folders += 1;
                    open.push(folders);
                }
                ("Folder" | "Document", false, _) => drop(open.pop()),
                ("Placemark", true, _) => drop(with_places.insert(open.last().copied())),
                _ => (),
            }
        }
        Self { number: 0, is_one_layer: with_places.len() < 2 }
    }

    /// The row of the place that is being looked at.
    fn now(&self) -> Option<u64> {
        self.is_one_layer.then_some(self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_values_become_texts_and_nothing_else_changes() {
        let text = r#"<Schema><SimpleField type="bool" name="bool"/><SimpleField name="n" type='boolean'/><SimpleField type="int" name="i"/></Schema>"#;
        let expected = r#"<Schema><SimpleField type="string" name="bool"/><SimpleField name="n" type='string'/><SimpleField type="int" name="i"/></Schema>"#;
        assert_eq!(with_texts_for_truth_values(text), expected);
    }

    #[test]
    fn typed_data_without_a_type_are_told_by_row_and_name() {
        let text = r##"<kml><Schema id="s"><SimpleField name="a" type="int"/></Schema><Placemark><ExtendedData><SchemaData schemaUrl="#s"><SimpleData name="a">1</SimpleData><SimpleData name="b">2</SimpleData></SchemaData></ExtendedData></Placemark></kml>"##;
        let told = findings(text, &BTreeSet::new());
        assert_eq!((told.len(), told[0].rule.as_str(), told[0].count), (1, "kml.undeclared_data", 1));
        assert_eq!((told[0].examples[0].row, told[0].examples[0].field.as_deref()), (Some(0), Some("b")));
    }

    #[test]
    fn what_becomes_no_row_is_told() {
        let text = r#"<kml><NetworkLink/><Placemark><LookAt></LookAt></Placemark><Placemark><ExtendedData><Data name="a"/><SchemaData/></ExtendedData></Placemark></kml>"#;
        let told = findings(text, &BTreeSet::new());
        let rules: Vec<_> = told.iter().map(|told| (told.rule.as_str(), told.examples[0].row)).collect();
        assert_eq!(rules, [("kml.data_beside_schema_data", Some(1)), ("kml.network_link", None), ("kml.view", None)]);
    }

    #[test]
    fn every_place_is_a_row_and_rows_of_several_folders_have_no_number() {
        let second = r#"<Placemark><ExtendedData><Data name="a"/><SchemaData/></ExtendedData></Placemark>"#;
        let row = |text: &str| findings(text, &BTreeSet::new())[0].examples[0].row;
        assert_eq!(row(&format!("<Document><Placemark/>{second}</Document>")), Some(1));
        assert_eq!(row(&format!("<Document><Folder><Placemark/></Folder><Folder>{second}</Folder></Document>")), None);
    }
}
