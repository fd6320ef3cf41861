//! The question of a reader, as a Flight command and inside a ticket.

// By its path, since a fuzz target takes this file without its folder.
#[cfg(test)]
#[path = "request/tests.rs"]
mod tests;

use super::diff_from::DiffFrom;
use crate::filter::{FilterLimits, WrittenFilter};
use crate::report::ReportTable;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ukimet_model::{
    BoundingBox, DatasetId, Error, OrderColumn, PushId, Result, RowQuery, SnapshotId, ValidMoment, ValidQuery,
    VersionChoice, VersionSelector,
};

/// What is asked of one version, as a Flight command and inside a ticket: JSON.
///
/// `{"dataset": "almaty/schools", "version": 7, "columns": ["name", "geometry"], "bbox": [76.7, 43.1, 77.0, 43.4], "limit": 100}`
///
/// The dataset may name its version too: `{"dataset": "almaty/schools@final", "snapshot": 120}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportRequest {
    /// The dataset.
    pub dataset: DatasetId,
    /// The version: a number, or a tag or a time as text; `None` for the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionChoice>,
    /// As of which snapshot; `None` for the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotId>,
    /// Columns in this order; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// Rows whose geometry shares a place with this box, OGC:CRS84.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bbox: Option<BoundingBox>,
    /// Rows that were so then in the world: a day or a time, as the columns of the dataset's valid time have them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_at: Option<ValidMoment>,
    /// Rows that were so at some moment from the first to the second, which is excluded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_during: Option<(ValidMoment, ValidMoment)>,
    /// Rows for which this is true, in CQL2: text, or an object of the JSON form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<WrittenFilter>,
    /// What the rows are ordered by, the first column first; `None` for the stored order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Vec<OrderColumn>>,
    /// How many rows at most, the first ones in their order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// How text comes.
    #[serde(default, skip_serializing_if = "TextForm::is_plain")]
    pub text: TextForm,
    /// Largest message of a flight, bytes; `None` for what every client takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_bytes: Option<u64>,
    /// Which of the version's segments, `[from, to)`; `None` for all. Only tickets say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments: Option<(usize, usize)>,
    /// Rows at which places of the one segment, `[from, to)`; `None` for all. Only tickets say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub places: Option<(u32, u32)>,
    /// As of which commit rows are looked for in files: a compaction may have put them elsewhere since. Only tickets say
    /// it; one with segments and without it means the files that the version was published with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<SnapshotId>,
    /// A table of the push instead of the rows; `None` for the rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<ReportTable>,
    /// The push whose table is meant; `None` for the one that made the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_id: Option<PushId>,
    /// The last erasure that the ticket's maker knew of the version, as the snapshot of its commit; `None` if none. Only
    /// tickets say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased_in: Option<SnapshotId>,
    /// The rows that differ from another version instead of all rows; `None` for the rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff_from: Option<DiffFrom>,
}

/// How text comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextForm {
    /// Every value by itself.
    #[default]
    Plain,
    /// Columns of few distinct values as dictionaries, the others plain.
    Dictionary,
}

impl TextForm {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
    fn is_plain(&self) -> bool {
        *self == Self::Plain
    }
}

impl ExportRequest {
    /// Everything of one dataset or version.
    pub fn all(selector: VersionSelector) -> Self {
        Self {
            dataset: selector.dataset,
            version: selector.version,
            snapshot: None,
            columns: None,
            bbox: None,
            valid_at: None,
            valid_during: None,
            filter: None,
            order: None,
            limit: None,
            text: TextForm::Plain,
            message_bytes: None,
            segments: None,
            places: None,
            layout: None,
            table: None,
            push_id: None,
            erased_in: None,
            diff_from: None,
        }
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if it is not of the form, or the box or the column list is impossible.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        let not_one = |e: serde_json::Error| {
            Error::invalid_request(format!("a command is JSON such as {{\"dataset\": \"almaty/schools\"}}: {e}"))
        };
        let mut command: Value = serde_json::from_slice(text).map_err(not_one)?;
        take_version_out_of_dataset(&mut command)?;
        let request: Self = serde_json::from_value(command).map_err(not_one)?;
        if let Some(b) = request.bbox {
            BoundingBox::try_new(b.west, b.south, b.east, b.north)?;
        }
        if request.columns.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::invalid_request("columns names at least one column, or is left out for all"));
        }
        if request.valid_at.is_some() && request.valid_during.is_some() {
            return Err(Error::invalid_request("rows are valid at a moment or during an interval, asked for both"));
        }
        request.check_table()?;
        request.check_diff()?;
        request.check_order()?;
        request.check_places()?;
        Ok(request)
    }

    /// The same request for rows by the time in which they were so.
    #[must_use]
    pub fn valid(self, query: Option<ValidQuery>) -> Self {
        let (valid_at, valid_during) = match query {
            None => (None, None),
            Some(ValidQuery::At(moment)) => (Some(moment), None),
            Some(ValidQuery::During(from, to)) => (None, Some((from, to))),
        };
        Self { valid_at, valid_during, ..self }
    }

    /// The JSON form.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a request is plain data")
    }

    /// A table of a push: the one that made the version, or a named one.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if it is asked for columns, a box, an order, a limit or segments: a table of a push is read whole.
    pub fn check_table(&self) -> Result<()> {
        let is_some_columns = self.columns.is_some() || self.limit.is_some() || self.segments.is_some();
        let is_chosen = self.bbox.is_some() || self.valid_query().is_some() || self.filter.is_some();
        let is_of_rows = is_chosen || self.order.is_some();
        let is_part = is_some_columns || is_of_rows;
        match (self.table, &self.push_id) {
            (Some(_), _) if is_part => Err(Error::invalid_request(
                "a table of a push is read whole, without columns, bbox, valid time, filter, order, limit and segments",
            )),
            (None, Some(_)) => Err(Error::invalid_request("push_id goes with table: verdicts or quarantine")),
            _ => Ok(()),
        }
    }

    fn check_diff(&self) -> Result<()> {
        if self.diff_from.is_some() && (self.table.is_some() || self.segments.is_some()) {
            return Err(Error::invalid_request(
                "diff_from goes with columns, bbox, filter and limit, without table and segments",
            ));
        }
        Ok(())
    }

    /// Checks that an order can be had with what else is asked for; whether its columns are there is seen in the version.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if it names no column, or goes with a difference, dictionaries or a part of a file.
    pub fn check_order(&self) -> Result<()> {
        let Some(columns) = &self.order else { return Ok(()) };
        let refused = if columns.is_empty() {
            "order names at least one column, or is left out for the stored order"
        } else if self.diff_from.is_some() || self.places.is_some() {
            "order goes with the rows of a version, without diff_from and places"
        } else if self.text == TextForm::Dictionary {
            "order gives text as plain: ask for it without \"text\": \"dictionary\""
        } else {
            return Ok(());
        };
        Err(Error::invalid_request(refused))
    }

    fn check_places(&self) -> Result<()> {
        let Some((from, to)) = self.places else { return Ok(()) };
        if from > to || self.segments.is_none_or(|(first, end)| end.checked_sub(first) != Some(1)) {
            return Err(Error::invalid_request("places are a range of rows in one segment, from the first to the end"));
        }
        Ok(())
    }

    pub(super) fn selector(&self) -> VersionSelector {
        VersionSelector { dataset: self.dataset.clone(), version: self.version.clone() }
    }

    fn valid_query(&self) -> Option<ValidQuery> {
        let during = self.valid_during.map(|(from, to)| ValidQuery::During(from, to));
        self.valid_at.map(ValidQuery::At).or(during)
    }

    /// Which rows are asked for.
    ///
    /// # Errors
    ///
    /// As [`WrittenFilter::read`].
    pub(super) fn rows(&self, limits: FilterLimits) -> Result<RowQuery> {
        let filter = self.filter.as_ref().map(|filter| filter.read(limits)).transpose()?;
        Ok(RowQuery {
            columns: self.columns.clone(),
            bbox: self.bbox,
            valid: self.valid_query(),
            filter,
            limit: self.limit,
        })
    }
}

/// Turns a dataset such as `almaty/schools@final` into dataset and version.
fn take_version_out_of_dataset(command: &mut Value) -> Result<()> {
    let named = command.get("dataset").and_then(Value::as_str).and_then(|dataset| dataset.split_once('@'));
    let Some((dataset, version)) = named.map(|(dataset, version)| (dataset.to_owned(), version.to_owned())) else {
        return Ok(());
    };
    if command.get("version").is_some_and(|version| !version.is_null()) {
        return Err(Error::invalid_request("dataset and version both name a version, one of them is enough"));
    }
    (command["dataset"], command["version"]) = (dataset.into(), version.into());
    Ok(())
}
