//! An asset in a scratch folder of its own: linked under a name that we made, or unpacked.

use crate::archive::{Archive, ArchiveKind};
use crate::features::ASSET_STEM;
use crate::formats::{Clues, FORMATS, Format, ZIP_MEDIA_TYPES, check_archive, recognize};
use crate::head::extension;
use crate::limits::ReadLimits;
use crate::source::Staged;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;
use tempfile::TempDir;
use ukimet_adapter_sdk::AssetFile;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// An asset's datasets, each with its format, in a folder that goes away with this value.
pub(crate) struct Stage {
    /// The datasets in order.
    pub(crate) datasets: Vec<(Staged, &'static Format)>,
    /// The media type of the asset as a whole.
    pub(crate) media_type: &'static str,
    /// Names of the files inside, if it is an archive.
    pub(crate) members: Vec<String>,
    _folder: TempDir,
}

/// Recognises an asset and puts it where readers may open it.
///
/// # Errors
///
/// `InvalidData` naming what was recognised, `DataLoss` for a cut archive, `LimitReached`.
pub(crate) fn stage(asset: &AssetFile, scratch: &Path, limits: &ReadLimits) -> Result<Stage> {
    let folder = tempfile::Builder::new()
        .prefix("job-")
        .tempdir_in(scratch)
        .map_err(|error| Error::unavailable("scratch space could not be had").caused_by(error))?;
    let mut archive = if is_zip(&asset.path)? { Some(Archive::open(&asset.path, limits)?) } else { None };
    let kind = archive.as_ref().map(Archive::kind);
    let name = base_name(&asset.file_name);
    let clues = Clues::read(&asset.path, name, kind, asset.media_type.as_deref())?;
    if let (Some(archive), Some(ArchiveKind::Datasets)) = (&mut archive, kind) {
        check_archive(&clues)?;
        let is_kmz = extension(name) == "kmz";
        let datasets = archive.unpack(folder.path(), limits)?;
        let members = datasets.iter().map(|dataset| dataset.source_name.clone()).collect();
        let datasets = datasets.into_iter().map(|dataset| recognized(dataset, limits)).collect::<Result<Vec<_>>>()?;
        let media_type = ZIP_MEDIA_TYPES[if is_kmz { 2 } else { 0 }];
        Ok(Stage { datasets, media_type, members, _folder: folder })
    } else {
        let format = recognize(&clues, limits)?;
        let staged = link(&asset.path, folder.path(), name, format)?;
        Ok(Stage {
            datasets: vec![(staged, format)],
            media_type: format.media_types[0],
            members: Vec::new(),
            _folder: folder,
        })
    }
}

/// The format of a dataset in an archive.
fn recognized(staged: Staged, limits: &ReadLimits) -> Result<(Staged, &'static Format)> {
    let in_archive = |error: Error| error.context(format!("in the archive, {}", quoted(&staged.source_name)));
    if staged.main.is_dir() {
        let format = FORMATS.iter().find(|format| format.extensions == ["gdb"]);
        let format = format.ok_or_else(|| Error::internal("the table of formats has no geodatabase"))?;
        return Ok((staged, format));
    }
    let zip = if is_zip(&staged.main)? { Some(Archive::open(&staged.main, limits)?.kind()) } else { None };
    let format = Clues::read(&staged.main, &staged.source_name, zip, None)
        .and_then(|clues| recognize(&clues, limits))
        .map_err(in_archive)?;
    Ok((staged, format))
}

fn is_zip(path: &Path) -> Result<bool> {
    let gone = |error: std::io::Error| Error::unavailable("the asset could not be read").caused_by(error);
    let mut magic = Vec::new();
    File::open(path).map_err(gone)?.take(4).read_to_end(&mut magic).map_err(gone)?;
    Ok(magic == b"PK\x03\x04" || magic == b"PK\x05\x06")
}

/// A link under a name with the ending that the format's reader looks for.
fn link(asset: &Path, folder: &Path, name: &str, format: &Format) -> Result<Staged> {
    let given = extension(name);
    let ending = if format.extensions.contains(&given.as_str()) { given.as_str() } else { format.extensions[0] };
    let file_name = format!("{ASSET_STEM}.{ending}");
    let main = folder.join(&file_name);
    let linked = asset.canonicalize().and_then(|asset| symlink(asset, &main));
    linked.map_err(|error| Error::unavailable("scratch space could not be written").caused_by(error))?;
    Ok(Staged { main, names: vec![file_name], source_name: name.to_owned(), source_folder: String::new() })
}

/// The file's name at the sender, without folders.
fn base_name(name: &str) -> &str {
    let base = name.rsplit(['/', '\\']).next().unwrap_or(name);
    if base.is_empty() { "asset" } else { base }
}
