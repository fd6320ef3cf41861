//! Geometries as the map of a page draws them.

use geozero::{GeomProcessor, GeozeroGeometry};
use serde_json::{Value, json};
use ukimet_model::{Error, Result};

/// A degree in the whole numbers of the page: a step is about a centimetre.
const STEPS_PER_DEGREE: f64 = 1e7;

/// One part of a geometry.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Points = 0,
    Line = 1,
    Ring = 2,
}

#[derive(Default)]
struct Parts {
    parts: Vec<(Kind, Vec<[i64; 2]>)>,
    is_in_polygon: bool,
}

impl GeomProcessor for Parts {
    fn xy(&mut self, x: f64, y: f64, _: usize) -> geozero::error::Result<()> {
        let step = |degrees: f64| (degrees * STEPS_PER_DEGREE).round() as i64;
        if let Some((_, positions)) = self.parts.last_mut() {
            positions.push([step(x), step(y)]);
        }
        Ok(())
    }

    fn empty_point(&mut self, _: usize) -> geozero::error::Result<()> {
        Ok(())
    }

    fn point_begin(&mut self, _: usize) -> geozero::error::Result<()> {
        self.parts.push((Kind::Points, Vec::new()));
        Ok(())
    }

    fn multipoint_begin(&mut self, _: usize, _: usize) -> geozero::error::Result<()> {
        self.parts.push((Kind::Points, Vec::new()));
        Ok(())
    }

    fn linestring_begin(&mut self, _: bool, _: usize, _: usize) -> geozero::error::Result<()> {
        let kind = if self.is_in_polygon { Kind::Ring } else { Kind::Line };
        self.parts.push((kind, Vec::new()));
        Ok(())
    }

    fn polygon_begin(&mut self, _: bool, _: usize, _: usize) -> geozero::error::Result<()> {
        self.is_in_polygon = true;
        Ok(())
    }

    fn polygon_end(&mut self, _: bool, _: usize) -> geozero::error::Result<()> {
        self.is_in_polygon = false;
        Ok(())
    }
}

/// A geometry as `[[kind, x, y, dx, dy, …], …]`, and how many positions it has.
///
/// Kinds: 0 points, 1 a line, 2 a ring. Numbers are longitude and latitude in steps of 1e-7 degrees: the first position
/// itself, of the others how far they lie from the one before.
///
/// # Errors
///
/// `InvalidData` if it is no geometry.
pub(super) fn drawn(wkb: &[u8]) -> Result<(Value, usize)> {
    let mut parts = Parts::default();
    let unreadable = |e| Error::invalid_data("a geometry of a difference cannot be read").caused_by(e);
    geozero::wkb::Wkb(wkb).process_geom(&mut parts).map_err(unreadable)?;
    let parts: Vec<_> = parts.parts.into_iter().filter(|(_, positions)| !positions.is_empty()).collect();
    let count = parts.iter().map(|(_, positions)| positions.len()).sum();
    let drawn = parts.into_iter().map(|(kind, positions)| {
        let mut numbers = vec![kind as i64];
        let mut last = [0, 0];
        for [x, y] in positions {
            numbers.extend([x - last[0], y - last[1]]);
            last = [x, y];
        }
        json!(numbers)
    });
    Ok((drawn.collect(), count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_geometry_is_drawn_part_by_part_in_small_numbers() {
        let polygon = "POLYGON((76 43, 76.0000001 43, 76 43.1, 76 43), (76 43, 76 43.05, 76.05 43, 76 43))";
        let both = format!("GEOMETRYCOLLECTION({polygon}, POINT(1 2), LINESTRING(0 0, 1 1))");
        let wkb = geozero::ToWkb::to_wkb(&geozero::wkt::Wkt(&both), geozero::CoordDimensions::xy()).expect("a text");
        let (parts, positions) = drawn(&wkb).expect("a geometry");
        assert_eq!(positions, 11);
        assert_eq!(parts[0], json!([2, 760_000_000, 430_000_000, 1, 0, -1, 1_000_000, 0, -1_000_000]));
        assert_eq!(
            (&parts[1][0], &parts[2], &parts[3][0]),
            (&json!(2), &json!([0, 10_000_000, 20_000_000]), &json!(1))
        );
        assert!(drawn(&[1, 2, 3]).is_err());
    }
}
