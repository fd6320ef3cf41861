//! Archives, unpacked by us: bounded, under names that we make, one folder for each dataset inside.

mod budget;
mod groups;
mod gzip;
mod members;
mod tape;

use crate::features::ASSET_STEM;
use crate::limits::ReadLimits;
use crate::source::Staged;
use crate::source::finding;
use crate::xml;
pub(crate) use budget::Budget;
use budget::check_ratio;
pub(crate) use gzip::{unpack_gzip, unpacked};
use members::{Member, list_members};
use std::fs::{self, File};
use std::io::{BufReader, Read, Seek, SeekFrom, Take, Write};
use std::path::{Path, PathBuf};
use tape::list_tape;
use ukimet_model::error::quoted;
use ukimet_model::{Diagnostic, Error, Result, Severity};
use zip::ZipArchive;
use zip::read::ZipFile;

/// An archive whose members were looked at.
pub(crate) struct Archive {
    container: Container,
    members: Vec<Member>,
    size_bytes: u64,
}

/// What holds the members.
enum Container {
    Zip(ZipArchive<BufReader<File>>),
    Tar(File),
}

/// The bytes of a member.
enum MemberReader<'a> {
    Zip(Box<ZipFile<'a, BufReader<File>>>),
    Tar(Take<&'a mut File>),
}

impl Read for MemberReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Zip(file) => file.read(buffer),
            Self::Tar(file) => file.read(buffer),
        }
    }
}

/// What a zip archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArchiveKind {
    /// An Office Open XML workbook.
    Xlsx,
    /// An `OpenDocument` spreadsheet.
    Ods,
    /// A GTFS feed.
    Gtfs,
    /// Another package that is no archive of datasets, by name.
    Package(&'static str),
    /// Files beside each other.
    Datasets,
}

impl Archive {
    /// Opens a zip archive and checks its members' names, kinds and declared sizes.
    ///
    /// # Errors
    ///
    /// `InvalidData` naming the member, `DataLoss` if the directory at the end is missing, `LimitReached`.
    pub(crate) fn open(path: &Path, limits: &ReadLimits) -> Result<Self> {
        let gone = |error: std::io::Error| Error::unavailable("the asset could not be read").caused_by(error);
        let file = File::open(path).map_err(gone)?;
        let size_bytes = file.metadata().map_err(gone)?.len();
        let mut zip = ZipArchive::new(BufReader::new(file))
            .map_err(|error| Error::data_loss("the zip archive is cut or broken").caused_by(error))?;
        // The directory of an archive inside, stored as it is, would be taken for that of the one that was cut.
        if zip.offset() != 0 {
            return Err(Error::data_loss(format!(
                "a zip archive begins with its first byte, found the only whole directory of one that begins at byte {}: \
                 it is cut, or something was put before it",
                zip.offset()
            )));
        }
        let members = list_members(&mut zip, size_bytes, limits)?;
        Ok(Self { container: Container::Zip(zip), members, size_bytes })
    }

    /// Opens a tar archive and checks its members' names, kinds and sizes.
    ///
    /// # Errors
    ///
    /// As [`Archive::open`]; `DataLoss` if the mark at the end is missing.
    pub(crate) fn open_tar(path: &Path, limits: &ReadLimits) -> Result<Self> {
        let gone = |error: std::io::Error| Error::unavailable("the asset could not be read").caused_by(error);
        let mut file = File::open(path).map_err(gone)?;
        let size_bytes = file.metadata().map_err(gone)?.len();
        let members = list_tape(&mut file, limits)?;
        Ok(Self { container: Container::Tar(file), members, size_bytes })
    }

    /// What the archive is.
    pub(crate) fn kind(&self) -> ArchiveKind {
        let has = |name: &str| self.members.iter().any(|m| m.name == name);
        let has_file = |name: &str| self.members.iter().any(|m| m.base_name() == name);
        if has("xl/workbook.xml") {
            ArchiveKind::Xlsx
        } else if has("xl/workbook.bin") {
            ArchiveKind::Package("Excel binary workbook")
        } else if has("word/document.xml") {
            ArchiveKind::Package("Word document")
        } else if has("META-INF/manifest.xml") && has("content.xml") {
            ArchiveKind::Ods
        } else if has_file("stops.txt") && (has_file("trips.txt") || has_file("routes.txt")) {
            ArchiveKind::Gtfs
        } else {
            ArchiveKind::Datasets
        }
    }

    /// Reads every XML member once: sizes must be as declared, and none may have a DTD.
    ///
    /// # Errors
    ///
    /// As [`Archive::unpack`].
    pub(crate) fn check_package(&mut self, limits: &ReadLimits) -> Result<()> {
        let mut budget = Budget::of(self.size_bytes);
        for index in 0..self.members.len() {
            let is_xml = matches!(self.members[index].extension().as_str(), "xml" | "rels" | "vml");
            let mut head = Vec::new();
            let mut nesting = xml::Nesting::default();
            let read = self.copy_member(index, limits, &mut budget, &mut |bytes| {
                let wanted = bytes.len().min(4_096_usize.saturating_sub(head.len()));
                head.extend_from_slice(&bytes[..wanted]);
                if is_xml {
                    nesting.take(bytes);
                }
                Ok(())
            })?;
            if is_xml {
                let name = quoted(&self.members[index].name);
                let head = crate::head::Head { bytes: head, size_bytes: read, extension: String::new() };
                xml::check_no_dtd_in_head(&head)
                    .and_then(|()| xml::check_depth(nesting.deepest, limits.nesting_max))
                    .map_err(|error| error.context(name))?;
            }
        }
        Ok(())
    }

    /// Unpacks the datasets inside, each into its own folder below `scratch`, in the order of their names.
    ///
    /// # Errors
    ///
    /// `InvalidData` naming a member that may not be there, `DataLoss` for a member that is cut or changed,
    /// `LimitReached`.
    pub(crate) fn unpack(&mut self, scratch: &Path, limits: &ReadLimits, budget: &mut Budget) -> Result<Vec<Unpacked>> {
        let mut unpacked = Vec::new();
        for (number, group) in self.groups()?.into_values().enumerate() {
            let folder = scratch.join(format!("d{number}"));
            let folder = if group.is_geodatabase { folder.join(format!("{ASSET_STEM}.gdb")) } else { folder };
            fs::create_dir_all(&folder).map_err(not_unpacked)?;
            let mut names = Vec::new();
            for &index in &group.members {
                let name = self.members[index].safe_name(group.is_geodatabase);
                self.unpack_member(index, &folder.join(&name), limits, budget)?;
                names.push(name);
            }
            let main = match group.main {
                Some(index) => folder.join(self.members[index].safe_name(false)),
                None => folder,
            };
            let staged = Staged { main, names, source_name: group.source_name, source_folder: group.source_folder };
            unpacked.push(if group.is_archive { Unpacked::Archive(staged) } else { Unpacked::Dataset(staged) });
        }
        Ok(unpacked)
    }

    /// Unpacks the files that lie in one folder of the archive and are wanted, under names that we make.
    ///
    /// # Errors
    ///
    /// As [`Archive::unpack`].
    pub(crate) fn unpack_files(
        &mut self,
        wanted: &dyn Fn(&str) -> bool,
        scratch: &Path,
        limits: &ReadLimits,
        budget: &mut Budget,
    ) -> Result<UnpackedFiles> {
        let mut unpacked = UnpackedFiles::default();
        for index in 0..self.members.len() {
            let name = self.members[index].name.clone();
            if wanted(&name) {
                let path = scratch.join(format!("f{index}.{}", self.members[index].extension()));
                self.unpack_member(index, &path, limits, budget)?;
                unpacked.files.push((name, path));
            } else {
                unpacked.others.push(name);
            }
        }
        Ok(unpacked)
    }

    /// The names of the members, with folders.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.name.as_str())
    }

    /// Names that were not UTF-8, which the report says.
    pub(crate) fn finding(&self) -> Option<Diagnostic> {
        let names: Vec<String> = self.members.iter().filter(|m| m.is_decoded).map(|m| m.name.clone()).collect();
        let message = "names in the archive are not UTF-8 and were taken as CP866".to_owned();
        (!names.is_empty()).then(|| finding("archive.name_cp866", Severity::Note, message, names.len() as u64, &names))
    }

    fn unpack_member(&mut self, index: usize, to: &Path, limits: &ReadLimits, budget: &mut Budget) -> Result<()> {
        let mut file = File::create_new(to).map_err(not_unpacked)?;
        self.copy_member(index, limits, budget, &mut |bytes| file.write_all(bytes).map_err(not_unpacked)).map(|_| ())
    }

    /// Gives a member's bytes in pieces; how many there were.
    fn copy_member(
        &mut self,
        index: usize,
        limits: &ReadLimits,
        budget: &mut Budget,
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<u64> {
        let member = &self.members[index];
        let mut reader = self.container.reader(member)?;
        let mut buffer = vec![0; 1 << 16];
        let mut size_bytes = 0;
        loop {
            let count = reader.read(&mut buffer).map_err(|error| broken(member, &error))?;
            if count == 0 {
                break;
            }
            size_bytes += count as u64;
            check_ratio(&member.name, member.packed_bytes, size_bytes, limits)?;
            budget.spend(count as u64, limits)?;
            take(&buffer[..count])?;
        }
        if size_bytes != member.size_bytes {
            return Err(broken(member, &format!("it declares {} bytes, found {size_bytes}", member.size_bytes)));
        }
        Ok(size_bytes)
    }
}

impl Container {
    fn reader(&mut self, member: &Member) -> Result<MemberReader<'_>> {
        Ok(match self {
            Self::Zip(zip) => MemberReader::Zip(Box::new(
                zip.by_index(member.place as usize).map_err(|error| broken(member, &error))?,
            )),
            Self::Tar(file) => {
                file.seek(SeekFrom::Start(member.place)).map_err(|error| broken(member, &error))?;
                MemberReader::Tar(file.take(member.size_bytes))
            }
        })
    }
}

/// Files out of an archive that are no datasets of their own.
#[derive(Debug, Default)]
pub(crate) struct UnpackedFiles {
    /// Their names, with folders, and where they are now.
    pub(crate) files: Vec<(String, PathBuf)>,
    /// The names of all other members.
    pub(crate) others: Vec<String>,
}

/// What came out of an archive.
pub(crate) enum Unpacked {
    /// The files of one dataset.
    Dataset(Staged),
    /// An archive in the archive.
    Archive(Staged),
}

fn broken(member: &Member, error: &dyn std::fmt::Display) -> Error {
    Error::data_loss(format!("member {} of the archive is cut or changed: {error}", quoted(&member.name)))
}

fn not_unpacked(error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::AlreadyExists {
        return Error::invalid_data("two members of the archive have names that differ only in case");
    }
    Error::limit_reached("the archive could not be unpacked into scratch space").caused_by(error)
}
