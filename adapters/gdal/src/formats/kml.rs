//! KML; a KMZ is a zip archive with one inside. Network links are not followed.

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
    format.findings = left_out(&text);
    let (copy, names) = with_plain_names(&text);
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

/// What the reader leaves out of a text.
fn left_out(text: &str) -> Vec<Diagnostic> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut placemark = (Vec::new(), false);
    let mut tallies = Tallies::default();
    let mut row = 0;
    let declared: BTreeSet<String> = Tags::of(text)
        .filter(|tag| tag.is_start && tag.name == "SimpleField")
        .filter_map(|tag| attribute(tag.attributes, "name"))
        .collect();
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
                    tallies.add(rule, Severity::Warning, message, Some(row), Some(&name), "SimpleData", None);
                }
            }
            ("Placemark", false) => {
                for name in placemark.0.drain(..).filter(|_| placemark.1) {
                    let message = "data beside typed data of the same place were left out";
                    let rule = "kml.data_beside_schema_data";
                    tallies.add(rule, Severity::Warning, message, Some(row), Some(&name), "Data", None);
                }
                row += 1;
            }
            _ => (),
        }
    }
    for (name, rule) in LEFT_OUT {
        if let Some(count) = counts.get(name) {
            let message = "elements that are no places with attributes were left out, links were not followed";
            tallies.add(rule, Severity::Warning, message, None, None, &format!("{count} {name}"), None);
        }
    }
    tallies.diagnostics()
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
        let told = left_out(text);
        assert_eq!((told.len(), told[0].rule.as_str(), told[0].count), (1, "kml.undeclared_data", 1));
        assert_eq!((told[0].examples[0].row, told[0].examples[0].field.as_deref()), (Some(0), Some("b")));
    }

    #[test]
    fn what_becomes_no_row_is_told() {
        let text = r#"<kml><NetworkLink/><Placemark><LookAt></LookAt></Placemark><Placemark><ExtendedData><Data name="a"/><SchemaData/></ExtendedData></Placemark></kml>"#;
        let told = left_out(text);
        let rules: Vec<_> = told.iter().map(|told| (told.rule.as_str(), told.examples[0].row)).collect();
        assert_eq!(rules, [("kml.data_beside_schema_data", Some(1)), ("kml.network_link", None), ("kml.view", None)]);
    }
}
