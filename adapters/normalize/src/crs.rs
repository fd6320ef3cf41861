//! The CRS rule: every layer comes to OGC:CRS84 by one named operation, or the publisher is asked.
//!
//! Order: declared by the publisher, declared by the source, implied by columns named longitude and latitude, inferred
//! from the numbers and a declared region. A CRS that is missing even so is an error with candidates, a ballpark
//! operation is an error, and rows outside the CRS's domain are refused. Coordinates that are already degrees on
//! WGS 84 stay as they are, bit for bit.

mod candidates;
mod definition;
mod gate;
mod grids;
mod inference;
mod operation;
mod qaztrf;
mod region;
mod transform;

pub use grids::Grids;
pub(crate) use region::Region;
pub(crate) use transform::Transform;

use crate::findings::{Findings, example, step};
use crate::layer::Limits;
use definition::Resolved;
use gate::Gate;
use operation::{Choice, Operation};
use std::panic::{AssertUnwindSafe, catch_unwind};
use ukimet_model::error::quoted;
use ukimet_model::{Crs, Error, ErrorKind, ProcessStep, Result, Severity, wkb};

/// The version of the PROJ that is linked in, as it stands in receipts.
fn proj_version() -> String {
    let version = proj::ProjBuilder::new().lib_info().map_or("unknown".to_owned(), |info| info.version);
    format!("PROJ {version}")
}

/// The version of the register in the database that is linked in. The binding cannot ask PROJ for it, so it stands
/// here beside the version of PROJ that brings it.
fn register_version() -> String {
    const KNOWN: (&str, &str) = ("9.6.2", "EPSG v12.013 of 2025-05-26");
    match proj_version() {
        version if version.ends_with(KNOWN.0) => KNOWN.1.to_owned(),
        version => format!("EPSG as in {version}"),
    }
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
    /// While nothing is known, the middle of each geometry, else its positions; x before y, in the source's units.
    sample: Vec<(f64, f64)>,
    bounds: Option<[f64; 4]>,
    region: Option<Region>,
    grids: Grids,
    misplaced_share_max: f64,
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
                    let ours = label.unwrap_or_default();
                    let is_same = of_source(other).is_ok_and(|other| is_same_system(&known, &other));
                    let (severity, message) = if is_same {
                        (Severity::Note, format!("the publisher's {ours} says the same as the source's {other}"))
                    } else {
                        (
                            Severity::Warning,
                            format!("the publisher's {ours} contradicts and overrides the source's {other}"),
                        )
                    };
                    let examples = [example(None, None, &other.to_string(), Some(ours))];
                    findings.add("crs.overridden", severity, message, 1, examples);
                }
                (known, "the publisher")
            }
            (None, Some(crs)) => (of_source(crs)?, "the source"),
            (None, None) => (Known::Missing, "nobody"),
        };
        Ok(Self {
            known,
            known_by,
            sample: Vec::new(),
            bounds: None,
            region: None,
            grids: Grids::default(),
            misplaced_share_max: Limits::default().misplaced_share_max,
            findings,
        })
    }

    /// The same survey with the declared region and the operator's settings.
    pub(crate) fn within(mut self, region: Option<Region>, limits: &Limits) -> Self {
        self.region = region;
        self.grids = limits.grids.clone();
        self.misplaced_share_max = limits.misplaced_share_max;
        self
    }

    pub(crate) fn is_missing(&self) -> bool {
        matches!(self.known, Known::Missing)
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
                self.sample_middle(bounds);
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
            self.sample_middle([x, y, x, y]);
        } else if self.sample.len() < SAMPLE_MAX {
            self.sample.push((x, y));
        }
    }

    /// Keeps the middle of a geometry, unless it is at (0, 0), which is no place.
    fn sample_middle(&mut self, [x_min, y_min, x_max, y_max]: [f64; 4]) {
        let middle = (x_min.midpoint(x_max), y_min.midpoint(y_max));
        if self.sample.len() < SAMPLE_MAX && middle != (0.0, 0.0) {
            self.sample.push(middle);
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
        if self.is_missing() {
            let Some(bounds) = self.bounds else {
                let message = "the layer names no crs; it has no coordinates that would need one";
                self.findings.add("crs.none", Severity::Note, message, 1, []);
                return Ok(CrsPlan::of_table(self.findings));
            };
            return self.infer(bounds);
        }
        let mut plan = settled(self.known, &self.sample, &self.grids)?;
        plan.findings = self.findings;
        plan.step.parameters.insert("source_crs_by".to_owned(), self.known_by.to_owned());
        Ok(plan.within(self.region, self.misplaced_share_max))
    }

    /// Takes the only CRS that puts the numbers into the declared region.
    ///
    /// # Errors
    ///
    /// `Undeclared` with candidates if no region is declared, none fits, or several do.
    fn infer(mut self, bounds: [f64; 4]) -> Result<CrsPlan> {
        let Some(region) = self.region else {
            return Err(Error::undeclared(candidates::question(bounds)));
        };
        let inferred = inference::infer(&self.sample, bounds, &region, &self.grids)?;
        let mut plan = inferred.plan;
        let label = plan.label.take().unwrap_or_default();
        let message = format!(
            "nobody declares a crs; {label} was inferred, because no other known system puts the coordinates into the declared region {}; declare it with --crs if it is right",
            region.described()
        );
        let taken = format!("{label}, confidence {:.2}", inferred.confidence);
        self.findings.add("crs.inferred", Severity::Warning, message, 1, [example(None, None, "no crs", Some(&taken))]);
        let parameters = [
            ("source_crs_by", "inferred from the numbers and the declared region".to_owned()),
            ("region", region.described()),
            ("confidence", format!("{:.2}", inferred.confidence)),
            ("same_as", inferred.equal.join(", ")),
        ];
        plan.step.parameters.extend(parameters.map(|(key, value)| (key.to_owned(), value)));
        plan.label = Some(format!("{label} (inferred)"));
        plan.findings = self.findings;
        Ok(plan.within(Some(region), self.misplaced_share_max))
    }
}

/// The median of positions, x and y apart.
fn middle(positions: &[(f64, f64)]) -> Option<(f64, f64)> {
    let median = |part: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = positions.iter().map(part).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    Some((median(|p| p.0)?, median(|p| p.1)?))
}

fn know(definition: &definition::Definition) -> Result<Known> {
    let text = definition.for_proj();
    if ["EPSG:4326", "EPSG:4979", "OGC:CRS84", "OGC:CRS84h"].contains(&text.as_str()) {
        return Ok(Known::Wgs84(text));
    }
    if text == qaztrf::GEOCENTRIC {
        return Err(Error::invalid_request(format!(
            "expected a geographic or projected crs, found {text}, QazTRF-23, of kind GeocentricCRS; declare EPSG:10940 or 10941"
        )));
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

/// Whether two mean the same numbers.
fn is_same_system(known: &Known, other: &Known) -> bool {
    match (known, other) {
        (Known::Wgs84(_), Known::Wgs84(_)) => true,
        (Known::Qaztrf(system, _), Known::Qaztrf(other, _)) => system == other,
        (Known::Other(resolved, _), Known::Other(other, _)) => resolved.is_same_system(other),
        _ => false,
    }
}

fn label(known: &Known) -> Option<&str> {
    match known {
        Known::Missing => None,
        Known::Wgs84(label) | Known::Qaztrf(_, label) => Some(label),
        Known::Other(resolved, _) => Some(&resolved.label),
    }
}

/// The plan for a CRS that is known, without findings; the positions choose where several operations are possible.
fn settled(known: Known, positions: &[(f64, f64)], grids: &Grids) -> Result<CrsPlan> {
    let middle = middle(positions);
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
            let operation =
                operation.map(|operation| grids.prefer(&source, &operation, positions).unwrap_or(operation));
            let is_geographic = source.is_geographic();
            (source.label, source.name, operation, is_geographic, source.area)
        }
    };
    let is_undecided = operation.is_none();
    let operation = operation.unwrap_or_else(|| Operation::identity("none: there are no coordinates"));
    let step = receipt(&label, &name, &operation, middle);
    let gate = Gate::new(quoted(&label), is_geographic, area, zone);
    let findings = Findings::default();
    Ok(CrsPlan { label: Some(label), operation, is_undecided, is_swapped: false, gate, findings, step })
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
        step.parameters.insert("register".to_owned(), register_version());
        if let Some(grid) = &operation.grid {
            step.parameters.insert("grid".to_owned(), grid.name().to_owned());
            step.parameters.insert("grid_sha256".to_owned(), grid.sha256.to_string());
        }
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
    /// The source has y before x.
    is_swapped: bool,
    gate: Gate,
    /// What was found so far.
    pub(crate) findings: Findings,
    /// The receipt.
    pub(crate) step: ProcessStep,
}

impl CrsPlan {
    fn of_table(findings: Findings) -> Self {
        let step = step("crs", [("source_crs", "none: there are no coordinates".to_owned())]);
        let operation = Operation::identity("none");
        let gate = Gate::new("none".to_owned(), true, None, None);
        Self { label: None, operation, is_undecided: true, is_swapped: false, gate, findings, step }
    }

    /// The same plan with its gate for a region and a share of rows.
    fn within(mut self, region: Option<Region>, misplaced_share_max: f64) -> Self {
        if let Some(region) = &region {
            self.step.parameters.insert("region".to_owned(), region.described());
        }
        self.gate = self.gate.within(region, misplaced_share_max);
        self
    }
}

#[cfg(test)]
mod tests;
