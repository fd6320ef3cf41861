//! Geometries as text and bytes.

use super::arguments::Arguments;
use super::{Kind, Outline};
use arrow_array::{ArrayRef, BinaryArray, StringArray};
use geozero::wkb::Wkb;
use geozero::{ToJson, ToWkt};
use std::sync::Arc;
use ukimet_model::{Error, Result};

pub(super) const FUNCTIONS: &[Outline] = &[
    Outline { name: "st_astext", takes: &[Kind::Geometry], gives: Kind::Text, does: text },
    Outline { name: "st_asgeojson", takes: &[Kind::Geometry], gives: Kind::Text, does: json },
    Outline { name: "st_asbinary", takes: &[Kind::Geometry], gives: Kind::Bytes, does: bytes },
];

/// Bytes that a library may read whatever they say: neither deep nor longer than they are.
fn checked(wkb: &[u8]) -> Result<Wkb<&[u8]>> {
    let none =
        |error| Error::invalid_request("a function on geometries was given bytes that are no WKB").caused_by(error);
    ukimet_model::wkb::inspect(wkb).map_err(none)?;
    Ok(Wkb(wkb))
}

fn failed(error: geozero::error::GeozeroError) -> Error {
    Error::invalid_request("a geometry cannot be written as text").caused_by(error)
}

fn text(arguments: &Arguments) -> Result<ArrayRef> {
    let write = |wkb: &[u8]| checked(wkb)?.to_wkt().map(Some).map_err(failed);
    Ok(Arc::new(arguments.each::<_, StringArray>(write)?))
}

fn json(arguments: &Arguments) -> Result<ArrayRef> {
    let write = |wkb: &[u8]| checked(wkb)?.to_json().map(Some).map_err(failed);
    Ok(Arc::new(arguments.each::<_, StringArray>(write)?))
}

fn bytes(arguments: &Arguments) -> Result<ArrayRef> {
    Ok(Arc::new(arguments.each::<_, BinaryArray>(|wkb| Ok(Some(wkb.to_vec())))?))
}
