//! Corrected rows that come back: only the rows that a push refused are read again, and come beside the rows that it
//! published.
//!
//! Twice a file is read: the sheet as text, exactly as it stands, then the rows, as the first push declared them and in
//! the types of the version that is there.

mod again;
mod canonical;
mod order;
mod ranges;
mod sheet;
mod write;

pub(crate) use again::{Corrections, Origin};

use crate::adapters::Reading;
use crate::ingest::{Ingest, Ingested, push_intent};
use crate::mapping::MappingInForce;
use crate::report::{Subject, find};
use crate::staging::Upload;
use ranges::parse_ranges;
use sheet::{Sheet, SheetFile};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;
use ukimet_catalog::Snapshot;
use ukimet_model::{
    Declarations, Error, LayerReport, LayerSelection, Mapping, PushId, Result, Sha256, TableRef, Version,
    VersionSelector,
};
use write::FixWriter;

/// The step of a receipt that names the push whose rows were corrected.
const STEP: &str = "fixes";

/// What corrected rows are put beside.
struct Base {
    snapshot: Snapshot,
    /// The push that refused the rows.
    first: Subject,
    quarantine: TableRef,
    /// The version that the corrected rows are added to.
    version: Version,
    /// If the version was made from corrections of the same push: the rows that it took.
    taken_before: Option<(PushId, BTreeSet<u64>)>,
}

impl Ingest {
    /// Takes the corrections of rows that the push `first` refused.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such push, `InvalidRequest` if it refused no row, `Conflict` if another version came
    /// since, `InvalidData` if the sheet is not one of its refused rows.
    pub(crate) async fn ingest_fixes(
        &self,
        upload: &Upload,
        sha256: Sha256,
        first: PushId,
        rows: Arc<AtomicU64>,
    ) -> Result<Ingested> {
        let (snapshot, dataset) = (self.catalog.snapshot(), upload.header.dataset.clone());
        let selector = VersionSelector { dataset, version: None };
        let base = blocking(move || Base::find(snapshot, &selector, &first)).await?;
        let sheet = Sheet::read(self, SheetFile::of(upload)).await?;
        rows.store(sheet.rows.len() as u64, Ordering::Relaxed);
        let mut intent = push_intent(upload, sha256);
        let stop = CancellationToken::new();
        let _stop_when_dropped = stop.clone().drop_guard();
        let path = upload.path().with_file_name("fixed.arrows");
        let (corrected, base, path) = blocking(move || {
            let corrected = canonical::Corrected::of(&base, sheet)?;
            corrected.write(&path)?;
            Ok((corrected, base, path))
        })
        .await?;
        let writer = FixWriter { catalog: self.catalog.clone(), limits: self.ipc_limits, stop };
        if base.is_taken(&corrected, &sha256)? {
            let outcome = blocking(move || writer.write_nothing(&base, &corrected, intent)).await?;
            return Ok(Ingested { outcome, replayed: false });
        }
        let expected = corrected.expected_schema()?;
        let (base, mapping) = self.mapping_of(base).await?;
        let reading = base.reading(path, expected, &mapping)?;
        intent.declared = carried_on(intent.declared, &reading.declared);
        let mut reading = self.adapters.read(&reading).await?;
        let mut messages = Vec::new();
        while let Some(message) = reading.next().await? {
            messages.push(message);
        }
        let register = mapping.register;
        let outcome = blocking(move || writer.write(&base, &corrected, intent, (messages, register.as_ref()))).await?;
        Ok(Ingested { outcome, replayed: false })
    }
}

impl Ingest {
    /// The mapping of the push whose rows are corrected, and the register as for any push.
    async fn mapping_of(&self, base: Base) -> Result<(Base, MappingInForce)> {
        let (bytes_max, registers) = (self.lookup_bytes_max, self.registers.clone());
        blocking(move || {
            let text = base.first.record.declared.mapping.as_deref();
            let mapping = MappingInForce::with(text, &base.snapshot, bytes_max)?;
            let register = registers.for_push(&base.snapshot, &base.first.dataset.id, &LayerSelection::Only)?;
            Ok((base, mapping.with_register(register)))
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal("taking corrections").caused_by(e))?
}

impl Base {
    fn find(snapshot: Snapshot, selector: &VersionSelector, first: &PushId) -> Result<Self> {
        let first = find(&snapshot, selector, Some(first))?;
        let Some(quarantine) = first.layer.quarantine else {
            let push = &first.record.push_id;
            return Err(Error::invalid_request(format!("push {push} refused no row of {}", first.dataset.id)));
        };
        let (_, newest) = snapshot.version(selector)?;
        let mut base = Self { snapshot, quarantine, version: newest, taken_before: None, first };
        if base.version.number != base.first.layer.version {
            base.taken_before = base.find_taken_before()?;
            if base.taken_before.is_none() {
                let (push, made, newest) = (&base.first.record.push_id, base.first.layer.version, base.version.number);
                return Err(Error::conflict(format!(
                    "the rows that push {push} refused belong beside {made}, but the newest version is {newest}; \
                     push the whole corrected file, or correct the rows that the newest push refused"
                )));
            }
        }
        Ok(base)
    }

    fn find_taken_before(&self) -> Result<Option<(PushId, BTreeSet<u64>)>> {
        let receipt = self.snapshot.receipt(&self.version)?;
        let step = receipt.steps.iter().find(|step| step.step == STEP);
        let step = step.filter(|s| s.parameters.get("push").is_some_and(|p| p == self.first.record.push_id.as_str()));
        let rows = step.map(|step| parse_ranges(step.parameters.get("rows").map_or("", String::as_str)));
        Ok(rows.map(|rows| (self.version.push_id.clone(), rows)))
    }

    /// Whether the newest version has what this sheet brings already.
    ///
    /// # Errors
    ///
    /// `Conflict` if it has some of them, or others of the same push.
    fn is_taken(&self, corrected: &canonical::Corrected, sheet: &Sha256) -> Result<bool> {
        let Some((push, taken)) = &self.taken_before else { return Ok(false) };
        if self.version.asset.sha256 == *sheet || corrected.row_numbers().all(|row| taken.contains(&row)) {
            return Ok(true);
        }
        Err(Error::conflict(format!(
            "rows of push {} were corrected by push {push} before; correct what that one still refuses (--fixes {push})",
            self.first.record.push_id
        )))
    }

    /// How the corrected rows are read: as those of the first push were.
    fn reading(&self, path: PathBuf, expected_schema: bytes::Bytes, mapping: &MappingInForce) -> Result<Reading> {
        let has_geometry = self.version.fields.iter().any(|field| field.name == ukimet_model::GEOMETRY_COLUMN);
        let (declared, report) = (&self.first.record.declared, &self.first.layer.report);
        let crs = crs_of(declared.crs.as_deref(), mapping.text.as_deref(), report)?.filter(|_| has_geometry);
        Ok(Reading {
            path,
            file_name: "fixed.arrows".to_owned(),
            declared: Declarations {
                media_type: Some("application/vnd.apache.arrow.stream".to_owned()),
                crs,
                region: self.first.record.declared.region.clone(),
                time_zone: self.first.record.declared.time_zone.clone(),
                mapping: mapping.text.clone(),
                references: mapping.versions.clone(),
                ..Declarations::default()
            },
            references: mapping.references.clone(),
            expected_schema: Some(expected_schema),
            ..Reading::default()
        })
    }
}

/// The CRS of rows that were read, in the words of a declaration: what was declared, else what the source said, by its
/// definition if no code names it, or what was inferred.
///
/// # Errors
///
/// `Conflict` if it was inferred with x and y swapped, which no declaration says.
fn crs_of(declared: Option<&str>, mapping: Option<&str>, report: &LayerReport) -> Result<Option<String>> {
    let mapped = mapping.map(Mapping::parse).transpose()?.and_then(|mapping| mapping.crs);
    if let Some(crs) = declared.map(str::to_owned).or(mapped) {
        return Ok(Some(crs));
    }
    let step = report.steps.iter().find(|step| step.step == "crs");
    let parameter = |name: &str| step.and_then(|step| step.parameters.get(name));
    if let Some(definition) = parameter("source_crs_definition") {
        return Ok(Some(definition.clone()));
    }
    let found = report.source_crs.as_deref();
    if parameter("axis_order").is_some_and(|order| order.starts_with('y')) {
        return Err(Error::conflict(format!(
            "the crs of the rows, {}, was inferred with x and y swapped; push the whole corrected file",
            found.unwrap_or_default()
        )));
    }
    Ok(found.map(|crs| crs.trim_end_matches(" (inferred)").to_owned()))
}

/// What the push of corrections declares: how its sheet was read, and for its rows what the first push declared. So the
/// rows that it refuses once more are read the same way when they come back.
fn carried_on(own: Declarations, rows: &Declarations) -> Declarations {
    let Declarations { crs, region, time_zone, mapping, references, .. } = rows.clone();
    Declarations { crs, region, time_zone, mapping, references, ..own }
}
