//! Model to messages and back: the only file that knows both.
//!
//! Model to message cannot fail. Message to model checks what the sender claims and answers
//! `InvalidRequest` with the field's name.

mod versions;

use crate::v1;
use jiff::Timestamp;
use std::collections::BTreeMap;
use ukimet_model as model;
use ukimet_model::{Error, Result};

/// Names the field in an error about its value.
fn field<T>(name: &str, value: Result<T>) -> Result<T> {
    value.map_err(|error| error.context(name))
}

fn required<T>(name: &str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| Error::invalid_request(format!("{name} is missing")))
}

fn map<A, B: From<A>>(values: Vec<A>) -> Vec<B> {
    values.into_iter().map(B::from).collect()
}

fn try_map<A, B: TryFrom<A>>(values: Vec<A>) -> Result<Vec<B>, B::Error> {
    values.into_iter().map(B::try_from).collect()
}

/// A time as messages have it.
pub fn wire_time(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() }
}

impl From<model::BoundingBox> for v1::BoundingBox {
    fn from(b: model::BoundingBox) -> Self {
        Self { west: b.west, south: b.south, east: b.east, north: b.north }
    }
}

impl TryFrom<v1::BoundingBox> for model::BoundingBox {
    type Error = Error;

    fn try_from(b: v1::BoundingBox) -> Result<Self> {
        field("bbox", Self::try_new(b.west, b.south, b.east, b.north))
    }
}

impl From<model::Severity> for v1::Severity {
    fn from(severity: model::Severity) -> Self {
        match severity {
            model::Severity::Note => Self::Note,
            model::Severity::Warning => Self::Warning,
            model::Severity::Error => Self::Error,
        }
    }
}

impl From<v1::Severity> for model::Severity {
    fn from(severity: v1::Severity) -> Self {
        match severity {
            v1::Severity::Note => Self::Note,
            v1::Severity::Unspecified | v1::Severity::Warning => Self::Warning,
            v1::Severity::Error => Self::Error,
        }
    }
}

impl From<model::Example> for v1::Example {
    fn from(e: model::Example) -> Self {
        Self { row: e.row, field: e.field, found: e.found, taken: e.taken }
    }
}

impl From<v1::Example> for model::Example {
    fn from(e: v1::Example) -> Self {
        Self { row: e.row, field: e.field, found: e.found, taken: e.taken }
    }
}

impl From<model::Diagnostic> for v1::Diagnostic {
    fn from(d: model::Diagnostic) -> Self {
        Self {
            rule: d.rule,
            severity: v1::Severity::from(d.severity).into(),
            message: d.message,
            count: d.count,
            examples: map(d.examples),
        }
    }
}

impl From<v1::Diagnostic> for model::Diagnostic {
    fn from(d: v1::Diagnostic) -> Self {
        Self {
            severity: d.severity().into(),
            rule: d.rule,
            message: d.message,
            count: d.count,
            examples: map(d.examples),
        }
    }
}

impl From<model::Verdict> for v1::Verdict {
    fn from(v: model::Verdict) -> Self {
        Self {
            row: v.row,
            field: v.field,
            rule: v.rule,
            severity: v1::Severity::from(v.severity).into(),
            found: v.found,
            taken: v.taken,
            note: v.note,
        }
    }
}

impl From<v1::Verdict> for model::Verdict {
    fn from(v: v1::Verdict) -> Self {
        Self {
            severity: v.severity().into(),
            row: v.row,
            field: v.field,
            rule: v.rule,
            found: v.found,
            taken: v.taken,
            note: v.note,
        }
    }
}

impl From<model::QuarantinedRow> for v1::QuarantinedRow {
    fn from(r: model::QuarantinedRow) -> Self {
        Self { row: r.row, values: r.values.into_iter().map(|text| v1::QuarantinedValue { text }).collect() }
    }
}

impl From<v1::QuarantinedRow> for model::QuarantinedRow {
    fn from(r: v1::QuarantinedRow) -> Self {
        Self { row: r.row, values: r.values.into_iter().map(|value| value.text).collect() }
    }
}

impl From<model::ProcessStep> for v1::ProcessStep {
    fn from(s: model::ProcessStep) -> Self {
        Self {
            step: s.step,
            version: s.version,
            parameters: s.parameters.into_iter().collect(),
            count: s.count,
            examples: map(s.examples),
        }
    }
}

impl From<v1::ProcessStep> for model::ProcessStep {
    fn from(s: v1::ProcessStep) -> Self {
        Self {
            step: s.step,
            version: s.version,
            parameters: s.parameters.into_iter().collect(),
            count: s.count,
            examples: map(s.examples),
        }
    }
}

impl From<model::LayerReport> for v1::LayerReport {
    fn from(r: model::LayerReport) -> Self {
        Self {
            layer: r.layer,
            format: r.format,
            rows_read: r.rows_read,
            rows_taken: r.rows_taken,
            rows_repaired: r.rows_repaired,
            rows_refused: r.rows_refused,
            geometry_types: r.geometry_types.into_iter().collect(),
            geometry_nulls: r.geometry_nulls,
            source_crs: r.source_crs,
            source_encoding: r.source_encoding,
            bbox: r.bbox.map(Into::into),
            diagnostics: map(r.diagnostics),
            steps: map(r.steps),
            geometry_column: r.geometry_column,
        }
    }
}

impl TryFrom<v1::LayerReport> for model::LayerReport {
    type Error = Error;

    fn try_from(r: v1::LayerReport) -> Result<Self> {
        Ok(Self {
            layer: r.layer,
            format: r.format,
            rows_read: r.rows_read,
            rows_taken: r.rows_taken,
            rows_repaired: r.rows_repaired,
            rows_refused: r.rows_refused,
            geometry_types: r.geometry_types.into_iter().collect(),
            geometry_nulls: r.geometry_nulls,
            source_crs: r.source_crs,
            source_encoding: r.source_encoding,
            bbox: r.bbox.map(TryInto::try_into).transpose()?,
            diagnostics: map(r.diagnostics),
            steps: map(r.steps),
            geometry_column: r.geometry_column,
        })
    }
}

impl From<model::DatasetMetadata> for v1::DatasetMetadata {
    fn from(m: model::DatasetMetadata) -> Self {
        Self {
            title: m.title.into_iter().collect(),
            description: m.description.into_iter().collect(),
            keywords: m.keywords.into_iter().map(|(language, words)| (language, v1::Keywords { words })).collect(),
        }
    }
}

/// Longest title, description or keyword, in bytes.
const TEXT_BYTES_MAX: usize = 10_000;

impl TryFrom<v1::DatasetMetadata> for model::DatasetMetadata {
    type Error = Error;

    fn try_from(m: v1::DatasetMetadata) -> Result<Self> {
        let texts = |name: &str, texts: std::collections::HashMap<String, String>| {
            texts
                .into_iter()
                .map(|(language, text)| Ok((checked_language(name, language)?, checked_text(name, text)?)))
                .collect::<Result<BTreeMap<_, _>>>()
        };
        let keywords = m.keywords.into_iter().map(|(language, keywords)| {
            let words = keywords.words.into_iter().map(|word| checked_text("keywords", word));
            Ok((checked_language("keywords", language)?, words.collect::<Result<_>>()?))
        });
        Ok(Self {
            title: texts("title", m.title)?,
            description: texts("description", m.description)?,
            keywords: keywords.collect::<Result<_>>()?,
        })
    }
}

fn checked_language(name: &str, language: String) -> Result<String> {
    if (2..=8).contains(&language.len()) && language.bytes().all(|b| b.is_ascii_lowercase()) {
        return Ok(language);
    }
    Err(Error::invalid_request(format!(
        "{name}: a language is a code such as kk, ru, en or und, found {}",
        model::error::quoted(&language)
    )))
}

/// Only a description may have lines.
fn checked_text(name: &str, text: String) -> Result<String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Error::invalid_request(format!("{name} has {} bytes, at most {TEXT_BYTES_MAX}", text.len())));
    }
    let may_stay = |c: char| name == "description" && matches!(c, '\n' | '\t');
    match text.chars().find(|c| c.is_control() && !may_stay(*c)) {
        Some(control) => Err(Error::invalid_request(format!("{name} holds the control character {control:?}"))),
        None => Ok(text),
    }
}

impl From<model::Field> for v1::Field {
    fn from(f: model::Field) -> Self {
        Self {
            name: f.name,
            source_name: f.source_name,
            data_type: f.data_type,
            nullable: f.nullable,
            role: f.role,
            unit: f.unit,
        }
    }
}

impl From<model::DerivedAsset> for v1::DerivedAsset {
    fn from(a: model::DerivedAsset) -> Self {
        let sha256 = a.sha256.0.to_vec().into();
        Self { name: a.name, media_type: a.media_type, row: a.row, sha256, size_bytes: a.size_bytes }
    }
}

impl From<model::Version> for v1::Version {
    fn from(v: model::Version) -> Self {
        Self {
            number: v.number.0,
            snapshot: v.snapshot.0,
            committed: Some(wire_time(v.committed)),
            push_id: v.push_id.into(),
            file_name: v.asset.file_name,
            asset_sha256: v.asset.sha256.0.to_vec().into(),
            layer: v.layer,
            fields: map(v.fields),
            root_hash: v.root_hash.0.to_vec().into(),
            rows: v.rows,
            bbox: v.bbox.map(Into::into),
            geometry_types: v.geometry_types.into_iter().collect(),
            size_bytes: v.segments.iter().map(|s| s.size_bytes).chain(v.assets.iter().map(|a| a.size_bytes)).sum(),
            assets: map(v.assets),
            key: v.key.map(Into::into),
            changes: v.changes.map(|changes| changes.counts.into()),
            rolled_back_to: v.rolled_back_to.map(|number| number.0),
            tags: Vec::new(),
            notes: Vec::new(),
            major: v.major.0,
            valid_time: v.valid_time.map(|time| v1::ValidTime { from: time.from, to: time.to }),
            erased: v.erased.map(Into::into),
        }
    }
}

impl From<model::Key> for v1::Key {
    fn from(key: model::Key) -> Self {
        Self { columns: key.columns, is_declared: key.is_declared }
    }
}

impl From<v1::Key> for model::Key {
    fn from(key: v1::Key) -> Self {
        Self { columns: key.columns, is_declared: key.is_declared }
    }
}

impl From<model::ChangeCounts> for v1::ChangeCounts {
    fn from(model::ChangeCounts { added, removed, changed }: model::ChangeCounts) -> Self {
        Self { added, removed, changed }
    }
}

impl From<v1::ChangeCounts> for model::ChangeCounts {
    fn from(v1::ChangeCounts { added, removed, changed }: v1::ChangeCounts) -> Self {
        Self { added, removed, changed }
    }
}

impl From<(model::Dataset, model::Version)> for v1::Dataset {
    fn from((dataset, version): (model::Dataset, model::Version)) -> Self {
        Self {
            id: dataset.id.into(),
            created: Some(wire_time(dataset.created)),
            metadata: Some(dataset.metadata.into()),
            version: Some(version.into()),
            mapping: dataset.mapping,
            retention: dataset.retention.map(Into::into),
        }
    }
}

impl From<model::PushMode> for v1::PushMode {
    fn from(mode: model::PushMode) -> Self {
        match mode {
            model::PushMode::Replace => Self::Replace,
            model::PushMode::Upsert => Self::Upsert,
            model::PushMode::Append => Self::Append,
        }
    }
}

impl From<v1::PushMode> for model::PushMode {
    fn from(mode: v1::PushMode) -> Self {
        match mode {
            v1::PushMode::Unspecified | v1::PushMode::Replace => Self::Replace,
            v1::PushMode::Upsert => Self::Upsert,
            v1::PushMode::Append => Self::Append,
        }
    }
}

/// The message for a layer selection; the only layer is said by leaving it out.
pub fn layer_selection_to_wire(selection: model::LayerSelection) -> Option<v1::LayerSelection> {
    use v1::layer_selection::Selection;
    let selection = match selection {
        model::LayerSelection::Only => return None,
        model::LayerSelection::Named(name) => Selection::Name(name),
        model::LayerSelection::All => Selection::All(true),
    };
    Some(v1::LayerSelection { selection: Some(selection) })
}

/// The layer selection that a message, perhaps an absent one, means.
pub fn layer_selection_from_wire(selection: Option<v1::LayerSelection>) -> model::LayerSelection {
    use v1::layer_selection::Selection;
    match selection.and_then(|s| s.selection) {
        Some(Selection::Name(name)) => model::LayerSelection::Named(name),
        Some(Selection::All(true)) => model::LayerSelection::All,
        Some(Selection::All(false)) | None => model::LayerSelection::Only,
    }
}

impl From<model::PushStatus> for v1::PushStatus {
    fn from(status: model::PushStatus) -> Self {
        match status {
            model::PushStatus::Published => Self::Published,
            model::PushStatus::Unchanged => Self::Unchanged,
        }
    }
}

impl TryFrom<v1::PushStatus> for model::PushStatus {
    type Error = Error;

    fn try_from(status: v1::PushStatus) -> Result<Self> {
        match status {
            v1::PushStatus::Published => Ok(Self::Published),
            v1::PushStatus::Unchanged => Ok(Self::Unchanged),
            v1::PushStatus::Unspecified => Err(Error::invalid_request("the status of a push is missing")),
        }
    }
}

impl From<model::LayerOutcome> for v1::LayerOutcome {
    fn from(o: model::LayerOutcome) -> Self {
        Self {
            dataset: o.dataset.into(),
            version: o.version.0,
            major: o.major.0,
            status: v1::PushStatus::from(o.status).into(),
            rows_added: o.rows_added,
            rows_removed: o.rows_removed,
            rows_changed: o.rows_changed,
            marks_without_row: o.marks_without_row,
            key: o.key.map(Into::into),
            report: Some(o.report.into()),
            verdicts: o.verdicts.map(Into::into),
            quarantine: o.quarantine.map(Into::into),
        }
    }
}

impl From<model::TableRef> for v1::TableRef {
    fn from(t: model::TableRef) -> Self {
        Self { sha256: t.sha256.0.to_vec().into(), rows: t.rows, size_bytes: t.size_bytes }
    }
}

impl TryFrom<v1::TableRef> for model::TableRef {
    type Error = Error;

    fn try_from(t: v1::TableRef) -> Result<Self> {
        Ok(Self {
            sha256: field("sha256", model::Sha256::try_from(t.sha256.as_ref()))?,
            rows: t.rows,
            size_bytes: t.size_bytes,
        })
    }
}

impl TryFrom<v1::LayerOutcome> for model::LayerOutcome {
    type Error = Error;

    fn try_from(o: v1::LayerOutcome) -> Result<Self> {
        Ok(Self {
            status: o.status().try_into()?,
            dataset: field("dataset", o.dataset.parse())?,
            version: model::VersionNumber(o.version),
            // Hubs from before majors were counted say nothing.
            major: model::MajorNumber(o.major.max(1)),
            rows_added: o.rows_added,
            rows_removed: o.rows_removed,
            rows_changed: o.rows_changed,
            marks_without_row: o.marks_without_row,
            key: o.key.map(Into::into),
            report: required("report", o.report)?.try_into()?,
            verdicts: o.verdicts.map(TryInto::try_into).transpose()?,
            quarantine: o.quarantine.map(TryInto::try_into).transpose()?,
            // A name in the store is nobody's business.
            receipt: None,
        })
    }
}

impl From<model::PushOutcome> for v1::PushOutcome {
    fn from(o: model::PushOutcome) -> Self {
        Self {
            status: v1::PushStatus::from(o.status).into(),
            layers: map(o.layers),
            snapshot: o.snapshot.0,
            replayed: false,
            dry_run: false,
        }
    }
}

impl TryFrom<v1::PushOutcome> for model::PushOutcome {
    type Error = Error;

    fn try_from(o: v1::PushOutcome) -> Result<Self> {
        Ok(Self { status: o.status().try_into()?, layers: try_map(o.layers)?, snapshot: model::SnapshotId(o.snapshot) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_survives_the_wire() {
        let report = model::LayerReport {
            layer: "районы".to_owned(),
            rows_read: 3,
            rows_taken: 2,
            rows_refused: 1,
            geometry_types: BTreeMap::from([("Polygon".to_owned(), 2)]),
            source_crs: Some("EPSG:28413".to_owned()),
            bbox: Some([46.0, 40.0, 87.0, 55.0].into()),
            diagnostics: vec![model::Diagnostic {
                rule: "geometry.invalid".to_owned(),
                severity: model::Severity::Warning,
                message: "repaired".to_owned(),
                count: 1,
                examples: vec![model::Example { row: Some(7), field: None, found: "bow tie".to_owned(), taken: None }],
            }],
            steps: vec![model::ProcessStep {
                step: "crs".to_owned(),
                version: "1".to_owned(),
                parameters: BTreeMap::from([("accuracy_m".to_owned(), "3".to_owned())]),
                count: 2,
                examples: Vec::new(),
            }],
            geometry_column: Some(4),
            ..model::LayerReport::default()
        };
        let back = model::LayerReport::try_from(v1::LayerReport::from(report.clone())).expect("own message");
        assert_eq!(back, report);
    }

    #[test]
    fn texts_with_control_characters_or_odd_languages_are_refused() {
        let titled = |language: &str, title: &str| v1::DatasetMetadata {
            title: [(language.to_owned(), title.to_owned())].into(),
            ..v1::DatasetMetadata::default()
        };
        assert!(model::DatasetMetadata::try_from(titled("kk", "Мектептер")).is_ok());
        for message in [titled("kk", "a\u{1b}[31m"), titled("ru", "two\nlines"), titled("RU", "x"), titled("", "x")] {
            assert!(model::DatasetMetadata::try_from(message).is_err());
        }
    }
}
