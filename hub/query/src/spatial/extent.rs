//! `ST_Extent`: the box around many geometries.

use super::arguments::write;
use super::shape::box_of;
use crate::refusal::passed_on;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};
use geo_types::{Coord, Rect};
use std::sync::Arc;
use ukimet_model::Error;
use ukimet_model::batch::geometry_field;

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Extent {
    signature: Signature,
}

impl Extent {
    pub(super) fn new() -> Self {
        Self { signature: Signature::exact(vec![DataType::Binary], Volatility::Immutable) }
    }
}

/// The four sides, as a state has them.
const SIDES: [&str; 4] = ["west", "south", "east", "north"];

impl AggregateUDFImpl for Extent {
    fn name(&self) -> &'static str {
        "st_extent"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn return_field(&self, _: &[FieldRef]) -> Result<FieldRef> {
        Ok(Arc::new(geometry_field().with_name(self.name())))
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Sides { bounds: None }))
    }

    fn state_fields(&self, _: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(SIDES.map(|side| Arc::new(Field::new(side, DataType::Float64, true))).to_vec())
    }
}

/// The box around what came so far.
#[derive(Debug)]
struct Sides {
    bounds: Option<[f64; 4]>,
}

impl Sides {
    fn add(&mut self, more: [f64; 4]) {
        let [west, south, east, north] = self.bounds.unwrap_or(more);
        self.bounds = Some([west.min(more[0]), south.min(more[1]), east.max(more[2]), north.max(more[3])]);
    }
}

impl Accumulator for Sides {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for wkb in values[0].as_binary::<i32>().iter().flatten() {
            let shape = ukimet_model::wkb::inspect(wkb).map_err(|error| {
                passed_on(Error::invalid_request("ST_Extent was given bytes that are no WKB").caused_by(error))
            })?;
            if let Some(bounds) = shape.bounds {
                self.add(bounds);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let Some([west, south, east, north]) = self.bounds else { return Ok(ScalarValue::Binary(None)) };
        let bounds = Rect::new(Coord { x: west, y: south }, Coord { x: east, y: north });
        write(&box_of(bounds)).map(|wkb| ScalarValue::Binary(Some(wkb))).map_err(passed_on)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let side = |side: usize| ScalarValue::Float64(self.bounds.map(|bounds| bounds[side]));
        Ok((0..SIDES.len()).map(side).collect())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let sides: Vec<_> = states.iter().map(AsArray::as_primitive::<Float64Type>).collect();
        for row in (0..sides[0].len()).filter(|row| sides[0].is_valid(*row)) {
            self.add([0, 1, 2, 3].map(|side: usize| sides[side].value(row)));
        }
        Ok(())
    }
}
