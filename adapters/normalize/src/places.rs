//! The places rule: columns of coordinates or WKT become the geometry of a table that has none.
//!
//! The columns stay as attributes. A table in which nothing is found stays a table, with a note.

mod angle;
mod columns;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod wkt;

use crate::crs::CrsSurvey;
use crate::findings::{Findings, example, step};
use crate::types::value::coordinate;
use angle::Axis;
use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, BinaryArray, StringArray};
use arrow_schema::DataType;
use columns::Candidate;
pub use columns::is_geometry_name;
use ukimet_model::error::quoted;
use ukimet_model::{Error, ProcessStep, Result, Severity, wkb};

/// The first pass of the rule.
pub(crate) struct PlaceSurvey {
    candidate: Option<Candidate>,
    names: Vec<String>,
    filled: u64,
    misfits: u64,
    first_misfit: Option<(u64, String)>,
    srid: Option<u32>,
    other_srid: Option<(u64, u32)>,
    is_required: bool,
}

impl PlaceSurvey {
    /// `names` are the source's; `has_geometry` tables keep theirs.
    pub(crate) fn begin(names: Vec<String>, has_geometry: bool, crs_is_declared: bool) -> Self {
        let candidate = if has_geometry { None } else { columns::find(&names, crs_is_declared) };
        Self {
            candidate,
            names,
            filled: 0,
            misfits: 0,
            first_misfit: None,
            srid: None,
            other_srid: None,
            is_required: false,
        }
    }

    /// Says whether the rows have places, whatever their columns hold.
    pub(crate) fn require(&mut self, is_required: bool) {
        self.is_required = is_required;
        if !is_required {
            self.candidate = None;
        }
    }

    pub(crate) fn has_candidate(&self) -> bool {
        self.candidate.is_some()
    }

    /// Looks at one batch.
    pub(crate) fn observe(&mut self, columns: &[ArrayRef], row_first: u64, crs: &mut CrsSurvey) -> Result<()> {
        match self.candidate {
            None => Ok(()),
            Some(Candidate::Pair { x, y, is_degrees }) => {
                for (i, cells) in pairs(&columns[x], &columns[y], is_degrees)?.into_iter().enumerate() {
                    self.observe_pair(cells, row_first + i as u64, crs);
                }
                Ok(())
            }
            Some(Candidate::Cell(at)) => {
                let texts = texts(&columns[at])?;
                for (i, text) in texts.iter().enumerate().filter_map(|(i, text)| text.map(|text| (i, text))) {
                    self.observe_cell(text, row_first + i as u64, crs);
                }
                Ok(())
            }
        }
    }

    fn observe_pair(&mut self, cells: (Number, Number), row: u64, crs: &mut CrsSurvey) {
        if let (Number::Empty, Number::Empty) = cells {
            return;
        }
        self.filled += 1;
        if let (Some(x), Some(y)) = (cells.0.value(), cells.1.value()) {
            crs.observe_xy(x, y);
        }
        if let (Number::Misfit(text), _) | (_, Number::Misfit(text)) = cells {
            self.misfits += 1;
            self.first_misfit.get_or_insert((row, text));
        }
    }

    fn observe_cell(&mut self, text: &str, row: u64, crs: &mut CrsSurvey) {
        if text.trim().is_empty() {
            return;
        }
        self.filled += 1;
        if let Ok(cell) = wkt::read(text) {
            crs.observe_wkb(&cell.wkb);
            match (self.srid, cell.srid) {
                (None, srid) => self.srid = srid,
                (Some(first), Some(srid)) if srid != first => {
                    self.other_srid.get_or_insert((row, srid));
                }
                _ => {}
            }
        } else {
            self.misfits += 1;
            self.first_misfit.get_or_insert((row, text.to_owned()));
        }
    }

    /// Decides what makes the geometry, and tells the CRS rule what the columns imply.
    ///
    /// # Errors
    ///
    /// `InvalidData` if rows name different SRIDs.
    pub(crate) fn decide(self, has_geometry: bool, crs: &mut CrsSurvey) -> Result<PlacePlan> {
        let mut findings = Findings::default();
        let places = match self.candidate {
            // Columns of which most do not fit were never meant as places.
            Some(_) if !self.is_required && (self.filled == 0 || self.misfits * 2 > self.filled) => None,
            Some(Candidate::Pair { x, y, is_degrees }) => {
                if is_degrees {
                    let why = format!("columns {} and {} are so named", quoted(&self.names[x]), quoted(&self.names[y]));
                    crs.imply("OGC:CRS84", &why)?;
                }
                self.candidate
            }
            Some(Candidate::Cell(_)) => {
                if let (Some(first), Some((row, srid))) = (self.srid, self.other_srid) {
                    return Err(Error::invalid_data(format!(
                        "row {} has SRID {srid}, but rows before have {first}",
                        row + 1
                    )));
                }
                if let Some(srid) = self.srid {
                    crs.imply(&format!("EPSG:{srid}"), "the geometries carry this SRID")?;
                }
                self.candidate
            }
            None => None,
        };
        if places.is_none() && !has_geometry {
            let message = match (self.candidate, &self.first_misfit) {
                (Some(_), Some((row, found))) => format!(
                    "the table has no geometry: its columns of places hold something else, such as {} in row {}",
                    quoted(found),
                    row + 1
                ),
                _ => "the table has no geometry: no columns of coordinates or WKT were found by name".to_owned(),
            };
            findings.add("geometry.none", Severity::Note, message, 1, []);
        }
        Ok(PlacePlan { step: self.receipt(places), places, names: self.names, findings })
    }

    fn receipt(&self, places: Option<Candidate>) -> ProcessStep {
        let name = |at: usize| quoted(&self.names[at]);
        match places {
            None => step("places", [("from", "nothing".to_owned())]),
            Some(Candidate::Pair { x, y, .. }) => {
                step("places", [("from", "two columns".to_owned()), ("x", name(x)), ("y", name(y))])
            }
            Some(Candidate::Cell(at)) => step("places", [("from", "WKT".to_owned()), ("column", name(at))]),
        }
    }
}

/// The decision of the rule.
pub(crate) struct PlacePlan {
    places: Option<Candidate>,
    names: Vec<String>,
    /// What was found so far.
    pub(crate) findings: Findings,
    /// The receipt under way.
    pub(crate) step: ProcessStep,
}

impl PlacePlan {
    /// Whether columns make a geometry.
    pub(crate) fn has_places(&self) -> bool {
        self.places.is_some()
    }

    /// The column of WKT that makes the geometry, if one does.
    pub(crate) fn cell(&self) -> Option<usize> {
        match self.places {
            Some(Candidate::Cell(at)) => Some(at),
            _ => None,
        }
    }

    /// The geometry of one batch in the source's coordinates, and the rows to refuse (empty if none).
    pub(crate) fn apply(&mut self, columns: &[ArrayRef], row_first: u64) -> Result<Option<(BinaryArray, Vec<bool>)>> {
        match self.places {
            None => Ok(None),
            Some(Candidate::Pair { x, y, is_degrees }) => {
                Ok(Some(self.points((x, y), pairs(&columns[x], &columns[y], is_degrees)?, row_first)))
            }
            Some(Candidate::Cell(at)) => self.cells(&columns[at], at, row_first).map(Some),
        }
    }

    fn points(
        &mut self,
        (x, y): (usize, usize),
        pairs: Vec<(Number, Number)>,
        row_first: u64,
    ) -> (BinaryArray, Vec<bool>) {
        const POINT_SIZE: usize = 21;
        let mut refused = Vec::new();
        let count = pairs.len();
        let mut points = BinaryBuilder::with_capacity(count, count * POINT_SIZE);
        for (i, cells) in pairs.into_iter().enumerate() {
            let row = row_first + i as u64;
            for (column, cell) in [(x, &cells.0), (y, &cells.1)] {
                self.report_cell(cell, column, row);
            }
            match (cells.0.value(), cells.1.value()) {
                (Some(x), Some(y)) => {
                    self.step.count += 1;
                    points.append_value(point(x, y));
                    continue;
                }
                _ if matches!(cells, (Number::Misfit(_), _) | (_, Number::Misfit(_))) => {
                    refused.resize(count, false);
                    refused[i] = true;
                }
                (None, None) => {}
                _ => {
                    let message = "rows with only one of two coordinates have no geometry";
                    let examples = [example(Some(row), None, "one coordinate is empty", None)];
                    self.findings.add("places.half", Severity::Warning, message, 1, examples);
                }
            }
            points.append_null();
        }
        (points.finish(), refused)
    }

    /// Names a cell that is no coordinate, or was one in degrees, minutes and seconds.
    fn report_cell(&mut self, cell: &Number, column: usize, row: u64) {
        let name = Some(self.names[column].as_str());
        match cell {
            Number::Empty | Number::Value(_) => {}
            Number::Angle(degrees, text) => {
                let message = "angles in degrees, minutes and seconds were read as degrees";
                let examples = [example(Some(row), name, text, Some(&degrees.to_string()))];
                self.findings.add("places.angle", Severity::Note, message, 1, examples);
            }
            Number::Misfit(text) => {
                let message = "rows whose coordinate is no number were refused";
                let examples = [example(Some(row), name, text, None)];
                self.findings.add("places.malformed", Severity::Error, message, 1, examples);
            }
        }
    }

    fn cells(&mut self, column: &ArrayRef, at: usize, row_first: u64) -> Result<(BinaryArray, Vec<bool>)> {
        let mut refused = Vec::new();
        let mut geometries = BinaryBuilder::new();
        for (i, text) in texts(column)?.iter().enumerate() {
            match text.filter(|text| !text.trim().is_empty()).map(|text| (text, wkt::read(text))) {
                None => geometries.append_null(),
                Some((_, Ok(cell))) => {
                    self.step.count += 1;
                    geometries.append_value(cell.wkb);
                }
                Some((text, Err(why))) => {
                    refused.resize(column.len(), false);
                    refused[i] = true;
                    let examples = [example(Some(row_first + i as u64), Some(&self.names[at]), text, None)];
                    let message = format!("rows whose geometry cannot be read were refused ({why} in the first)");
                    self.findings.add("geometry.malformed", Severity::Error, message, 1, examples);
                    geometries.append_null();
                }
            }
        }
        Ok((geometries.finish(), refused))
    }
}

/// A point in canonical WKB.
fn point(x: f64, y: f64) -> [u8; 21] {
    let mut bytes = [0; 21];
    bytes[0] = 1;
    bytes[1..5].copy_from_slice(&(wkb::GeometryType::Point as u32).to_le_bytes());
    bytes[5..13].copy_from_slice(&x.to_le_bytes());
    bytes[13..21].copy_from_slice(&y.to_le_bytes());
    bytes
}

/// One cell of a column of coordinates.
#[derive(Debug, PartialEq)]
enum Number {
    Empty,
    Value(f64),
    /// Degrees, and how they were written.
    Angle(f64, String),
    Misfit(String),
}

impl Number {
    fn value(&self) -> Option<f64> {
        match self {
            Self::Value(value) | Self::Angle(value, _) => Some(*value),
            Self::Empty | Self::Misfit(_) => None,
        }
    }
}

/// The cells of both columns, x before y.
fn pairs(x: &ArrayRef, y: &ArrayRef, is_degrees: bool) -> Result<Vec<(Number, Number)>> {
    let axis = |axis: Axis| is_degrees.then_some(axis);
    let (xs, ys) = (numbers(x, axis(Axis::Longitude))?, numbers(y, axis(Axis::Latitude))?);
    Ok(xs.into_iter().zip(ys).collect())
}

/// The cells of a column; in degrees along `axis`, or in metres.
fn numbers(column: &ArrayRef, axis: Option<Axis>) -> Result<Vec<Number>> {
    if column.data_type().is_numeric() {
        let numbers = arrow_cast::cast(column, &DataType::Float64)
            .map_err(|error| Error::invalid_data("a column of coordinates is no number").caused_by(error))?;
        let of_number = |value: Option<f64>| value.filter(|v| !v.is_nan()).map_or(Number::Empty, Number::Value);
        return Ok(numbers.as_primitive::<Float64Type>().iter().map(of_number).collect());
    }
    Ok(texts(column)?.iter().map(|text| number(text.map_or("", str::trim), axis)).collect())
}

fn number(text: &str, axis: Option<Axis>) -> Number {
    if text.is_empty() {
        return Number::Empty;
    }
    // Before plain numbers: `43 15 20` would be one with spaces in it.
    if let Some((axis, angle)) = axis.and_then(|axis| Some((axis, angle::read(text)?))) {
        let is_here = angle.axis.is_none_or(|found| found == axis);
        let text = text.to_owned();
        return if is_here { Number::Angle(angle.degrees, text) } else { Number::Misfit(text) };
    }
    coordinate(text).map_or_else(|| Number::Misfit(text.to_owned()), Number::Value)
}

/// A column as text; bytes that are not UTF-8, or no text at all, cannot be coordinates.
fn texts(column: &ArrayRef) -> Result<StringArray> {
    if let DataType::Binary = column.data_type() {
        let readable = |bytes: &[u8]| match bytes {
            bytes if bytes.contains(&0) => "binary values".to_owned(),
            bytes => String::from_utf8_lossy(bytes).into_owned(),
        };
        let readable = |bytes: Option<&[u8]>| bytes.map(readable);
        return Ok(column.as_binary::<i32>().iter().map(readable).collect());
    }
    let text = arrow_cast::cast(column, &DataType::Utf8)
        .map_err(|error| Error::invalid_data("a column of places is no text").caused_by(error))?;
    Ok(text.as_string::<i32>().clone())
}

#[cfg(test)]
mod tests;
