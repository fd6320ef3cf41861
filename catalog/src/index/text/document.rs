//! A dataset as a document of the index.

use super::analysis::{RussianStems, words};
use std::collections::BTreeMap;
use tantivy::schema::{FAST, Field, IndexRecordOption, STORED, STRING, TextFieldIndexing, TextOptions};
use tantivy::{TantivyDocument, Term};
use ukimet_model::{Dataset, DatasetId, Version};

/// Name of the field that hits are ordered by.
pub(super) const ID: &str = "id";

/// The index's fields.
#[derive(Clone, Copy)]
pub(crate) struct Schema {
    id: Field,
    pub(super) title: WordFields,
    pub(super) body: WordFields,
    pub(super) west: Field,
    pub(super) south: Field,
    pub(super) east: Field,
    pub(super) north: Field,
}

/// Words as written, and the stems of those that may be Russian.
#[derive(Clone, Copy)]
pub(super) struct WordFields {
    pub(super) words: Field,
    pub(super) stems: Field,
}

impl Schema {
    pub(super) fn build() -> (Self, tantivy::schema::Schema) {
        let mut builder = tantivy::schema::Schema::builder();
        // Words come analyzed, so the index only cuts them at spaces; scores are fixed, so no counts are kept.
        let indexing = TextFieldIndexing::default()
            .set_tokenizer("whitespace")
            .set_index_option(IndexRecordOption::Basic)
            .set_fieldnorms(false);
        let text = TextOptions::default().set_indexing_options(indexing);
        let mut word_fields = |words: &str, stems: &str| WordFields {
            words: builder.add_text_field(words, text.clone()),
            stems: builder.add_text_field(stems, text.clone()),
        };
        let (title, body) = (word_fields("title", "title_stems"), word_fields("body", "body_stems"));
        let schema = Self {
            id: builder.add_text_field(ID, STRING | STORED | FAST),
            title,
            body,
            west: builder.add_f64_field("west", FAST),
            south: builder.add_f64_field("south", FAST),
            east: builder.add_f64_field("east", FAST),
            north: builder.add_f64_field("north", FAST),
        };
        (schema, builder.build())
    }

    pub(super) fn id_term(&self, id: &DatasetId) -> Term {
        Term::from_field_text(self.id, id.as_str())
    }

    pub(super) fn document(&self, dataset: &Dataset, version: &Version) -> TantivyDocument {
        let mut document = TantivyDocument::default();
        document.add_text(self.id, dataset.id.as_str());
        let metadata = &dataset.metadata;
        let mut title = Words::new();
        title.add_by_language(&metadata.title);
        title.write(&mut document, self.title);
        let mut body = Words::new();
        body.add_by_language(&metadata.description);
        for (language, keywords) in &metadata.keywords {
            for keyword in keywords {
                body.add(language, keyword);
            }
        }
        let names = version.fields.iter().flat_map(|field| [&field.name, &field.source_name]);
        for name in names.chain([&version.layer, &version.asset.file_name]) {
            body.add("und", name);
        }
        body.add("und", dataset.id.as_str());
        body.write(&mut document, self.body);
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

/// Words on their way into a document.
struct Words {
    stemmer: RussianStems,
    written: Vec<String>,
    stems: Vec<String>,
}

impl Words {
    fn new() -> Self {
        Self { stemmer: RussianStems::new(), written: Vec::new(), stems: Vec::new() }
    }

    fn add_by_language(&mut self, texts: &BTreeMap<String, String>) {
        for (language, text) in texts {
            self.add(language, text);
        }
    }

    fn add(&mut self, language: &str, text: &str) {
        for word in words(text) {
            if matches!(language, "ru" | "und") {
                self.stems.push(self.stemmer.stem(&word));
            }
            self.written.push(word);
        }
    }

    fn write(mut self, document: &mut TantivyDocument, fields: WordFields) {
        for (field, words) in [(fields.words, &mut self.written), (fields.stems, &mut self.stems)] {
            words.sort_unstable();
            words.dedup();
            document.add_text(field, words.join(" "));
        }
    }
}
