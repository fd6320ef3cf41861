//! What a version is to Delta, and the entry that leads to it from the version before.

use crate::action::{Action, Add, CommitInfo, DeletionVector, Format, MetaData, Protocol, Remove};
use crate::files::DatasetFiles;
use crate::log::DeletedRows;
use crate::schema::TableSchema;
use crate::stats::file_stats;
use crate::vector::deletion_vector;
use serde::Deserialize;
use std::collections::BTreeMap;
use ukimet_model::{Result, SegmentRef, SnapshotId, Version, VersionNumber};

/// The folder of files that were written again without their deleted rows.
pub(crate) const REWRITTEN: &str = "_rewritten";
/// Changes when the same versions give another log: a log with another number is built anew.
const LOG_FORMAT: u32 = 1;
const VECTORS_FEATURE: &str = "deletionVectors";

/// A version as a table.
pub(crate) struct TableVersion<'a> {
    files: &'a dyn DatasetFiles,
    version: &'a Version,
    deleted_rows: DeletedRows,
    schema: TableSchema,
    last_erasure: Option<SnapshotId>,
}

impl<'a> TableVersion<'a> {
    pub(crate) fn of(files: &'a dyn DatasetFiles, version: &'a Version, deleted_rows: DeletedRows) -> Result<Self> {
        let schema = TableSchema::of(&*files.schema(version)?)?;
        Ok(Self { files, version, deleted_rows, schema, last_erasure: files.last_erasure()? })
    }

    /// The entry of the table before its first version, which this is.
    pub(crate) fn creation(&self) -> Result<Vec<Action>> {
        let info = self.commit_info("CREATE TABLE", VersionNumber(0));
        Ok(vec![info, Action::Protocol(self.protocol()), Action::MetaData(self.metadata()?)])
    }

    /// The entry of this version after another, or after nothing that is known.
    pub(crate) fn entry_after(&self, before: Option<&TableVersion<'_>>) -> Result<Vec<Action>> {
        let mut actions = vec![self.commit_info("WRITE", self.version.number)];
        let (protocol, metadata) = (self.protocol(), self.metadata()?);
        // The first version's are in the entry of the creation.
        let is_told = self.version.number.0 == 1;
        if !is_told && before.is_none_or(|before| before.protocol() != protocol) {
            actions.push(Action::Protocol(protocol));
        }
        if !is_told && before.map(TableVersion::metadata).transpose()?.as_ref() != Some(&metadata) {
            actions.push(Action::MetaData(metadata));
        }
        let old: Vec<_> = before.into_iter().flat_map(TableVersion::segments).collect();
        let new: Vec<_> = self.segments().collect();
        let is_in = |segments: &[&SegmentRef], one: &SegmentRef| segments.iter().any(|other| is_same(other, one));
        for gone in old.iter().filter(|segment| !is_in(&new, segment)) {
            actions.push(Action::Remove(self.remove(gone)?));
        }
        for come in new.iter().filter(|segment| !is_in(&old, segment)) {
            actions.push(Action::Add(self.add(come, true)?));
        }
        Ok(actions)
    }

    /// All that a checkpoint of this version holds.
    pub(crate) fn state(&self) -> Result<Vec<Action>> {
        let mut actions = vec![Action::Protocol(self.protocol()), Action::MetaData(self.metadata()?)];
        for segment in self.segments() {
            actions.push(Action::Add(self.add(segment, false)?));
        }
        Ok(actions)
    }

    /// Files of the version that were written again.
    pub(crate) fn rewritten(&self) -> impl Iterator<Item = String> {
        self.segments().filter_map(|segment| self.rewritten_path(segment))
    }

    fn segments(&self) -> impl Iterator<Item = &SegmentRef> {
        // A segment without rows only holds the schema of a version without any.
        self.version.segments.iter().filter(|segment| segment.live_rows() > 0)
    }

    fn commit_info(&self, operation: &'static str, number: VersionNumber) -> Action {
        let parameters = [("version", number.to_string()), ("snapshot", self.version.snapshot.to_string())];
        Action::CommitInfo(CommitInfo {
            timestamp: self.version.committed.as_millisecond(),
            operation,
            operation_parameters: parameters.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            engine_info: "ukimet-hub",
            ukimet_marker: Marker::text(self.version, number, self.deleted_rows, self.last_erasure),
        })
    }

    fn protocol(&self) -> Protocol {
        let mut features = self.schema.reader_features.clone();
        if self.segments().any(|segment| self.has_vector(segment)) {
            features.push(VECTORS_FEATURE);
        }
        Protocol::new(features)
    }

    fn metadata(&self) -> Result<MetaData> {
        let dataset = self.files.dataset(self.version)?;
        let mut configuration = BTreeMap::from([("ukimet.dataset".to_owned(), dataset.id.to_string())]);
        if !self.schema.left_out.is_empty() {
            configuration.insert("ukimet.columnsLeftOut".to_owned(), self.schema.left_out.join(","));
        }
        Ok(MetaData {
            id: dataset.uuid.to_string(),
            name: dataset.id.to_string(),
            description: dataset.metadata.title_in(&["kk", "ru", "en"]).map(str::to_owned),
            format: Format { provider: "parquet", options: BTreeMap::new() },
            schema_string: self.schema.text.clone(),
            partition_columns: [],
            configuration,
            created_time: dataset.created.as_millisecond(),
        })
    }

    fn has_vector(&self, segment: &SegmentRef) -> bool {
        segment.deletes.is_some() && self.deleted_rows == DeletedRows::Vectors
    }

    fn rewritten_path(&self, segment: &SegmentRef) -> Option<String> {
        let deletes = segment.deletes.filter(|_| self.deleted_rows == DeletedRows::Rewritten)?;
        Some(format!("{REWRITTEN}/{}-{}.parquet", segment.parquet, deletes.sha256))
    }

    fn path(&self, segment: &SegmentRef) -> String {
        self.rewritten_path(segment).unwrap_or_else(|| format!("{}.parquet", segment.parquet))
    }

    fn vector(&self, segment: &SegmentRef) -> Result<Option<DeletionVector>> {
        if !self.has_vector(segment) {
            return Ok(None);
        }
        self.files.deleted_rows(segment).and_then(|rows| deletion_vector(&rows)).map(Some)
    }

    fn add(&self, segment: &SegmentRef, data_change: bool) -> Result<Add> {
        let file = match self.rewritten_path(segment) {
            Some(path) => self.files.put_live_rows(segment, &path)?,
            None => self.files.segment(segment)?,
        };
        let deletion_vector = self.vector(segment)?;
        Ok(Add {
            path: self.path(segment),
            partition_values: BTreeMap::new(),
            size: file.size_bytes,
            modification_time: self.version.committed.as_millisecond(),
            data_change,
            stats: file_stats(&file.footer, &self.schema, deletion_vector.is_some())?,
            deletion_vector,
        })
    }

    fn remove(&self, segment: &SegmentRef) -> Result<Remove> {
        Ok(Remove {
            path: self.path(segment),
            deletion_timestamp: self.version.committed.as_millisecond(),
            data_change: true,
            deletion_vector: self.vector(segment)?,
        })
    }
}

/// Whether two versions have the same rows of the same file.
fn is_same(a: &SegmentRef, b: &SegmentRef) -> bool {
    let deleted = |segment: &SegmentRef| segment.deletes.map(|deletes| deletes.sha256);
    a.parquet == b.parquet && deleted(a) == deleted(b)
}

/// By what an entry is known to be that of a version: its number, its content, how the log was made, and where the rows lie
/// if not in the files that the version was published with.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Marker {
    ukimet_marker: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FirstLine {
    commit_info: Option<Marker>,
}

impl Marker {
    fn text(
        version: &Version,
        number: VersionNumber,
        deleted_rows: DeletedRows,
        last_erasure: Option<SnapshotId>,
    ) -> String {
        let layout = version.layout.map_or_else(String::new, |layout| format!(" {layout}"));
        let erased = last_erasure.map_or_else(String::new, |snapshot| format!(" erased {snapshot}"));
        format!("{LOG_FORMAT} {number} {} {}{layout}{erased}", version.root_hash, deleted_rows.name())
    }

    /// Whether the bytes are the entry of a version. Anybody may have written them.
    pub(crate) fn is_of(
        entry: &[u8],
        version: &Version,
        deleted_rows: DeletedRows,
        last_erasure: Option<SnapshotId>,
    ) -> bool {
        let line = entry.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let found = serde_json::from_slice::<FirstLine>(line).ok().and_then(|line| line.commit_info?.ukimet_marker);
        found == Some(Self::text(version, version.number, deleted_rows, last_erasure))
    }
}
