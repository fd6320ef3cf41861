//! Functions on geometries: WKB in OGC:CRS84, longitude first. Lengths are metres along the ellipsoid of WGS 84, areas
//! square metres on it; shapes are made as if degrees were a plane.

mod access;
mod arguments;
mod extent;
mod measure;
mod relate;
mod shape;
mod write;

use arguments::Arguments;
use arrow_array::ArrayRef;
use arrow_schema::{DataType, Field, FieldRef};
use datafusion::common::{ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    AggregateUDF, ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use ukimet_model::batch::geometry_field;

pub(crate) use arguments::{place_of_point, read};
pub(crate) use relate::{Relation, relation_of};

/// Every function on single geometries.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    let all = [access::FUNCTIONS, measure::FUNCTIONS, shape::FUNCTIONS, write::FUNCTIONS].concat();
    let relations = relate::Relation::all().map(|relation| Arc::new(ScalarUDF::from(relation)));
    all.into_iter().map(|outline| Arc::new(ScalarUDF::from(SpatialFunction::new(outline)))).chain(relations).collect()
}

/// Every function on many geometries.
pub(crate) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    vec![Arc::new(AggregateUDF::from(extent::Extent::new()))]
}

/// The bytes of a constant geometry.
pub(crate) fn wkb_of(value: &ScalarValue) -> Option<&[u8]> {
    match value {
        ScalarValue::Binary(Some(wkb)) | ScalarValue::BinaryView(Some(wkb)) | ScalarValue::LargeBinary(Some(wkb)) => {
            Some(wkb)
        }
        _ => None,
    }
}

/// What a function takes or gives.
#[derive(Clone, Copy)]
enum Kind {
    Geometry,
    Bytes,
    Text,
    Number,
    Count,
    Flag,
}

impl Kind {
    fn data_type(self) -> DataType {
        match self {
            Self::Geometry | Self::Bytes => DataType::Binary,
            Self::Text => DataType::Utf8,
            Self::Number => DataType::Float64,
            Self::Count => DataType::Int64,
            Self::Flag => DataType::Boolean,
        }
    }
}

/// What a function is called, takes, gives and does; without one of its arguments it gives nothing.
#[derive(Clone, Copy)]
struct Outline {
    name: &'static str,
    takes: &'static [Kind],
    gives: Kind,
    does: fn(&Arguments) -> ukimet_model::Result<ArrayRef>,
}

/// A function on single geometries.
struct SpatialFunction {
    outline: Outline,
    signature: Signature,
}

impl SpatialFunction {
    fn new(outline: Outline) -> Self {
        let takes = outline.takes.iter().map(|kind| kind.data_type()).collect();
        Self { outline, signature: Signature::exact(takes, Volatility::Immutable) }
    }
}

impl fmt::Debug for SpatialFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.outline.name)
    }
}

impl PartialEq for SpatialFunction {
    fn eq(&self, other: &Self) -> bool {
        self.outline.name == other.outline.name
    }
}

impl Eq for SpatialFunction {}

impl Hash for SpatialFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.outline.name.hash(state);
    }
}

impl ScalarUDFImpl for SpatialFunction {
    fn name(&self) -> &str {
        self.outline.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        internal_err!("what a function on geometries gives is a field")
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(match self.outline.gives {
            Kind::Geometry => geometry_field().with_name(self.outline.name),
            kind => Field::new(self.outline.name, kind.data_type(), true),
        }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        arguments::answer(args, self.outline.does)
    }
}
