//! The decision of the rule for one layer: the CRS, its one operation, its gate, and the receipt.

use super::gate::Gate;
use super::grids::Grids;
use super::operation::{self, Choice, Operation};
use super::region::Region;
use super::{Known, qaztrf};
use crate::findings::{Findings, step};
use ukimet_model::error::quoted;
use ukimet_model::{ProcessStep, Result};

/// The plan for a CRS that is known, without findings; the positions choose where several operations are possible.
pub(super) fn settled(known: Known, positions: &[(f64, f64)], grids: &Grids) -> Result<CrsPlan> {
    let middle = middle(positions);
    let zone = match &known {
        Known::Qaztrf(qaztrf::System::Zone(zone), _) => Some(i64::from(*zone)),
        Known::Other(resolved, _) => resolved.zone(),
        Known::Missing | Known::Wgs84(_) | Known::Qaztrf(..) => None,
    };
    let definition = definition_without_code(&known);
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
    let mut step = receipt(&label, &name, &operation, middle);
    step.parameters.extend(definition.map(|text| ("source_crs_definition".to_owned(), text)));
    let gate = Gate::new(quoted(&label), is_geographic, area, zone);
    let findings = Findings::default();
    Ok(CrsPlan { label: Some(label), operation, is_undecided, is_swapped: false, gate, findings, step })
}

/// The definition of a CRS that no code names, so that more rows can be read by it.
fn definition_without_code(known: &Known) -> Option<String> {
    let Known::Other(resolved, _) = known else { return None };
    resolved.has_no_code.then(|| resolved.for_proj.clone())
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
    pub(super) operation: Operation,
    /// No coordinate was seen that could choose the operation, so there must be none.
    pub(super) is_undecided: bool,
    /// The source has y before x.
    pub(super) is_swapped: bool,
    pub(super) gate: Gate,
    /// What was found so far.
    pub(crate) findings: Findings,
    /// The receipt.
    pub(crate) step: ProcessStep,
}

impl CrsPlan {
    pub(super) fn of_table(findings: Findings) -> Self {
        let step = step("crs", [("source_crs", "none: there are no coordinates".to_owned())]);
        let operation = Operation::identity("none");
        let gate = Gate::new("none".to_owned(), true, None, None);
        Self { label: None, operation, is_undecided: true, is_swapped: false, gate, findings, step }
    }

    /// The same plan with its gate for a region and a share of rows.
    pub(super) fn within(mut self, region: Option<Region>, misplaced_share_max: f64) -> Self {
        if let Some(region) = &region {
            self.step.parameters.insert("region".to_owned(), region.described());
        }
        self.gate = self.gate.within(region, misplaced_share_max);
        self
    }
}

/// The median of positions, x and y apart.
pub(super) fn middle(positions: &[(f64, f64)]) -> Option<(f64, f64)> {
    let median = |part: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = positions.iter().map(part).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    Some((median(|p| p.0)?, median(|p| p.1)?))
}

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
