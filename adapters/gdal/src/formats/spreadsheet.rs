//! Spreadsheets: each sheet is a layer, its first row the header where GDAL finds one.

use super::Format;
use crate::archive::{Archive, ArchiveKind};
use crate::features::{OgrFile, OgrFormat};
use crate::source::{Context, Source, Staged};
use ukimet_model::Result;

pub(super) const XLSX: Format = Format {
    name: "XLSX",
    driver: Some("XLSX"),
    media_types: &["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"],
    extensions: &["xlsx", "xlsm"],
    sidecars: &[],
    recognize: |clues| clues.zip == Some(ArchiveKind::Xlsx),
    open: |staged, context| open_package(XLSX.name, "XLSX", staged, context),
};

pub(super) const ODS: Format = Format {
    name: "ODS",
    driver: Some("ODS"),
    media_types: &["application/vnd.oasis.opendocument.spreadsheet"],
    extensions: &["ods"],
    sidecars: &[],
    recognize: |clues| clues.zip == Some(ArchiveKind::Ods),
    open: |staged, context| open_package(ODS.name, "ODS", staged, context),
};

pub(super) const XLS: Format = Format {
    name: "XLS",
    driver: Some("XLS"),
    media_types: &["application/vnd.ms-excel"],
    extensions: &["xls"],
    sidecars: &[],
    recognize: |clues| clues.head.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") && clues.head.extension == "xls",
    open: |staged, context| {
        let mut format = OgrFormat::plain(XLS.name, "XLS");
        format.untyped = true;
        OgrFile::open(format, staged, context)
    },
};

/// GDAL unpacks these itself, so everything inside is checked first.
fn open_package(
    name: &'static str,
    driver: &'static str,
    staged: &Staged,
    context: Context<'_>,
) -> Result<Box<dyn Source>> {
    Archive::open(&staged.main, context.limits)?.check_package(context.limits)?;
    let mut format = OgrFormat::plain(name, driver);
    format.untyped = true;
    OgrFile::open(format, staged, context)
}
