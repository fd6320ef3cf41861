//! What the versions of one major promise to those who read them, and what would break that promise.
//!
//! `docs/schema-rules.md` gives the reasons for each rule.

use crate::batch::GEOMETRY_COLUMN;
use crate::dataset::{Field, Key, Version};
use crate::valid::ValidTime;
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a version promises to its readers. Titles, codes of columns and missing values are no part of it.
#[derive(Clone, Copy, Debug)]
pub struct Promise<'a> {
    /// The columns; their order is no part of it.
    pub fields: &'a [Field],
    /// What makes a row the same row in another version; promised if the publisher declared it.
    pub key: Option<&'a Key>,
    /// The columns that say when a row was so in the world.
    pub valid_time: Option<&'a ValidTime>,
}

impl<'a> From<&'a Version> for Promise<'a> {
    fn from(version: &'a Version) -> Self {
        Self { fields: &version.fields, key: version.key.as_ref(), valid_time: version.valid_time.as_ref() }
    }
}

/// What a break is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakKind {
    /// A column has a type that does not hold every value of the one before.
    Type,
    /// A column is not there any more, under its name.
    Column,
    /// The numbers of a column have another unit.
    Unit,
    /// Rows are told to be the same by other columns than were declared.
    Key,
    /// Geometries have a dimension that those before have not.
    Geometry,
    /// Other columns, or none, say when a row was so in the world.
    ValidTime,
}

/// One thing that breaks what readers were promised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaBreak {
    /// What it is about.
    pub kind: BreakKind,
    /// The published name of the column; `None` if it is about no single one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What was promised.
    pub expected: String,
    /// What is there instead.
    pub found: String,
}

impl fmt::Display for SchemaBreak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.column, self.kind) {
            (Some(column), _) => write!(f, "column {column}")?,
            (None, BreakKind::Key) => f.write_str("key")?,
            (None, BreakKind::ValidTime) => f.write_str("valid time")?,
            (None, _) => f.write_str("geometry")?,
        }
        write!(f, ": expected {}, found {}", self.expected, self.found)
    }
}

/// What of the columns, the key and the valid time of a version breaks what the one before promised: column by column in
/// the order of the promise. Columns that come and types that hold every value of the one before break nothing.
pub fn breaks(promised: &Promise<'_>, found: &Promise<'_>) -> Vec<SchemaBreak> {
    let of_fields = promised.fields.iter().filter_map(|field| break_of(field, promised.fields, found.fields));
    let of_key = key_break(promised.key, found.key);
    let of_time = promised.valid_time.filter(|time| found.valid_time != Some(time)).map(|time| SchemaBreak {
        kind: BreakKind::ValidTime,
        column: None,
        expected: time.to_string(),
        found: found.valid_time.map_or_else(|| "none".to_owned(), ToString::to_string),
    });
    of_fields.chain(of_key).chain(of_time).collect()
}

fn break_of(field: &Field, before: &[Field], after: &[Field]) -> Option<SchemaBreak> {
    let broken = |kind, expected, found| Some(SchemaBreak { kind, column: Some(field.name.clone()), expected, found });
    let Some(now) = after.iter().find(|now| now.name == field.name) else {
        let is_new = |now: &&Field| !before.iter().any(|field| field.name == now.name);
        let renamed = after.iter().filter(is_new).find(|now| now.source_name == field.source_name);
        let renamed = renamed.map_or_else(String::new, |now| format!(" (renamed to {})", now.name));
        return broken(BreakKind::Column, format!("type {}", field.data_type), format!("no such column{renamed}"));
    };
    if !holds(&field.data_type, &now.data_type) {
        return broken(BreakKind::Type, format!("type {}", field.data_type), format!("type {}", now.data_type));
    }
    match (&field.unit, &now.unit) {
        (Some(unit), Some(other)) if unit != other => {
            broken(BreakKind::Unit, format!("unit {unit}"), format!("unit {other}"))
        }
        _ => None,
    }
}

fn key_break(promised: Option<&Key>, found: Option<&Key>) -> Option<SchemaBreak> {
    let promised = promised.filter(|key| key.is_declared)?;
    let is_same = found.is_some_and(|key| key.columns == promised.columns);
    (!is_same).then(|| SchemaBreak {
        kind: BreakKind::Key,
        column: None,
        expected: promised.columns.join(", "),
        found: found.map_or_else(|| "none".to_owned(), |key| key.columns.join(", ")),
    })
}

/// Whether a column of the second type holds every value of one of the first, as the same value and of the same family: an
/// integer does not become a floating-point number, a day no time. Types are in Arrow's notation.
pub fn holds(before: &str, after: &str) -> bool {
    use DataType as T;
    if before == after {
        return true;
    }
    let (Ok(before), Ok(after)) = (before.parse::<T>(), after.parse::<T>()) else { return false };
    match (before, after) {
        (T::Float32, T::Float64) => true,
        (T::Decimal128(digits, scale), T::Decimal128(more, same)) => scale == same && digits <= more,
        (before, after) => match (whole_bits(&before), whole_bits(&after)) {
            (Some((signed, bits)), Some((now_signed, now_bits))) if signed == now_signed => bits <= now_bits,
            (Some((false, bits)), Some((true, now_bits))) => bits < now_bits,
            _ => false,
        },
    }
}

/// Whether a type of whole numbers has a sign, and its bits.
fn whole_bits(data_type: &DataType) -> Option<(bool, usize)> {
    let bits = data_type.primitive_width().filter(|_| data_type.is_integer())? * 8;
    Some((data_type.is_signed_integer(), bits))
}

/// What a kind of geometry is drawn and measured as: points, lines, polygons; a kind of its own otherwise.
pub fn family(kind: &str) -> &str {
    match kind {
        "Point" | "MultiPoint" => "points",
        "LineString" | "MultiLineString" | "CircularString" | "CompoundCurve" | "MultiCurve" => "lines",
        "Polygon" | "MultiPolygon" | "CurvePolygon" | "MultiSurface" => "polygons",
        other => other,
    }
}

/// The families of geometries that rows have, from their number by kind.
pub fn families(kinds: &BTreeMap<String, u64>) -> BTreeSet<&str> {
    kinds.iter().filter(|(_, rows)| **rows > 0).map(|(kind, _)| family(kind)).collect()
}

/// What breaks if geometries of these families come where those were promised. Where no row had a geometry yet, nothing
/// was promised.
pub fn geometry_break(promised: &BTreeSet<&str>, found: &BTreeSet<&str>) -> Option<SchemaBreak> {
    let new: Vec<&str> = found.difference(promised).copied().collect();
    (!promised.is_empty() && !new.is_empty()).then(|| SchemaBreak {
        kind: BreakKind::Geometry,
        column: Some(GEOMETRY_COLUMN.to_owned()),
        expected: promised.iter().copied().collect::<Vec<_>>().join(", "),
        found: format!("{} too", new.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, data_type: &str, unit: Option<&str>) -> Field {
        Field {
            name: name.to_owned(),
            source_name: name.to_uppercase(),
            data_type: data_type.to_owned(),
            nullable: true,
            role: None,
            unit: unit.map(str::to_owned),
        }
    }

    fn promise<'a>(fields: &'a [Field], key: Option<&'a Key>) -> Promise<'a> {
        Promise { fields, key, valid_time: None }
    }

    fn told(before: &Promise<'_>, after: &Promise<'_>) -> Vec<String> {
        breaks(before, after).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_breaks_is_told_column_by_column() {
        let before = [field("kad", "Utf8", None), field("area", "Float64", Some("га")), field("old", "Int64", None)];
        let renamed = Field { name: "new".to_owned(), ..field("old", "Int64", None) };
        let after = [renamed, field("area", "Float64", Some("м²")), field("kad", "Int64", None)];
        assert_eq!(
            told(&promise(&before, None), &promise(&after, None)),
            [
                "column kad: expected type Utf8, found type Int64",
                "column area: expected unit га, found unit м²",
                "column old: expected type Int64, found no such column (renamed to new)",
            ]
        );
    }

    #[test]
    fn what_is_added_breaks_nothing() {
        let before = [field("kad", "Utf8", None), field("n", "Int32", Some("м"))];
        let key = Key { columns: vec!["kad".to_owned()], is_declared: true };
        let role = Field { role: Some("kato".to_owned()), ..field("kad", "Utf8", None) };
        let after = [field("n", "Int64", None), role, field("more", "Boolean", None)];
        assert!(told(&promise(&before, None), &promise(&after, Some(&key))).is_empty());
        let found = Key { columns: vec!["kad".to_owned()], is_declared: false };
        assert!(told(&promise(&before, Some(&found)), &promise(&after, None)).is_empty(), "nobody promised it");
        let lost = told(&promise(&before, Some(&key)), &promise(&after, None));
        assert_eq!(lost, ["key: expected kad, found none"]);
    }

    #[test]
    fn a_type_holds_the_values_of_narrower_ones_of_its_family() {
        for (before, after, expected) in [
            ("Int8", "Int64", true),
            ("Int64", "Int32", false),
            ("UInt32", "Int64", true),
            ("UInt64", "Int64", false),
            ("Int32", "UInt64", false),
            ("Int32", "Float64", false),
            ("Float32", "Float64", true),
            ("Float64", "Float32", false),
            ("Decimal128(10, 2)", "Decimal128(12, 2)", true),
            ("Decimal128(10, 2)", "Decimal128(12, 3)", false),
            ("Date32", "Timestamp(µs)", false),
            ("Utf8", "Binary", false),
            ("List(Int32)", "List(Int64)", false),
        ] {
            assert_eq!(holds(before, after), expected, "{before} as {after}");
        }
    }

    #[test]
    fn geometries_of_another_dimension_break_and_kinds_of_the_same_do_not() {
        let kinds = |kinds: &[&str]| kinds.iter().map(|kind| ((*kind).to_owned(), 1)).collect::<BTreeMap<_, _>>();
        let told = |before: &[&str], after: &[&str]| {
            let (before, after) = (kinds(before), kinds(after));
            geometry_break(&families(&before), &families(&after)).map(|found| found.to_string())
        };
        assert_eq!(told(&["Polygon"], &["Polygon", "MultiPolygon"]), None);
        assert_eq!(told(&[], &["Point"]), None, "nothing was promised");
        assert_eq!(told(&["Point", "Polygon"], &["Point"]), None);
        assert_eq!(
            told(&["Polygon"], &["Point", "Polygon"]).as_deref(),
            Some("column geometry: expected polygons, found points too")
        );
    }
}
