//! Which members of an archive are one dataset.

use super::Archive;
use super::members::Member;
use crate::formats;
use std::collections::BTreeMap;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// The files of one dataset, as positions among the members.
pub(super) struct Group {
    pub(super) main: Option<usize>,
    pub(super) members: Vec<usize>,
    pub(super) source_name: String,
    pub(super) source_folder: String,
    pub(super) is_geodatabase: bool,
    /// Whether it is an archive, which is no dataset itself.
    pub(super) is_archive: bool,
}

impl Group {
    fn new(is_geodatabase: bool) -> Self {
        Self {
            main: None,
            members: Vec::new(),
            source_name: String::new(),
            source_folder: String::new(),
            is_geodatabase,
            is_archive: false,
        }
    }

    fn of_archive(index: usize, member: &Member) -> Self {
        let mut group = Self { main: Some(index), members: vec![index], is_archive: true, ..Self::new(false) };
        group.name_after(&member.name);
        group
    }

    /// Takes name and folder from a path in the archive.
    fn name_after(&mut self, path: &str) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        folder.clone_into(&mut self.source_folder);
        name.clone_into(&mut self.source_name);
    }
}

impl Archive {
    /// Members by dataset: a File Geodatabase is a folder, anything else the files of one name in one folder.
    pub(super) fn groups(&self) -> Result<BTreeMap<String, Group>> {
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for (index, member) in self.members.iter().enumerate() {
            if member.is_archive() {
                groups.insert(member.name.to_lowercase(), Group::of_archive(index, member));
                continue;
            }
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
        for group in groups.values_mut().filter(|group| !group.is_geodatabase && !group.is_archive) {
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
            return Err(Error::invalid_data("an archive with at least one dataset was expected, found none"));
        }
        for group in groups.values().filter(|group| !group.is_archive) {
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
}
