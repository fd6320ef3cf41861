//! Typed data of KML that no schema declares: GDAL drops them, so their schema gets a field of text for each.

use crate::source::Tallies;
use crate::xml::{Tag, Tags, attribute};
use std::collections::BTreeSet;
use ukimet_model::Severity;

/// A place in the text where fields are written, and in what.
struct Opening<'a> {
    /// The id of the schema that these fields belong to.
    id: String,
    at: usize,
    /// The prefix of the element's name with its colon, or nothing.
    prefix: &'a str,
    is_schema: bool,
}

/// The text with a field of text for every name of typed data that no schema declares, and which names these are.
///
/// A name goes to the schema that its data refer to; where the file has none of that id it gets one. Data that refer to
/// none take the first schema, as GDAL does; without any schema they stay undeclared.
pub(super) fn with_undeclared_data(text: &str) -> (String, BTreeSet<String>) {
    let undeclared = undeclared(text);
    let mut additions: Vec<(usize, String)> = Vec::new();
    let mut kept = BTreeSet::new();
    if !undeclared.is_empty() {
        let (schemas, document) = openings(text);
        let ids: BTreeSet<&str> = undeclared.iter().map(|(id, _)| id.as_str()).collect();
        for id in ids {
            let schema = schemas.iter().find(|schema| id.is_empty() || schema.id == id);
            let Some(opening) = schema.or(document.as_ref().filter(|_| !id.is_empty())) else { continue };
            let names: Vec<_> = undeclared.iter().filter(|(of, _)| of == id).map(|(_, name)| name.clone()).collect();
            additions.push((opening.at, opening.with_fields(id, &names)));
            kept.extend(names);
        }
    }
    additions.sort();
    let mut copy = String::new();
    let mut taken = 0;
    for (at, addition) in additions {
        copy.push_str(&text[taken..at]);
        copy.push_str(&addition);
        taken = at;
    }
    copy.push_str(&text[taken..]);
    (copy, kept)
}

/// Says which columns were made so.
pub(super) fn tell(kept: &BTreeSet<String>, tallies: &mut Tallies) {
    for name in kept {
        let message = "typed data that no schema declares were kept as text";
        let rule = "kml.undeclared_data_kept";
        tallies.add(rule, Severity::Note, message, None, Some(name), "SimpleData", Some("text"));
    }
}

/// Names that no schema of the file declares, each with the id of the schema that its data refer to.
fn undeclared(text: &str) -> BTreeSet<(String, String)> {
    let name = |tag: &Tag<'_>| attribute(tag.attributes, "name");
    let starts = |wanted: &'static str| Tags::of(text).filter(move |tag| tag.is_start && tag.name == wanted);
    let declared: BTreeSet<String> = starts("SimpleField").filter_map(|tag| name(&tag)).collect();
    let mut id = String::new();
    let mut found = BTreeSet::new();
    for tag in Tags::of(text).filter(|tag| tag.is_start) {
        match tag.name {
            "SchemaData" => {
                let url = attribute(tag.attributes, "schemaUrl").unwrap_or_default();
                url.rsplit_once('#').map_or(url.as_str(), |(_, id)| id).clone_into(&mut id);
            }
            "SimpleData" => {
                let name = name(&tag).filter(|name| !declared.contains(name));
                found.extend(name.map(|name| (id.clone(), name)));
            }
            _ => (),
        }
    }
    found
}

/// The ends of the schemas, and the beginning of the document.
fn openings(text: &str) -> (Vec<Opening<'_>>, Option<Opening<'_>>) {
    let (mut schemas, mut document, mut id) = (Vec::new(), None, String::new());
    for tag in Tags::of(text) {
        match (tag.name, tag.is_start, tag.is_end) {
            ("Schema", true, false) => id = attribute(tag.attributes, "id").unwrap_or_default(),
            ("Schema", false, _) => {
                let (start, prefix) = start(text, &tag);
                schemas.push(Opening { id: std::mem::take(&mut id), at: start, prefix, is_schema: true });
            }
            ("Document", true, false) if document.is_none() => {
                let (start, prefix) = start(text, &tag);
                // Attributes may have an angle bracket in them.
                let name_end = start + 1 + prefix.len() + tag.name.len();
                let end = name_end + text[name_end..].find(tag.attributes).unwrap_or_default() + tag.attributes.len();
                let at = text[end..].find('>').map(|at| end + at + 1);
                document = at.map(|at| Opening { id: String::new(), at, prefix, is_schema: false });
            }
            _ => (),
        }
    }
    (schemas, document)
}

/// Where a tag begins, and the prefix of its name.
fn start<'a>(text: &'a str, tag: &Tag<'_>) -> (usize, &'a str) {
    let name_at = tag.name.as_ptr() as usize - text.as_ptr() as usize;
    let start = text[..name_at].rfind('<').unwrap_or(name_at);
    (start, text[start..name_at].trim_start_matches(['<', '/']))
}

impl Opening<'_> {
    fn with_fields(&self, id: &str, names: &[String]) -> String {
        let prefix = self.prefix;
        // Attributes are handed on as they are written, but for the quotes around them.
        let quoted = |value: &str| format!("\"{}\"", value.replace('"', "&quot;"));
        let field = |name: &String| format!("<{prefix}SimpleField type=\"string\" name={}/>", quoted(name));
        let fields: String = names.iter().map(field).collect();
        if self.is_schema {
            return fields;
        }
        format!("<{prefix}Schema id={}>{fields}</{prefix}Schema>", quoted(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str, kept: &[&str]) {
        let (copy, found) = with_undeclared_data(text);
        assert_eq!((copy.as_str(), found.iter().map(String::as_str).collect::<Vec<_>>()), (expected, kept.to_vec()));
    }

    #[test]
    fn names_that_no_schema_declares_become_fields_of_theirs() {
        check(
            r#"<k:Schema name="width" id="s"><k:SimpleField name="a"/></k:Schema><SchemaData schemaUrl="x#s"><SimpleData name="a">1</SimpleData><SimpleData name='"b'>2</SimpleData></SchemaData>"#,
            r#"<k:Schema name="width" id="s"><k:SimpleField name="a"/><k:SimpleField type="string" name="&quot;b"/></k:Schema><SchemaData schemaUrl="x#s"><SimpleData name="a">1</SimpleData><SimpleData name='"b'>2</SimpleData></SchemaData>"#,
            &["\"b"],
        );
        check(
            r##"<k:Document x="1>2"><SchemaData schemaUrl="#s"><SimpleData name="a"/><SimpleData name="a"/></SchemaData></k:Document>"##,
            r##"<k:Document x="1>2"><k:Schema id="s"><k:SimpleField type="string" name="a"/></k:Schema><SchemaData schemaUrl="#s"><SimpleData name="a"/><SimpleData name="a"/></SchemaData></k:Document>"##,
            &["a"],
        );
        check(
            r##"<Document><SchemaData schemaUrl="#s"><SimpleData name="a"/></SchemaData></Document>"##,
            r##"<Document><Schema id="s"><SimpleField type="string" name="a"/></Schema><SchemaData schemaUrl="#s"><SimpleData name="a"/></SchemaData></Document>"##,
            &["a"],
        );
        let nowhere = r#"<Document><SchemaData><SimpleData name="a"/></SchemaData></Document>"#;
        check(nowhere, nowhere, &[]);
    }
}
