//! The places rule: columns of coordinates or WKT become the geometry of a table that has none.
//!
//! The columns stay as attributes. A table in which nothing is found stays a table, with a note.

mod columns;
mod wkt;

use crate::crs::CrsSurvey;
use crate::findings::{Findings, example, step};
use crate::types::value::coordinate;
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
    /// The first number that cannot be a degree: row, column, value.
    first_outside: Option<(u64, usize, f64)>,
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
            first_outside: None,
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
                let (xs, ys) = (numbers(&columns[x])?, numbers(&columns[y])?);
                for (i, (x_cell, y_cell)) in xs.into_iter().zip(ys).enumerate() {
                    let row = row_first + i as u64;
                    self.observe_pair((x, x_cell), (y, y_cell), is_degrees && crs.is_geographic(), row, crs);
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

    fn observe_pair(
        &mut self,
        x: (usize, Number),
        y: (usize, Number),
        is_degrees: bool,
        row: u64,
        crs: &mut CrsSurvey,
    ) {
        if matches!((&x.1, &y.1), (Number::Empty, Number::Empty)) {
            return;
        }
        self.filled += 1;
        if let (Number::Value(x), Number::Value(y)) = (&x.1, &y.1) {
            crs.observe_xy(*x, *y);
        }
        for ((column, cell), limit) in [(x, 180.0), (y, 90.0)] {
            match cell {
                Number::Misfit(text) => {
                    self.misfits += 1;
                    self.first_misfit.get_or_insert((row, text));
                }
                Number::Value(value) if is_degrees && value.abs() > limit => {
                    self.first_outside.get_or_insert((row, column, value));
                }
                _ => {}
            }
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
    /// `InvalidData` naming row, column, value and range if columns named longitude and latitude hold something
    /// else, or rows name different SRIDs.
    pub(crate) fn decide(self, has_geometry: bool, crs: &mut CrsSurvey) -> Result<PlacePlan> {
        let mut findings = Findings::default();
        let places = match self.candidate {
            // Columns of which most do not fit were never meant as places.
            Some(_) if !self.is_required && (self.filled == 0 || self.misfits * 2 > self.filled) => None,
            Some(Candidate::Pair { x, y, is_degrees }) => {
                self.check_pair(x, y)?;
                if is_degrees {
                    let why = format!("columns {} and {} are so named", quoted(&self.names[x]), quoted(&self.names[y]));
                    crs.imply("OGC:CRS84", &why)?;
                }
                self.candidate
            }
            Some(Candidate::Cell(_)) => {
                if let (Some(first), Some((row, srid))) = (self.srid, self.other_srid) {
                    return Err(Error::invalid_data(format!(
                        "row {row} has SRID {srid}, but rows before have {first}"
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
                    "the table has no geometry: its columns of places hold something else, such as {} in row {row}",
                    quoted(found)
                ),
                _ => "the table has no geometry: no columns of coordinates or WKT were found by name".to_owned(),
            };
            findings.add("geometry.none", Severity::Note, message, 1, []);
        }
        Ok(PlacePlan { step: self.receipt(places), places, names: self.names, findings })
    }

    fn check_pair(&self, x: usize, y: usize) -> Result<()> {
        if let Some((row, found)) = &self.first_misfit {
            return Err(Error::invalid_data(format!(
                "expected numbers in columns {} and {}, found {} in row {row}",
                quoted(&self.names[x]),
                quoted(&self.names[y]),
                quoted(found)
            )));
        }
        if let Some((row, column, value)) = self.first_outside {
            let (range, limit) =
                if column == x { ("longitude within ±180", 180.0) } else { ("latitude within ±90", 90.0) };
            let hint = if limit < 100.0 && value.abs() <= 180.0 {
                "are longitude and latitude swapped?"
            } else {
                "declare the crs if these are not degrees"
            };
            return Err(Error::invalid_data(format!(
                "expected {range} in column {}, found {value} in row {row}; {hint}",
                quoted(&self.names[column])
            )));
        }
        Ok(())
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

    /// The geometry of one batch in the source's coordinates, and the rows to refuse (empty if none).
    pub(crate) fn apply(&mut self, columns: &[ArrayRef], row_first: u64) -> Result<Option<(BinaryArray, Vec<bool>)>> {
        match self.places {
            None => Ok(None),
            Some(Candidate::Pair { x, y, .. }) => self.points(&columns[x], &columns[y], row_first).map(Some),
            Some(Candidate::Cell(at)) => self.cells(&columns[at], at, row_first).map(Some),
        }
    }

    fn points(&mut self, x: &ArrayRef, y: &ArrayRef, row_first: u64) -> Result<(BinaryArray, Vec<bool>)> {
        const POINT_SIZE: usize = 21;
        let mut points = BinaryBuilder::with_capacity(x.len(), x.len() * POINT_SIZE);
        for (i, cells) in numbers(x)?.into_iter().zip(numbers(y)?).enumerate() {
            let row = row_first + i as u64;
            match cells {
                (Number::Value(x), Number::Value(y)) => {
                    self.step.count += 1;
                    points.append_value(point(x, y));
                }
                (Number::Empty, Number::Empty) => points.append_null(),
                (Number::Misfit(found), _) | (_, Number::Misfit(found)) => {
                    return Err(Error::invalid_data(format!(
                        "expected a coordinate, found {} in row {row}",
                        quoted(&found)
                    )));
                }
                _ => {
                    let message = "rows with only one of two coordinates have no geometry";
                    let examples = [example(Some(row), None, "one coordinate is empty", None)];
                    self.findings.add("places.half", Severity::Warning, message, 1, examples);
                    points.append_null();
                }
            }
        }
        Ok((points.finish(), Vec::new()))
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
enum Number {
    Empty,
    Value(f64),
    Misfit(String),
}

fn numbers(column: &ArrayRef) -> Result<Vec<Number>> {
    let of_text = |text: Option<&str>| match text.map(str::trim) {
        None | Some("") => Number::Empty,
        Some(text) => coordinate(text).map_or_else(|| Number::Misfit(text.to_owned()), Number::Value),
    };
    if column.data_type().is_numeric() {
        let numbers = arrow_cast::cast(column, &DataType::Float64)
            .map_err(|error| Error::invalid_data("a column of coordinates is no number").caused_by(error))?;
        let of_number = |value: Option<f64>| value.filter(|v| !v.is_nan()).map_or(Number::Empty, Number::Value);
        return Ok(numbers.as_primitive::<Float64Type>().iter().map(of_number).collect());
    }
    Ok(texts(column)?.iter().map(of_text).collect())
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
