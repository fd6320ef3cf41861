//! Spreadsheets: every table of every sheet is a layer, as `tables` sees them.

use super::Format;
use crate::archive::{Archive, ArchiveKind};
use crate::source::{Context, Source, Staged};
use crate::tables::{TableContext, TableSource, WorkbookKind, read_workbook};
use ukimet_model::Result;

pub(super) const XLSX: Format = Format {
    name: "XLSX",
    driver: None,
    media_types: &["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"],
    extensions: &["xlsx", "xlsm"],
    sidecars: &[],
    recognize: |clues| clues.zip == Some(ArchiveKind::Xlsx),
    open: |staged, context| open_package(XLSX.name, WorkbookKind::Xlsx, staged, context),
};

pub(super) const ODS: Format = Format {
    name: "ODS",
    driver: None,
    media_types: &["application/vnd.oasis.opendocument.spreadsheet"],
    extensions: &["ods"],
    sidecars: &[],
    recognize: |clues| clues.zip == Some(ArchiveKind::Ods),
    open: |staged, context| open_package(ODS.name, WorkbookKind::Ods, staged, context),
};

pub(super) const XLS: Format = Format {
    name: "XLS",
    driver: None,
    media_types: &["application/vnd.ms-excel"],
    extensions: &["xls"],
    sidecars: &[],
    recognize: |clues| clues.head.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") && clues.head.extension == "xls",
    open: |staged, context| open_workbook(XLS.name, WorkbookKind::Xls, staged, context),
};

/// Packages unpack to much more than they are, so everything inside is checked first.
fn open_package(
    name: &'static str,
    kind: WorkbookKind,
    staged: &Staged,
    context: Context<'_>,
) -> Result<Box<dyn Source>> {
    Archive::open(&staged.main, context.limits)?.check_package(context.limits)?;
    open_workbook(name, kind, staged, context)
}

fn open_workbook(
    format: &'static str,
    kind: WorkbookKind,
    staged: &Staged,
    context: Context<'_>,
) -> Result<Box<dyn Source>> {
    let grids = read_workbook(&staged.main, kind, context.limits)?;
    let is_shown_unknown = kind == WorkbookKind::Xls;
    let known = TableContext { format, is_shown_unknown, ..TableContext::default() };
    Ok(Box::new(TableSource::new(grids, &known, context.limits)?))
}
