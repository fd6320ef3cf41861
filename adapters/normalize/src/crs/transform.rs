//! Coordinates of a batch through the pinned pipeline, with every row checked before and after.

use super::gate::Gate;
use super::tiles::Tiles;
use super::{CrsPlan, guarded};
use crate::findings::Findings;
use proj::Proj;
use ukimet_model::{Error, ProcessStep, Result, wkb};

/// How many positions go into PROJ at once; keeps its copies in the cache.
const CHUNK: usize = 4096;

/// The second pass of the rule. Holds a PROJ handle, so it stays on one thread.
pub(crate) struct Transform {
    plan: CrsPlan,
    gate: Gate,
    proj: Option<Proj>,
    /// What is faster than PROJ and gives the same; `None` if nothing is.
    tiles: Option<Tiles>,
    positions: u64,
}

impl Transform {
    pub(crate) fn new(mut plan: CrsPlan) -> Self {
        let none = Gate::new(String::new(), true, None, None);
        let gate = std::mem::replace(&mut plan.gate, none);
        let pipeline = plan.operation.pipeline.as_deref();
        let tiles = pipeline.and_then(|pipeline| Tiles::of(pipeline, gate.is_geographic()));
        Self { plan, gate, proj: None, tiles, positions: 0 }
    }

    /// Whether coordinates stay as they are.
    pub(crate) fn is_identity(&self) -> bool {
        self.plan.operation.pipeline.is_none() && !self.plan.is_swapped
    }

    /// The receipt, counted in positions; `is_judged` if many rows in impossible places end the layer.
    ///
    /// # Errors
    ///
    /// `InvalidData` if more rows than the configured share are in impossible places.
    pub(crate) fn finish(mut self, is_judged: bool) -> Result<ProcessStep> {
        if is_judged {
            self.gate.finish()?;
        }
        self.plan.step.count = self.positions;
        if let Some(tiles) = &self.tiles {
            self.plan.step.parameters.insert("evaluation".to_owned(), tiles.description());
        }
        Ok(self.plan.step)
    }

    /// Looks at the numbers of one row before the operation; whether the row goes on.
    ///
    /// # Errors
    ///
    /// `Internal` if the survey was not shown that there are coordinates.
    pub(crate) fn admits(&mut self, shape: &wkb::Shape, row: u64, findings: &mut Findings) -> Result<bool> {
        if self.plan.is_undecided && shape.bounds.is_some() {
            return Err(Error::internal(format!("row {} has coordinates, but the survey was shown none", row + 1)));
        }
        let shape = wkb::Shape { bounds: shape.bounds.map(|bounds| self.in_xy_order(bounds)), ..*shape };
        Ok(self.gate.before(&shape, row, findings))
    }

    /// Looks at the place of one row after the operation: its numbers as they came, its bounds in degrees.
    pub(crate) fn keeps(&mut self, source: [f64; 4], bounds: [f64; 4], row: u64, findings: &mut Findings) -> bool {
        let source = self.in_xy_order(source);
        let Self { gate, proj, plan, .. } = self;
        let swapped = || {
            let (x, y) = (source[0].midpoint(source[2]), source[1].midpoint(source[3]));
            match proj {
                None if plan.operation.pipeline.is_none() => Some((y, x)),
                None => None,
                Some(proj) => guarded(|| proj.convert((y, x)).map_err(|error| error.to_string())).ok(),
            }
        };
        gate.after(source, bounds, swapped, row, findings)
    }

    /// Brings positions to longitude, latitude in degrees, those of rows that [`Self::admits`] let through. `row_of`
    /// tells the row of a position. Gives the positions that the operation cannot take, each reported; what stands
    /// there is of no use.
    ///
    /// NaN positions (empty points) stay.
    ///
    /// # Errors
    ///
    /// `Internal` if PROJ does not take its own pipeline.
    pub(crate) fn apply(
        &mut self,
        points: &mut [(f64, f64)],
        row_of: impl Fn(usize) -> u64,
        findings: &mut Findings,
    ) -> Result<Vec<usize>> {
        if self.plan.is_swapped {
            for point in points.iter_mut() {
                *point = (point.1, point.0);
            }
        }
        self.positions += points.len() as u64;
        let Some(pipeline) = self.plan.operation.runnable() else { return Ok(Vec::new()) };
        let proj = match self.proj.take() {
            Some(proj) => proj,
            None => guarded(|| Proj::new(&pipeline).map_err(|error| error.to_string()))
                .map_err(|why| Error::internal(format!("the pinned operation {pipeline} was not accepted: {why}")))?,
        };
        let mut failed = Vec::new();
        for (i, chunk) in points.chunks_mut(CHUNK).enumerate() {
            let found = match &mut self.tiles {
                Some(tiles) => convert_with_tiles(&proj, tiles, chunk),
                None => convert(&proj, chunk),
            };
            for (at, before) in found {
                let at = i * CHUNK + at;
                // One finding a row, however many of its positions fail.
                if failed.last().is_none_or(|last| row_of(*last) != row_of(at)) {
                    self.gate.outside_domain(before, row_of(at), findings);
                }
                failed.push(at);
            }
        }
        self.proj = Some(proj);
        Ok(failed)
    }

    /// Bounds as the operation sees them.
    fn in_xy_order(&self, [x_min, y_min, x_max, y_max]: [f64; 4]) -> [f64; 4] {
        if self.plan.is_swapped { [y_min, x_min, y_max, x_max] } else { [x_min, y_min, x_max, y_max] }
    }
}

/// As [`convert`], and most of them without PROJ.
fn convert_with_tiles(proj: &Proj, tiles: &mut Tiles, chunk: &mut [(f64, f64)]) -> Vec<(usize, (f64, f64))> {
    let others = tiles.apply(proj, chunk);
    let mut left: Vec<(f64, f64)> = others.iter().map(|at| chunk[*at]).collect();
    let failed = convert(proj, &mut left);
    others.iter().zip(&left).for_each(|(at, after)| chunk[*at] = *after);
    failed.into_iter().map(|(at, before)| (others[at], before)).collect()
}

/// Converts one chunk; the positions that cannot be, as they came.
fn convert(proj: &Proj, chunk: &mut [(f64, f64)]) -> Vec<(usize, (f64, f64))> {
    let before = chunk.to_vec();
    let is_empty = |(x, y): &(f64, f64)| x.is_nan() && y.is_nan();
    if chunk.iter().any(is_empty) {
        let Some(filler) = chunk.iter().copied().find(|p| !is_empty(p)) else { return Vec::new() };
        chunk.iter_mut().filter(|p| is_empty(p)).for_each(|p| *p = filler);
    }
    let done = guarded(|| proj.convert_array(chunk).map(|_| ()).map_err(|error| error.to_string()));
    if done.is_err() {
        // Some positions of the chunk were changed already: each from its own start.
        for (after, before) in chunk.iter_mut().zip(&before).filter(|(_, before)| !is_empty(before)) {
            let one = guarded(|| proj.convert(*before).map_err(|error| error.to_string()));
            *after = one.unwrap_or((f64::INFINITY, f64::INFINITY));
        }
    }
    let mut failed = Vec::new();
    for (at, (after, before)) in chunk.iter_mut().zip(&before).enumerate() {
        if is_empty(before) {
            *after = *before;
        } else if !(after.0.abs() <= 180.0 && after.1.abs() <= 90.0) {
            failed.push((at, *before));
        }
    }
    failed
}
