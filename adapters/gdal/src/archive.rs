//! Archives, unpacked by us: bounded, under names that we make, one folder for each dataset inside.

mod members;

use crate::features::ASSET_STEM;
use crate::formats;
use crate::limits::ReadLimits;
use crate::source::Staged;
use crate::xml;
use members::{Member, check_ratio, list_members};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::path::Path;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};
use zip::ZipArchive;

/// A zip archive whose members were looked at.
pub(crate) struct Archive {
    zip: ZipArchive<BufReader<File>>,
    members: Vec<Member>,
    size_bytes: u64,
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
        let members = list_members(&mut zip, size_bytes, limits)?;
        Ok(Self { zip, members, size_bytes })
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
        let mut total = 0;
        for index in 0..self.members.len() {
            let is_xml = matches!(self.members[index].extension().as_str(), "xml" | "rels" | "vml");
            let mut head = Vec::new();
            let mut nesting = xml::Nesting::default();
            let read = self.copy_member(index, limits, total, &mut |bytes| {
                let wanted = bytes.len().min(4_096_usize.saturating_sub(head.len()));
                head.extend_from_slice(&bytes[..wanted]);
                if is_xml {
                    nesting.take(bytes);
                }
                Ok(())
            })?;
            total += read;
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
    pub(crate) fn unpack(&mut self, scratch: &Path, limits: &ReadLimits) -> Result<Vec<Staged>> {
        let groups = self.groups()?;
        let mut total = 0;
        let mut datasets = Vec::new();
        for (number, group) in groups.into_values().enumerate() {
            let folder = scratch.join(format!("d{number}"));
            let folder = if group.is_geodatabase { folder.join(format!("{ASSET_STEM}.gdb")) } else { folder };
            fs::create_dir_all(&folder).map_err(not_unpacked)?;
            let mut names = Vec::new();
            for index in group.members {
                let name = self.members[index].safe_name(group.is_geodatabase);
                let mut file = File::create_new(folder.join(&name)).map_err(not_unpacked)?;
                total +=
                    self.copy_member(index, limits, total, &mut |bytes| file.write_all(bytes).map_err(not_unpacked))?;
                names.push(name);
            }
            let main = match group.main {
                Some(index) => folder.join(self.members[index].safe_name(false)),
                None => folder,
            };
            datasets.push(Staged { main, names, source_name: group.source_name, source_folder: group.source_folder });
        }
        Ok(datasets)
    }

    /// Members by dataset: a File Geodatabase is a folder, anything else the files of one name in one folder.
    fn groups(&self) -> Result<BTreeMap<String, Group>> {
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for (index, member) in self.members.iter().enumerate() {
            let (key, is_geodatabase) = match member.geodatabase() {
                Some(folder) => (folder.to_owned(), true),
                None => (member.path_stem().to_lowercase(), false),
            };
            let group = groups.entry(key.clone()).or_insert_with(|| Group::new(is_geodatabase));
            if is_geodatabase {
                group.name_after(&key);
            }
            group.members.push(index);
        }
        for group in groups.values_mut().filter(|group| !group.is_geodatabase) {
            group.main = self.main_file(group)?;
            if let Some(main) = group.main {
                group.name_after(&self.members[main].name);
                group.members.retain(|index| !formats::is_decoration(&self.members[*index].full_extension()));
            }
        }
        groups.retain(|_, group| group.is_geodatabase || group.main.is_some() || !self.is_decoration(group));
        self.check_groups(&groups)?;
        Ok(groups)
    }

    /// The file of a group that is opened. A `.dbf` is one only where no other is.
    fn main_file(&self, group: &Group) -> Result<Option<usize>> {
        let mut mains: Vec<usize> = group.members.clone();
        mains.retain(|index| formats::is_main_file(&self.members[*index].full_extension()));
        if mains.len() > 1 {
            mains.retain(|index| self.members[*index].extension() != "dbf");
        }
        match mains.as_slice() {
            [] => Ok(None),
            [main] => Ok(Some(*main)),
            [first, second, ..] => Err(Error::invalid_data(format!(
                "files of one name are one dataset, found {} and {}",
                quoted(&self.members[*first].name),
                quoted(&self.members[*second].name)
            ))),
        }
    }

    fn check_groups(&self, groups: &BTreeMap<String, Group>) -> Result<()> {
        if groups.is_empty() {
            return Err(Error::invalid_data("a zip archive with at least one dataset was expected, found none"));
        }
        for group in groups.values() {
            let name = &self.members[group.members[0]].name;
            if !group.is_geodatabase && group.main.is_none() {
                return Err(Error::invalid_data(format!(
                    "{} belongs to no dataset in the archive: file not allowed for this format",
                    quoted(name)
                )));
            }
            if let Some(main) = group.main {
                let main = self.members[main].extension();
                let stray =
                    group.members.iter().find(|i| !formats::is_sidecar(&main, &self.members[**i].full_extension()));
                if let Some(stray) = stray {
                    return Err(Error::invalid_data(format!(
                        "{} lies beside a .{main} file: file not allowed for this format",
                        quoted(&self.members[*stray].name)
                    )));
                }
            }
        }
        Ok(())
    }

    /// Whether nothing in a group can hold rows or change how they are read: documents, pictures, licences.
    fn is_decoration(&self, group: &Group) -> bool {
        group.members.iter().all(|index| formats::is_decoration(&self.members[*index].extension()))
    }

    /// Gives a member's bytes in pieces; how many there were.
    fn copy_member(
        &mut self,
        index: usize,
        limits: &ReadLimits,
        before: u64,
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<u64> {
        let member = &self.members[index];
        let broken = |error: &dyn std::fmt::Display| {
            Error::data_loss(format!("member {} of the archive is cut or changed: {error}", quoted(&member.name)))
        };
        let mut reader = self.zip.by_index(member.index).map_err(|error| broken(&error))?;
        let mut buffer = vec![0; 1 << 16];
        let mut size_bytes = 0;
        loop {
            let count = reader.read(&mut buffer).map_err(|error| broken(&error))?;
            if count == 0 {
                break;
            }
            size_bytes += count as u64;
            check_ratio(&member.name, member.packed_bytes, size_bytes, limits)?;
            check_ratio("the archive", self.size_bytes, before + size_bytes, limits)?;
            take(&buffer[..count])?;
        }
        if size_bytes != member.size_bytes {
            return Err(broken(&format!("it declares {} bytes, found {size_bytes}", member.size_bytes)));
        }
        Ok(size_bytes)
    }
}

/// The files of one dataset, as positions among the members.
struct Group {
    main: Option<usize>,
    members: Vec<usize>,
    source_name: String,
    source_folder: String,
    is_geodatabase: bool,
}

impl Group {
    fn new(is_geodatabase: bool) -> Self {
        Self {
            main: None,
            members: Vec::new(),
            source_name: String::new(),
            source_folder: String::new(),
            is_geodatabase,
        }
    }

    /// Takes name and folder from a path in the archive.
    fn name_after(&mut self, path: &str) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        folder.clone_into(&mut self.source_folder);
        name.clone_into(&mut self.source_name);
    }
}

fn not_unpacked(error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::AlreadyExists {
        return Error::invalid_data("two members of the archive have names that differ only in case");
    }
    Error::limit_reached("the archive could not be unpacked into scratch space").caused_by(error)
}
