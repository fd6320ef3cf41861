//! `GeoArrow`'s native encodings as WKB: nested lists of coordinates, in structs or interleaved.

use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, BinaryArray};
use arrow_schema::{DataType, Field};
use ukimet_model::wkb::GeometryType;
use ukimet_model::{Error, Result};

/// A native encoding and the dimensions of its coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Native {
    kind: GeometryType,
    has_z: bool,
    has_m: bool,
}

const KINDS: [(&str, GeometryType); 6] = [
    ("point", GeometryType::Point),
    ("linestring", GeometryType::LineString),
    ("polygon", GeometryType::Polygon),
    ("multipoint", GeometryType::MultiPoint),
    ("multilinestring", GeometryType::MultiLineString),
    ("multipolygon", GeometryType::MultiPolygon),
];

impl Native {
    /// The encoding of this name, without `geoarrow.`, if the column is laid out so.
    pub(crate) fn of(name: &str, column: &DataType) -> Option<Self> {
        let (_, kind) = KINDS.iter().find(|(known, _)| *known == name)?;
        let mut inside = column;
        for _ in 0..depth(*kind) {
            inside = list_item(inside)?.data_type();
        }
        let names: String = match inside {
            DataType::Struct(fields) if fields.iter().all(|field| field.data_type() == &DataType::Float64) => {
                fields.iter().map(|field| field.name().as_str()).collect()
            }
            DataType::FixedSizeList(field, size) if field.data_type() == &DataType::Float64 => match size {
                2 => "xy".to_owned(),
                3 if field.name() == "xym" => "xym".to_owned(),
                3 => "xyz".to_owned(),
                4 => "xyzm".to_owned(),
                _ => return None,
            },
            _ => return None,
        };
        let is_known = matches!(names.as_str(), "xy" | "xyz" | "xym" | "xyzm");
        is_known.then(|| Self { kind: *kind, has_z: names.contains('z'), has_m: names.contains('m') })
    }

    /// The column as ISO WKB.
    ///
    /// # Errors
    ///
    /// `InvalidData` if a coordinate is null.
    pub(crate) fn to_wkb(self, column: &ArrayRef) -> Result<BinaryArray> {
        let mut builder = BinaryBuilder::new();
        let mut bytes = Vec::new();
        for row in 0..column.len() {
            if column.is_null(row) {
                builder.append_null();
                continue;
            }
            bytes.clear();
            self.write(self.kind, column, row, &mut bytes)?;
            builder.append_value(&bytes);
        }
        Ok(builder.finish())
    }

    fn write(self, kind: GeometryType, column: &ArrayRef, row: usize, bytes: &mut Vec<u8>) -> Result<()> {
        let dimensions = if self.has_z { 1000 } else { 0 } + if self.has_m { 2000 } else { 0 };
        bytes.push(1);
        bytes.extend((kind as u32 + dimensions).to_le_bytes());
        let member = match kind {
            GeometryType::Point => return position(column, row, bytes),
            GeometryType::LineString => {
                return counted(column, row, bytes, &mut |items, i, bytes| position(items, i, bytes));
            }
            GeometryType::MultiPoint => GeometryType::Point,
            GeometryType::MultiLineString => GeometryType::LineString,
            GeometryType::MultiPolygon => GeometryType::Polygon,
            _ => {
                return counted(column, row, bytes, &mut |rings, i, bytes| {
                    counted(rings, i, bytes, &mut |items, i, bytes| position(items, i, bytes))
                });
            }
        };
        counted(column, row, bytes, &mut |items, i, bytes| self.write(member, items, i, bytes))
    }
}

fn depth(kind: GeometryType) -> usize {
    match kind {
        GeometryType::Point => 0,
        GeometryType::LineString | GeometryType::MultiPoint => 1,
        GeometryType::Polygon | GeometryType::MultiLineString => 2,
        _ => 3,
    }
}

fn list_item(data_type: &DataType) -> Option<&Field> {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) => Some(item),
        _ => None,
    }
}

type Write<'a> = dyn FnMut(&ArrayRef, usize, &mut Vec<u8>) -> Result<()> + 'a;

/// The items of one list after their number.
fn counted(column: &ArrayRef, row: usize, bytes: &mut Vec<u8>, write: &mut Write<'_>) -> Result<()> {
    let items = match column.data_type() {
        DataType::LargeList(_) => column.as_list::<i64>().value(row),
        _ => column.as_list::<i32>().value(row),
    };
    bytes.extend((items.len() as u32).to_le_bytes());
    (0..items.len()).try_for_each(|i| write(&items, i, bytes))
}

fn position(column: &ArrayRef, row: usize, bytes: &mut Vec<u8>) -> Result<()> {
    if column.is_null(row) {
        return Err(Error::invalid_data("a coordinate inside a geometry is null"));
    }
    if let Some(parts) = column.as_struct_opt() {
        for part in parts.columns() {
            bytes.extend(part.as_primitive::<Float64Type>().value(row).to_le_bytes());
        }
    } else {
        let values = column.as_fixed_size_list().value(row);
        for value in values.as_primitive::<Float64Type>().values() {
            bytes.extend(value.to_le_bytes());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Float64Array, StructArray};
    use std::sync::Arc;
    use ukimet_model::wkb::inspect;

    fn struct_points(names: &[&str]) -> ArrayRef {
        let column = |name: &&str| {
            let values: ArrayRef = Arc::new(Float64Array::from(vec![76.0, 77.0]));
            (Arc::new(Field::new(*name, DataType::Float64, false)), values)
        };
        Arc::new(StructArray::from(names.iter().map(column).collect::<Vec<_>>()))
    }

    #[test]
    fn points_and_lists_of_them_are_wkb_with_their_dimensions() {
        for names in [&["x", "y"][..], &["x", "y", "z"], &["x", "y", "m"]] {
            let points = struct_points(names);
            let native = Native::of("point", points.data_type()).expect("points");
            let wkb = native.to_wkb(&points).expect("WKB");
            let shape = inspect(wkb.value(1)).expect("a point");
            assert_eq!((shape.kind, shape.has_z, shape.has_m), (GeometryType::Point, native.has_z, native.has_m));
            assert_eq!(wkb.value(1).len(), 5 + 8 * names.len());
            let offsets = arrow_buffer::OffsetBuffer::from_lengths([2, 0]);
            let item = Arc::new(Field::new("vertices", points.data_type().clone(), false));
            let lines: ArrayRef = Arc::new(arrow_array::ListArray::new(item, offsets, points, None));
            let wkb = Native::of("linestring", lines.data_type()).expect("lines").to_wkb(&lines).expect("WKB");
            assert_eq!(inspect(wkb.value(0)).expect("a line").vertices, 2);
            assert!(Native::of("polygon", lines.data_type()).is_none());
        }
    }
}
