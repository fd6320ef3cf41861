//! An asset in a scratch folder of its own: linked under a name that we made, or unpacked.

use crate::archive::{Archive, ArchiveKind, Budget, Unpacked, unpack_gzip};
use crate::features::ASSET_STEM;
use crate::formats::{Clues, FORMATS, Format, Wrapping, check_wrapping, recognize};
use crate::head::extension;
use crate::limits::ReadLimits;
use crate::source::Staged;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use ukimet_adapter_sdk::AssetFile;
use ukimet_model::error::quoted;
use ukimet_model::{Diagnostic, Error, Result};

/// An asset's datasets, each with its format, in a folder that goes away with this value.
pub(crate) struct Stage {
    /// The datasets in order.
    pub(crate) datasets: Vec<(Staged, &'static Format)>,
    /// The media type of the asset as a whole.
    pub(crate) media_type: &'static str,
    /// Names of the files inside, if it is an archive.
    pub(crate) members: Vec<String>,
    /// What was found about its archives.
    pub(crate) findings: Vec<Diagnostic>,
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
    let path = asset.path.canonicalize().map_err(unreadable)?;
    let size_bytes = fs::metadata(&path).map_err(unreadable)?.len();
    let mut staging = Staging {
        folder: folder.path(),
        limits,
        budget: Budget::of(size_bytes),
        folders: 0,
        datasets: Vec::new(),
        findings: Vec::new(),
    };
    let file = Wrapped { path, name: base_name(&asset.file_name).to_owned(), folder: String::new() };
    let media_type = staging.add(&file, asset.media_type.as_deref(), Depth::default())?;
    let Staging { datasets, findings, .. } = staging;
    let is_archive = media_type.1;
    let members = datasets.iter().filter(|_| is_archive).map(|(dataset, _)| dataset.source_name.clone()).collect();
    Ok(Stage { datasets, media_type: media_type.0, members, findings, _folder: folder })
}

/// How deep a file lies: in how many archives, and whether in a gzip.
#[derive(Clone, Copy, Default)]
struct Depth {
    archives: u32,
    is_unzipped: bool,
}

/// A file that may be an archive.
struct Wrapped {
    path: PathBuf,
    name: String,
    /// Where it lies inside other archives.
    folder: String,
}

impl Wrapped {
    /// Refuses a name or a media type that does not fit.
    fn check(&self, media_type: Option<&str>, wrapping: Wrapping) -> Result<()> {
        let clues = Clues::read(&self.path, &self.name, Some(ArchiveKind::Datasets), media_type)?;
        check_wrapping(&clues, wrapping)
    }
}

/// An asset on its way to datasets.
struct Staging<'a> {
    folder: &'a Path,
    limits: &'a ReadLimits,
    budget: Budget,
    folders: usize,
    datasets: Vec<(Staged, &'static Format)>,
    findings: Vec<Diagnostic>,
}

impl Staging<'_> {
    /// Adds the datasets of a file; gives its media type, and whether it is an archive.
    fn add(&mut self, file: &Wrapped, media_type: Option<&str>, depth: Depth) -> Result<(&'static str, bool)> {
        match wrapping(&file.path)? {
            Some(Wrapping::Gzip) => self.add_gzip(file, media_type, depth),
            Some(Wrapping::Tar) => {
                file.check(media_type, Wrapping::Tar)?;
                self.add_archive(Archive::open_tar(&file.path, self.limits)?, file, depth)?;
                Ok((Wrapping::Tar.media_type(), true))
            }
            Some(Wrapping::Zip) => {
                let archive = Archive::open(&file.path, self.limits)?;
                let kind = archive.kind();
                if kind != ArchiveKind::Datasets {
                    return self.add_file(file, Some(kind), media_type).map(|format| (format.media_types[0], false));
                }
                file.check(media_type, Wrapping::Zip)?;
                self.add_archive(archive, file, depth)?;
                let is_kmz = extension(&file.name) == "kmz";
                Ok((if is_kmz { Wrapping::KMZ_MEDIA_TYPE } else { Wrapping::Zip.media_type() }, true))
            }
            None => self.add_file(file, None, media_type).map(|format| (format.media_types[0], false)),
        }
    }

    /// The one file in a gzip: an archive, or a dataset that is named as the gzip without its ending.
    fn add_gzip(&mut self, file: &Wrapped, media_type: Option<&str>, depth: Depth) -> Result<(&'static str, bool)> {
        if depth.is_unzipped {
            return Err(Error::invalid_data("a gzip file holds no other gzip file, found one"));
        }
        file.check(media_type, Wrapping::Gzip)?;
        let path = self.new_folder()?.join("unzipped");
        unpack_gzip(&file.path, &path, self.limits, &mut self.budget)?;
        let name = match file.name.rsplit_once('.') {
            Some((stem, ending)) if ending.eq_ignore_ascii_case("gz") => stem.to_owned(),
            Some((stem, ending)) if ending.eq_ignore_ascii_case("tgz") => format!("{stem}.tar"),
            _ => file.name.clone(),
        };
        let inside = Wrapped { path, name, folder: file.folder.clone() };
        let (_, is_archive) = self.add(&inside, None, Depth { is_unzipped: true, ..depth })?;
        Ok((Wrapping::Gzip.media_type(), is_archive))
    }

    /// The datasets of an archive, and of the archives in it.
    fn add_archive(&mut self, mut archive: Archive, file: &Wrapped, depth: Depth) -> Result<()> {
        let depth = Depth { archives: depth.archives + 1, is_unzipped: false };
        if depth.archives > self.limits.archives_max {
            return Err(Error::limit_reached(format!(
                "archives lie at most {} deep in each other, found {} deeper",
                self.limits.archives_max,
                quoted(&file.name)
            )));
        }
        self.findings.extend(archive.finding());
        // The outermost archive is the asset itself, so its name tells nothing apart.
        let stem = file.name.rsplit_once('.').map_or(file.name.as_str(), |(stem, _)| stem);
        let place = if depth.archives == 1 { String::new() } else { joined(&file.folder, stem) };
        let folder = self.new_folder()?;
        for unpacked in archive.unpack(&folder, self.limits, &mut self.budget)? {
            match unpacked {
                Unpacked::Dataset(mut staged) => {
                    staged.source_folder = joined(&place, &staged.source_folder);
                    self.add_dataset(staged)?;
                }
                Unpacked::Archive(staged) => {
                    let folder = joined(&place, &staged.source_folder);
                    let inside = Wrapped { path: staged.main, name: staged.source_name, folder };
                    self.add(&inside, None, depth).map_err(|error| in_archive(error, &inside.name))?;
                }
            }
        }
        Ok(())
    }

    /// A dataset out of an archive, with its files.
    fn add_dataset(&mut self, staged: Staged) -> Result<()> {
        if staged.main.is_dir() {
            let format = FORMATS.iter().find(|format| format.extensions == ["gdb"]);
            let format = format.ok_or_else(|| Error::internal("the table of formats has no geodatabase"))?;
            self.datasets.push((staged, format));
            return Ok(());
        }
        let is_zip = wrapping(&staged.main)? == Some(Wrapping::Zip);
        let zip = if is_zip { Some(Archive::open(&staged.main, self.limits)?.kind()) } else { None };
        let format = Clues::read(&staged.main, &staged.source_name, zip, None)
            .and_then(|clues| recognize(&clues, self.limits))
            .map_err(|error| in_archive(error, &staged.source_name))?;
        self.datasets.push((staged, format));
        Ok(())
    }

    /// A file that is no archive of datasets.
    fn add_file(
        &mut self,
        file: &Wrapped,
        zip: Option<ArchiveKind>,
        media_type: Option<&str>,
    ) -> Result<&'static Format> {
        let format = recognize(&Clues::read(&file.path, &file.name, zip, media_type)?, self.limits)?;
        let folder = self.new_folder()?;
        let staged = link(file, &folder, format)?;
        self.datasets.push((staged, format));
        Ok(format)
    }

    fn new_folder(&mut self) -> Result<PathBuf> {
        let folder = self.folder.join(format!("a{}", self.folders));
        self.folders += 1;
        fs::create_dir(&folder)
            .map_err(|error| Error::unavailable("scratch space could not be written").caused_by(error))?;
        Ok(folder)
    }
}

fn in_archive(error: Error, name: &str) -> Error {
    error.context(format!("in the archive, {}", quoted(name)))
}

fn joined(folder: &str, inside: &str) -> String {
    [folder, inside].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

/// What a file is wrapped in, by its bytes.
fn wrapping(path: &Path) -> Result<Option<Wrapping>> {
    let mut head = Vec::new();
    File::open(path).map_err(unreadable)?.take(512).read_to_end(&mut head).map_err(unreadable)?;
    Ok(Wrapping::of(&head))
}

fn unreadable(error: std::io::Error) -> Error {
    Error::unavailable("the asset could not be read").caused_by(error)
}

/// A link under a name with the ending that the format's reader looks for.
fn link(file: &Wrapped, folder: &Path, format: &Format) -> Result<Staged> {
    let given = extension(&file.name);
    let ending = if format.extensions.contains(&given.as_str()) { given.as_str() } else { format.extensions[0] };
    let file_name = format!("{ASSET_STEM}.{ending}");
    let main = folder.join(&file_name);
    symlink(&file.path, &main)
        .map_err(|error| Error::unavailable("scratch space could not be written").caused_by(error))?;
    Ok(Staged { main, names: vec![file_name], source_name: file.name.clone(), source_folder: file.folder.clone() })
}

/// The file's name at the sender, without folders.
fn base_name(name: &str) -> &str {
    let base = name.rsplit(['/', '\\']).next().unwrap_or(name);
    if base.is_empty() { "asset" } else { base }
}
