//! Coordinates of a batch through the pinned pipeline, with every number checked before and after.

use super::{CrsPlan, candidates, guarded};
use proj::Proj;
use ukimet_model::{Error, ProcessStep, Result};

/// How many positions go into PROJ at once; keeps its copies in the cache.
const CHUNK: usize = 4096;

/// The second pass of the rule. Holds a PROJ handle, so it stays on one thread.
pub(crate) struct Transform {
    plan: CrsPlan,
    proj: Option<Proj>,
    /// Whether the first coordinates were compared with the CRS's area.
    is_place_checked: bool,
    positions: u64,
}

impl Transform {
    pub(crate) fn new(plan: CrsPlan) -> Self {
        Self { plan, proj: None, is_place_checked: false, positions: 0 }
    }

    /// Whether coordinates stay as they are.
    pub(crate) fn is_identity(&self) -> bool {
        self.plan.operation.pipeline.is_none()
    }

    /// The receipt, counted in positions.
    pub(crate) fn finish(mut self) -> ProcessStep {
        self.plan.step.count = self.positions;
        self.plan.step
    }

    /// Checks the box of one geometry that stays as it is, in degrees.
    ///
    /// # Errors
    ///
    /// `InvalidData` naming row, values and range.
    pub(crate) fn check_degrees(&self, [x_min, y_min, x_max, y_max]: [f64; 4], row: u64) -> Result<()> {
        if self.plan.is_undecided {
            return Err(Error::internal(format!("row {row} has coordinates, but the survey was shown none")));
        }
        let inside = x_min >= -180.0 && x_max <= 180.0 && y_min >= -90.0 && y_max <= 90.0;
        if inside {
            return Ok(());
        }
        let x = if x_min < -180.0 { x_min } else { x_max };
        let y = if y_min < -90.0 { y_min } else { y_max };
        Err(self.outside((x, y), row))
    }

    /// Brings positions to longitude, latitude in degrees. `row_of` tells the row of a position for messages.
    ///
    /// NaN positions (empty points) stay.
    ///
    /// # Errors
    ///
    /// `InvalidData` naming row, values and range if a position is outside the CRS's domain.
    pub(crate) fn apply(&mut self, points: &mut [(f64, f64)], row_of: impl Fn(usize) -> u64) -> Result<()> {
        let Some(pipeline) = self.plan.operation.pipeline.clone() else { return Ok(()) };
        if self.plan.is_geographic {
            let outside = |(x, y): &(f64, f64)| x.abs() > 180.0 || y.abs() > 90.0;
            if let Some(at) = points.iter().position(outside) {
                return Err(self.outside(points[at], row_of(at)));
            }
        }
        self.check_place_before(points)?;
        let proj = match self.proj.take() {
            Some(proj) => proj,
            None => guarded(|| Proj::new(&pipeline).map_err(|error| error.to_string()))
                .map_err(|why| Error::internal(format!("the pinned operation {pipeline} was not accepted: {why}")))?,
        };
        for (i, chunk) in points.chunks_mut(CHUNK).enumerate() {
            self.convert(&proj, chunk, |at| row_of(i * CHUNK + at))?;
        }
        self.proj = Some(proj);
        self.positions += points.len() as u64;
        self.check_place_after(points, row_of)
    }

    fn convert(&self, proj: &Proj, chunk: &mut [(f64, f64)], row_of: impl Fn(usize) -> u64) -> Result<()> {
        let before = chunk.to_vec();
        let is_empty = |(x, y): &(f64, f64)| x.is_nan() && y.is_nan();
        if chunk.iter().any(is_empty) {
            let Some(filler) = chunk.iter().copied().find(|p| !is_empty(p)) else { return Ok(()) };
            chunk.iter_mut().filter(|p| is_empty(p)).for_each(|p| *p = filler);
        }
        let done = guarded(|| proj.convert_array(chunk).map(|_| ()).map_err(|error| error.to_string()));
        if done.is_err() {
            let fails =
                |p: &(f64, f64)| !is_empty(p) && guarded(|| proj.convert(*p).map_err(|e| e.to_string())).is_err();
            let at = before.iter().position(fails).unwrap_or(0);
            return Err(self.outside(before[at], row_of(at)));
        }
        for (at, (after, before)) in chunk.iter_mut().zip(&before).enumerate() {
            if is_empty(before) {
                *after = *before;
            } else if !(after.0.abs() <= 180.0 && after.1.abs() <= 90.0) {
                return Err(self.outside(*before, row_of(at)));
            }
        }
        Ok(())
    }

    /// Finds degrees that were declared as metres, and the prefix of another zone.
    fn check_place_before(&mut self, points: &[(f64, f64)]) -> Result<()> {
        let is_real = |(x, y): &&(f64, f64)| !x.is_nan() && !y.is_nan() && (*x, *y) != (0.0, 0.0);
        let mut real: Vec<(f64, f64)> = points.iter().filter(is_real).copied().collect();
        if self.is_place_checked || self.plan.is_geographic || real.is_empty() {
            return Ok(());
        }
        if real.iter().all(|(x, y)| x.abs() <= 180.0 && y.abs() <= 180.0) {
            let (x, y) = points[0];
            return Err(Error::invalid_data(format!(
                "the coordinates, such as ({x}, {y}), look like degrees, but {} is in metres; declare the crs they are in, for example EPSG:4326",
                self.plan.quoted_label()
            )));
        }
        real.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let (x, y) = real[real.len() / 2];
        let found = (x / 1_000_000.0).floor() as i64;
        match self.plan.zone {
            Some(zone) if zone != found => Err(Error::invalid_data(format!(
                "the coordinates, such as ({x}, {y}), begin with {found}, but {} is zone {zone}, whose x begins with {zone}; declare the crs they are in",
                self.plan.quoted_label()
            ))),
            _ => Ok(()),
        }
    }

    /// Compares the middle of the first coordinates with the area of the CRS: swapped axes end far away.
    fn check_place_after(&mut self, points: &[(f64, f64)], row_of: impl Fn(usize) -> u64) -> Result<()> {
        if self.is_place_checked {
            return Ok(());
        }
        let mut real: Vec<usize> = (0..points.len()).filter(|i| !points[*i].0.is_nan()).collect();
        if real.is_empty() {
            return Ok(());
        }
        self.is_place_checked = true;
        real.sort_unstable_by(|a, b| points[*a].1.total_cmp(&points[*b].1));
        let middle = real[real.len() / 2];
        let (lon, lat) = points[middle];
        match self.plan.area {
            Some(area) if !is_near(area, lon, lat) => Err(Error::invalid_data(format!(
                "row {} would lie at longitude {lon:.4}, latitude {lat:.4}, far outside the area of {} (west {}, south {}, east {}, north {}); are x and y swapped, or is it another crs?",
                row_of(middle),
                self.plan.quoted_label(),
                area[0],
                area[1],
                area[2],
                area[3]
            ))),
            _ => Ok(()),
        }
    }

    fn outside(&self, (x, y): (f64, f64), row: u64) -> Error {
        let crs = self.plan.quoted_label();
        if !self.plan.is_geographic {
            return Error::invalid_data(format!(
                "row {row} has the coordinates ({}, {}), which are outside the domain of {crs}",
                shown(x),
                shown(y)
            ));
        }
        let hint = if x.abs() > 360.0 || y.abs() > 360.0 {
            format!("; they look like metres: {}", candidates::question([x, y, x, y]))
        } else if y.abs() <= 180.0 && x.abs() <= 90.0 {
            "; are x and y swapped?".to_owned()
        } else {
            String::new()
        };
        Error::invalid_data(format!(
            "row {row} has the coordinates ({}, {}), expected longitude within ±180 and latitude within ±90 in {crs}{hint}",
            shown(x),
            shown(y)
        ))
    }
}

/// A coordinate in few characters, however large it is.
fn shown(value: f64) -> String {
    if value.abs() < 1e12 { value.to_string() } else { format!("{value:e}") }
}

/// Whether a place lies in or around an area, by up to 30 degrees of longitude and 15 of latitude.
fn is_near([west, south, east, north]: [f64; 4], lon: f64, lat: f64) -> bool {
    const LON_MARGIN: f64 = 30.0;
    const LAT_MARGIN: f64 = 15.0;
    let width = if east >= west { east - west } else { east - west + 360.0 };
    let from_west = (lon - (west - LON_MARGIN)).rem_euclid(360.0);
    from_west <= width + 2.0 * LON_MARGIN && lat >= south - LAT_MARGIN && lat <= north + LAT_MARGIN
}
