//! Mapbox Vector Tiles, versions 1 and 2: layers, features, and values by key.

use crate::protobuf::{Fields, Value, take_number};
use ukimet_model::{Error, Result};

/// Units along the edge of a tile that says nothing.
const EXTENT: u64 = 4_096;

/// A layer of a tile.
#[derive(Clone, Debug)]
pub(super) struct TileLayer<'a> {
    /// Its name.
    pub(super) name: String,
    /// Units along the edge of the tile.
    pub(super) extent: u64,
    /// Its features, still packed.
    pub(super) features: Vec<&'a [u8]>,
    /// Names of attributes.
    pub(super) keys: Vec<String>,
    /// Values of attributes.
    pub(super) values: Vec<TileValue>,
}

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TileValue {
    Text(String),
    Integer(i64),
    Number(f64),
    Truth(bool),
}

impl TileValue {
    /// The value as text.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Integer(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Truth(truth) => truth.to_string(),
        }
    }
}

/// A feature of a layer.
#[derive(Clone, Debug, Default)]
pub(super) struct TileFeature {
    /// Its number, where it has one.
    pub(super) id: Option<u64>,
    /// Its attributes: positions of keys and values.
    pub(super) tags: Vec<(usize, usize)>,
    /// 1 for points, 2 for lines, 3 for polygons.
    pub(super) kind: u64,
    /// The commands that draw it.
    pub(super) commands: Vec<u64>,
}

/// The layers of a tile.
///
/// # Errors
///
/// `DataLoss` if the tile is cut, `InvalidData` if it is none.
pub(super) fn layers(tile: &[u8]) -> Result<Vec<TileLayer<'_>>> {
    let mut layers = Vec::new();
    for field in Fields::of(tile) {
        if let (3, Value::Bytes(bytes)) = field? {
            layers.push(layer(bytes)?);
        }
    }
    Ok(layers)
}

fn layer(bytes: &[u8]) -> Result<TileLayer<'_>> {
    let mut layer =
        TileLayer { name: String::new(), extent: EXTENT, features: Vec::new(), keys: Vec::new(), values: Vec::new() };
    for field in Fields::of(bytes) {
        match field? {
            (1, Value::Bytes(name)) => layer.name = text(name)?,
            (2, Value::Bytes(feature)) => layer.features.push(feature),
            (3, Value::Bytes(key)) => layer.keys.push(text(key)?),
            (4, Value::Bytes(value)) => layer.values.push(self::value(value)?),
            (5, Value::Number(extent)) => layer.extent = extent,
            (15, Value::Number(version)) if !(1..=2).contains(&version) => {
                return Err(Error::invalid_data(format!(
                    "a vector tile of version 1 or 2 was expected, found {version}"
                )));
            }
            _ => (),
        }
    }
    if layer.name.is_empty() || !(1..=1 << 24).contains(&layer.extent) {
        return Err(Error::invalid_data("a layer of a vector tile has a name and an extent, found one without"));
    }
    Ok(layer)
}

fn text(bytes: &[u8]) -> Result<String> {
    let text = std::str::from_utf8(bytes);
    text.map(str::to_owned).map_err(|error| Error::invalid_data("text in a vector tile is UTF-8").caused_by(error))
}

fn value(bytes: &[u8]) -> Result<TileValue> {
    let mut found = None;
    for field in Fields::of(bytes) {
        found = Some(match field? {
            (1, Value::Bytes(bytes)) => TileValue::Text(text(bytes)?),
            (2, Value::Fixed32(bytes)) => TileValue::Number(f64::from(f32::from_le_bytes(bytes))),
            (3, Value::Fixed64(bytes)) => TileValue::Number(f64::from_le_bytes(bytes)),
            (4, Value::Number(number)) => TileValue::Integer(number as i64),
            // What no signed number holds stays exact as text.
            (5, Value::Number(number)) => {
                i64::try_from(number).map_or_else(|_| TileValue::Text(number.to_string()), TileValue::Integer)
            }
            (6, Value::Number(number)) => TileValue::Integer(signed(number)),
            (7, Value::Number(number)) => TileValue::Truth(number != 0),
            _ => continue,
        });
    }
    found.ok_or_else(|| Error::invalid_data("a value in a vector tile has a type, found none"))
}

/// A number whose sign is its last bit.
pub(super) fn signed(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

impl TileLayer<'_> {
    /// Unpacks a feature; its attributes are those of the layer.
    pub(super) fn feature(&self, bytes: &[u8]) -> Result<TileFeature> {
        let mut feature = TileFeature::default();
        for field in Fields::of(bytes) {
            match field? {
                (1, Value::Number(id)) => feature.id = Some(id),
                (2, Value::Bytes(packed)) => {
                    let tags = numbers(packed)?;
                    let pairs = tags.chunks_exact(2).map(|pair| (pair[0] as usize, pair[1] as usize));
                    feature.tags = pairs.collect();
                    let fits = feature.tags.iter().all(|(k, v)| *k < self.keys.len() && *v < self.values.len());
                    if !fits || tags.len() % 2 != 0 {
                        return Err(Error::invalid_data(
                            "a feature of a vector tile names an attribute that is not there",
                        ));
                    }
                }
                (3, Value::Number(kind)) => feature.kind = kind,
                (4, Value::Bytes(packed)) => feature.commands = numbers(packed)?,
                _ => (),
            }
        }
        Ok(feature)
    }
}

fn numbers(mut packed: &[u8]) -> Result<Vec<u64>> {
    let mut numbers = Vec::with_capacity(packed.len());
    while !packed.is_empty() {
        let number = take_number(&mut packed);
        numbers.push(number.ok_or_else(|| Error::data_loss("a feature of a vector tile is cut"))?);
    }
    Ok(numbers)
}
