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
mod inverse;
mod operation;
mod plan;
mod qaztrf;
mod region;
mod tiles;
mod transform;

pub use grids::Grids;
pub use inverse::from_crs84;
pub(crate) use plan::CrsPlan;
pub(crate) use region::Region;
pub(crate) use transform::Transform;

use crate::findings::{Findings, example};
use crate::layer::Limits;
use definition::Resolved;
use operation::Choice;
use plan::settled;
use std::panic::{AssertUnwindSafe, catch_unwind};
use ukimet_model::{Crs, Error, ErrorKind, Result, Severity, wkb};

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
    Other(Box<Resolved>, Choice),
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
                    let (rule, severity, message) = if is_same {
                        let message = format!("the publisher's {ours} says the same as the source's {other}");
                        ("crs.confirmed", Severity::Note, message)
                    } else {
                        let message = format!("the publisher's {ours} contradicts and overrides the source's {other}");
                        ("crs.overridden", Severity::Warning, message)
                    };
                    let examples = [example(None, None, &other.to_string(), Some(ours))];
                    findings.add(rule, severity, message, 1, examples);
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
        let mut points = Vec::new();
        if wkb::read_xy(bytes, &mut points).is_ok() {
            for (x, y) in points {
                self.observe_xy(x, y);
            }
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
    Ok(Known::Other(Box::new(resolved), choice))
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

#[cfg(test)]
mod tests;
