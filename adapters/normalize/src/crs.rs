//! The CRS rule: every layer comes to OGC:CRS84 by one named operation, or the publisher is asked.
//!
//! Order: declared by the publisher, declared by the source, implied by columns named longitude and latitude.
//! A missing CRS is an error with candidates, a ballpark operation is an error, and numbers outside the CRS's
//! domain are an error. Coordinates that are already degrees on WGS 84 stay as they are, bit for bit.

mod candidates;
mod definition;
mod inverse;
mod operation;
mod qaztrf;
mod transform;

pub use inverse::from_crs84;
pub(crate) use transform::Transform;

use crate::findings::{Findings, step};
use definition::Resolved;
use operation::{Choice, Operation};
use std::panic::{AssertUnwindSafe, catch_unwind};
use ukimet_model::error::quoted;
use ukimet_model::{Crs, Error, ErrorKind, ProcessStep, Result, Severity, wkb};

/// The version of the PROJ that is linked in, as it stands in receipts.
fn proj_version() -> String {
    let version = proj::ProjBuilder::new().lib_info().map_or("unknown".to_owned(), |info| info.version);
    format!("PROJ {version}")
}

/// Calls PROJ. Its binding panics where PROJ fails without an error number; here that is a plain failure.
fn guarded<T>(call: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err("PROJ gives no reason".to_owned()))
}

/// What is known about the CRS before the rows.
enum Known {
    Missing,
    /// Degrees on WGS 84.
    Wgs84(String),
    Qaztrf(qaztrf::System, String),
    Other(Resolved, Choice),
}

/// How many positions decide which operation is the best: the first ones of the layer.
const SAMPLE_MAX: usize = 4096;

/// The first pass of the rule.
pub(crate) struct CrsSurvey {
    known: Known,
    known_by: &'static str,
    sample: Vec<(f64, f64)>,
    bounds: Option<[f64; 4]>,
    findings: Findings,
}

impl CrsSurvey {
    /// `of_layer` is left out for a layer that cannot have places.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if what the publisher declared is no CRS; `Undeclared` if what the source says is none.
    pub(crate) fn begin(declared: Option<&str>, of_layer: Option<&Crs>) -> Result<Self> {
        let mut findings = Findings::default();
        let (known, known_by) = match (declared, of_layer) {
            (Some(text), of_layer) => {
                let known = know(&definition::accept(text)?)?;
                let label = label(&known);
                if let Some(other) = of_layer.filter(|crs| label != Some(crs.to_string().as_str())) {
                    let message =
                        format!("the publisher's {} overrides the source's {other}", label.unwrap_or_default());
                    findings.add("crs.overridden", Severity::Note, message, 1, []);
                }
                (known, "the publisher")
            }
            (None, Some(crs)) => (of_source(crs)?, "the source"),
            (None, None) => (Known::Missing, "nobody"),
        };
        Ok(Self { known, known_by, sample: Vec::new(), bounds: None, findings })
    }

    pub(crate) fn is_missing(&self) -> bool {
        matches!(self.known, Known::Missing)
    }

    /// Whether the coordinates are degrees of longitude and latitude, or would have to be.
    pub(crate) fn is_geographic(&self) -> bool {
        match &self.known {
            Known::Missing | Known::Wgs84(_) => true,
            Known::Qaztrf(system, _) => *system == qaztrf::System::Geographic,
            Known::Other(resolved, _) => resolved.is_geographic(),
        }
    }

    pub(crate) fn needs_more(&self) -> bool {
        match &self.known {
            Known::Missing => true,
            Known::Other(_, Choice::ByPoint) => self.sample.len() < SAMPLE_MAX,
            _ => false,
        }
    }

    /// Looks at one geometry; bytes that are none are the geometry rule's matter.
    pub(crate) fn observe_wkb(&mut self, bytes: &[u8]) {
        if !self.needs_more() {
            return;
        }
        if self.is_missing() {
            if let Ok(wkb::Shape { bounds: Some(bounds), is_finite: true, .. }) = wkb::inspect(bytes) {
                self.widen(bounds);
            }
            return;
        }
        let (mut xs, mut ys) = (Vec::new(), Vec::new());
        if wkb::read_xy(bytes, &mut xs, &mut ys).is_ok() {
            xs.into_iter().zip(ys).for_each(|(x, y)| self.observe_xy(x, y));
        }
    }

    /// Looks at one position, x (east) before y (north), in the source's units.
    pub(crate) fn observe_xy(&mut self, x: f64, y: f64) {
        if !x.is_finite() || !y.is_finite() {
            return;
        }
        if self.is_missing() {
            self.widen([x, y, x, y]);
        } else if self.sample.len() < SAMPLE_MAX {
            self.sample.push((x, y));
        }
    }

    fn widen(&mut self, [x_min, y_min, x_max, y_max]: [f64; 4]) {
        let b = self.bounds.unwrap_or([x_min, y_min, x_max, y_max]);
        self.bounds = Some([b[0].min(x_min), b[1].min(y_min), b[2].max(x_max), b[3].max(y_max)]);
    }

    /// Takes the CRS that the columns imply, if nothing else was said: `EPSG:n` from EWKT, or `OGC:CRS84`.
    pub(crate) fn imply(&mut self, code: &str, why: &str) -> Result<()> {
        if !self.is_missing() {
            return Ok(());
        }
        self.known = know(&definition::accept(code)?)?;
        self.known_by = "the columns";
        self.findings.add("crs.from_columns", Severity::Note, format!("{code} is taken because {why}"), 1, []);
        // The place was not sampled; the middle of the extent stands for it.
        if let Some([x_min, y_min, x_max, y_max]) = self.bounds {
            self.sample.push((x_min.midpoint(x_max), y_min.midpoint(y_max)));
        }
        Ok(())
    }

    /// Decides the operation.
    ///
    /// # Errors
    ///
    /// `Undeclared` with candidates if no CRS is known though there are coordinates, or if only a ballpark
    /// operation exists.
    pub(crate) fn decide(mut self, has_places: bool) -> Result<CrsPlan> {
        if !has_places {
            return Ok(CrsPlan::of_table(self.findings));
        }
        let middle = self.middle();
        let known = match self.known {
            Known::Missing => {
                if let Some(bounds) = self.bounds {
                    return Err(Error::undeclared(candidates::question(bounds)));
                }
                let message = "the layer names no crs; it has no coordinates that would need one";
                self.findings.add("crs.none", Severity::Note, message, 1, []);
                return Ok(CrsPlan::of_table(self.findings));
            }
            known => known,
        };
        let mut plan = settled(known, middle)?;
        plan.findings = self.findings;
        plan.step.parameters.insert("source_crs_by".to_owned(), self.known_by.to_owned());
        Ok(plan)
    }

    /// The median position of the sample, x and y apart.
    fn middle(&self) -> Option<(f64, f64)> {
        let median = |part: fn(&(f64, f64)) -> f64| {
            let mut values: Vec<f64> = self.sample.iter().map(part).collect();
            values.sort_unstable_by(f64::total_cmp);
            values.get(values.len() / 2).copied()
        };
        Some((median(|p| p.0)?, median(|p| p.1)?))
    }
}

fn know(definition: &definition::Definition) -> Result<Known> {
    let text = definition.for_proj();
    if ["EPSG:4326", "EPSG:4979", "OGC:CRS84", "OGC:CRS84h"].contains(&text.as_str()) {
        return Ok(Known::Wgs84(text));
    }
    if let Some(system) = qaztrf::System::of_code(&text) {
        return Ok(Known::Qaztrf(system, text));
    }
    let resolved = definition::resolve(definition)?;
    if let Some(system) = qaztrf::System::of_definition(&resolved.horizontal) {
        return Ok(Known::Qaztrf(system, system.code()));
    }
    let choice = operation::choose(&resolved)?;
    Ok(Known::Other(resolved, choice))
}

fn of_source(crs: &Crs) -> Result<Known> {
    definition::of_crs(crs).and_then(|definition| know(&definition)).map_err(|error| match error.kind() {
        ErrorKind::InvalidRequest => {
            Error::undeclared(format!("declare crs: what the source says cannot be used: {}", error.message()))
        }
        _ => error,
    })
}

fn label(known: &Known) -> Option<&str> {
    match known {
        Known::Missing => None,
        Known::Wgs84(label) | Known::Qaztrf(_, label) => Some(label),
        Known::Other(resolved, _) => Some(&resolved.label),
    }
}

/// The plan for a CRS that is known, without findings.
fn settled(known: Known, middle: Option<(f64, f64)>) -> Result<CrsPlan> {
    let zone = match &known {
        Known::Qaztrf(qaztrf::System::Zone(zone), _) => Some(i64::from(*zone)),
        Known::Other(resolved, _) => resolved.zone(),
        Known::Missing | Known::Wgs84(_) | Known::Qaztrf(..) => None,
    };
    let (label, name, operation, is_geographic, area) = match known {
        Known::Missing => return Ok(CrsPlan::of_table(Findings::default())),
        Known::Wgs84(label) => (
            label,
            "WGS 84".to_owned(),
            Some(Operation::identity("none: the coordinates are degrees on WGS 84")),
            true,
            None,
        ),
        Known::Qaztrf(system, label) => {
            let is_geographic = system == qaztrf::System::Geographic;
            (label, system.name(), Some(Operation::of_qaztrf(system)), is_geographic, Some(system.area()))
        }
        Known::Other(source, choice) => {
            let operation = match (choice, middle) {
                (Choice::Fixed(operation), _) => Some(operation),
                (Choice::ByPoint, Some((lon, lat))) if source.is_geographic() => {
                    // Numbers outside the globe are refused by row later; here they only choose.
                    Some(operation::choose_at(&source, (lon.clamp(-180.0, 180.0), lat.clamp(-90.0, 90.0)))?)
                }
                (Choice::ByPoint, Some(point)) => Some(operation::choose_at(&source, point)?),
                (Choice::ByPoint, None) => None,
            };
            let is_geographic = source.is_geographic();
            (source.label, source.name, operation, is_geographic, source.area)
        }
    };
    let is_undecided = operation.is_none();
    let operation = operation.unwrap_or_else(|| Operation::identity("none: there are no coordinates"));
    let step = receipt(&label, &name, &operation, middle);
    let label = Some(label);
    Ok(CrsPlan { label, operation, is_undecided, is_geographic, area, zone, findings: Findings::default(), step })
}

fn receipt(label: &str, name: &str, operation: &Operation, middle: Option<(f64, f64)>) -> ProcessStep {
    let unknown = || "unknown".to_owned();
    let mut step = step(
        "crs",
        [
            ("source_crs", label.to_owned()),
            ("source_crs_name", name.to_owned()),
            ("target_crs", "OGC:CRS84".to_owned()),
            ("operation", operation.name.clone()),
            ("accuracy_m", operation.accuracy_m.map_or_else(unknown, |metres| metres.to_string())),
            ("axis_order", "x (east) before y (north), whatever the definition says".to_owned()),
        ],
    );
    if let Some(pipeline) = &operation.pipeline {
        step.parameters.insert("pipeline".to_owned(), pipeline.clone());
        step.parameters.insert("software".to_owned(), proj_version());
        if let Some((x, y)) = middle {
            step.parameters.insert("chosen_at".to_owned(), format!("x {x}, y {y}"));
        }
    }
    step
}

/// The decision of the rule.
#[derive(Debug)]
pub(crate) struct CrsPlan {
    /// `EPSG:28413` or a name; `None` for a table.
    pub(crate) label: Option<String>,
    operation: Operation,
    /// No coordinate was seen that could choose the operation, so there must be none.
    is_undecided: bool,
    is_geographic: bool,
    area: Option<[f64; 4]>,
    /// Number of the zone that the false easting puts before every x, in millions of metres.
    zone: Option<i64>,
    /// What was found so far.
    pub(crate) findings: Findings,
    /// The receipt.
    pub(crate) step: ProcessStep,
}

impl CrsPlan {
    fn of_table(findings: Findings) -> Self {
        let step = step("crs", [("source_crs", "none: there are no coordinates".to_owned())]);
        let operation = Operation::identity("none");
        Self { label: None, operation, is_undecided: true, is_geographic: true, area: None, zone: None, findings, step }
    }

    fn quoted_label(&self) -> String {
        quoted(self.label.as_deref().unwrap_or("none"))
    }
}

#[cfg(test)]
mod tests;
