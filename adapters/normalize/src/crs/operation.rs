//! The one operation that brings a layer to OGC:CRS84: named, with accuracy, pinned as a pipeline.

use super::definition::Resolved;
use super::grids::Grid;
use super::{guarded, qaztrf};
use proj::Proj;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// How a layer's coordinates become longitude and latitude on WGS 84, in degrees.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Operation {
    /// The name in the register.
    pub(super) name: String,
    /// Metres; `None` where the register says nothing.
    pub(super) accuracy_m: Option<f64>,
    /// PROJ pipeline from east, north to longitude, latitude; `None` if the numbers stay as they are.
    pub(super) pipeline: Option<String>,
    /// The operator's grid in the pipeline.
    pub(super) grid: Option<Box<Grid>>,
}

/// What is known of the operation before any coordinate.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Choice {
    /// It does not depend on the place.
    Fixed(Operation),
    /// The register has several; the place decides.
    ByPoint,
}

impl Operation {
    /// Nothing to do.
    pub(super) fn identity(name: &str) -> Self {
        Self { name: name.to_owned(), accuracy_m: Some(0.0), pipeline: None, grid: None }
    }

    /// The operation of a QazTRF-23 system.
    pub(super) fn of_qaztrf(system: qaztrf::System) -> Self {
        Self {
            name: qaztrf::OPERATION.to_owned(),
            accuracy_m: Some(qaztrf::ACCURACY_M),
            pipeline: system.pipeline(),
            grid: None,
        }
    }

    /// The pipeline as PROJ is given it on this machine.
    pub(super) fn runnable(&self) -> Option<String> {
        let pipeline = self.pipeline.as_ref()?;
        Some(self.grid.as_ref().map_or_else(|| pipeline.clone(), |grid| grid.located(pipeline)))
    }
}

/// PROJ's words while several operations are in question.
const UNDECIDED: &str = "unavailable until proj_trans is called";

/// Looks whether the place matters.
pub(super) fn choose(source: &Resolved) -> Result<Choice> {
    let operation = create(source, true)?;
    if operation.proj_info().description.as_deref() == Some(UNDECIDED) {
        return Ok(Choice::ByPoint);
    }
    pinned(&operation, source).map(Choice::Fixed)
}

/// Chooses the best operation at a point, x (east) before y (north) in the source's units.
///
/// # Errors
///
/// `InvalidData` if the point is outside the CRS's domain; `Undeclared` if there are only ballpark operations.
pub(super) fn choose_at(source: &Resolved, (x, y): (f64, f64)) -> Result<Operation> {
    let point = if source.is_north_first() { (y, x) } else { (x, y) };
    let at = |with_ballpark: bool| -> Result<Operation> {
        let operation = create(source, with_ballpark)?;
        guarded(|| operation.convert(point).map_err(|error| error.to_string())).map_err(|why| {
            Error::invalid_data(format!("the point ({x}, {y}) is outside the domain of {}: {why}", source.label))
        })?;
        pinned(&operation, source)
    };
    // Outside the area of every named operation PROJ prefers a ballpark one; without it, it takes the best named.
    at(true).or_else(|error| if error.kind() == ukimet_model::ErrorKind::Undeclared { at(false) } else { Err(error) })
}

fn create(source: &Resolved, with_ballpark: bool) -> Result<Proj> {
    let crs = |definition: &str| Proj::new(definition).map_err(|error| error.to_string());
    let options = (!with_ballpark).then(|| vec!["ALLOW_BALLPARK=NO"]);
    let made = guarded(|| {
        crs(&source.for_proj)?
            .create_crs_to_crs_from_pj(&crs("OGC:CRS84")?, None, options)
            .map_err(|error| error.to_string())
    });
    made.map_err(|_| no_operation(source))
}

fn no_operation(source: &Resolved) -> Error {
    let datum = match source.datum() {
        Some(datum) => format!("; its datum is given as {}, which the register does not know", quoted(datum)),
        None => String::new(),
    };
    let projection = source.projection().map(|text| format!("; look for the code whose projection has {text}"));
    Error::undeclared(format!(
        "declare crs: there is no named operation from {} to WGS 84, only a ballpark one that ignores the datum{datum}{}",
        quoted(&source.label),
        projection.unwrap_or_default()
    ))
}

/// Reads the chosen operation and turns its pipeline to x, y order.
fn pinned(operation: &Proj, source: &Resolved) -> Result<Operation> {
    let info = operation.proj_info();
    let (name, definition) = (info.description.unwrap_or_default(), info.definition.unwrap_or_default());
    if name.contains("Ballpark") || definition.is_empty() {
        return Err(no_operation(source));
    }
    let accuracy_m = (info.accuracy >= 0.0).then_some(info.accuracy);
    let name = name.trim_end_matches(" + axis order change (2D)").to_owned();
    Ok(Operation { name, accuracy_m, pipeline: in_xy_order(&definition, source.is_north_first()), grid: None })
}

/// The same pipeline for x before y; `None` if nothing is left to do.
fn in_xy_order(definition: &str, is_north_first: bool) -> Option<String> {
    const SWAP: &str = "step proj=axisswap order=2,1";
    let word = |word: &str| definition.split_whitespace().any(|w| w == word);
    if !definition.starts_with("proj=pipeline") {
        let swaps = word("proj=axisswap") && word("order=2,1");
        return match (swaps || word("proj=noop"), is_north_first) {
            (true, first) if first == swaps => None,
            (true, _) => Some(format!("proj=pipeline {SWAP}")),
            (false, true) => Some(format!("proj=pipeline {SWAP} step {definition}")),
            (false, false) => Some(definition.to_owned()),
        };
    }
    let steps = definition.trim_start_matches("proj=pipeline").trim();
    if !is_north_first {
        return Some(format!("proj=pipeline {steps}"));
    }
    Some(match steps.strip_prefix(SWAP) {
        Some(rest) => format!("proj=pipeline {}", rest.trim()),
        None => format!("proj=pipeline {SWAP} {steps}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_starts_from_x_and_y() {
        for (definition, north_first, expected) in [
            ("proj=axisswap order=2,1 ellps=GRS80", true, None),
            ("proj=noop ellps=GRS80", false, None),
            ("proj=axisswap order=2,1", false, Some("proj=pipeline step proj=axisswap order=2,1")),
            (
                "proj=pipeline step proj=axisswap order=2,1 step inv proj=tmerc",
                true,
                Some("proj=pipeline step inv proj=tmerc"),
            ),
            ("proj=pipeline step inv proj=webmerc", false, Some("proj=pipeline step inv proj=webmerc")),
            ("proj=pipeline step inv proj=x", true, Some("proj=pipeline step proj=axisswap order=2,1 step inv proj=x")),
        ] {
            assert_eq!(in_xy_order(definition, north_first).as_deref(), expected, "{definition}");
        }
    }
}
