//! A first mapping for a schema: what a publisher would otherwise type.

use crate::batch::{is_geometry, source_name};
use crate::profile::{Profile, ProfileColumn};
use arrow_schema::{Field, Schema};
use std::fmt::Write;

/// Columns that a profile must know before it is suggested by itself.
const KNOWN_COLUMNS_MIN: usize = 3;

/// A mapping file for a published schema, with comments for people; it reads as a mapping and publishes every column.
///
/// `profile` binds the columns to a profile; `None` suggests the one that knows most of them, if it knows enough.
pub fn suggest(schema: &Schema, profile: Option<&Profile>) -> String {
    let fields: Vec<&Field> = schema.fields().iter().map(AsRef::as_ref).filter(|field| !is_geometry(field)).collect();
    let profile = profile.or_else(|| best_profile(&fields));
    let mut text = String::from(
        "# What the columns of this dataset become. Columns that are not named here follow as they are.\n",
    );
    let mut taken = Vec::new();
    if let Some(profile) = profile {
        write_line(&mut text, format_args!("profile = {}", quote(&profile.name)));
    }
    for field in &fields {
        let known = profile.and_then(|profile| profile.column_known_as(source_name(field)));
        let known = known.filter(|column| !taken.contains(&column.name.as_str()));
        let clashes = |column: &&ProfileColumn| {
            fields.iter().any(|other| other.name() == &column.name && !std::ptr::eq(*other, *field))
        };
        if let Some(column) = known.filter(|column| !clashes(column)) {
            taken.push(&column.name);
            write_known(&mut text, field, column);
        } else {
            text.push('\n');
            write_rule(&mut text, field.name(), source_name(field), None);
        }
    }
    if let Some(profile) = profile {
        write_missing(&mut text, profile, &taken);
    }
    text
}

/// The profile that knows most columns, the first of equals.
fn best_profile(fields: &[&Field]) -> Option<&'static Profile> {
    let known = |profile: &Profile| {
        let mut columns: Vec<&str> = fields
            .iter()
            .filter_map(|field| profile.column_known_as(source_name(field)))
            .map(|column| column.name.as_str())
            .collect();
        columns.sort_unstable();
        columns.dedup();
        columns.len()
    };
    let best = Profile::all().iter().rev().max_by_key(|profile| known(profile))?;
    (known(best) >= KNOWN_COLUMNS_MIN).then_some(best)
}

fn write_known(text: &mut String, field: &Field, column: &ProfileColumn) {
    let meaning = column.title.get("ru").or_else(|| column.title.values().next()).map_or("", String::as_str);
    write_line(text, format_args!("\n# {meaning}"));
    let cast = (!column.kind.accepts(field.data_type())).then(|| column.kind.cast());
    write_rule(text, &column.name, source_name(field), cast);
}

fn write_rule(text: &mut String, name: &str, from: &str, cast: Option<&str>) {
    write_line(text, format_args!("[[column]]\nname = {}\nfrom = {}", quote(name), quote(from)));
    if let Some(cast) = cast {
        write_line(text, format_args!("cast = {}", quote(cast)));
    }
}

fn write_missing(text: &mut String, profile: &Profile, taken: &[&str]) {
    let missing = profile.columns.iter().filter(|column| !taken.contains(&column.name.as_str()));
    for column in missing {
        let word = if column.required { "required and missing" } else { "also in the profile" };
        let meaning = column.title.get("ru").map_or("", String::as_str);
        write_line(text, format_args!("\n# {word}: {} ({}): {meaning}", column.name, column.kind.cast()));
    }
}

/// A text as TOML writes it.
fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn write_line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a string takes every line");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mapping;
    use crate::batch::{attribute_field, geometry_field};
    use arrow_schema::DataType;

    fn schools() -> Schema {
        Schema::new(vec![
            attribute_field("naimenovanie", "Наименование", DataType::Utf8),
            attribute_field("proektnaya_moschnost", "Проектная мощность (мест)", DataType::Utf8),
            attribute_field("uchaschihsya", "Учащихся", DataType::Int64),
            attribute_field("kod", "Код \"1С\"", DataType::Utf8),
            geometry_field().into(),
        ])
    }

    #[test]
    fn a_suggestion_reads_as_a_mapping_of_every_column() {
        let text = suggest(&schools(), None);
        let mapping = Mapping::parse(&text).expect(&text);
        assert_eq!(mapping.profile.as_deref(), Some("school"));
        let columns: Vec<(&str, String, bool)> =
            mapping.columns.iter().map(|c| (c.name.as_str(), c.source.describe(), c.cast.is_some())).collect();
        let expected = [
            ("name_ru", "Наименование".to_owned(), false),
            ("capacity", "Проектная мощность (мест)".to_owned(), true),
            ("pupils", "Учащихся".to_owned(), false),
            ("kod", "Код \"1С\"".to_owned(), false),
        ];
        assert_eq!(columns, expected, "{text}");
        assert!(text.contains("# also in the profile: bin (text)"), "{text}");
    }

    #[test]
    fn no_profile_is_suggested_for_a_table_that_none_knows() {
        let schema = Schema::new(vec![attribute_field("a", "Собака", DataType::Utf8)]);
        let mapping = Mapping::parse(&suggest(&schema, None)).expect("a mapping");
        assert_eq!((mapping.profile, mapping.columns.len()), (None, 1));
        let text = suggest(&schema, Some(Profile::named("school").expect("there")));
        assert!(text.contains("# required and missing: name_ru"), "{text}");
    }
}
