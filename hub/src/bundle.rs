//! Files that only together are a dataset, bundled into one: a Shapefile with its companions, a MapInfo table, a
//! File Geodatabase folder.
//!
//! The archive is stored, not compressed, without times, members in order: the same files give the same bytes.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use ukimet_model::{Error, Result};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// What belongs beside a file of the first ending.
const COMPANIONS: [(&str, &[&str]); 3] =
    [("shp", &["shx", "dbf", "prj", "cpg"]), ("tab", &["dat", "map", "id", "ind"]), ("mif", &["mid"])];

/// What to push for a path: the file itself, or an archive of all that belongs to it.
pub struct Bundle {
    /// The bytes to push.
    pub path: PathBuf,
    /// The name to push them under.
    pub file_name: String,
    /// Keeps the archive while it is needed.
    _archive: Option<tempfile::NamedTempFile>,
}

impl Bundle {
    /// Finds what belongs to a path.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if it cannot be read, or is a folder that is no File Geodatabase.
    pub fn of(path: &Path) -> Result<Self> {
        let is_geodatabase = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gdb"));
        if path.is_dir() && !is_geodatabase {
            let message =
                format!("a folder is pushed only if it is a File Geodatabase (x.gdb), found {}", path.display());
            return Err(Error::invalid_request(message));
        }
        let unreadable = |e: io::Error| Error::invalid_request(format!("{} cannot be read: {e}", path.display()));
        let file_name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let members = if path.is_dir() { folder(path) } else { companions(path) }.map_err(unreadable)?;
        if members.is_empty() {
            return Ok(Self { path: path.to_owned(), file_name, _archive: None });
        }
        let archive = zip_of(&members).map_err(unreadable)?;
        Ok(Self { path: archive.path().to_owned(), file_name: format!("{file_name}.zip"), _archive: Some(archive) })
    }
}

/// A file's name in the archive and where it is.
type Member = (String, PathBuf);

/// The files of a folder such as `x.gdb`, under the folder's name.
fn folder(path: &Path) -> io::Result<Vec<Member>> {
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut members = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            members.push((format!("{name}/{}", entry.file_name().to_string_lossy()), entry.path()));
        }
    }
    members.sort();
    Ok(members)
}

/// The file and its companions by stem, whatever case their endings have; none if it stands alone.
fn companions(path: &Path) -> io::Result<Vec<Member>> {
    let ending = |path: &Path| path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    let Some((_, endings)) = COMPANIONS.iter().find(|(first, _)| *first == ending(path)) else {
        return Ok(Vec::new());
    };
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut members = Vec::new();
    for entry in fs::read_dir(dir)? {
        let candidate = entry?.path();
        let belongs = candidate.file_stem() == path.file_stem() && endings.contains(&ending(&candidate).as_str());
        if belongs || candidate.file_name() == path.file_name() {
            let name = candidate.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            members.push((name, candidate));
        }
    }
    members.sort();
    Ok(if members.len() > 1 { members } else { Vec::new() })
}

fn zip_of(members: &[Member]) -> io::Result<tempfile::NamedTempFile> {
    let archive = tempfile::NamedTempFile::new()?;
    let options = SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(0o644)
        .large_file(true);
    let mut writer = ZipWriter::new(BufWriter::new(archive.as_file().try_clone()?));
    for (name, path) in members {
        writer.start_file(name.as_str(), options)?;
        io::copy(&mut fs::File::open(path)?, &mut writer)?;
    }
    writer.finish()?.flush()?;
    Ok(archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &Path) -> Vec<String> {
        let archive = zip::ZipArchive::new(fs::File::open(path).expect("opens")).expect("an archive");
        archive.file_names().map(|name| name.expect("a name").into_owned()).collect()
    }

    #[test]
    fn a_shapefile_brings_its_companions_and_the_same_bytes_twice() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in ["районы.shp", "районы.DBF", "районы.shx", "районы.prj", "районы.qgz", "other.dbf"]
        {
            fs::write(dir.path().join(name), name).expect("written");
        }
        let bundle = Bundle::of(&dir.path().join("районы.shp")).expect("bundled");
        assert_eq!(bundle.file_name, "районы.shp.zip");
        assert_eq!(names(&bundle.path), ["районы.DBF", "районы.prj", "районы.shp", "районы.shx"]);
        let again = Bundle::of(&dir.path().join("районы.shp")).expect("bundled");
        assert_eq!(fs::read(&bundle.path).expect("read"), fs::read(&again.path).expect("read"));
    }

    #[test]
    fn a_file_that_stands_alone_is_pushed_as_it_is() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in ["a.csv", "b.shp"] {
            fs::write(dir.path().join(name), name).expect("written");
            let bundle = Bundle::of(&dir.path().join(name)).expect("found");
            assert_eq!((bundle.file_name.as_str(), bundle.path), (name, dir.path().join(name)));
        }
    }

    #[test]
    fn a_geodatabase_folder_becomes_an_archive() {
        let dir = tempfile::tempdir().expect("a folder");
        let gdb = dir.path().join("x.gdb");
        fs::create_dir(&gdb).expect("made");
        fs::write(gdb.join("a1.gdbtable"), "t").expect("written");
        assert_eq!(names(&Bundle::of(&gdb).expect("bundled").path), ["x.gdb/a1.gdbtable"]);
        assert!(Bundle::of(dir.path()).is_err(), "another folder");
    }
}
