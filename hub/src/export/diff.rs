//! Differences as the read path answers them: which two versions are meant, their rows, and how many.

use super::{Bound, DiffFrom, Export, ExportRequest, erased_last};
use crate::diff::{DiffFile, DiffFormat, DiffHeading, PageOptions, count_rows};
use std::fs::File;
use std::io::Seek;
use ukimet_catalog::{Diff, Snapshot};
use ukimet_model::{ChangeCounts, Dataset, Error, Result, RowQuery, Version, VersionSelector};

/// Finds the two versions that a request for a difference means, and which of their rows differ.
pub(super) fn bind_diff(snapshot: Snapshot, request: ExportRequest, query: RowQuery, from: &DiffFrom) -> Result<Bound> {
    let (dataset, version) = snapshot.version(&request.selector())?;
    let earlier = compared_with(&snapshot, &dataset, &version, from)?;
    let diff = snapshot.diff(&dataset, &earlier, &version, &query)?;
    // Both lie as of this commit where they lie now.
    let layout = version.layout.max(earlier.layout).unwrap_or_default();
    let request = ExportRequest {
        version: Some(version.number.into()),
        layout: Some(layout),
        diff_from: Some(DiffFrom::Version(earlier.number.into())),
        snapshot: None,
        ..request
    };
    // How many of the rows in the list differ in what was asked is known when they are read.
    let rows = (diff.rows_max() == 0).then_some(0);
    let erased = erased_last([&earlier, &version]);
    let (schema, diff) = (diff.schema(), Some(Box::new((earlier, diff))));
    let (table, dictionaries, order_bytes_max) = (None, Vec::new(), 0);
    Ok(Bound {
        request,
        query,
        dataset,
        version,
        schema,
        rows,
        erased,
        order_bytes_max,
        snapshot,
        table,
        dictionaries,
        diff,
    })
}

fn compared_with(snapshot: &Snapshot, dataset: &Dataset, version: &Version, from: &DiffFrom) -> Result<Version> {
    match from {
        DiffFrom::Version(choice) => {
            let selector = VersionSelector { dataset: dataset.id.clone(), version: Some(choice.clone()) };
            Ok(snapshot.version(&selector)?.1)
        }
        DiffFrom::Previous => {
            let before = snapshot.versions(&dataset.id, Some(version.number), 1)?.pop();
            before.ok_or_else(|| {
                Error::not_found(format!("dataset {} has no version before {}", dataset.id, version.number))
            })
        }
    }
}

impl Bound {
    /// What is to be said of a difference before its rows; `None` if none was asked for.
    pub fn diff_heading(&self) -> Option<DiffHeading> {
        let (from, _) = self.diff.as_deref()?;
        let (id, snapshot) = (&self.dataset.id, self.snapshot.id());
        Some(DiffHeading::new(
            (id, snapshot),
            (from, &self.version),
            &self.schema,
            (self.query.clone(), self.request.filter.clone()),
        ))
    }
}

impl Export {
    /// The two versions of a request for a difference, and if that is wanted how many rows differ. Blocks on reads.
    ///
    /// # Errors
    ///
    /// As [`Export::bind`]; `LimitReached` if too many exports are running.
    pub fn summarize_diff(&self, request: ExportRequest, count: bool) -> Result<(DiffHeading, Option<ChangeCounts>)> {
        let permit = count.then(|| self.permit()).transpose()?;
        let (heading, batches, _snapshot) = self.bind_heading(request)?;
        let Some(_permit) = permit else { return Ok((heading, None)) };
        let mut counts = ChangeCounts::default();
        for batch in batches {
            count_rows(&mut counts, &batch?)?;
        }
        Ok((heading, Some(counts)))
    }

    /// Writes a difference into a file without a name, read from its beginning. Blocks on reads.
    ///
    /// # Errors
    ///
    /// As [`Export::bind`]; `LimitReached` if too many exports are running.
    pub fn write_diff(&self, request: ExportRequest, format: DiffFormat, options: PageOptions) -> Result<File> {
        let failed = |e| Error::unavailable("making a file for a difference").caused_by(e);
        let _permit = self.permit()?;
        let mut file = tempfile::tempfile_in(self.catalog.scratch_dir()).map_err(failed)?;
        let (heading, batches, _snapshot) = self.bind_heading(request)?;
        let schema = batches.schema();
        let mut target = DiffFile::create(format, file.try_clone().map_err(failed)?, &schema, heading, options)?;
        for batch in batches {
            target.write(&batch?)?;
        }
        target.finish()?;
        file.rewind().map_err(failed)?;
        Ok(file)
    }

    /// The rows of a difference and what is said before them. The snapshot keeps their files.
    fn bind_heading(&self, request: ExportRequest) -> Result<(DiffHeading, Diff, Snapshot)> {
        let diff_from = Some(request.diff_from.clone().unwrap_or_default());
        let bound = self.bind(ExportRequest { diff_from, ..request })?;
        let heading = bound.diff_heading();
        let (_, diff) = *bound.diff.ok_or_else(|| Error::internal("a difference was bound as rows"))?;
        Ok((heading.ok_or_else(|| Error::internal("a difference has no heading"))?, diff, bound.snapshot))
    }
}
