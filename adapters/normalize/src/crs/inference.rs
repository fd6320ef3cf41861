//! Which CRS the numbers are in, told from a region that the publisher declares. Never from the numbers alone.
//!
//! Every known system, each also with x and y swapped, is asked where it would put the data. If exactly one place in
//! the region comes out, it is taken and marked as inferred; if there are several, the publisher is asked with all of
//! them drawn up. Systems on different datums put the same numbers 50 to 100 m apart: that is another place.

use super::candidates::{self, Candidate};
use super::definition::accept;
use super::plan::{CrsPlan, middle, settled};
use super::region::Region;
use super::{Grids, guarded, know};
use proj::Proj;
use std::fmt::Write;
use ukimet_model::{Error, Result};

/// The one answer.
#[derive(Debug)]
pub(super) struct Inferred {
    /// The plan for it, as if it had been declared.
    pub(super) plan: CrsPlan,
    /// Share of the sample inside the region, less that of the next best system; 0 to 1.
    pub(super) confidence: f64,
    /// Codes of systems that say the same.
    pub(super) equal: Vec<String>,
}

/// Share of the sample that the answer must put into the region.
const SHARE_MIN: f64 = 0.95;
/// Share from which on another system is a rival.
const RIVAL_SHARE_MIN: f64 = 0.1;
/// Nearer than this two systems say the same: WGS 84 and QazTRF-23 are held to be equal to 1 m.
const SAME_PLACE_M: f64 = 1.0;
/// How many rivals the question names.
const NAMED_MAX: usize = 8;
/// How many positions of the sample are put into a system.
const POSITIONS_MAX: usize = 256;
/// Positions farther from the median than this are not looked at, metres or degrees.
const TAME_M: f64 = 3_000_000.0;
/// What a datum may shift, and what [`Candidate::places`] leaves out, degrees.
const DATUM_SLACK: f64 = 0.01;

/// A system that puts some of the sample into the region.
struct Fit {
    plan: CrsPlan,
    share: f64,
    places: Vec<(f64, f64)>,
    /// Codes of systems that put everything into the same place.
    equal: Vec<String>,
}

impl Fit {
    fn code(&self) -> String {
        self.plan.label.clone().unwrap_or_default()
    }
}

/// Finds the one system, by positions x before y as they came and their bounds.
///
/// # Errors
///
/// `Undeclared` with candidates: name, code, the place, and how far they are apart.
pub(super) fn infer(sample: &[(f64, f64)], bounds: [f64; 4], region: &Region, grids: &Grids) -> Result<Inferred> {
    let positions = thinned(sample);
    let mut fits = Vec::new();
    for candidate in candidates::all() {
        for is_swapped in [false, true] {
            fits.extend(fit(&candidate, &positions, is_swapped, region, grids));
        }
    }
    // Stable: of equal ones the first in the list of candidates stays first.
    fits.sort_by(|a, b| b.share.total_cmp(&a.share));
    let mut places: Vec<Fit> = Vec::new();
    for fit in fits {
        match places.iter_mut().find(|other| distance_max_m(&fit, other) <= SAME_PLACE_M) {
            Some(same) => same.equal.push(fit.code()),
            None => places.push(fit),
        }
    }
    if places.first().is_none_or(|best| best.share < SHARE_MIN) {
        return Err(Error::undeclared(format!(
            "declare crs: nobody does, and no system known here puts the coordinates (x {} … {}, y {} … {}) into the declared region {}",
            bounds[0],
            bounds[2],
            bounds[1],
            bounds[3],
            region.described()
        )));
    }
    if places.get(1).is_some_and(|rival| rival.share >= RIVAL_SHARE_MIN) {
        places.retain(|place| place.share >= RIVAL_SHARE_MIN);
        return Err(Error::undeclared(question(&places, bounds, region)));
    }
    let confidence = places[0].share - places.get(1).map_or(0.0, |next| next.share);
    let best = places.swap_remove(0);
    Ok(Inferred { plan: best.plan, confidence, equal: best.equal })
}

/// At most [`POSITIONS_MAX`] of the sample, evenly chosen.
fn thinned(sample: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let step = sample.len().div_ceil(POSITIONS_MAX).max(1);
    sample.iter().step_by(step).copied().collect()
}

fn fit(
    candidate: &Candidate,
    positions: &[(f64, f64)],
    is_swapped: bool,
    region: &Region,
    grids: &Grids,
) -> Option<Fit> {
    let positions: Vec<_> = positions.iter().map(|(x, y)| if is_swapped { (*y, *x) } else { (*x, *y) }).collect();
    // The median comes first: it tells the reach, so that one wild position does not hide a system.
    let center = middle(&positions)?;
    let is_tame = |(x, y): &(f64, f64)| (x - center.0).abs() < TAME_M && (y - center.1).abs() < TAME_M;
    let tame: Vec<_> = std::iter::once(center).chain(positions.iter().copied().filter(is_tame)).collect();
    let is_near = |(lon, lat): &(f64, f64)| {
        region.meets([lon - DATUM_SLACK, lat - DATUM_SLACK, lon + DATUM_SLACK, lat + DATUM_SLACK])
    };
    if !candidate.places(&tame)?.iter().any(is_near) {
        return None;
    }
    let mut plan = settled(know(&accept(&candidate.code()).ok()?).ok()?, &positions, grids).ok()?;
    let places = placed(&plan, &positions);
    let share = places.iter().filter(|(lon, lat)| region.contains(*lon, *lat)).count() as f64 / places.len() as f64;
    if is_swapped {
        plan.is_swapped = true;
        plan.step.parameters.insert("axis_order".to_owned(), "y (north) before x (east): swapped".to_owned());
    }
    (share > 0.0).then_some(Fit { plan, share, places, equal: Vec::new() })
}

/// Where the operation puts positions, x before y; NaN where it cannot.
fn placed(plan: &CrsPlan, positions: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let Some(pipeline) = plan.operation.runnable() else { return positions.to_vec() };
    let Ok(proj) = guarded(|| Proj::new(&pipeline).map_err(|error| error.to_string())) else {
        return vec![(f64::NAN, f64::NAN); positions.len()];
    };
    let place = |position: &(f64, f64)| {
        guarded(|| proj.convert(*position).map_err(|error| error.to_string())).unwrap_or((f64::NAN, f64::NAN))
    };
    positions.iter().map(place).collect()
}

/// How far apart two systems put the same position at most, metres.
fn distance_max_m(fit: &Fit, other: &Fit) -> f64 {
    let distances = fit.places.iter().zip(&other.places).map(|(a, b)| distance_m(*a, *b));
    distances.map(|metres| if metres.is_nan() { f64::INFINITY } else { metres }).fold(0.0, f64::max)
}

/// Great-circle distance on a sphere of the earth's mean radius, metres; good to half a percent.
fn distance_m((lon_a, lat_a): (f64, f64), (lon_b, lat_b): (f64, f64)) -> f64 {
    const RADIUS_M: f64 = 6_371_008.8;
    let half = |a: f64, b: f64| ((b - a).to_radians() / 2.0).sin().powi(2);
    let h = half(lat_a, lat_b) + lat_a.to_radians().cos() * lat_b.to_radians().cos() * half(lon_a, lon_b);
    2.0 * RADIUS_M * h.sqrt().min(1.0).asin()
}

/// Every candidate with its place and its distance from the first; `places` are at least two.
fn question(places: &[Fit], [x_min, y_min, x_max, y_max]: [f64; 4], region: &Region) -> String {
    let (count, best) = (places.len(), &places[0]);
    let mut text = format!(
        "declare crs: nobody does, and the coordinates (x {x_min} … {x_max}, y {y_min} … {y_max}) lie at {count} places in the declared region {}: {}",
        region.described(),
        drawn(best)
    );
    let from = middle(&best.places).unwrap_or_default();
    for rival in places.iter().skip(1).take(NAMED_MAX) {
        let metres = distance_m(from, middle(&rival.places).unwrap_or_default());
        // Writing to a text cannot fail.
        let _ = write!(text, "; or as {}, {metres:.0} m from there", drawn(rival));
    }
    if count > NAMED_MAX + 1 {
        let _ = write!(text, "; and {} more", count - NAMED_MAX - 1);
    }
    text
}

/// One candidate: code, name, what says the same, order of the axes, place.
fn drawn(fit: &Fit) -> String {
    let (lon, lat) = middle(&fit.places).unwrap_or_default();
    let name = fit.plan.step.parameters.get("source_crs_name").map_or("", String::as_str);
    let same = if fit.equal.is_empty() { String::new() } else { format!("; the same as {}", fit.equal.join(", ")) };
    let swapped = if fit.plan.is_swapped { ", with x and y swapped," } else { "" };
    format!("{} ({name}{same}){swapped} at longitude {lon:.5}, latitude {lat:.5}", fit.code())
}

#[cfg(test)]
mod tests;
