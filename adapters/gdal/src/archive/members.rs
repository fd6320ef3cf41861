//! The members of an archive: which names and kinds are accepted, and what they are called here.

use super::budget::check_ratio;
use crate::features::ASSET_STEM;
use crate::head::extension;
use crate::limits::ReadLimits;
use std::collections::HashSet;
use std::fs::File;
use std::io::BufReader;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};
use zip::{CompressionMethod, ZipArchive};

/// Endings of archives that are looked into.
const ARCHIVES: &[&str] = &["zip", "kmz", "shz", "gz", "tgz", "tar"];

/// Endings of archives that are not.
const UNSERVED_ARCHIVES: &[&str] = &["7z", "rar", "bz2", "xz", "zst", "lz4", "arj", "cab"];

/// Endings of files that make GDAL reach for other files.
const REFUSED: &[&str] = &["vrt", "ovr", "msk", "aux.xml", "gti", "ovf", "gmlas"];

/// A file in an archive.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Its number in a zip archive, the place of its first byte in a tar.
    pub(super) place: u64,
    /// Its name, decoded, with folders.
    pub(super) name: String,
    /// Whether its name was not UTF-8.
    pub(super) is_decoded: bool,
    /// Its size as declared.
    pub(super) size_bytes: u64,
    /// Its packed size.
    pub(super) packed_bytes: u64,
}

impl Member {
    pub(super) fn base_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }

    pub(super) fn extension(&self) -> String {
        extension(&self.name)
    }

    /// The ending; for sidecars with two endings, such as `.shp.xml`, both.
    pub(super) fn full_extension(&self) -> String {
        let base = self.base_name().to_lowercase();
        match base.split_once('.') {
            Some((_, endings)) if endings == "shp.xml" || endings == "aux.xml" => endings.to_owned(),
            _ => self.extension(),
        }
    }

    /// Folder and name without endings.
    pub(super) fn path_stem(&self) -> &str {
        let stem = self.name.rsplit_once('.').map_or(self.name.as_str(), |(stem, _)| stem);
        stem.strip_suffix(".shp").unwrap_or(stem)
    }

    /// Whether its name says that it is an archive that is looked into.
    pub(super) fn is_archive(&self) -> bool {
        self.geodatabase().is_none() && ARCHIVES.contains(&self.extension().as_str())
    }

    /// The File Geodatabase that it lies in.
    pub(super) fn geodatabase(&self) -> Option<&str> {
        let (folder, _) = self.name.rsplit_once('/')?;
        extension(folder).eq("gdb").then_some(folder)
    }

    /// The name it gets here: ASCII and its ending, or its own in a geodatabase, whose names were checked.
    pub(super) fn safe_name(&self, in_geodatabase: bool) -> String {
        if in_geodatabase { self.base_name().to_owned() } else { format!("{ASSET_STEM}.{}", self.full_extension()) }
    }
}

/// The files of an archive, each with an acceptable name, kind and size.
pub(super) fn list_members(
    zip: &mut ZipArchive<BufReader<File>>,
    archive_bytes: u64,
    limits: &ReadLimits,
) -> Result<Vec<Member>> {
    check_count(zip.len(), limits)?;
    if zip.has_duplicate_names() {
        return Err(Error::invalid_data("names in an archive are unique, found duplicate names"));
    }
    if zip.has_overlapping_files().map_err(|error| broken(&error))? {
        return Err(Error::invalid_data("members of an archive lie apart, found overlapping ones"));
    }
    let mut listing = Listing::new(archive_bytes, limits);
    for index in 0..zip.len() {
        let file = zip.by_index_raw(index).map_err(|error| broken(&error))?;
        let (name, is_decoded) = decoded_name(file.name_raw());
        check_name(&name)?;
        if file.is_symlink() {
            return Err(no_plain_file(&name));
        }
        if file.encrypted() {
            return Err(Error::invalid_data(format!(
                "an archive is open to read, {} is encrypted: send it without a password",
                quoted(&name)
            )));
        }
        if file.is_dir() || name.ends_with('/') || is_litter(&name) {
            continue;
        }
        check_method(&name, file.compression())?;
        let (size_bytes, packed_bytes) = (file.size(), file.compressed_size());
        listing.add(Member { place: index as u64, name, is_decoded, size_bytes, packed_bytes })?;
    }
    Ok(listing.members)
}

/// Members as they are added, each name once.
pub(super) struct Listing<'a> {
    pub(super) members: Vec<Member>,
    names: HashSet<String>,
    total_bytes: u64,
    archive_bytes: u64,
    limits: &'a ReadLimits,
}

impl<'a> Listing<'a> {
    pub(super) fn new(archive_bytes: u64, limits: &'a ReadLimits) -> Self {
        Self { members: Vec::new(), names: HashSet::new(), total_bytes: 0, archive_bytes, limits }
    }

    /// Adds a member whose name was checked.
    pub(super) fn add(&mut self, member: Member) -> Result<()> {
        if !self.names.insert(member.name.to_lowercase()) {
            let name = quoted(&member.name);
            return Err(Error::invalid_data(format!("names in an archive are unique, found {name} twice")));
        }
        check_kind(&member)?;
        self.total_bytes = self.total_bytes.saturating_add(member.size_bytes);
        check_ratio(&member.name, member.packed_bytes, member.size_bytes, self.limits)?;
        check_ratio("the archive", self.archive_bytes, self.total_bytes, self.limits)?;
        self.members.push(member);
        check_count(self.members.len(), self.limits)
    }
}

fn check_count(members: usize, limits: &ReadLimits) -> Result<()> {
    if members > limits.archive_members_max {
        return Err(Error::limit_reached(format!(
            "an archive has at most {} members, found {members}",
            limits.archive_members_max
        )));
    }
    Ok(())
}

pub(super) fn no_plain_file(name: &str) -> Error {
    Error::invalid_data(format!("an archive holds plain files, {} is a link", quoted(name)))
}

fn check_method(name: &str, method: CompressionMethod) -> Result<()> {
    match method {
        CompressionMethod::Stored
        | CompressionMethod::Deflated
        | CompressionMethod::Deflate64
        | CompressionMethod::Lzma
        | CompressionMethod::Xz
        | CompressionMethod::Zstd => Ok(()),
        other => Err(Error::invalid_data(format!(
            "member {} of the zip archive is packed by {other}, which is not served: pack it by Deflate",
            quoted(name)
        ))),
    }
}

/// A name that stays inside its folder.
pub(super) fn check_name(name: &str) -> Result<()> {
    let is_outside = name.starts_with(['/', '\\'])
        || name.contains(['\0', '\\'])
        || name.get(1..2) == Some(":")
        || name.split('/').any(|part| part == ".." || part == ".");
    if is_outside || name.is_empty() || name.len() > 1_024 {
        return Err(Error::invalid_data(format!(
            "names in an archive are relative and stay inside, found member {}",
            quoted(name)
        )));
    }
    Ok(())
}

fn check_kind(member: &Member) -> Result<()> {
    let ending = member.full_extension();
    if UNSERVED_ARCHIVES.contains(&ending.as_str()) {
        return Err(Error::invalid_data(format!(
            "an archive holds zip, tar or gzip archives only, found member {}: send it as a zip",
            quoted(&member.name)
        )));
    }
    if REFUSED.contains(&ending.as_str()) {
        return Err(Error::invalid_data(format!("{}: file not allowed for this format", quoted(&member.name))));
    }
    if member.geodatabase().is_some()
        && !member.base_name().bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    {
        return Err(Error::invalid_data(format!(
            "files of a geodatabase have plain names, found member {}",
            quoted(&member.name)
        )));
    }
    Ok(())
}

/// What operating systems leave in archives.
pub(super) fn is_litter(name: &str) -> bool {
    let base = name.rsplit('/').next().unwrap_or(name);
    let is_lock = extension(base) == "lock";
    is_lock
        || name.starts_with("__MACOSX/")
        || base.starts_with("._")
        || base == ".DS_Store"
        || base == "Thumbs.db"
        || base == "desktop.ini"
}

fn broken(error: &zip::result::ZipError) -> Error {
    Error::data_loss(format!("the zip archive is cut or broken: {error}"))
}

/// A member's name: UTF-8 if it is, else the DOS code page for Cyrillic, which is what old archivers here wrote.
///
/// Names name layers; they never decide where a file goes. The second value says whether it was decoded.
pub(super) fn decoded_name(raw: &[u8]) -> (String, bool) {
    match std::str::from_utf8(raw) {
        Ok(name) => (name.to_owned(), false),
        Err(_) => (encoding_rs::IBM866.decode_without_bom_handling(raw).0.into_owned(), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_their_folder_are_refused() {
        for name in ["../a.shp", "a/../../b.shp", "/etc/a.shp", "C:/a.shp", "a\\b.shp", "./a.shp", "a\0.shp", ""] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        check_name("районы/rayony v1..2.shp").expect("inside");
    }

    #[test]
    fn names_are_utf8_or_the_dos_code_page() {
        assert_eq!(decoded_name("районы.shp".as_bytes()), ("районы.shp".to_owned(), false));
        assert_eq!(
            decoded_name(&[0xe0, 0xa0, 0xa9, 0xae, 0xad, 0xeb, b'.', b's', b'h', b'p']),
            ("районы.shp".to_owned(), true)
        );
    }
}
