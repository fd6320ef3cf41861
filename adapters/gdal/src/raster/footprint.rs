//! The outline of a raster in its own CRS, with enough corners that it stays true when it is transformed.

use super::RasterCrs;
use crate::gdal::RasterHead;
use crate::source::finding;
use ukimet_model::{Diagnostic, Error, Result, Severity};

/// Parts of each edge.
const EDGE_PARTS: usize = 32;

/// An outline, WKB, and what had to be done for it.
pub(super) struct Footprint {
    pub(super) wkb: Vec<u8>,
    pub(super) findings: Vec<Diagnostic>,
}

/// The outline: a polygon, or two where it crosses the antimeridian.
///
/// # Errors
///
/// `InvalidData` without a transform.
pub(super) fn footprint(head: &RasterHead, crs: Option<&RasterCrs>) -> Result<Footprint> {
    let transform = head.transform.ok_or_else(|| Error::invalid_data("the raster has no place"))?;
    let mut ring = ring(&transform, head.width as f64, head.height as f64);
    let mut findings = Vec::new();
    if !crs.is_some_and(|crs| crs.is_geographic && crs.unit.to_ascii_lowercase().starts_with("degree")) {
        return Ok(Footprint { wkb: multipolygon(&[ring]), findings });
    }
    let beyond = ring.iter().map(|(_, y)| y.abs() - 90.0).fold(0.0, f64::max);
    let pixel = transform[5].abs() + transform[4].abs();
    if beyond > 0.0 && beyond <= pixel {
        for (_, y) in &mut ring {
            *y = y.clamp(-90.0, 90.0);
        }
        let message = format!("pixels reach {beyond} degrees beyond a pole; the footprint ends there");
        findings.push(finding("raster.beyond_pole", Severity::Note, message, 1, &[]));
    }
    let (rings, is_moved) = within_globe(ring);
    if is_moved {
        let message = "longitudes beyond 180 degrees are counted from -180 in the footprint; the pixels stay";
        findings.push(finding("raster.beyond_antimeridian", Severity::Note, message.to_owned(), 1, &[]));
    }
    Ok(Footprint { wkb: multipolygon(&rings), findings })
}

/// The corners of the outline, each edge in parts, closed.
pub(super) fn ring(transform: &[f64; 6], width: f64, height: f64) -> Vec<(f64, f64)> {
    let corners = [(0.0, 0.0), (0.0, height), (width, height), (width, 0.0), (0.0, 0.0)];
    let place = |(column, row): (f64, f64)| {
        let x = transform[0] + column * transform[1] + row * transform[2];
        let y = transform[3] + column * transform[4] + row * transform[5];
        (x, y)
    };
    let mut ring = Vec::with_capacity(4 * EDGE_PARTS + 1);
    for edge in corners.windows(2) {
        for part in 0..EDGE_PARTS {
            let share = part as f64 / EDGE_PARTS as f64;
            let at = |from: f64, to: f64| from + (to - from) * share;
            ring.push(place((at(edge[0].0, edge[1].0), at(edge[0].1, edge[1].1))));
        }
    }
    ring.push(place(corners[4]));
    ring
}

/// The same outline with longitudes from -180 to 180; whether anything had to be moved.
fn within_globe(ring: Vec<(f64, f64)>) -> (Vec<Vec<(f64, f64)>>, bool) {
    let bound = |pick: fn(f64, f64) -> f64, part: fn(&(f64, f64)) -> f64| ring.iter().map(part).reduce(pick);
    let (Some(west), Some(east)) = (bound(f64::min, |p| p.0), bound(f64::max, |p| p.0)) else {
        return (vec![ring], false);
    };
    let (Some(south), Some(north)) = (bound(f64::min, |p| p.1), bound(f64::max, |p| p.1)) else {
        return (vec![ring], false);
    };
    let is_farther = west < -540.0 || east > 540.0;
    if (west >= -180.0 && east <= 180.0) || is_farther {
        return (vec![ring], false);
    }
    if east - west >= 360.0 {
        return (vec![upright(-180.0, south, 180.0, north)], true);
    }
    // Turned rasters that cross the antimeridian get the box around them.
    let (west, east) = if east > 180.0 { (west, east) } else { (west + 360.0, east + 360.0) };
    if west >= 180.0 {
        return (vec![upright(west - 360.0, south, east - 360.0, north)], true);
    }
    (vec![upright(west, south, 180.0, north), upright(-180.0, south, east - 360.0, north)], true)
}

fn upright(west: f64, south: f64, east: f64, north: f64) -> Vec<(f64, f64)> {
    vec![(west, south), (east, south), (east, north), (west, north), (west, south)]
}

/// WKB of one polygon, or of several in one.
fn multipolygon(rings: &[Vec<(f64, f64)>]) -> Vec<u8> {
    let polygons = rings.iter().map(|ring| {
        let mut wkb = vec![1];
        for number in [3, 1, ring.len() as u32] {
            wkb.extend(number.to_le_bytes());
        }
        ring.iter().flat_map(|(x, y)| [x, y]).for_each(|number| wkb.extend(number.to_le_bytes()));
        wkb
    });
    let polygons: Vec<Vec<u8>> = polygons.collect();
    if let [only] = polygons.as_slice() {
        return only.clone();
    }
    let mut wkb = vec![1];
    for number in [6, polygons.len() as u32] {
        wkb.extend(number.to_le_bytes());
    }
    wkb.extend(polygons.concat());
    wkb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_globe_counted_from_zero_is_a_whole_globe() {
        let (rings, is_moved) = within_globe(upright(0.0, -90.0, 360.0, 90.0));
        assert!(is_moved);
        assert_eq!(rings, [upright(-180.0, -90.0, 180.0, 90.0)]);
    }

    #[test]
    fn an_outline_across_the_antimeridian_becomes_two() {
        let (rings, _) = within_globe(upright(170.0, 0.0, 190.0, 5.0));
        assert_eq!(rings, [upright(170.0, 0.0, 180.0, 5.0), upright(-180.0, 0.0, -170.0, 5.0)]);
        let (rings, is_moved) = within_globe(upright(70.0, 40.0, 80.0, 50.0));
        assert_eq!((rings, is_moved), (vec![upright(70.0, 40.0, 80.0, 50.0)], false));
        let (rings, _) = within_globe(upright(200.0, 0.0, 210.0, 5.0));
        assert_eq!(rings, [upright(-160.0, 0.0, -150.0, 5.0)]);
    }

    #[test]
    fn edges_have_parts_and_the_ring_is_closed() {
        let ring = ring(&[10.0, 1.0, 0.0, 50.0, 0.0, -2.0], 4.0, 3.0);
        assert_eq!(ring.len(), 4 * EDGE_PARTS + 1);
        assert_eq!((ring[0], ring[EDGE_PARTS], ring[2 * EDGE_PARTS]), ((10.0, 50.0), (10.0, 44.0), (14.0, 44.0)));
        assert_eq!(ring[0], ring[ring.len() - 1]);
    }
}
