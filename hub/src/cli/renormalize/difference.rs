//! What would differ in one dataset, as it comes: shown as a difference between two versions is.

use super::json_of;
use crate::cli::diff::printing::{TABLE_ROWS, print_rest, print_rows, print_summary, row_json};
use crate::cli::output;
use crate::diff::{ColumnChange, DiffFile, DiffFormat, DiffHeading, PageLimits, PageOptions, Reread, RowWords, words};
use crate::report::texts::Language;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::io::Seek;
use std::path::{Path, PathBuf};
use ukimet_model::{ChangeCounts, Error, Result, RowQuery, SnapshotId, VersionNumber};
use ukimet_proto::ipc::{self, IpcLimits};
use ukimet_proto::v1;

/// How what would differ is shown.
pub(super) struct Shown {
    /// The format of files; `None` for lines.
    pub(super) format: Option<DiffFormat>,
    /// The file, or the folder of the files; `None` for standard output.
    pub(super) output: Option<PathBuf>,
    pub(super) is_folder: bool,
    /// Rows of a dataset at most.
    pub(super) limit: Option<u64>,
    /// Whether rows are shown at all.
    pub(super) has_rows: bool,
    pub(super) language: Language,
    pub(super) page: PageLimits,
    /// Whether lines are JSON.
    pub(super) json: bool,
}

/// The difference of one dataset under way.
pub(super) struct Differing<'a> {
    shown: &'a Shown,
    heading: DiffHeading,
    schema: SchemaRef,
    rows_left: u64,
    target: Target,
}

/// Where rows go.
enum Target {
    /// Lines.
    Words(Vec<RowWords>),
    /// A file that begins with the first row.
    Later(PathBuf),
    File(DiffFile, output::NewFile, PathBuf),
    /// A file that is printed.
    Printed(DiffFile, std::fs::File),
}

impl<'a> Differing<'a> {
    pub(super) fn begin(
        answer: &v1::RenormalizeResponse,
        begin: v1::DifferenceBegin,
        shown: &'a Shown,
    ) -> Result<Self> {
        let schema = ipc::decode_schema(&begin.schema, &limits())?;
        let heading = heading(answer, begin, shown)?;
        let rows_left = match (shown.has_rows, shown.format) {
            (false, _) => 0,
            (true, Some(_)) => shown.limit.unwrap_or(u64::MAX),
            (true, None) => shown.limit.unwrap_or(TABLE_ROWS),
        };
        let mut differing = Self { shown, heading, schema, rows_left, target: Target::Words(Vec::new()) };
        differing.target = differing.open()?;
        Ok(differing)
    }

    fn open(&self) -> Result<Target> {
        let Some(format) = self.shown.format else { return Ok(Target::Words(Vec::new())) };
        match &self.shown.output {
            Some(folder) if self.shown.is_folder => {
                let file = format!("{}.{}", self.heading.dataset, format.name());
                Ok(Target::Later(folder.join(file)))
            }
            Some(path) => self.create(path, format),
            None => {
                let failed = |e| Error::unavailable("making a file for a difference").caused_by(e);
                let file = tempfile::tempfile().map_err(failed)?;
                let written = self.file(format, file.try_clone().map_err(failed)?)?;
                Ok(Target::Printed(written, file))
            }
        }
    }

    fn create(&self, path: &Path, format: DiffFormat) -> Result<Target> {
        let new = output::NewFile::create(path)?;
        let file = self.file(format, new.handle()?)?;
        Ok(Target::File(file, new, path.to_owned()))
    }

    fn file(&self, format: DiffFormat, file: std::fs::File) -> Result<DiffFile> {
        let options = PageOptions { language: self.shown.language, limits: self.shown.page };
        DiffFile::create(format, file, &self.schema, self.heading.clone(), options)
    }

    /// Takes a message of rows.
    ///
    /// # Errors
    ///
    /// `InvalidData` if it is none, and what writing says.
    pub(super) fn take(&mut self, message: &Bytes) -> Result<()> {
        let rows = ipc::decode_batch(message, &self.schema, &limits())?;
        let taken = self.rows_left.min(rows.num_rows() as u64);
        self.rows_left -= taken;
        let rows = rows.slice(0, usize::try_from(taken).unwrap_or(usize::MAX));
        if rows.num_rows() > 0 { self.write(&rows) } else { Ok(()) }
    }

    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        if let (Target::Later(path), Some(format)) = (&self.target, self.shown.format) {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)
                    .map_err(|error| Error::invalid_request(format!("{} cannot be made: {error}", folder.display())))?;
            }
            self.target = self.create(path, format)?;
        }
        match &mut self.target {
            Target::Words(listed) => {
                listed.extend(words(rows)?);
                Ok(())
            }
            Target::File(file, ..) | Target::Printed(file, _) => file.write(rows),
            Target::Later(_) => Err(Error::internal("a file of a difference did not begin")),
        }
    }

    /// Completes it, and prints what is to be printed.
    pub(super) fn end(self, answer: &v1::RenormalizeResponse, difference: &v1::Difference) -> Result<()> {
        let (mut listed, mut file) = (Vec::new(), None);
        match self.target {
            Target::Words(rows) => listed = rows,
            Target::Later(_) => (),
            Target::File(rows, new, path) => {
                rows.finish()?;
                new.publish()?;
                file = Some(path);
            }
            Target::Printed(rows, mut printed) => {
                rows.finish()?;
                printed.rewind().map_err(|e| Error::unavailable("reading a difference").caused_by(e))?;
                output::copy(printed)?;
                // Standard output is the file's alone.
                if let Some(refusal) = &difference.refusal {
                    output::remark(&refused(refusal));
                }
                return Ok(());
            }
        }
        if self.shown.json {
            let mut result = numbers_json(&self.heading, difference);
            if let Some(file) = &file {
                result["file"] = file.display().to_string().into();
            } else if self.shown.format.is_none() && self.shown.has_rows {
                result["rows"] = listed.iter().map(row_json).collect();
            }
            output::line(&json_of(answer, &result).to_string());
            return Ok(());
        }
        print_numbers(&self.heading, difference);
        if self.shown.format.is_none() && self.shown.has_rows {
            print_rows(&self.heading, &listed);
            print_rest(counts(difference), &listed);
        }
        if let Some(file) = &file {
            output::line(&format!("in {}", file.display()));
        }
        Ok(())
    }
}

/// As wide as two sides of any dataset.
fn limits() -> IpcLimits {
    let limits = IpcLimits::default();
    IpcLimits { columns_max: 4 * limits.columns_max, ..limits }
}

fn counts(difference: &v1::Difference) -> ChangeCounts {
    let v1::Difference { rows_added: added, rows_removed: removed, rows_changed: changed, .. } = *difference;
    ChangeCounts { added, removed, changed }
}

fn heading(answer: &v1::RenormalizeResponse, begin: v1::DifferenceBegin, shown: &Shown) -> Result<DiffHeading> {
    let time = begin.committed.and_then(|time| Timestamp::new(time.seconds, time.nanos).ok());
    let time = time.ok_or_else(|| Error::invalid_data("the hub sent a version without a time"))?;
    let version = (VersionNumber(answer.version), time);
    let columns = begin.columns.into_iter();
    Ok(DiffHeading {
        dataset: answer.dataset.parse()?,
        snapshot: SnapshotId(begin.snapshot),
        from: version,
        to: version,
        key: begin.key,
        columns: columns
            .map(|column| ColumnChange { name: column.name, before: column.type_before, after: column.type_after })
            .collect(),
        asked: RowQuery { limit: shown.limit, ..RowQuery::default() },
        filter: None,
        reread: Some(Reread {
            before: Some(answer.rules_before.clone()).filter(|rules| !rules.is_empty()),
            now: answer.rules_now.clone(),
        }),
    })
}

/// The difference in numbers, and column by column with a few values.
fn print_numbers(heading: &DiffHeading, difference: &v1::Difference) {
    print_summary(heading, counts(difference));
    let (same, before) = (output::grouped(difference.rows_same), output::grouped(difference.rows_before));
    output::line(&format!("  rows that stay as they are: {same} of {before}"));
    if difference.rows_paired > 0 {
        let pairs = output::counted(difference.rows_paired, "pair");
        output::line(&format!("  of the removed and added rows {pairs} differ in one column"));
    }
    if difference.is_cut {
        output::line("  more rows were removed and added than are looked at for pairs");
    }
    for column in &difference.columns_changed {
        output::line(&format!("  {} differs in {}", column.column, output::counted(column.rows, "row")));
        for example in &column.examples {
            let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "null".to_owned());
            output::line(&format!("    {} → {}", shown(&example.before), shown(&example.after)));
        }
    }
    if let Some(refusal) = &difference.refusal {
        output::line(&format!("  {}", refused(refusal)));
    }
}

fn refused(refusal: &str) -> String {
    format!("the switch would be refused without --new-major: {refusal}")
}

fn numbers_json(heading: &DiffHeading, difference: &v1::Difference) -> Value {
    let example = |value: &v1::ChangedValue| json!([value.before, value.after]);
    let column = |column: &v1::ColumnDifference| {
        json!({
            "column": column.column,
            "rows": column.rows,
            "examples": column.examples.iter().map(example).collect::<Vec<_>>(),
        })
    };
    json!({
        "key": heading.key,
        "rows_before": difference.rows_before,
        "rows_after": difference.rows_after,
        "rows_same": difference.rows_same,
        "rows_changed": difference.rows_changed,
        "rows_removed": difference.rows_removed,
        "rows_added": difference.rows_added,
        "rows_paired": difference.rows_paired,
        "columns_removed": difference.columns_removed,
        "columns_added": difference.columns_added,
        "columns_changed": difference.columns_changed.iter().map(column).collect::<Vec<_>>(),
        "is_cut": difference.is_cut,
        "refusal": difference.refusal,
    })
}
