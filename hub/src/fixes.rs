//! Corrected rows that come back: only the rows that a push refused are read again, and come beside the rows that it
//! published.
//!
//! Twice a file is read: the sheet as text, exactly as it stands, then the rows, as the first push declared them and in
//! the types of the version that is there.

mod canonical;
mod order;
mod ranges;
mod sheet;
mod write;

use crate::adapters::Reading;
use crate::ingest::{Ingest, Ingested, push_intent};
use crate::mapping::MappingInForce;
use crate::report::{Subject, find};
use crate::staging::Upload;
use ranges::parse_ranges;
use sheet::Sheet;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;
use ukimet_catalog::Snapshot;
use ukimet_model::{Error, LayerSelection, PushId, Result, Sha256, TableRef, Version, VersionSelector};
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
        let sheet = Sheet::read(self, upload).await?;
        rows.store(sheet.rows.len() as u64, Ordering::Relaxed);
        let intent = push_intent(upload, sha256);
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
        let mut reading = self.adapters.read(&base.reading(path, expected, &mapping)).await?;
        let mut messages = Vec::new();
        while let Some(message) = reading.next().await? {
            messages.push(message);
        }
        let outcome = blocking(move || writer.write(&base, &corrected, intent, messages)).await?;
        Ok(Ingested { outcome, replayed: false })
    }
}

impl Ingest {
    /// The mapping of the push whose rows are corrected.
    async fn mapping_of(&self, base: Base) -> Result<(Base, MappingInForce)> {
        let bytes_max = self.lookup_bytes_max;
        blocking(move || {
            let text = base.first.record.declared.mapping.as_deref();
            let mapping = MappingInForce::with(text, &base.snapshot, bytes_max)?;
            Ok((base, mapping))
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

    fn reading(&self, path: std::path::PathBuf, expected_schema: bytes::Bytes, mapping: &MappingInForce) -> Reading {
        let has_geometry = self.version.fields.iter().any(|field| field.name == ukimet_model::GEOMETRY_COLUMN);
        // What was inferred once is declared for the rows that come beside.
        let source_crs = self.first.layer.report.source_crs.as_deref();
        let source_crs = source_crs.map(|crs| crs.trim_end_matches(" (inferred)").to_owned());
        Reading {
            path,
            file_name: "fixed.arrows".to_owned(),
            media_type: Some("application/vnd.apache.arrow.stream".to_owned()),
            crs: source_crs.filter(|_| has_geometry),
            encoding: None,
            region: self.first.record.declared.region.clone(),
            layers: LayerSelection::Only,
            mapping: mapping.text.clone(),
            references: mapping.references.clone(),
            expected_schema: Some(expected_schema),
        }
    }
}
