//! A dataset as a document of the index.

use super::analysis::{Analyzer, words};
use super::request::Scope;
use crate::push::PushRecord;
use crate::state::{Damage, View};
use std::collections::{BTreeMap, BTreeSet};
use tantivy::schema::{FAST, Field, IndexRecordOption, STRING, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{PreTokenizedString, Token};
use tantivy::{TantivyDocument, Term};
use ukimet_model::{Dataset, DatasetId, DatasetMetadata, Facet, Version};

/// Name of the field that equal hits are ordered by.
pub(super) const ID: &str = "id";
/// Name of the field with the time of the newest version, seconds since 1970 UTC.
pub(super) const UPDATED: &str = "updated_seconds";
/// Name of the field that counts the texts a description has.
pub(super) const COMPLETENESS: &str = "completeness";
/// Names of the fields with the sides of a dataset's box, degrees.
pub(super) const WEST: &str = "west";
pub(super) const SOUTH: &str = "south";
pub(super) const EAST: &str = "east";
pub(super) const NORTH: &str = "north";
/// Stands for a facet's value that is not known: no value looks like this.
pub(super) const UNKNOWN: &str = "?";

/// The index's fields.
#[derive(Clone, Copy)]
pub(crate) struct Schema {
    id: Field,
    scopes: [Field; Scope::ALL.len()],
    facets: [Field; Facet::ALL.len()],
    /// A region's code.
    pub(super) region: Field,
    /// A region's code and those of the regions that it lies in.
    pub(super) within: Field,
    pub(super) updated: Field,
    completeness: Field,
    west: Field,
    south: Field,
    east: Field,
    north: Field,
}

impl Schema {
    pub(super) fn build() -> (Self, tantivy::schema::Schema) {
        let mut builder = tantivy::schema::Schema::builder();
        // Words come analyzed: the index never cuts a text itself.
        let indexing = TextFieldIndexing::default()
            .set_tokenizer("raw")
            .set_index_option(IndexRecordOption::WithFreqsAndPositions);
        let text = TextOptions::default().set_indexing_options(indexing);
        let schema = Self {
            id: builder.add_text_field(ID, STRING | FAST),
            scopes: Scope::ALL.map(|scope| builder.add_text_field(scope.name(), text.clone())),
            facets: Facet::ALL.map(|facet| builder.add_text_field(&facet_field(facet), STRING | FAST)),
            region: builder.add_text_field("region", STRING),
            within: builder.add_text_field("within", STRING),
            updated: builder.add_i64_field(UPDATED, FAST),
            completeness: builder.add_u64_field(COMPLETENESS, FAST),
            west: builder.add_f64_field(WEST, FAST),
            south: builder.add_f64_field(SOUTH, FAST),
            east: builder.add_f64_field(EAST, FAST),
            north: builder.add_f64_field(NORTH, FAST),
        };
        (schema, builder.build())
    }

    pub(super) fn id_term(&self, id: &DatasetId) -> Term {
        Term::from_field_text(self.id, id.as_str())
    }

    pub(super) fn scope(&self, scope: Scope) -> Field {
        self.scopes[scope as usize]
    }

    pub(super) fn facet(&self, facet: Facet) -> Field {
        self.facets[facet as usize]
    }

    pub(super) fn document(&self, described: &Described) -> TantivyDocument {
        let Described { dataset, version, push } = described;
        let mut document = TantivyDocument::default();
        document.add_text(self.id, dataset.id.as_str());
        let mut analyzer = Analyzer::new();
        for scope in Scope::ALL {
            for (language, text) in texts(scope, dataset, version) {
                document.add_pre_tokenized_text(self.scope(scope), tokens(&mut analyzer, language, text));
            }
        }
        for facet in Facet::ALL {
            for value in values(facet, described) {
                document.add_text(self.facet(facet), value);
            }
        }
        let region = push.as_ref().and_then(|push| push.declared.region.as_deref()).and_then(region_code);
        if let Some(code) = &region {
            document.add_text(self.region, code);
            enclosing(code).for_each(|code| document.add_text(self.within, code));
        }
        document.add_i64(self.updated, version.committed.as_second());
        document.add_u64(self.completeness, completeness(&dataset.metadata));
        if let Some(bbox) = version.bbox {
            let sides =
                [(self.west, bbox.west), (self.south, bbox.south), (self.east, bbox.east), (self.north, bbox.north)];
            for (field, degrees) in sides {
                document.add_f64(field, degrees);
            }
        }
        document
    }
}

/// The name of a facet's field; columns of a description are a scope, too.
pub(super) fn facet_field(facet: Facet) -> String {
    format!("facet_{}", facet.name())
}

/// What a document is made of.
pub(super) struct Described {
    pub(super) dataset: Dataset,
    pub(super) version: Version,
    /// The push that brought the version.
    pub(super) push: Option<PushRecord>,
}

impl Described {
    /// A dataset as of its newest version; `None` if it has none.
    pub(super) fn read(view: &View<'_>, id: &DatasetId) -> Result<Option<Self>, Damage> {
        let Some((dataset, version)) = view.dataset(id)?.zip(view.newest_version(id)?) else { return Ok(None) };
        let push = view.push(id.agency(), &version.push_id)?;
        Ok(Some(Self { dataset, version, push }))
    }
}

/// The texts of a scope with their languages.
fn texts<'a>(scope: Scope, dataset: &'a Dataset, version: &'a Version) -> Vec<(&'a str, &'a str)> {
    fn by_language(texts: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
        texts.iter().map(|(language, text)| (language.as_str(), text.as_str())).collect()
    }
    let metadata = &dataset.metadata;
    let unknown = |text: &'a str| ("und", text);
    match scope {
        Scope::Title => by_language(&metadata.title),
        Scope::Description => by_language(&metadata.description),
        Scope::Keywords => {
            let words = metadata.keywords.iter();
            words.flat_map(|(language, words)| words.iter().map(|word| (language.as_str(), word.as_str()))).collect()
        }
        Scope::Agency => vec![unknown(dataset.id.agency())],
        Scope::Columns => {
            let columns = version.fields.iter();
            let names = columns.flat_map(|field| {
                let told = [&field.role, &field.unit].into_iter().flatten();
                [&field.name, &field.source_name].into_iter().chain(told)
            });
            names.map(|name| unknown(name)).collect()
        }
        Scope::Source => {
            [dataset.id.name(), &version.layer, &version.asset.file_name].into_iter().map(unknown).collect()
        }
    }
}

/// A text as the index takes it: every word's forms and stems at the word's place.
fn tokens(analyzer: &mut Analyzer, language: &str, text: &str) -> PreTokenizedString {
    let mut tokens = Vec::new();
    for (position, word) in words(text).enumerate() {
        let word = analyzer.word(word, language);
        tokens.extend(word.forms.into_iter().chain(word.stems).map(|text| Token {
            position,
            text,
            ..Token::default()
        }));
    }
    PreTokenizedString { text: String::new(), tokens }
}

/// The values of a facet, or that they are not known.
fn values(facet: Facet, Described { dataset, version, push }: &Described) -> BTreeSet<String> {
    let mut values: BTreeSet<String> = match facet {
        Facet::Agency => [dataset.id.agency().to_owned()].into(),
        Facet::Region => {
            let region = push.as_ref().and_then(|push| push.declared.region.as_deref()).and_then(region_code);
            region.map(|code| code[..2].to_owned()).into_iter().collect()
        }
        Facet::Format => {
            let layers = push.iter().flat_map(|push| &push.outcome.layers);
            let layer = layers.filter(|layer| layer.dataset == dataset.id).map(|layer| &layer.report.format);
            layer.filter(|format| !format.is_empty()).cloned().collect()
        }
        Facet::Geometry => version.geometry_types.keys().cloned().collect(),
        Facet::Updated => [version.committed.strftime("%Y-%m").to_string()].into(),
    };
    if values.is_empty() {
        values.insert(UNKNOWN.to_owned());
    }
    values
}

/// A KATO code as short as it says the same: `750000000`, `75` and `KZ-75` are `75`; `None` for a box or a country.
pub(super) fn region_code(region: &str) -> Option<String> {
    let upper = region.trim().to_ascii_uppercase();
    let digits = upper.strip_prefix("KZ-").unwrap_or(&upper);
    let is_code = (2..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_code.then(|| {
        let code = format!("{digits:0<9}");
        let length = [2, 4, 6].into_iter().find(|length| code[*length..].bytes().all(|byte| byte == b'0'));
        code[..length.unwrap_or(9)].to_owned()
    })
}

/// The codes of the regions around a region, and its own.
pub(super) fn enclosing(code: &str) -> impl Iterator<Item = &str> {
    [2, 4, 6, 9].into_iter().filter_map(|length| code.get(..length))
}

/// How many of title, description and keywords there are, in how many languages.
fn completeness(metadata: &DatasetMetadata) -> u64 {
    (metadata.title.len() + metadata.description.len() + metadata.keywords.len()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_its_shortest_code() {
        for (region, code) in [
            ("75", Some("75")),
            ("750000000", Some("75")),
            ("kz-75", Some("75")),
            ("7511", Some("7511")),
            ("751110000", Some("751110")),
            ("101033102", Some("101033102")),
            ("100000000", Some("10")),
            ("KZ", None),
            ("76,43,77,44", None),
        ] {
            assert_eq!(region_code(region).as_deref(), code, "{region}");
        }
        assert_eq!(enclosing("751110").collect::<Vec<_>>(), ["75", "7511", "751110"]);
    }
}
