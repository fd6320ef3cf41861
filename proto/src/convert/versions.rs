//! Tags, notes and retention.

use super::wire_time;
use crate::v1;
use ukimet_model as model;

impl From<model::Tag> for v1::Tag {
    fn from(tag: model::Tag) -> Self {
        Self {
            name: tag.name.into(),
            version: tag.version.map(|version| version.0),
            snapshot: tag.snapshot.0,
            set: Some(wire_time(tag.set)),
            principal: tag.principal,
            why: tag.why,
        }
    }
}

impl From<model::Note> for v1::Note {
    fn from(note: model::Note) -> Self {
        Self { text: note.text, principal: note.principal, written: Some(wire_time(note.written)) }
    }
}

impl From<model::RetentionRule> for v1::RetentionRule {
    fn from(rule: model::RetentionRule) -> Self {
        Self {
            keep_newest: rule.keep_newest,
            keep_months: rule.keep_months,
            keep_tagged: rule.keep_tagged,
            keep_raw: rule.keep_raw,
        }
    }
}

impl From<v1::RetentionRule> for model::RetentionRule {
    fn from(rule: v1::RetentionRule) -> Self {
        Self {
            keep_newest: rule.keep_newest,
            keep_months: rule.keep_months,
            keep_tagged: rule.keep_tagged,
            keep_raw: rule.keep_raw,
        }
    }
}

impl From<model::Removal> for v1::RemovedVersion {
    fn from(removal: model::Removal) -> Self {
        Self {
            version: removal.version.0,
            snapshot: removal.snapshot.0,
            removed: Some(wire_time(removal.removed)),
            rule: Some(removal.rule.into()),
        }
    }
}

impl From<model::ErasedRows> for v1::ErasedRows {
    fn from(erased: model::ErasedRows) -> Self {
        Self {
            rows: erased.rows,
            snapshot: erased.snapshot.0,
            erased: Some(wire_time(erased.erased)),
            published_root_hash: erased.published_root_hash.0.to_vec().into(),
        }
    }
}

impl From<model::OperationOutcome> for v1::OperationResponse {
    fn from(outcome: model::OperationOutcome) -> Self {
        Self {
            changed: outcome.status == model::OperationStatus::Done,
            version: outcome.version.map(|version| version.0),
            before: outcome.before.map(|version| version.0),
            snapshot: outcome.snapshot.0,
            replayed: false,
        }
    }
}
