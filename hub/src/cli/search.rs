//! `ukimet search`.

use crate::cli::output;
use crate::client::{Client, DEFAULT_HUB};
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::str::FromStr;
use ukimet_model::error::quoted;
use ukimet_model::{BoundingBox, Error, Facet, Result};
use ukimet_proto::convert::wire_time;
use ukimet_proto::status::from_status;
use ukimet_proto::v1;

/// Find datasets by words, place, time and properties.
#[derive(Args)]
pub struct Search {
    /// Words that must all occur, in any language and script; none lists every dataset. Words in quotes ('"дом культуры"') stand
    /// side by side; title:, description:, keywords:, agency:, columns: or source: before a word says where it must be.
    words: Vec<String>,
    /// Only datasets that share a place with this box, degrees.
    #[arg(long, value_name = "WEST,SOUTH,EAST,NORTH", allow_hyphen_values = true)]
    bbox: Option<BoundingBox>,
    /// Only datasets of this region: a KATO code, its first digits (75, 7511) or KZ-75.
    #[arg(long, value_name = "CODE")]
    region: Option<String>,
    /// Only datasets whose newest version was committed at this time or later: RFC 3339, e.g. 2026-03-01T00:00:00+05:00.
    #[arg(long, value_name = "TIME")]
    updated_from: Option<Timestamp>,
    /// Only datasets whose newest version was committed before this time.
    #[arg(long, value_name = "TIME")]
    updated_before: Option<Timestamp>,
    /// Only datasets with this value of a facet (agency, region, format, geometry, updated), none for an unknown one; several
    /// of one facet are alternatives.
    #[arg(long, value_name = "FACET=VALUE")]
    only: Vec<Chosen>,
    /// Count the datasets found by agency, region, format, geometry type and month of the newest version.
    #[arg(long)]
    facets: bool,
    /// How many hits at most.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    limit: u32,
    /// As of this snapshot of the whole catalog.
    #[arg(long, value_name = "NUMBER")]
    snapshot: Option<u64>,
    /// The hub.
    #[arg(long, value_name = "URL", default_value = DEFAULT_HUB)]
    hub: String,
    /// Print the hits as JSON.
    #[arg(long)]
    json: bool,
}

impl Search {
    /// Searches and prints the hits.
    pub async fn run(self) -> Result<ExitCode> {
        let client = Client::connect(&self.hub).await?;
        let is_json = self.json;
        let found = search(&client, self.into_request()).await?;
        if is_json {
            let datasets: Vec<_> = found.datasets.iter().map(dataset_json).collect();
            let facets = facets_json(&found.facets);
            let (snapshot, total) = (found.snapshot, found.total);
            output::document(&json!({ "snapshot": snapshot, "total": total, "datasets": datasets, "facets": facets }));
        } else {
            print_datasets(&found);
            print_facets(&found.facets);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn into_request(self) -> v1::SearchRequest {
        v1::SearchRequest {
            text: self.words.join(" "),
            bbox: self.bbox.map(Into::into),
            offset: 0,
            limit: self.limit,
            snapshot: self.snapshot,
            region: self.region.unwrap_or_default(),
            updated_from: self.updated_from.map(wire_time),
            updated_before: self.updated_before.map(wire_time),
            facets: self.only.into_iter().map(Chosen::into_wire).collect(),
            with_facets: self.facets,
        }
    }
}

/// A value of a facet, as it is chosen: `format=GeoJSON`.
#[derive(Clone)]
struct Chosen {
    facet: Facet,
    value: String,
}

impl Chosen {
    fn into_wire(self) -> v1::FacetValue {
        v1::FacetValue { facet: self.facet.name().to_owned(), value: self.value, datasets: 0 }
    }
}

impl FromStr for Chosen {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (facet, value) = text.split_once('=').ok_or_else(|| {
            Error::invalid_request(format!("a choice is FACET=VALUE, e.g. format=GeoJSON, found {}", quoted(text)))
        })?;
        Ok(Self { facet: facet.parse()?, value: value.to_owned() })
    }
}

/// Values printed of one facet at most; JSON has all of them.
const VALUES_PRINTED_MAX: usize = 10;

fn print_facets(facets: &[v1::FacetValue]) {
    for values in facets.chunk_by(|a, b| a.facet == b.facet) {
        output::line(&format!("\n{}", values[0].facet));
        for value in values.iter().take(VALUES_PRINTED_MAX) {
            let name = if value.value.is_empty() { "(unknown)" } else { &value.value };
            output::line(&format!("  {name}: {}", output::grouped(value.datasets)));
        }
        if let Some(more) = values.len().checked_sub(VALUES_PRINTED_MAX).filter(|more| *more > 0) {
            output::line(&format!("  and {more} more"));
        }
    }
}

/// The counts by facet: lists of value (`null` for an unknown one) and number of datasets, the most frequent first.
fn facets_json(facets: &[v1::FacetValue]) -> Value {
    let value = |value: &v1::FacetValue| {
        let name = Some(&value.value).filter(|value| !value.is_empty());
        json!({ "value": name, "datasets": value.datasets })
    };
    let facet = |values: &[v1::FacetValue]| (values[0].facet.clone(), values.iter().map(value).collect());
    Value::Object(facets.chunk_by(|a, b| a.facet == b.facet).map(facet).collect())
}

/// Asks a hub for datasets.
pub async fn search(client: &Client, request: v1::SearchRequest) -> Result<v1::SearchResponse> {
    let response = client.catalog().search(request).await;
    Ok(response.map_err(|status| from_status(&status))?.into_inner())
}

/// One line a dataset.
pub fn print_datasets(found: &v1::SearchResponse) {
    let rows: Vec<_> = found.datasets.iter().map(row).collect();
    if !rows.is_empty() {
        output::table(&["dataset", "version", "rows", "title"], &rows);
    }
    let shown = if found.total == rows.len() as u64 { String::new() } else { format!("{} of ", rows.len()) };
    output::line(&format!("{shown}{} as of snapshot {}", output::counted(found.total, "dataset"), found.snapshot));
}

fn row(dataset: &v1::Dataset) -> Vec<String> {
    let version = dataset.version.as_ref();
    vec![
        dataset.id.clone(),
        version.map_or_else(String::new, |v| format!("v{}", v.number)),
        version.map_or_else(String::new, |v| output::grouped(v.rows)),
        title(dataset).to_owned(),
    ]
}

/// The title in Kazakh, Russian or English, whichever there is first.
pub fn title(dataset: &v1::Dataset) -> &str {
    let titles = dataset.metadata.as_ref().map(|m| &m.title);
    let title = titles.and_then(|titles| ["kk", "ru", "en", "und"].iter().find_map(|language| titles.get(*language)));
    title.map_or("", String::as_str)
}

/// A dataset as scripts see it.
pub fn dataset_json(dataset: &v1::Dataset) -> Value {
    let metadata = dataset.metadata.clone().unwrap_or_default();
    let keywords: serde_json::Map<_, _> = metadata.keywords.into_iter().map(|(l, k)| (l, json!(k.words))).collect();
    json!({
        "dataset": dataset.id,
        "created": dataset.created.as_ref().map(time),
        "title": metadata.title,
        "description": metadata.description,
        "keywords": keywords,
        "version": dataset.version.as_ref().map(version_json),
    })
}

/// A version as scripts see it.
pub fn version_json(version: &v1::Version) -> Value {
    json!({
        "number": version.number,
        "snapshot": version.snapshot,
        "committed": version.committed.as_ref().map(time),
        "push_id": version.push_id,
        "file_name": version.file_name,
        "asset_sha256": hex::encode(&version.asset_sha256),
        "layer": version.layer,
        "rows": version.rows,
        "root_hash": hex::encode(&version.root_hash),
        "bbox": version.bbox.as_ref().map(|b| [b.west, b.south, b.east, b.north]),
        "geometry_types": version.geometry_types,
        "size_bytes": version.size_bytes,
        "rolled_back_to": version.rolled_back_to,
        "major": version.major,
        "valid_time": version.valid_time.as_ref().map(|time| json!({ "from": time.from, "to": time.to })),
        "erased": version.erased.as_ref().map(erased_json),
        "tags": version.tags,
        "notes": version.notes.iter().map(note_json).collect::<Vec<_>>(),
        "fields": version.fields.iter().map(field_json).collect::<Vec<_>>(),
    })
}

fn erased_json(erased: &v1::ErasedRows) -> Value {
    json!({
        "rows": erased.rows,
        "snapshot": erased.snapshot,
        "erased": erased.erased.as_ref().map(time),
        "published_root_hash": hex::encode(&erased.published_root_hash),
    })
}

/// A sentence on rows that a version lost.
pub fn erased_text(erased: &v1::ErasedRows) -> String {
    let when = erased.erased.as_ref().map_or_else(String::new, time);
    format!("{} erased on {when} (snapshot {})", output::counted(erased.rows, "row"), erased.snapshot)
}

fn note_json(note: &v1::Note) -> Value {
    json!({ "text": note.text, "principal": note.principal, "written": note.written.as_ref().map(time) })
}

fn field_json(field: &v1::Field) -> Value {
    json!({
        "name": field.name,
        "source_name": field.source_name,
        "data_type": field.data_type,
        "nullable": field.nullable,
        "role": field.role,
        "unit": field.unit,
    })
}

/// A time as people and scripts read it: RFC 3339, UTC.
pub fn time(time: &prost_types::Timestamp) -> String {
    jiff::Timestamp::new(time.seconds, time.nanos).map_or_else(|_| "?".to_owned(), |time| time.to_string())
}
