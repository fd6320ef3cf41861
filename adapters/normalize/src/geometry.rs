//! The geometry rule: canonical WKB in OGC:CRS84, tested by GEOS, repaired only where it is invalid.
//!
//! A valid geometry keeps every bit that the coordinate operation gave it. A row of an unknown kind is refused, as is
//! one that lies where it cannot, one of which no repair keeps anything, and one that a repair would change by more
//! than a configured share: what is published is valid. Null stays null, empty stays empty.

mod rings;
mod side_by_side;
mod simple;
mod validity;

pub(crate) use validity::canonical;

use crate::Limits;
use crate::crs::Transform;
use crate::findings::{Findings, example, show, step};
use arrow_array::{Array, BinaryArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use std::collections::BTreeMap;
use ukimet_model::wkb::{self, Shape, WkbError};
use ukimet_model::{BoundingBox, Error, LayerReport, ProcessStep, Result, Severity};
use validity::{Repair, Verdict};

/// The second pass of the rule: it needs no first.
pub(crate) struct GeometryRule {
    limits: Limits,
    types: BTreeMap<&'static str, u64>,
    nulls: u64,
    empty: u64,
    repaired: u64,
    bounds: Option<[f64; 4]>,
    reasons: BTreeMap<String, u64>,
    vertices: (u64, u64),
    area_m2: (f64, f64),
    area_change_max: f64,
    step: ProcessStep,
}

/// One batch's geometries and which rows must go.
pub(crate) struct Normalized {
    /// Canonical WKB in OGC:CRS84, one a row; null where refused.
    pub(crate) column: BinaryArray,
    /// Rows that are refused; empty if none is.
    pub(crate) refused: Vec<bool>,
}

impl GeometryRule {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            types: BTreeMap::new(),
            nulls: 0,
            empty: 0,
            repaired: 0,
            bounds: None,
            reasons: BTreeMap::new(),
            vertices: (0, 0),
            area_m2: (0.0, 0.0),
            area_change_max: 0.0,
            step: step("geometry", []),
        }
    }

    /// Brings one batch's geometries into published form. `refused` are rows that an earlier rule refused.
    ///
    /// # Errors
    ///
    /// `InvalidData` naming the row whose bytes are no geometry; `LimitReached` naming the row of a geometry with too
    /// many positions.
    pub(crate) fn apply(
        &mut self,
        raw: &BinaryArray,
        refused: Vec<bool>,
        transform: &mut Transform,
        row_first: u64,
        findings: &mut Findings,
    ) -> Result<Normalized> {
        let mut refused = refused;
        refused.resize(raw.len(), false);
        let mut shapes = self.inspect(raw, &mut refused, transform, row_first, findings)?;
        let sources: Vec<Option<[f64; 4]>> = shapes.iter().map(|shape| shape.and_then(|shape| shape.bounds)).collect();
        let is_ready =
            transform.is_identity() && !refused.contains(&true) && shapes.iter().flatten().all(|s| s.is_canonical);
        let mut column = if is_ready {
            raw.clone()
        } else {
            transformed(raw, &mut shapes, &mut refused, transform, row_first, findings)?
        };
        for (i, source) in sources.into_iter().enumerate() {
            let bounds = shapes[i].and_then(|shape| shape.bounds);
            if let (Some(source), Some(bounds)) = (source, bounds)
                && !transform.keeps(source, bounds, row_first + i as u64, findings)
            {
                (refused[i], shapes[i]) = (true, None);
            }
        }
        let repairs = self.test(&column, &mut shapes, &mut refused, row_first, findings);
        if !repairs.is_empty() {
            column = replaced(&column, &repairs);
        }
        self.count(&shapes, &refused);
        Ok(Normalized { column, refused })
    }

    /// What every row is; `None` for null and for rows that are refused.
    fn inspect(
        &self,
        raw: &BinaryArray,
        refused: &mut [bool],
        transform: &mut Transform,
        row_first: u64,
        findings: &mut Findings,
    ) -> Result<Vec<Option<Shape>>> {
        let mut shapes = Vec::with_capacity(raw.len());
        for (i, bytes) in raw.iter().enumerate() {
            let row = row_first + i as u64;
            let shape = match bytes.filter(|_| !refused[i]).map(wkb::inspect) {
                None => None,
                Some(Ok(shape)) => {
                    self.check(&shape, row)?;
                    let is_admitted = transform.admits(&shape, row, findings)?;
                    refused[i] = !is_admitted;
                    is_admitted.then_some(shape)
                }
                Some(Err(error)) => {
                    refuse(error, row, findings)?;
                    refused[i] = true;
                    None
                }
            };
            shapes.push(shape);
        }
        Ok(shapes)
    }

    fn check(&self, shape: &Shape, row: u64) -> Result<()> {
        if shape.vertices > self.limits.vertices_max {
            return Err(Error::limit_reached(format!(
                "row {} has a {} of {} positions, the limit is {}",
                row + 1,
                shape.kind.name(),
                shape.vertices,
                self.limits.vertices_max
            )));
        }
        Ok(())
    }

    /// Tests paths and faces; the repaired ones by row.
    fn test(
        &mut self,
        column: &BinaryArray,
        shapes: &mut [Option<Shape>],
        refused: &mut [bool],
        row_first: u64,
        findings: &mut Findings,
    ) -> BTreeMap<usize, Vec<u8>> {
        let mut repairs = BTreeMap::new();
        let verdicts = side_by_side::verdicts(column, shapes, self.limits.repair_vertices_max);
        for ((i, shape), verdict) in shapes.iter_mut().enumerate().zip(verdicts) {
            let (Some(known), Some(verdict)) = (*shape, verdict) else { continue };
            let row = row_first + i as u64;
            match verdict {
                Verdict::Valid => report_quirks(column.value(i), row, findings),
                Verdict::Repaired(repair) if self.is_allowed(&repair) => {
                    *shape = wkb::inspect(&repair.wkb).ok();
                    self.note(&repair, row, findings);
                    report_quirks(&repair.wkb, row, findings);
                    repairs.insert(i, repair.wkb);
                }
                refusal => {
                    self.report_refusal(refusal, &known, row, findings);
                    (refused[i], *shape) = (true, None);
                }
            }
        }
        repairs
    }

    /// Names a row that is refused for its shape.
    fn report_refusal(&self, verdict: Verdict, shape: &Shape, row: u64, findings: &mut Findings) {
        let (rule, message, found) = match verdict {
            Verdict::Valid => return,
            Verdict::Broken { reason } => (
                "geometry.broken",
                "rows whose geometry has too few positions to be one were refused".to_owned(),
                reason.to_owned(),
            ),
            Verdict::Unrepairable { reason } => (
                "geometry.unrepairable",
                "rows with an invalid geometry of which no repair keeps anything were refused".to_owned(),
                reason,
            ),
            Verdict::TooLarge { reason } => (
                "geometry.too_large_to_repair",
                format!(
                    "rows with an invalid geometry of more than {} positions were refused",
                    self.limits.repair_vertices_max
                ),
                format!("{reason}, {} positions", shape.vertices),
            ),
            Verdict::Repaired(repair) => (
                "geometry.repair_too_large",
                format!(
                    "rows with an invalid geometry were refused: a repair would change more than {} of the area",
                    self.limits.repair_area_change_max
                ),
                format!("{}, {}", repair.reason, change_of_area(&repair)),
            ),
        };
        findings.add(rule, Severity::Error, message, 1, [example(Some(row), None, &found, None)]);
    }

    fn is_allowed(&self, repair: &Repair) -> bool {
        repair.area_change() <= self.limits.repair_area_change_max
    }

    fn note(&mut self, repair: &Repair, row: u64, findings: &mut Findings) {
        self.repaired += 1;
        *self.reasons.entry(repair.kind_of_reason().to_owned()).or_default() += 1;
        self.vertices.0 += repair.vertices.0;
        self.vertices.1 += repair.vertices.1;
        self.area_m2.0 += repair.area_m2.0;
        self.area_m2.1 += repair.area_m2.1;
        self.area_change_max = self.area_change_max.max(repair.area_change());
        let found = format!("{}, {} positions", repair.reason, repair.vertices.0);
        let taken = format!("{} positions, {}", repair.vertices.1, change_of_area(repair));
        let example = example(Some(row), None, &found, Some(&taken));
        show(&mut self.step, || example.clone());
        let message = "invalid geometries were repaired";
        findings.add("geometry.invalid", Severity::Warning, message, 1, [example.clone()]);
        if repair.lost_measures {
            let message = "measures of repaired geometries were left out";
            findings.add("geometry.unmeasured", Severity::Warning, message, 1, [example.clone()]);
        }
        if repair.lost_heights {
            let message = "heights of repaired geometries were left out";
            findings.add("geometry.flattened", Severity::Warning, message, 1, [example]);
        }
    }

    fn count(&mut self, shapes: &[Option<Shape>], refused: &[bool]) {
        for (i, shape) in shapes.iter().enumerate() {
            match shape {
                _ if refused.get(i) == Some(&true) => {}
                None => self.nulls += 1,
                Some(shape) => {
                    *self.types.entry(shape.kind.name()).or_default() += 1;
                    self.empty += u64::from(shape.vertices == 0);
                    self.bounds = union(self.bounds, shape.bounds);
                }
            }
        }
    }

    /// Puts counts, box, receipt and findings into the report.
    pub(crate) fn finish(mut self, report: &mut LayerReport, findings: &mut Findings) {
        report.geometry_types = self.types.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        report.geometry_nulls = self.nulls;
        report.rows_repaired = self.repaired;
        report.bbox = self.bounds.map(BoundingBox::from);
        let message = "geometries without any position stay empty; they are not null";
        findings.add("geometry.empty", Severity::Note, message, self.empty, []);
        self.step.count = self.repaired;
        if self.repaired > 0 {
            let reasons: Vec<String> =
                self.reasons.iter().map(|(reason, count)| format!("{reason}: {count}")).collect();
            let parameters = [
                ("authority", geos::version().map_or("GEOS".to_owned(), |version| format!("GEOS {version}"))),
                ("reasons", reasons.join(", ")),
                ("vertices_before", self.vertices.0.to_string()),
                ("vertices_after", self.vertices.1.to_string()),
                ("area_before_m2", format!("{:.1}", self.area_m2.0)),
                ("area_after_m2", format!("{:.1}", self.area_m2.1)),
                ("area_change_max", format!("{:.6}", self.area_change_max)),
                ("area_on", "the WGS 84 ellipsoid".to_owned()),
            ];
            self.step.parameters.extend(parameters.map(|(key, value)| (key.to_owned(), value)));
        }
        report.steps.push(self.step);
    }
}

/// The change of the area for people: square metres, and the share that counts against the limit.
fn change_of_area(repair: &Repair) -> String {
    let (before, after) = repair.area_m2;
    format!("{:+.1} m² of area, a share of {:.2e}", after - before, repair.area_change())
}

/// Names what is odd about a valid geometry; it stays as it is.
fn report_quirks(bytes: &[u8], row: u64, findings: &mut Findings) {
    let quirks = rings::quirks(bytes);
    if quirks.repeats > 0 {
        let message = "geometries repeat positions right after each other; they were kept";
        let found = format!("{} repeated positions", quirks.repeats);
        let rule = "geometry.repeated_positions";
        findings.add(rule, Severity::Note, message, 1, [example(Some(row), None, &found, None)]);
    }
    if quirks.jumps > 0 {
        let message = "geometries step over more than 180 degrees of longitude: they seem to cross the antimeridian, and their boxes reach around the earth; split them there";
        let found = format!("{} such steps", quirks.jumps);
        let rule = "geometry.antimeridian";
        findings.add(rule, Severity::Warning, message, 1, [example(Some(row), None, &found, None)]);
    }
}

/// Kinds outside Simple Features cost their row; bytes that are no geometry at all cost the push.
fn refuse(error: WkbError, row: u64, findings: &mut Findings) -> Result<()> {
    let (rule, message) = match error {
        WkbError::UnknownType { .. } => (
            "geometry.unsupported",
            "rows with curves, surfaces or other kinds outside OGC Simple Features were refused",
        ),
        WkbError::Nesting => ("geometry.too_deep", "rows with collections nested too deep were refused"),
        _ => return Err(Error::invalid_data(format!("row {} has a damaged geometry: {error}", row + 1))),
    };
    findings.add(rule, Severity::Error, message, 1, [example(Some(row), None, &error.to_string(), None)]);
    Ok(())
}

fn union(a: Option<[f64; 4]>, b: Option<[f64; 4]>) -> Option<[f64; 4]> {
    match (a, b) {
        (Some(a), Some(b)) => Some([a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]),
        (a, b) => a.or(b),
    }
}

/// The column in canonical WKB with its positions through the operation, in one array.
fn transformed(
    raw: &BinaryArray,
    shapes: &mut [Option<Shape>],
    refused: &mut [bool],
    transform: &mut Transform,
    row_first: u64,
    findings: &mut Findings,
) -> Result<BinaryArray> {
    let damaged = |error: WkbError| Error::internal(format!("a geometry changed between two walks: {error}"));
    // Where the bytes and the positions of each row end.
    let mut offsets = vec![0_usize];
    let (mut bytes, mut points, mut ends) = (Vec::new(), Vec::new(), Vec::with_capacity(raw.len()));
    bytes.reserve(raw.value_data().len());
    for (i, shape) in shapes.iter().enumerate() {
        let begin = bytes.len();
        match shape {
            Some(shape) if shape.is_canonical => bytes.extend_from_slice(raw.value(i)),
            Some(_) => bytes.extend(wkb::to_canonical(raw.value(i), false).map_err(damaged)?),
            None => (),
        }
        if shape.is_some() && !transform.is_identity() {
            wkb::read_xy(&bytes[begin..], &mut points).map_err(damaged)?;
        }
        ends.push(points.len());
        offsets.push(bytes.len());
    }
    let index_of = |at: usize| ends.partition_point(|end| *end <= at);
    for at in transform.apply(&mut points, |at| row_first + index_of(at) as u64, findings)? {
        refused[index_of(at)] = true;
    }
    let is_there: NullBuffer = shapes.iter().map(Option::is_some).collect();
    let mut next = points.into_iter();
    for ((place, shape), is_refused) in offsets.windows(2).zip(shapes).zip(refused) {
        if shape.is_some() && !transform.is_identity() {
            let bytes = &mut bytes[place[0]..place[1]];
            wkb::write_xy(bytes, || next.next().unwrap_or((f64::NAN, f64::NAN))).map_err(damaged)?;
            *shape = if *is_refused { None } else { Some(wkb::inspect(bytes).map_err(damaged)?) };
        }
    }
    column(&offsets, bytes, is_there)
}

/// A column of these bytes; `offsets` are where each row begins, and where the last one ends.
///
/// # Errors
///
/// `LimitReached` if they are more than a batch holds.
fn column(offsets: &[usize], bytes: Vec<u8>, is_there: NullBuffer) -> Result<BinaryArray> {
    let offset = |offset: &usize| i32::try_from(*offset).ok();
    let offsets: Option<Vec<i32>> = offsets.iter().map(offset).collect();
    let offsets = offsets.ok_or_else(|| {
        Error::limit_reached(format!(
            "the geometries of a batch have at most {} bytes, found {}",
            i32::MAX,
            bytes.len()
        ))
    })?;
    let is_there = Some(is_there).filter(|is_there| is_there.null_count() > 0);
    BinaryArray::try_new(OffsetBuffer::new(offsets.into()), bytes.into(), is_there)
        .map_err(|error| Error::internal("geometries do not make a column").caused_by(error))
}

fn replaced(column: &BinaryArray, repairs: &BTreeMap<usize, Vec<u8>>) -> BinaryArray {
    let values = column.iter().enumerate();
    values.map(|(i, bytes)| repairs.get(&i).map(Vec::as_slice).or(bytes)).collect()
}

#[cfg(test)]
mod tests;
