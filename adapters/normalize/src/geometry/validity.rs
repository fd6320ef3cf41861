//! Validity by one authority, GEOS: what is valid stays, what is not is repaired and measured.

use super::rings;
use super::simple::is_surely_valid;
use geos::{CoordDimensions, Geom, Geometry, WKBWriter};
use ukimet_model::wkb::{self, GeometryType};

/// What the test of one geometry found.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// Nothing to do.
    Valid,
    /// Repaired.
    Repaired(Repair),
    /// Not even a geometry to its readers: a path of one position, a ring of too few.
    Broken {
        /// What is missing.
        reason: &'static str,
    },
    /// Invalid, and no repair keeps anything of its kind.
    Unrepairable {
        /// Why it is invalid, with the place in degrees.
        reason: String,
    },
    /// Invalid, and larger than what may be repaired.
    TooLarge {
        /// Why it is invalid, with the place in degrees.
        reason: String,
    },
}

/// A repaired geometry and what the repair changed.
#[derive(Debug, PartialEq)]
pub(super) struct Repair {
    /// Canonical WKB of the same kind of geometry.
    pub(super) wkb: Vec<u8>,
    /// Why it was invalid, with the place in degrees if GEOS names one: `Self-intersection[76.9 43.2]`.
    pub(super) reason: String,
    /// Positions before and after.
    pub(super) vertices: (u64, u64),
    /// Square metres on the ellipsoid before and after.
    pub(super) area_m2: (f64, f64),
    /// Whether heights were lost.
    pub(super) lost_heights: bool,
    /// Whether measures were lost.
    pub(super) lost_measures: bool,
}

impl Repair {
    /// Why it was invalid, without the place.
    pub(super) fn kind_of_reason(&self) -> &str {
        self.reason.split('[').next().unwrap_or_default().trim()
    }

    /// The change of the area against the larger of both, 0 to 1.
    pub(super) fn area_change(&self) -> f64 {
        let (before, after) = self.area_m2;
        let larger = before.max(after);
        if larger > 0.0 { (after - before).abs() / larger } else { 0.0 }
    }
}

/// Tests one geometry in canonical WKB, and repairs it if need be and it may be.
///
/// A repair takes time with the square of the crossings, so it is not even tried above its limit.
pub(super) fn test(bytes: &[u8], shape: &wkb::Shape, may_be_repaired: bool) -> Verdict {
    let flat = (shape.has_z || shape.has_m).then(|| wkb::to_canonical(bytes, true).ok()).flatten();
    let tested = flat.as_deref().unwrap_or(bytes);
    if is_surely_valid(tested) {
        return Verdict::Valid;
    }
    let (reason, completed) = if let Ok(geometry) = Geometry::new_from_wkb(tested) {
        if geometry.is_valid().unwrap_or(false) {
            return Verdict::Valid;
        }
        (reason_of(&geometry), None)
    } else {
        let (completed, what) = rings::complete(bytes);
        let reason = if what.unclosed > 0 { "Ring is not closed" } else { "Too few points" };
        (reason.to_owned(), Some((completed, reason)))
    };
    if !may_be_repaired {
        return Verdict::TooLarge { reason };
    }
    match repaired(completed.as_ref().map_or(bytes, |(completed, _)| completed), shape) {
        Some((wkb, after)) => Verdict::Repaired(Repair {
            reason,
            vertices: (shape.vertices, after.vertices),
            area_m2: (rings::area_m2(bytes), rings::area_m2(&wkb)),
            lost_heights: shape.has_z && !after.has_z,
            lost_measures: shape.has_m && !after.has_m,
            wkb,
        }),
        None => match completed {
            Some((_, reason)) => Verdict::Broken { reason },
            None => Verdict::Unrepairable { reason },
        },
    }
}

/// GEOS's reason with its coordinates.
fn reason_of(geometry: &Geometry) -> String {
    geometry.is_valid_reason().unwrap_or_else(|_| "Invalid".to_owned())
}

/// A valid geometry of the same kind, canonical; `None` if nothing of that kind is left.
fn repaired(bytes: &[u8], shape: &wkb::Shape) -> Option<(Vec<u8>, wkb::Shape)> {
    // Releases of GEOS treat measures differently, so none is shown any; heights all of them keep.
    let unmeasured = shape.has_m.then(|| wkb::without_measures(bytes).ok()).flatten();
    let geometry = Geometry::new_from_wkb(unmeasured.as_deref().unwrap_or(bytes)).ok()?;
    let valid = geometry.make_valid().ok().filter(|valid| valid.is_valid().unwrap_or(false))?;
    let wkb = canonical(&valid)?;
    let wkb = match shape.kind {
        GeometryType::Polygon | GeometryType::MultiPolygon => {
            same_kind(&wkb, 3, shape.kind == GeometryType::MultiPolygon)?
        }
        GeometryType::LineString | GeometryType::MultiLineString => {
            same_kind(&wkb, 2, shape.kind == GeometryType::MultiLineString)?
        }
        _ => wkb,
    };
    let after = wkb::inspect(&wkb).ok().filter(|after| after.vertices > 0)?;
    let is_valid = Geometry::new_from_wkb(&wkb).and_then(|geometry| geometry.is_valid()).unwrap_or(false);
    is_valid.then_some((wkb, after))
}

/// Only the parts of one kind, as a collection if there are several or the source had one.
fn same_kind(wkb: &[u8], member: u32, is_multi: bool) -> Option<Vec<u8>> {
    let mut parts = rings::members(wkb, member);
    match parts.len() {
        0 => None,
        1 if !is_multi => parts.pop(),
        _ => Some(rings::join(&parts, member)),
    }
}

/// The canonical bytes of a geometry of GEOS.
pub(crate) fn canonical(geometry: &impl Geom) -> Option<Vec<u8>> {
    let mut writer = WKBWriter::new().ok()?;
    writer.set_output_dimension(CoordDimensions::ThreeD);
    let bytes = writer.write_wkb(geometry).ok()?;
    wkb::to_canonical(&bytes, false).ok()
}
