//! A topology, and its objects with their arcs put in place.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt::{self, Write};
use ukimet_model::{Error, Result};

/// A topology as it is written.
#[derive(Deserialize)]
pub(super) struct Topology<'a> {
    arcs: Vec<Vec<Vec<f64>>>,
    transform: Option<Transform>,
    #[serde(borrow, deserialize_with = "in_order")]
    pub(super) objects: Vec<(String, Geometry<'a>)>,
    #[serde(borrow)]
    pub(super) crs: Option<&'a RawValue>,
}

/// How whole numbers become coordinates.
#[derive(Clone, Copy, Deserialize)]
struct Transform {
    scale: [f64; 2],
    translate: [f64; 2],
}

/// An object, or a geometry in one.
#[derive(Deserialize)]
pub(super) struct Geometry<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    properties: Option<&'a RawValue>,
    arcs: Option<Value>,
    coordinates: Option<Value>,
    #[serde(borrow)]
    geometries: Option<Vec<Geometry<'a>>>,
}

/// The members of a map in the order of the file.
fn in_order<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<(String, Geometry<'de>)>, D::Error> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, Geometry<'de>)>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("the objects of a topology")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }
    deserializer.deserialize_map(Members)
}

impl<'a> Topology<'a> {
    /// Reads a topology.
    ///
    /// # Errors
    ///
    /// `DataLoss` if the text ends too early, `InvalidData` if it is no topology.
    pub(super) fn read(text: &'a str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error: serde_json::Error| {
            let at = format!("line {}, column {}", error.line(), error.column());
            if error.is_eof() {
                Error::data_loss(format!("the TopoJSON is cut at {at}"))
            } else {
                Error::invalid_data(format!("the TopoJSON is no topology at {at}")).caused_by(error)
            }
        })
    }
}

/// Takes a part of the text that is written.
type Out<'o> = dyn FnMut(&str) -> Result<()> + 'o;

/// The arcs of a topology, put in place.
pub(super) struct Expansion<'t, 'a> {
    topology: &'t Topology<'a>,
}

impl<'t, 'a> Expansion<'t, 'a> {
    pub(super) fn of(topology: &'t Topology<'a>) -> Self {
        Self { topology }
    }

    /// Writes an object as a GeoJSON collection: the members of a collection are its features.
    ///
    /// # Errors
    ///
    /// `InvalidData` for arcs that are not there or nested otherwise than their geometry's type says, and what `out`
    /// gives.
    pub(super) fn write(&self, object: &Geometry<'a>, out: &mut Out<'_>) -> Result<()> {
        out(r#"{"type":"FeatureCollection","#)?;
        if let Some(crs) = self.topology.crs {
            out(&format!(r#""crs":{},"#, crs.get()))?;
        }
        out(r#""features":["#)?;
        let single = std::slice::from_ref(object);
        let is_collection = object.kind.as_deref() == Some("GeometryCollection");
        let members = if is_collection { object.geometries.as_deref().unwrap_or_default() } else { single };
        for (i, member) in members.iter().enumerate() {
            out(if i == 0 { "\n" } else { ",\n" })?;
            out(r#"{"type":"Feature","#)?;
            if let Some(id) = member.id {
                out(&format!(r#""id":{},"#, id.get()))?;
            }
            let properties = member.properties.map_or("{}", RawValue::get);
            out(&format!(r#""properties":{properties},"geometry":"#))?;
            self.write_geometry(member, out)?;
            out("}")?;
        }
        out("\n]}")
    }

    fn write_geometry(&self, geometry: &Geometry<'a>, out: &mut Out<'_>) -> Result<()> {
        let Some(kind) = geometry.kind.as_deref() else { return out("null") };
        if kind == "GeometryCollection" {
            out(r#"{"type":"GeometryCollection","geometries":["#)?;
            for (i, member) in geometry.geometries.iter().flatten().enumerate() {
                out(if i == 0 { "" } else { "," })?;
                self.write_geometry(member, out)?;
            }
            return out("]}");
        }
        let (depth, value) = match kind {
            "Point" => (0, &geometry.coordinates),
            "MultiPoint" => (1, &geometry.coordinates),
            "LineString" => (0, &geometry.arcs),
            "MultiLineString" | "Polygon" => (1, &geometry.arcs),
            "MultiPolygon" => (2, &geometry.arcs),
            other => {
                let other = ukimet_model::error::quoted(other);
                return Err(Error::invalid_data(format!("a geometry of GeoJSON's types was expected, found {other}")));
            }
        };
        let value = value.as_ref().ok_or_else(|| misshaped(kind))?;
        out(&format!(r#"{{"type":"{kind}","coordinates":"#))?;
        let is_point = kind.ends_with("Point");
        self.write_nested(value, depth, is_point, out)?.then_some(()).ok_or_else(|| misshaped(kind))?;
        out("}")
    }

    /// Writes lists in lists down to lines of arcs or to positions; whether the value was nested so.
    fn write_nested(&self, value: &Value, depth: u32, is_point: bool, out: &mut Out<'_>) -> Result<bool> {
        let Some(items) = value.as_array() else { return Ok(false) };
        if depth == 0 && is_point {
            let Some(position) = numbers(items) else { return Ok(false) };
            out(&shown(&self.placed(&position)))?;
            return Ok(true);
        }
        out("[")?;
        if depth == 0 {
            self.write_line(items, out)?;
        } else {
            for (i, item) in items.iter().enumerate() {
                out(if i == 0 { "" } else { "," })?;
                if !self.write_nested(item, depth - 1, is_point, out)? {
                    return Ok(false);
                }
            }
        }
        out("]")?;
        Ok(true)
    }

    /// Writes arcs one after the other; each begins where the one before ended, which is written once.
    fn write_line(&self, arcs: &[Value], out: &mut Out<'_>) -> Result<()> {
        let mut is_first = true;
        for (i, arc) in arcs.iter().enumerate() {
            let positions = self.arc(arc)?;
            for position in positions.iter().skip(usize::from(i > 0)) {
                out(if std::mem::take(&mut is_first) { "" } else { "," })?;
                out(&shown(position))?;
            }
        }
        Ok(())
    }

    /// The positions of an arc; a negative number, `-1 - n`, is arc `n` backwards.
    fn arc(&self, number: &Value) -> Result<Vec<Vec<f64>>> {
        let arcs = &self.topology.arcs;
        let number = number.as_i64().ok_or_else(|| Error::invalid_data("numbers of arcs are whole"))?;
        let place = if number < 0 { -1 - number } else { number };
        let arc = usize::try_from(place).ok().and_then(|place| arcs.get(place)).ok_or_else(|| {
            Error::invalid_data(format!("arc {number} was expected among {} arcs, found none", arcs.len()))
        })?;
        if arc.iter().any(|position| position.len() < 2) {
            return Err(Error::invalid_data(format!("a position has two numbers, found fewer in arc {number}")));
        }
        let mut positions = match self.topology.transform {
            Some(_) => self.summed(arc),
            None => arc.clone(),
        };
        if number < 0 {
            positions.reverse();
        }
        Ok(positions)
    }

    /// Positions of an arc whose every position says how far it lies from the one before.
    fn summed(&self, arc: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let mut at = [0.0, 0.0];
        let sum = arc.iter().map(|step| {
            at = [at[0] + step[0], at[1] + step[1]];
            self.placed(&[&at[..], &step[2..]].concat())
        });
        sum.collect()
    }

    /// A position as coordinates.
    fn placed(&self, position: &[f64]) -> Vec<f64> {
        let mut placed = position.to_vec();
        if let Some(Transform { scale, translate }) = self.topology.transform {
            for i in 0..2.min(placed.len()) {
                placed[i] = placed[i] * scale[i] + translate[i];
            }
        }
        placed
    }
}

fn misshaped(kind: &str) -> Error {
    Error::invalid_data(format!("a {kind} of a topology has arcs or coordinates nested as its type says, found others"))
}

fn numbers(items: &[Value]) -> Option<Vec<f64>> {
    items.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>().filter(|position| position.len() >= 2)
}

fn shown(position: &[f64]) -> String {
    let mut text = String::from("[");
    for (i, number) in position.iter().enumerate() {
        let _ = write!(text, "{}{number:?}", if i == 0 { "" } else { "," });
    }
    text.push(']');
    text
}
