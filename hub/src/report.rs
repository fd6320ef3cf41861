//! The report on a push: what came, how it was read, what was found, and what to do next.
//!
//! One renderer behind every door: the command line, gRPC and HTTP ask the same question and get the same file.

mod document;
mod how;
pub(crate) mod html;
mod marks;
mod plain;
mod sheet;
pub(crate) mod shown;
mod subject;
mod summary;
mod table;
mod tables;
pub mod texts;
mod why;

pub use marks::{ROW_COLUMN, WHY_COLUMN, unguarded};
pub use sheet::{ROWS_SHEET, is_too_long_mark};
pub use subject::{Subject, find};
pub use table::ReportTable;
pub use tables::{each_quarantined, each_verdict, quarantine_columns, table_of};
pub use why::geometry_column;

use clap::ValueEnum;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::str::FromStr;
use texts::Language;
use ukimet_catalog::Snapshot;
use ukimet_model::error::quoted;
use ukimet_model::{Error, PushId, Result, Severity, SnapshotId, Verdict, VersionSelector};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct ReportRequest {
    /// The dataset, and perhaps a version: the report is on the push that made it.
    pub dataset: VersionSelector,
    /// As of which snapshot; `None` for the newest.
    pub snapshot: Option<SnapshotId>,
    /// Another push into the dataset, e.g. one that changed nothing.
    pub push_id: Option<PushId>,
    /// The language of the sentences.
    pub language: Language,
    /// The form.
    pub format: ReportFormat,
    /// Which table, where a format holds one only.
    pub table: ReportTable,
    /// Which findings.
    pub filter: Filter,
}

/// The forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// Sentences for people, plain text.
    #[value(alias = "txt")]
    Text,
    /// The same as a page.
    Html,
    /// Everything, for scripts.
    Json,
    /// One table for spreadsheets and scripts.
    Csv,
    /// One table as an Arrow IPC file.
    Arrow,
    /// A spreadsheet: refused rows to be corrected, verdicts, sentences.
    Xlsx,
}

impl ReportFormat {
    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Arrow => "application/vnd.apache.arrow.file",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        }
    }
}

impl FromStr for ReportFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::Text);
        }
        <Self as ValueEnum>::from_str(text, false).map_err(|_| {
            let expected = "a report is text, html, json, csv, arrow or xlsx";
            Error::invalid_request(format!("{expected}, asked for {}", quoted(text)))
        })
    }
}

/// Which findings are shown; everything by default.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of one rule, e.g. `geometry.invalid`, or of a group of rules, e.g. `geometry`.
    pub rule: Option<String>,
    /// Of one severity.
    pub severity: Option<Severity>,
}

impl Filter {
    /// Whether a finding is shown.
    pub fn takes(&self, rule: &str, severity: Severity) -> bool {
        let is_of = |wanted: &String| rule == wanted || rule.strip_prefix(wanted).is_some_and(|r| r.starts_with('.'));
        self.rule.as_ref().is_none_or(is_of) && self.severity.is_none_or(|wanted| wanted == severity)
    }

    /// Whether everything is shown.
    fn is_open(&self) -> bool {
        self.rule.is_none() && self.severity.is_none()
    }

    fn takes_verdict(&self, verdict: &Verdict) -> bool {
        self.takes(&verdict.rule, verdict.severity)
    }
}

/// Reads `note`, `warning` or `error`.
pub fn parse_severity(text: &str) -> Result<Severity> {
    match text {
        "note" => Ok(Severity::Note),
        "warning" => Ok(Severity::Warning),
        "error" => Ok(Severity::Error),
        other => {
            let message = format!("a severity is note, warning or error, found {}", quoted(other));
            Err(Error::invalid_request(message))
        }
    }
}

/// Writes a report into a file; memory stays bounded, however many rows the tables have. Blocks on the catalog.
///
/// # Errors
///
/// `NotFound` if there is no such dataset, version or push, or if a table that is asked for alone went with erased rows;
/// a whole report says so and shows what is left.
/// `scratch` is a directory for files that need not survive.
pub fn write_report(snapshot: &Snapshot, request: &ReportRequest, scratch: &Path, file: &File) -> Result<()> {
    let subject = find(snapshot, &request.dataset, request.push_id.as_ref())?;
    let subject = match request.format {
        // One table alone is there or not.
        ReportFormat::Csv | ReportFormat::Arrow => subject.check_examples(snapshot).map(|()| subject)?,
        _ => subject.without_erased(snapshot)?,
    };
    let mut out = BufWriter::new(file);
    match request.format {
        ReportFormat::Text | ReportFormat::Html => {
            let document = document::document(snapshot, &subject, request.language, &request.filter)?;
            let text = match request.format {
                ReportFormat::Html => html::page(&document, request.language),
                _ => plain::text(&document),
            };
            out.write_all(text.as_bytes()).map_err(write_failed)?;
        }
        ReportFormat::Json => tables::write_json(snapshot, &subject, request, &mut out)?,
        ReportFormat::Csv => tables::write_csv(snapshot, &subject, request, &mut out)?,
        ReportFormat::Arrow => tables::write_arrow(snapshot, &subject, request, &mut out)?,
        ReportFormat::Xlsx => sheet::write_xlsx(snapshot, &subject, request, scratch, file)?,
    }
    out.flush().map_err(write_failed)
}

fn write_failed(error: std::io::Error) -> Error {
    Error::unavailable("writing a report failed").caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_read_by_its_name_and_is_text_where_none_is_said() {
        for (name, format) in [("", ReportFormat::Text), ("txt", ReportFormat::Text), ("xlsx", ReportFormat::Xlsx)] {
            assert_eq!(name.parse::<ReportFormat>().expect("known"), format);
        }
        let error = "XLSX".parse::<ReportFormat>().expect_err("another name");
        assert!(error.message().ends_with("csv, arrow or xlsx, asked for \"XLSX\""), "{error}");
    }

    #[test]
    fn a_filter_takes_a_rule_or_a_group_and_a_severity() {
        let rule = |rule: &str| Filter { rule: Some(rule.to_owned()), severity: None };
        assert!(Filter::default().takes("a.b", Severity::Note));
        assert!(rule("a.b").takes("a.b", Severity::Note) && rule("a").takes("a.b", Severity::Error));
        assert!(!rule("a").takes("ab.c", Severity::Note) && !rule("a.b").takes("a.bc", Severity::Note));
        let errors = Filter { rule: None, severity: Some(Severity::Error) };
        assert!(errors.takes("a.b", Severity::Error) && !errors.takes("a.b", Severity::Note));
    }
}
