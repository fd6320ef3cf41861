//! The one normalized shape of rows that travels between crates.

use crate::crs::CRS84_PROJJSON;
use crate::error::{Error, Result, quoted};
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema};
use std::collections::HashMap;
use std::sync::Arc;

/// The name of the geometry column. It is the last one, or absent in a table without places.
pub const GEOMETRY_COLUMN: &str = "geometry";

/// Field metadata key under which the source's own column name is kept.
pub const SOURCE_NAME_KEY: &str = "ukimet:source_name";

/// Field metadata key of what the values of a column identify, e.g. `iin`.
pub const ROLE_KEY: &str = "ukimet:role";

/// Field metadata key of the unit of a column of numbers, as the source or a profile writes it, e.g. `га`.
pub const UNIT_KEY: &str = "ukimet:unit";

/// Rows in normalized form.
///
/// - Column names are unique, ASCII snake case, and carry the source's name under [`SOURCE_NAME_KEY`].
/// - Text is UTF-8 (`Utf8`); types are the ones [`is_published`] accepts.
/// - The geometry is the last column, [`GEOMETRY_COLUMN`], canonical WKB in OGC:CRS84, longitude first,
///   with `geoarrow.wkb` metadata; a table without places has no such column.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch(RecordBatch);

impl Batch {
    /// Checks the schema; the values are the normalizer's responsibility.
    ///
    /// # Errors
    ///
    /// `InvalidData` naming the column, what was expected and what was found.
    pub fn try_new(rows: RecordBatch) -> Result<Self> {
        check_schema(rows.schema_ref())?;
        Ok(Self(rows))
    }

    /// The rows.
    pub fn rows(&self) -> &RecordBatch {
        &self.0
    }

    /// The rows, given away.
    pub fn into_rows(self) -> RecordBatch {
        self.0
    }
}

/// Checks that a schema is one of normalized rows. Errors as [`Batch::try_new`].
pub fn check_schema(schema: &Schema) -> Result<()> {
    let mut names = std::collections::HashSet::new();
    let last = schema.fields().len().saturating_sub(1);
    for (i, field) in schema.fields().iter().enumerate() {
        let is_geometry = is_geometry(field);
        if !is_column_name(field.name()) || !names.insert(field.name()) {
            return Err(Error::invalid_data(format!(
                "a column name is unique ASCII snake case, found {}",
                quoted(field.name())
            )));
        }
        if (is_geometry || field.name() == GEOMETRY_COLUMN)
            && (!is_geometry || i != last || field.name() != GEOMETRY_COLUMN || field.data_type() != &DataType::Binary)
        {
            return Err(Error::invalid_data(format!(
                "the geometry is the last column, named {GEOMETRY_COLUMN}, binary geoarrow.wkb, found column {i} {} of type {}",
                quoted(field.name()),
                field.data_type()
            )));
        }
        if !is_published(field.data_type()) {
            return Err(Error::invalid_data(format!(
                "column {} has type {}, which is not one that is published",
                quoted(field.name()),
                field.data_type()
            )));
        }
    }
    Ok(())
}

fn is_column_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Whether a column of this Arrow type is published as it is.
pub fn is_published(data_type: &DataType) -> bool {
    use DataType as T;
    match data_type {
        T::Boolean
        | T::Int8
        | T::Int16
        | T::Int32
        | T::Int64
        | T::UInt8
        | T::UInt16
        | T::UInt32
        | T::UInt64
        | T::Float32
        | T::Float64
        | T::Decimal128(..)
        | T::Utf8
        | T::Binary
        | T::Date32
        | T::Time64(arrow_schema::TimeUnit::Microsecond)
        | T::Timestamp(arrow_schema::TimeUnit::Microsecond, _) => true,
        T::List(item) => is_published(item.data_type()),
        T::Struct(fields) => fields.iter().all(|f| is_published(f.data_type())),
        _ => false,
    }
}

/// The geometry column's field: WKB in OGC:CRS84 with `GeoArrow` metadata.
pub fn geometry_field() -> Field {
    Field::new(GEOMETRY_COLUMN, DataType::Binary, true).with_metadata(HashMap::from([
        ("ARROW:extension:name".to_owned(), "geoarrow.wkb".to_owned()),
        ("ARROW:extension:metadata".to_owned(), format!(r#"{{"crs":{CRS84_PROJJSON},"crs_type":"projjson"}}"#)),
    ]))
}

/// Whether a field holds `GeoArrow` WKB.
pub fn is_geometry(field: &Field) -> bool {
    field.metadata().get("ARROW:extension:name").is_some_and(|name| name == "geoarrow.wkb")
}

/// The geometry column's position, if there is one.
pub fn geometry_index(schema: &Schema) -> Option<usize> {
    let last = schema.fields().len().checked_sub(1)?;
    is_geometry(schema.field(last)).then_some(last)
}

/// The name of the column of boxes that a segment has behind these columns: `bbox`, longer by `_` while that is taken.
pub fn covering_name(schema: &Schema) -> String {
    let mut name = "bbox".to_owned();
    while schema.field_with_name(&name).is_ok() {
        name.push('_');
    }
    name
}

/// A published field with its source name kept.
pub fn attribute_field(name: &str, source_name: &str, data_type: DataType) -> Arc<Field> {
    let metadata = HashMap::from([(SOURCE_NAME_KEY.to_owned(), source_name.to_owned())]);
    Arc::new(Field::new(name, data_type, true).with_metadata(metadata))
}

/// The same field with a role and a unit, where there is one; what it had stays otherwise.
pub fn described_field(field: &Field, role: Option<&str>, unit: Option<&str>) -> Arc<Field> {
    let mut metadata = field.metadata().clone();
    for (key, text) in [(ROLE_KEY, role), (UNIT_KEY, unit)] {
        metadata.extend(text.map(|text| (key.to_owned(), text.to_owned())));
    }
    Arc::new(field.clone().with_metadata(metadata))
}

/// What the values of a column identify, if anyone said.
pub fn role(field: &Field) -> Option<&str> {
    field.metadata().get(ROLE_KEY).map(String::as_str)
}

/// The unit of a column of numbers, if anyone said.
pub fn unit(field: &Field) -> Option<&str> {
    field.metadata().get(UNIT_KEY).map(String::as_str)
}

/// The name of a column in its source, which is the published name if none was kept.
pub fn source_name(field: &Field) -> &str {
    field.metadata().get(SOURCE_NAME_KEY).map_or(field.name(), String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fields: Vec<Field>) -> Result<()> {
        check_schema(&Schema::new(fields))
    }

    #[test]
    fn a_schema_has_plain_unique_names_and_the_geometry_last() {
        let name = || Field::new("name", DataType::Utf8, true);
        assert!(check(vec![name(), geometry_field()]).is_ok());
        assert!(check(vec![name()]).is_ok());
        assert!(check(vec![geometry_field(), name()]).is_err());
        assert!(check(vec![name(), name()]).is_err());
        assert!(check(vec![Field::new("Имя", DataType::Utf8, true)]).is_err());
        assert!(check(vec![Field::new(GEOMETRY_COLUMN, DataType::Binary, true)]).is_err());
        assert!(check(vec![Field::new("name", DataType::LargeUtf8, true)]).is_err());
    }

    #[test]
    fn the_crs_in_the_metadata_is_json() {
        let field = geometry_field();
        let metadata: serde_json::Value =
            serde_json::from_str(&field.metadata()["ARROW:extension:metadata"]).expect("JSON");
        assert_eq!(metadata["crs"]["id"]["code"], "CRS84");
    }
}
