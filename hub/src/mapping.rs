//! The mapping in force for a push, and the tables that values are looked up in and compared with.

use crate::registers::Register;
use crate::staging::PushHeader;
use arrow_array::RecordBatch;
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema};
use std::collections::BTreeMap;
use std::sync::Arc;
use ukimet_catalog::Snapshot;
use ukimet_model::error::quoted;
use ukimet_model::{
    DatasetId, Error, ErrorKind, LayerSelection, Mapping, MappingChange, Result, RowQuery, VersionNumber,
};
use ukimet_proto::{ipc, v1};

/// The mapping of one push, with everything it needs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MappingInForce {
    /// The file, if there is a mapping.
    pub text: Option<String>,
    /// Whether it becomes the dataset's.
    pub change: MappingChange,
    /// The tables that it looks values up in, and the register if there is one.
    pub references: Vec<v1::ReferenceTable>,
    /// Their versions.
    pub versions: BTreeMap<DatasetId, VersionNumber>,
    /// The register of KATO, if one is configured.
    pub register: Option<Register>,
}

impl MappingInForce {
    /// The push's own mapping, else the dataset's as of the snapshot; a push of all layers has none.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if the mapping is not right, or looks values up in a dataset or column that is not there;
    /// `LimitReached` if a looked-up table has more than `bytes_max` bytes.
    pub fn of(header: &PushHeader, snapshot: &Snapshot, bytes_max: usize) -> Result<Self> {
        let (text, change) = match &header.mapping {
            Some(text) => (Some(text.clone()).filter(|text| !text.trim().is_empty()), MappingChange::Set),
            None if header.layers == LayerSelection::All => (None, MappingChange::Keep),
            None => (dataset_mapping(header, snapshot)?, MappingChange::Keep),
        };
        Ok(Self { change, ..Self::with(text.as_deref(), snapshot, bytes_max)? })
    }

    /// The same with the register among its tables.
    #[must_use]
    pub fn with_register(mut self, register: Option<Register>) -> Self {
        if let Some(Register { dataset, table: Ok((version, table)) }) = &register {
            self.references.push(table.clone());
            self.versions.insert(dataset.clone(), *version);
        }
        Self { register, ..self }
    }

    /// A mapping that changes nothing for later pushes. Errors as [`MappingInForce::of`].
    pub fn with(text: Option<&str>, snapshot: &Snapshot, bytes_max: usize) -> Result<Self> {
        let mut in_force = Self::default();
        if let Some(text) = text {
            let mapping = Mapping::parse(text)?;
            for (dataset, columns) in tables(&mapping) {
                let (table, version) = table(snapshot, dataset, &columns, bytes_max, |_| Ok(()))
                    .map_err(|error| error.context(format_args!("the mapping looks values up in {dataset}")))?;
                in_force.references.push(table);
                in_force.versions.insert(dataset.clone(), version);
            }
            in_force.text = Some(text.to_owned());
        }
        Ok(in_force)
    }
}

fn dataset_mapping(header: &PushHeader, snapshot: &Snapshot) -> Result<Option<String>> {
    match snapshot.dataset(&header.dataset) {
        Ok((dataset, _)) => Ok(dataset.mapping),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Each looked-up dataset once, with the columns that are needed of it.
fn tables(mapping: &Mapping) -> BTreeMap<&DatasetId, Vec<&str>> {
    let mut tables: BTreeMap<&DatasetId, Vec<&str>> = BTreeMap::new();
    for (dataset, key, value) in mapping.lookups() {
        let columns = tables.entry(dataset).or_default();
        for column in [key, value] {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
    }
    tables
}

/// Columns of a dataset's newest version, as text; `check` looks at every batch.
///
/// # Errors
///
/// `InvalidRequest` if the dataset, a column or rows are not there, `LimitReached` above `bytes_max` bytes, what `check`
/// says.
pub(crate) fn table(
    snapshot: &Snapshot,
    id: &DatasetId,
    columns: &[&str],
    bytes_max: usize,
    check: impl Fn(&RecordBatch) -> Result<()>,
) -> Result<(v1::ReferenceTable, VersionNumber)> {
    let wrong = |error: Error| match error.kind() {
        ErrorKind::NotFound => Error::invalid_request(error.to_string()),
        _ => error,
    };
    let (dataset, version) = snapshot.dataset(id).map_err(wrong)?;
    let columns = columns.iter().map(|&name| name.to_owned()).collect();
    let query = RowQuery { columns: Some(columns), ..RowQuery::default() };
    let scan = snapshot.scan(&dataset, &version, &query, 0..version.segments.len())?;
    let (mut table, mut size) = (v1::ReferenceTable { dataset: id.to_string(), ..Default::default() }, 0);
    for rows in scan {
        let rows = as_text(&rows?)?;
        check(&rows)?;
        if table.schema.is_empty() {
            table.schema = ipc::encode_schema(rows.schema_ref())?;
        }
        let batch = ipc::encode_batch(&rows)?;
        size += batch.len();
        if size > bytes_max {
            return Err(Error::limit_reached(format!(
                "a table to look values up in has at most {bytes_max} bytes, found more in {version}",
                version = version.number
            )));
        }
        table.batches.push(batch);
    }
    if table.batches.is_empty() {
        return Err(Error::invalid_request(format!("{} has no rows", version.number)));
    }
    Ok((table, version.number))
}

fn as_text(rows: &RecordBatch) -> Result<RecordBatch> {
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        let text = cast(column, &DataType::Utf8).map_err(|error| {
            Error::invalid_request(format!("column {} cannot be shown as text", quoted(field.name()))).caused_by(error)
        })?;
        fields.push(Field::new(field.name(), DataType::Utf8, true));
        columns.push(text);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .map_err(|error| Error::internal("columns of text do not fit their schema").caused_by(error))
}
