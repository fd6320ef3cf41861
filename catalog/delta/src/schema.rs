//! The columns of a table as Delta names them.

use arrow_schema::{DataType, Field, FieldRef, Schema, TimeUnit};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use ukimet_model::batch::{SOURCE_NAME_KEY, covering_name, geometry_index, is_geometry};
use ukimet_model::{Error, Result};

/// The sides of a box, in the order of its column.
pub(crate) const SIDES: [&str; 4] = ["xmin", "ymin", "xmax", "ymax"];

/// What readers must know besides the plain protocol to read times without a zone.
const NTZ_FEATURE: &str = "timestampNtz";

/// What is said of the geometry.
const GEOMETRY_COMMENT: &str = "WKB in OGC:CRS84, longitude first";

/// A table's columns.
pub(crate) struct TableSchema {
    /// As JSON text.
    pub(crate) text: String,
    /// The published columns that the table has.
    pub(crate) columns: Vec<FieldRef>,
    /// The column of boxes, if there are places.
    pub(crate) covering: Option<String>,
    /// Columns that Delta has no type for. They are in the files and not in the table.
    pub(crate) left_out: Vec<String>,
    /// What readers must know to read the columns.
    pub(crate) reader_features: Vec<&'static str>,
}

#[derive(Serialize)]
struct DeltaField {
    name: String,
    #[serde(rename = "type")]
    data_type: DeltaType,
    nullable: bool,
    metadata: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum DeltaType {
    Plain(String),
    Array {
        #[serde(rename = "type")]
        kind: &'static str,
        #[serde(rename = "elementType")]
        element: Box<DeltaType>,
        #[serde(rename = "containsNull")]
        contains_null: bool,
    },
    Struct(DeltaStruct),
}

#[derive(Serialize)]
struct DeltaStruct {
    #[serde(rename = "type")]
    kind: &'static str,
    fields: Vec<DeltaField>,
}

impl TableSchema {
    /// The published columns, and the boxes if there are places.
    pub(crate) fn of(published: &Schema) -> Result<Self> {
        let (mut fields, mut columns, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
        for field in published.fields() {
            if let Some(data_type) = delta_type(field.data_type()) {
                fields.push(delta_field(field, data_type));
                columns.push(Arc::clone(field));
            } else {
                left_out.push(field.name().clone());
            }
        }
        let covering = geometry_index(published).map(|_| covering_name(published));
        if let Some(name) = covering.clone() {
            let sides = SIDES.map(|side| delta_field(&Field::new(side, DataType::Float32, false), plain("float")));
            let boxes = DeltaType::Struct(DeltaStruct { kind: "struct", fields: sides.into() });
            fields.push(DeltaField { name, data_type: boxes, nullable: true, metadata: BTreeMap::new() });
        }
        let text = serde_json::to_string(&DeltaStruct { kind: "struct", fields })
            .map_err(|e| Error::internal("writing the schema of a Delta table").caused_by(e))?;
        let has_ntz = columns.iter().any(|field| has_ntz(field.data_type()));
        let reader_features = if has_ntz { vec![NTZ_FEATURE] } else { Vec::new() };
        Ok(Self { text, columns, covering, left_out, reader_features })
    }
}

fn plain(name: &str) -> DeltaType {
    DeltaType::Plain(name.to_owned())
}

fn delta_field(field: &Field, data_type: DeltaType) -> DeltaField {
    let mut metadata: BTreeMap<_, _> = field.metadata().iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    let source_name = metadata.get(SOURCE_NAME_KEY).filter(|name| *name != field.name()).cloned();
    let comment = if is_geometry(field) { Some(GEOMETRY_COMMENT.to_owned()) } else { source_name };
    // What engines show beside a column.
    metadata.extend(comment.map(|comment| ("comment".to_owned(), comment)));
    DeltaField { name: field.name().clone(), data_type, nullable: field.is_nullable(), metadata }
}

/// The type that holds every value; `None` if there is none. Delta has no numbers without a sign and no times of day.
fn delta_type(data_type: &DataType) -> Option<DeltaType> {
    let name = match data_type {
        DataType::Boolean => "boolean",
        DataType::Int8 => "byte",
        DataType::Int16 | DataType::UInt8 => "short",
        DataType::Int32 | DataType::UInt16 => "integer",
        DataType::Int64 | DataType::UInt32 => "long",
        DataType::Float32 => "float",
        DataType::Float64 => "double",
        DataType::Utf8 => "string",
        DataType::Binary => "binary",
        DataType::Date32 => "date",
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "timestamp",
        DataType::Timestamp(TimeUnit::Microsecond, None) => "timestamp_ntz",
        DataType::Decimal128(digits, scale) if (0..=digits.cast_signed()).contains(scale) => {
            return Some(DeltaType::Plain(format!("decimal({digits},{scale})")));
        }
        DataType::List(item) => {
            let element = Box::new(delta_type(item.data_type())?);
            return Some(DeltaType::Array { kind: "array", element, contains_null: item.is_nullable() });
        }
        DataType::Struct(fields) => {
            let field = |field: &Field| delta_type(field.data_type()).map(|data_type| delta_field(field, data_type));
            let fields = fields.iter().map(|f| field(f)).collect::<Option<_>>()?;
            return Some(DeltaType::Struct(DeltaStruct { kind: "struct", fields }));
        }
        _ => return None,
    };
    Some(plain(name))
}

fn has_ntz(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(_, None) => true,
        DataType::List(item) => has_ntz(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_ntz(field.data_type())),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use ukimet_model::batch::{attribute_field, geometry_field};

    #[test]
    fn what_delta_has_no_type_for_is_left_out_and_told() {
        let times = DataType::List(Field::new_list_field(DataType::Time64(TimeUnit::Microsecond), true).into());
        let schema = Schema::new(vec![
            attribute_field("code", "Код", DataType::Utf8),
            attribute_field("opens", "opens", DataType::Time64(TimeUnit::Microsecond)),
            attribute_field("visits", "visits", times),
            attribute_field("large", "large", DataType::UInt64),
            attribute_field("seen", "seen", DataType::Timestamp(TimeUnit::Microsecond, None)),
            attribute_field("bbox", "bbox", DataType::Decimal128(10, 2)),
            geometry_field().into(),
        ]);
        let found = TableSchema::of(&schema).expect("a schema");
        assert_eq!(found.left_out, ["opens", "visits", "large"]);
        assert_eq!(found.reader_features, [NTZ_FEATURE]);
        let text: Value = serde_json::from_str(&found.text).expect("JSON");
        let types: Vec<_> =
            text["fields"].as_array().expect("a list").iter().map(|f| (&f["name"], &f["type"])).collect();
        assert_eq!(types[0], (&"code".into(), &"string".into()));
        assert_eq!(types[2], (&"bbox".into(), &"decimal(10,2)".into()));
        assert_eq!((types[3], types[4].0), ((&"geometry".into(), &"binary".into()), &"bbox_".into()));
        assert_eq!(text["fields"][0]["metadata"]["comment"], "Код");
        assert_eq!(text["fields"][3]["metadata"]["comment"], GEOMETRY_COMMENT);
        assert_eq!(text["fields"][3]["metadata"]["ARROW:extension:name"], "geoarrow.wkb");
        assert_eq!(text["fields"][4]["type"]["fields"][0]["type"], "float");
    }
}
