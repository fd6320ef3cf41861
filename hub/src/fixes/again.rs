//! Corrections that a version has taken, read again beside a new reading of the file that they correct.
//!
//! The rows that were corrected come out of the new reading refused, as they did before; each gives way to its newest
//! correction, so that the layer comes out as one, as if the whole file had been corrected.

use super::canonical::{Basis, Corrected};
use super::order::Cells;
use super::ranges::ranges;
use super::sheet::{Sheet, SheetFile};
use super::{Base, STEP, blocking};
use crate::adapters::Reading;
use crate::ingest::Ingest;
use crate::report::{Subject, find};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use ukimet_catalog::{PushRecord, Snapshot};
use ukimet_model::{
    COLUMNS_KEY, DatasetId, Declarations, Error, LayerReport, LayerSelection, ProcessStep, PushId, Result, Severity,
    Verdict, Version, VersionNumber, VersionSelector,
};
use ukimet_proto::ipc;
use ukimet_proto::v1;
use ukimet_proto::v1::read_response::Message;

/// The step of a receipt that names the pushes of corrections whose rows came beside those of the file.
const CORRECTIONS_STEP: &str = "corrections";

/// What a version was made of: one file, and the corrections of its rows, oldest first.
pub(crate) struct Origin {
    pub(crate) version: Version,
    pub(crate) corrections: Vec<PushRecord>,
}

impl Origin {
    /// Follows the receipts from a version to the file that it began with.
    ///
    /// # Errors
    ///
    /// `Internal` if a push or version on the way is not recorded.
    pub(crate) fn of(snapshot: &Snapshot, dataset: &DatasetId, version: &Version) -> Result<Self> {
        let record = |push: &PushId| {
            let found = snapshot.push(dataset.agency(), push)?;
            found.ok_or_else(|| Error::internal(format!("push {push} is not recorded")))
        };
        let (mut version, mut newest_first) = (version.clone(), Vec::new());
        loop {
            let receipt = snapshot.receipt(&version)?;
            let parameter = |step: &str, name: &str| {
                let step = receipt.steps.iter().find(|found| found.step == step);
                step.and_then(|step| step.parameters.get(name)).cloned()
            };
            if let Some(beside) = parameter(STEP, "version") {
                newest_first.push(record(&version.push_id)?);
                let number: VersionNumber = beside.parse().map_err(unreadable)?;
                let selector = VersionSelector { dataset: dataset.clone(), version: Some(number.into()) };
                version = snapshot.version(&selector)?.1;
                continue;
            }
            let pushes = parameter(CORRECTIONS_STEP, "pushes").unwrap_or_else(|| "[]".to_owned());
            let pushes: Vec<String> = serde_json::from_str(&pushes).map_err(unreadable)?;
            let mut corrections =
                pushes.iter().map(|push| record(&push.parse()?)).collect::<Result<Vec<PushRecord>>>()?;
            corrections.extend(newest_first.into_iter().rev());
            return Ok(Self { version, corrections });
        }
    }
}

fn unreadable<E: std::error::Error + Send + Sync + 'static>(error: E) -> Error {
    Error::internal("a receipt of corrections cannot be read").caused_by(error)
}

/// Corrected rows beside a reading that is under way.
pub(crate) struct Corrections {
    pushes: Vec<PushId>,
    rows: BTreeMap<u64, Cells>,
    columns: Vec<String>,
    source_columns: Vec<String>,
    folder: PathBuf,
    /// Of the new reading: its layer, what was refused of the rows above, and verdicts that hold no more, by rule.
    layer: Option<v1::LayerBegin>,
    refused: BTreeSet<u64>,
    dropped: BTreeMap<String, u64>,
    report: Option<v1::LayerReport>,
}

impl Ingest {
    /// The newest correction of every row, from the stored sheets; scratch files go into `folder`.
    ///
    /// # Errors
    ///
    /// As for the sheets when they came.
    pub(crate) async fn corrections_again(
        &self,
        snapshot: &Snapshot,
        dataset: &DatasetId,
        records: Vec<PushRecord>,
        folder: &Path,
    ) -> Result<Option<Corrections>> {
        let mut corrections: Option<Corrections> = None;
        for record in records {
            let push = record.push_id.clone();
            let corrected = self.sheet_again(snapshot.clone(), dataset.clone(), record, folder.join("sheet")).await?;
            let all = corrections.get_or_insert_with(|| Corrections {
                pushes: Vec::new(),
                rows: BTreeMap::new(),
                columns: corrected.columns.clone(),
                source_columns: corrected.source_columns.clone(),
                folder: folder.to_owned(),
                layer: None,
                refused: BTreeSet::new(),
                dropped: BTreeMap::new(),
                report: None,
            });
            all.pushes.push(push);
            all.rows.extend(corrected.rows);
        }
        Ok(corrections)
    }

    async fn sheet_again(
        &self,
        snapshot: Snapshot,
        dataset: DatasetId,
        record: PushRecord,
        path: PathBuf,
    ) -> Result<Corrected> {
        let (base, record, path) = blocking(move || {
            let mut file = std::fs::File::create(&path)
                .map_err(|error| Error::unavailable("keeping a sheet of corrections").caused_by(error))?;
            snapshot.copy_raw(&record.asset, &mut file)?;
            let of_push = VersionSelector { dataset, version: None };
            let fixes = find(&snapshot, &of_push, Some(&record.push_id))?;
            let first = fixes.parameter(STEP, "push").unwrap_or_default().parse()?;
            let first: Subject = find(&snapshot, &of_push, Some(&first))?;
            let quarantine = first.layer.quarantine;
            let quarantine = quarantine.ok_or_else(|| Error::internal("corrections of a push that refused no row"))?;
            let version = first.version.clone();
            Ok((Base { snapshot, first, quarantine, version, taken_before: None }, record, path))
        })
        .await?;
        let file = SheetFile { path, file_name: record.asset.file_name, declared: record.declared };
        let sheet = Sheet::read(self, file).await?;
        blocking(move || Corrected::of(&base, sheet)).await
    }
}

impl Corrections {
    /// What is to be made of the next message of the reading; `like` is how its file is read.
    ///
    /// # Errors
    ///
    /// `Conflict` if the file is read so differently now that the corrections do not belong beside it.
    pub(crate) async fn take(
        &mut self,
        ingest: &Ingest,
        like: &Reading,
        job: &Arc<OwnedSemaphorePermit>,
        message: Message,
    ) -> Result<Vec<Message>> {
        Ok(match message {
            Message::LayerBegin(begin) => {
                if begin.source_columns != self.source_columns {
                    return Err(Error::conflict("the file has other columns now than its corrected rows"));
                }
                self.layer = Some(begin.clone());
                vec![Message::LayerBegin(begin)]
            }
            Message::Verdicts(mut said) => {
                said.verdicts.retain(|verdict| !self.is_settled(verdict));
                vec![Message::Verdicts(said)]
            }
            Message::Quarantined(mut rows) => {
                self.refused.extend(rows.rows.iter().map(|row| row.row).filter(|row| self.rows.contains_key(row)));
                rows.rows.retain(|row| !self.rows.contains_key(&row.row));
                vec![Message::Quarantined(rows)]
            }
            Message::LayerEnd(report) => {
                self.report = Some(report);
                Vec::new()
            }
            Message::Summary(summary) => self.end(ingest, like, job, summary).await?,
            other => vec![other],
        })
    }

    /// Whether a verdict says why a row was refused that is corrected.
    fn is_settled(&mut self, verdict: &v1::Verdict) -> bool {
        let of_row = Verdict::from(verdict.clone());
        let is_settled =
            of_row.severity == Severity::Error && of_row.row.is_some_and(|row| self.rows.contains_key(&row));
        if is_settled {
            *self.dropped.entry(of_row.rule).or_default() += 1;
        }
        is_settled
    }

    /// Reads the corrected rows, and ends the layer with them.
    async fn end(
        &mut self,
        ingest: &Ingest,
        like: &Reading,
        job: &Arc<OwnedSemaphorePermit>,
        mut summary: v1::ReadSummary,
    ) -> Result<Vec<Message>> {
        if let Some(row) = self.rows.keys().find(|row| !self.refused.contains(row)) {
            return Err(Error::conflict(format!(
                "row {} was corrected, and is taken now as it stands in the file; push the whole corrected file",
                row + 1
            )));
        }
        let report =
            self.report.take().ok_or_else(|| Error::data_loss("the adapter's answer has no end of a layer"))?;
        let report = LayerReport::try_from(report)?;
        let corrected = self.corrected(ingest, like, &report)?;
        let path = self.folder.join("fixed.arrows");
        let expected = corrected.expected_schema()?;
        let to = path.clone();
        let corrected = blocking(move || corrected.write(&to).map(|()| corrected)).await?;
        let declared = &like.declared;
        let reading = Reading {
            path,
            file_name: "fixed.arrows".to_owned(),
            declared: Declarations {
                media_type: Some("application/vnd.apache.arrow.stream".to_owned()),
                crs: super::crs_of(declared.crs.as_deref(), declared.mapping.as_deref(), &report)?
                    .filter(|_| has_places(&report)),
                encoding: None,
                layers: LayerSelection::Only,
                ..declared.clone()
            },
            expected_schema: Some(expected),
            ..like.clone()
        };
        let mut stream = ingest.adapters.read_beside(&reading, Arc::clone(job)).await?;
        let numbers: Vec<u64> = corrected.row_numbers().collect();
        let number_of = |position: u64| usize::try_from(position).ok().and_then(|at| numbers.get(at)).copied();
        let (mut messages, mut refused, mut rows) = (Vec::new(), BTreeSet::new(), LayerReport::default());
        while let Some(message) = stream.next().await? {
            match message {
                Message::Batch(batch) => {
                    summary.batches += 1;
                    messages.push(Message::Batch(batch));
                }
                Message::Verdicts(mut said) => {
                    said.verdicts.iter_mut().for_each(|verdict| verdict.row = verdict.row.and_then(number_of));
                    messages.push(Message::Verdicts(said));
                }
                Message::Quarantined(mut again) => {
                    for row in &mut again.rows {
                        row.row = number_of(row.row).unwrap_or(row.row);
                        refused.insert(row.row);
                        let cells = self.rows.get(&row.row).into_iter().flatten();
                        row.values = cells.map(|text| v1::QuarantinedValue { text: text.clone() }).collect();
                    }
                    messages.push(Message::Quarantined(again));
                }
                Message::LayerEnd(report) => rows = report.try_into()?,
                _ => (),
            }
        }
        if rows.rows_read != numbers.len() as u64 {
            return Err(Error::data_loss(format!(
                "{} corrected rows were to be read, the adapter read {}",
                numbers.len(),
                rows.rows_read
            )));
        }
        summary.rows += rows.rows_taken;
        let taken = numbers.into_iter().filter(|row| !refused.contains(row)).collect();
        messages.push(Message::LayerEnd(self.together(report, rows, &taken)?.into()));
        messages.push(Message::Summary(summary));
        Ok(messages)
    }

    /// The corrected rows as they have to fit beside the new reading.
    fn corrected(&self, ingest: &Ingest, like: &Reading, report: &LayerReport) -> Result<Corrected> {
        let layer = self.layer.as_ref().ok_or_else(|| Error::data_loss("the adapter's answer has no layer"))?;
        let schema = ipc::decode_schema(&layer.schema, &ingest.ipc_limits)?;
        let step = report.steps.iter().find(|step| step.step == "types");
        let decided = step.and_then(|step| step.parameters.get(COLUMNS_KEY)).map(String::as_str);
        let basis = Basis { schema: &schema, decided, has_mapping: like.declared.mapping.is_some(), name: "the file" };
        let geometry = report.geometry_column.and_then(|at| usize::try_from(at).ok());
        Corrected::beside(&basis, self.rows.clone(), self.columns.clone(), self.source_columns.clone(), geometry)
    }

    /// One report of the file and of its corrected rows.
    fn together(&self, mut file: LayerReport, rows: LayerReport, taken: &BTreeSet<u64>) -> Result<LayerReport> {
        file.rows_taken += rows.rows_taken;
        file.rows_refused -= rows.rows_taken;
        file.rows_repaired += rows.rows_repaired;
        file.geometry_nulls += rows.geometry_nulls;
        for (kind, count) in rows.geometry_types {
            *file.geometry_types.entry(kind).or_default() += count;
        }
        file.bbox = match (file.bbox, rows.bbox) {
            (Some(one), Some(other)) => Some(one.union(&other)),
            (one, other) => one.or(other),
        };
        for found in &mut file.diagnostics {
            found.count -= self.dropped.get(&found.rule).copied().unwrap_or_default().min(found.count);
            let is_settled = |row: Option<u64>| row.is_some_and(|row| self.rows.contains_key(&row));
            found.examples.retain(|example| found.severity != Severity::Error || !is_settled(example.row));
        }
        file.diagnostics.retain(|found| found.count > 0);
        file.diagnostics.extend(rows.diagnostics);
        let pushes: Vec<&str> = self.pushes.iter().map(PushId::as_str).collect();
        let pushes = serde_json::to_string(&pushes).map_err(unreadable)?;
        file.steps.push(ProcessStep {
            step: CORRECTIONS_STEP.to_owned(),
            version: format!("ukimet {}", env!("CARGO_PKG_VERSION")),
            parameters: BTreeMap::from([("pushes".to_owned(), pushes), ("rows".to_owned(), ranges(taken))]),
            count: taken.len() as u64,
            examples: Vec::new(),
        });
        Ok(file)
    }
}

fn has_places(report: &LayerReport) -> bool {
    report.source_crs.is_some()
}
