//! A newest version, the push that brought its bytes, and that push once more.

use crate::adapters::Reading;
use crate::fixes::Origin;
use crate::staging::{PushHeader, Upload};
use std::io::Write;
use ukimet_catalog::{PushRecord, Snapshot};
use ukimet_model::{
    Dataset, DatasetId, DatasetMetadata, Declarations, Error, LayerReport, LayerSelection, PushMode, Result, Version,
    VersionSelector,
};

/// Bytes that are taken out of the store at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// One newest version, the push that brought its bytes, and those that corrected its rows.
pub(super) struct Subject {
    pub(super) snapshot: Snapshot,
    pub(super) dataset: Dataset,
    pub(super) version: Version,
    /// The version that is made of one file, and the push of that file.
    file: Version,
    push: PushRecord,
    pub(super) corrections: Vec<PushRecord>,
    pub(super) rules_before: String,
}

impl Subject {
    /// # Errors
    ///
    /// `NotFound` for an unknown dataset; `Conflict` if the version is not made of one file and corrections of its rows,
    /// or if rows of it were erased.
    pub(super) fn find(snapshot: Snapshot, dataset: &DatasetId) -> Result<Self> {
        let selector = VersionSelector { dataset: dataset.clone(), version: None };
        let (dataset, version) = snapshot.version(&selector)?;
        let Origin { version: file, corrections } = Origin::of(&snapshot, &dataset.id, &version)?;
        let push = snapshot.push(dataset.id.agency(), &file.push_id)?;
        let push = push.ok_or_else(|| Error::internal(format!("push {} is not recorded", file.push_id)))?;
        let receipt = snapshot.receipt(&file)?;
        check_not_erased(&snapshot, &file)?;
        if push.declared.mode != PushMode::Replace {
            return Err(Error::conflict(format!(
                "{} was made of rows that came beside others; push the whole file again",
                file.number
            )));
        }
        if receipt.rows_taken != file.rows {
            return Err(Error::conflict(format!(
                "{} was made of rows of several pushes (this one brought {} of {}); push the whole file again",
                file.number, receipt.rows_taken, file.rows
            )));
        }
        if let Some(what) = declared_and_not_kept(&push.declared, &receipt) {
            return Err(Error::conflict(format!(
                "{} was read with {what} that its publisher declared, which was not kept then; push the file again",
                version.number
            )));
        }
        Ok(Self { rules_before: rules_of(&receipt), snapshot, dataset, version, file, push, corrections })
    }

    /// What decides which adapter reads the file: its name, what is declared of it, and rules that are asked for.
    pub(super) fn reading(&self, rules: Option<String>) -> Reading {
        Reading {
            file_name: self.file.asset.file_name.clone(),
            declared: self.push.declared.clone(),
            rules,
            ..Reading::default()
        }
    }

    /// The push again, under a name of its own: what it makes depends on the rules and on looked-up datasets too.
    pub(super) fn header(&self, rules: &str) -> Result<PushHeader> {
        let push_id = format!(
            "renormalize-{}-{}-rules-{rules}-at-{}",
            self.dataset.id.name(),
            self.version.number,
            self.snapshot.id()
        );
        let declared = &self.push.declared;
        let layers = match declared.layers {
            LayerSelection::All => LayerSelection::Named(self.file.layer.clone()),
            LayerSelection::Only | LayerSelection::Named(_) => declared.layers.clone(),
        };
        Ok(PushHeader {
            push_id: push_id.parse()?,
            dataset: self.dataset.id.clone(),
            mode: PushMode::Replace,
            key: declared.key.clone(),
            delete_column: None,
            file_name: self.file.asset.file_name.clone(),
            media_type: declared.media_type.clone(),
            crs: declared.crs.clone(),
            encoding: declared.encoding.clone(),
            region: declared.region.clone(),
            time_zone: declared.time_zone.clone(),
            // The one in force now, as for any push, and it stays in force.
            mapping: None,
            layers,
            metadata: DatasetMetadata::default(),
            expected_version: Some(self.version.number.0),
            fixes: None,
            new_major: false,
            // Declared once more they stay; a dataset that lost them is not given them back.
            valid_from: self.version.valid_time.as_ref().map(|time| time.from.clone()),
            valid_to: self.version.valid_time.as_ref().and_then(|time| time.to.clone()),
            dry_run: false,
            rules: None,
            size_bytes: Some(self.file.asset.size_bytes),
        })
    }
}

/// Checks that reading the bytes of a version again does not bring back rows that were erased from it.
fn check_not_erased(snapshot: &Snapshot, file: &Version) -> Result<()> {
    snapshot.check_raw(&file.asset)?;
    // The bytes may still be there for another agency.
    match &file.erased {
        Some(erased) => Err(Error::conflict(format!(
            "{} rows of {} were erased on {}, and reading its bytes again would bring them back",
            erased.rows, file.number, erased.erased
        ))),
        None => Ok(()),
    }
}

/// Brings the stored bytes of a version into a staged push.
pub(super) fn copy(subject: &Subject, upload: &mut Upload) -> Result<()> {
    let mut appending = Appending { upload, failed: None };
    let mut buffered = std::io::BufWriter::with_capacity(CHUNK_BYTES, &mut appending);
    let copied = subject.snapshot.copy_raw(&subject.file.asset, &mut buffered);
    let flushed = buffered.flush();
    drop(buffered);
    if let Some(error) = appending.failed {
        return Err(error);
    }
    copied?;
    flushed.map_err(|error| Error::internal("keeping the bytes of a push").caused_by(error))
}

/// Writes to a staged push, keeping the error that says why not.
struct Appending<'a> {
    upload: &'a mut Upload,
    failed: Option<Error>,
}

impl Write for Appending<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.upload.append(self.upload.offset(), bytes) {
            Ok(_) => Ok(bytes.len()),
            Err(error) => {
                self.failed = Some(error);
                Err(std::io::Error::other("the staged push takes no more"))
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a publisher declared according to the receipt, though the push says nothing of it: pushes from before declarations
/// were kept.
fn declared_and_not_kept(declared: &Declarations, receipt: &LayerReport) -> Option<&'static str> {
    let is_declared = |step: &str, by: &str| {
        let parameters = receipt.steps.iter().find(|found| found.step == step).map(|found| &found.parameters);
        parameters.and_then(|parameters| parameters.get(by)).is_some_and(|by| by == "the publisher")
    };
    // A mapping may have declared it.
    if declared.mapping.is_some() {
        return None;
    }
    if declared.crs.is_none() && is_declared("crs", "source_crs_by") {
        return Some("a crs");
    }
    (declared.encoding.is_none() && is_declared("text", "known_by")).then_some("an encoding")
}

/// The version of the rules that made a receipt: that of the first rule, which is always there.
fn rules_of(receipt: &LayerReport) -> String {
    receipt.steps.iter().find(|step| step.step == "text").map_or_else(String::new, |step| step.version.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_declared_before_declarations_were_kept_is_noticed() {
        let said = |step: &str, by: &str, who: &str| ukimet_model::ProcessStep {
            step: step.to_owned(),
            version: "1".to_owned(),
            parameters: [(by.to_owned(), who.to_owned())].into(),
            count: 0,
            examples: Vec::new(),
        };
        let receipt = |steps| LayerReport { steps, ..LayerReport::default() };
        let nothing = Declarations::default();
        let by_publisher = receipt(vec![said("crs", "source_crs_by", "the publisher")]);
        assert_eq!(declared_and_not_kept(&nothing, &by_publisher), Some("a crs"));
        let kept = Declarations { crs: Some("EPSG:28413".to_owned()), ..Declarations::default() };
        assert_eq!(declared_and_not_kept(&kept, &by_publisher), None);
        let by_source = receipt(vec![said("crs", "source_crs_by", "the source")]);
        assert_eq!(declared_and_not_kept(&nothing, &by_source), None);
        let encoded = receipt(vec![said("text", "known_by", "the publisher")]);
        assert_eq!(declared_and_not_kept(&nothing, &encoded), Some("an encoding"));
    }
}
