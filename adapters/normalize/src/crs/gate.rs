//! The gate at both sides of the operation: every row's numbers against the CRS, its place against area and region.
//!
//! A row that cannot be where it says is refused and named. If that is more than a configured share of the layer, it
//! is not the rows that are wrong but what was declared: then the layer is refused.

use super::candidates;
use super::region::Region;
use crate::findings::{Findings, example};
use ukimet_model::{Error, Result, Severity, wkb};

/// What the gate knows of a layer, and what it has seen.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Code or name of the CRS, quoted.
    label: String,
    is_geographic: bool,
    /// The CRS's area of use: west, south, east, north in degrees.
    area: Option<[f64; 4]>,
    /// Number of the zone that the false easting puts before every x, in millions of metres.
    zone: Option<i64>,
    region: Option<Region>,
    share_max: f64,
    rows: u64,
    /// Rows that were refused, and the first one in words.
    refused: Count,
    /// Rows in metres whose numbers look like degrees. Each may be right; most of them may not.
    degrees: Count,
    /// Rows whose first digits are another zone's. Likewise.
    zones: Count,
}

#[derive(Debug, Default)]
struct Count {
    rows: u64,
    first: Option<String>,
}

impl Count {
    fn add(&mut self, words: impl FnOnce() -> String) {
        self.rows += 1;
        self.first.get_or_insert_with(words);
    }
}

/// How a row was refused: its rule, what was found, and both in words.
struct Refusal {
    rule: &'static str,
    found: String,
    words: String,
}

impl Gate {
    pub(super) fn new(label: String, is_geographic: bool, area: Option<[f64; 4]>, zone: Option<i64>) -> Self {
        Self {
            label,
            is_geographic,
            area,
            zone,
            region: None,
            share_max: 1.0,
            rows: 0,
            refused: Count::default(),
            degrees: Count::default(),
            zones: Count::default(),
        }
    }

    /// The same gate for a declared region and a configured share.
    pub(super) fn within(self, region: Option<Region>, share_max: f64) -> Self {
        Self { region, share_max, ..self }
    }

    /// Whether the numbers are degrees.
    pub(super) fn is_geographic(&self) -> bool {
        self.is_geographic
    }

    /// Looks at a row's numbers as they came; whether the row goes on.
    pub(super) fn before(&mut self, shape: &wkb::Shape, row: u64, findings: &mut Findings) -> bool {
        self.rows += 1;
        let refusal = match shape.bounds {
            _ if !shape.is_finite => Some(not_finite(shape, row)),
            None => None,
            Some(bounds) if self.is_geographic => self.outside_range(bounds, row),
            Some(bounds) => {
                self.suspect(bounds, row);
                None
            }
        };
        self.take(refusal, row, findings)
    }

    /// Looks at a row's place, `bounds` in degrees; `source` are its numbers as they came, `swapped` is the place of
    /// its middle with x and y exchanged. Whether the row goes on.
    pub(super) fn after(
        &mut self,
        source: [f64; 4],
        bounds: [f64; 4],
        swapped: impl FnOnce() -> Option<(f64, f64)>,
        row: u64,
        findings: &mut Findings,
    ) -> bool {
        let is_far = self.area.is_some_and(|area| !is_near(area, middle(bounds), AREA_MARGIN));
        let is_outside = self.region.as_ref().is_some_and(|region| !region.meets(bounds));
        let is_zero = is_origin(source);
        let refusal = match (is_zero && (is_far || is_outside), is_far || is_outside) {
            (true, _) => Some(Refusal {
                rule: "place.zero",
                found: "(0, 0)".to_owned(),
                words: format!("row {} lies at (0, 0), which stands for an unknown place", row + 1),
            }),
            (_, true) => Some(self.outside(source, middle(bounds), swapped(), row)),
            _ => None,
        };
        if refusal.is_none() {
            self.note(source, bounds, row, findings);
        }
        self.take(refusal, row, findings)
    }

    /// Refuses a row whose numbers the operation cannot take.
    pub(super) fn outside_domain(&mut self, (x, y): (f64, f64), row: u64, findings: &mut Findings) {
        let (x, y, crs) = (shown(x), shown(y), &self.label);
        let words = format!("row {} has the coordinates ({x}, {y}), which are outside the domain of {crs}", row + 1);
        let refusal = Refusal { rule: "place.outside_domain", found: format!("({x}, {y})"), words };
        self.take(Some(refusal), row, findings);
    }

    /// Ends the layer if too many of its rows are in places where they cannot be.
    ///
    /// # Errors
    ///
    /// `InvalidData` with the first row, its values and how many are like it.
    pub(super) fn finish(&self) -> Result<()> {
        for count in [&self.degrees, &self.zones, &self.refused] {
            if let (Some(words), true) = (&count.first, count.rows as f64 > self.share_max * self.rows as f64) {
                let (found, rows, share) = (count.rows, self.rows, self.share_max);
                return Err(Error::invalid_data(format!(
                    "{words}; so do {found} of the {rows} rows with a place, a share of {share} may"
                )));
            }
        }
        Ok(())
    }

    fn take(&mut self, refusal: Option<Refusal>, row: u64, findings: &mut Findings) -> bool {
        let Some(Refusal { rule, found, words }) = refusal else { return true };
        findings.add(rule, Severity::Error, message(rule), 1, [example(Some(row), None, &found, None)]);
        self.refused.add(|| words);
        false
    }

    fn outside_range(&self, [x_min, y_min, x_max, y_max]: [f64; 4], row: u64) -> Option<Refusal> {
        if x_min >= -180.0 && x_max <= 180.0 && y_min >= -90.0 && y_max <= 90.0 {
            return None;
        }
        let x = if x_min < -180.0 { x_min } else { x_max };
        let y = if y_min < -90.0 { y_min } else { y_max };
        let (rule, hint) = if x.abs() > 360.0 || y.abs() > 360.0 {
            // Drawn up once: it takes a while.
            let other = if self.refused.rows == 0 { candidates::other_crs([x, y, x, y]) } else { String::new() };
            ("place.metres_as_degrees", format!("; they look like metres: {other}"))
        } else if y.abs() <= 180.0 && x.abs() <= 90.0 {
            ("place.swapped", "; are x and y swapped?".to_owned())
        } else {
            ("place.outside_range", String::new())
        };
        let (x, y) = (shown(x), shown(y));
        let words = format!(
            "row {} has the coordinates ({x}, {y}), expected longitude within ±180 and latitude within ±90 in {}{hint}",
            row + 1,
            self.label
        );
        Some(Refusal { rule, found: format!("({x}, {y})"), words })
    }

    /// What one row cannot be blamed for, though most of them can: small numbers in metres, and the digits of a
    /// neighboring zone, which is given.
    fn suspicion(&self, [x_min, y_min, x_max, y_max]: [f64; 4]) -> Option<(&'static str, f64)> {
        /// So near its own meridian, a row that begins with another zone's number is in that zone.
        const REACH_M: f64 = 350_000.0;
        let (x, y) = (x_min.midpoint(x_max), y_min.midpoint(y_max));
        let is_small = x_min >= -180.0 && x_max <= 180.0 && y_min >= -180.0 && y_max <= 180.0;
        if is_small && (x, y) != (0.0, 0.0) {
            return Some(("place.degrees_as_metres", 0.0));
        }
        let other = (x / 1_000_000.0).floor();
        let is_other = (1.0..=60.0).contains(&other) && self.zone.is_some_and(|zone| zone != other as i64);
        (is_other && (x - other * 1_000_000.0 - 500_000.0).abs() <= REACH_M).then_some(("place.other_zone", other))
    }

    fn suspect(&mut self, bounds: [f64; 4], row: u64) {
        // People count from 1.
        let ((x, y), crs, row) = (middle(bounds), &self.label, row + 1);
        match (self.suspicion(bounds), self.zone) {
            (Some(("place.other_zone", other)), Some(zone)) => self.zones.add(|| {
                format!("the coordinates, such as ({x}, {y}) in row {row}, begin with {other}, but {crs} is zone {zone}, whose x begins with {zone}; declare the crs they are in")
            }),
            (Some(_), _) => self.degrees.add(|| {
                format!("the coordinates, such as ({x}, {y}) in row {row}, look like degrees, but {crs} is in metres; declare the crs they are in, for example EPSG:4326")
            }),
            (None, _) => {}
        }
    }

    /// A row far from where it should be, with the reason that fits best.
    fn outside(&self, source: [f64; 4], (lon, lat): (f64, f64), swapped: Option<(f64, f64)>, row: u64) -> Refusal {
        let would = format!("row {} would lie at longitude {lon:.4}, latitude {lat:.4}", row + 1);
        let (expected, rule) = match (&self.region, self.area) {
            (Some(region), _) => {
                (format!("outside the declared region {}", region.described()), "place.outside_region")
            }
            (None, area) => {
                let [west, south, east, north] = area.unwrap_or_default();
                let crs = &self.label;
                let area =
                    format!("far outside the area of {crs} (west {west}, south {south}, east {east}, north {north})");
                (area, "place.outside_area")
            }
        };
        let fits = |(lon, lat): (f64, f64)| match (&self.region, self.area) {
            (Some(region), _) => region.contains(lon, lat),
            (None, Some(area)) => is_near(area, (lon, lat), (0.0, 0.0)),
            (None, None) => false,
        };
        let (x, y) = middle(source);
        let found = format!("({}, {}), at longitude {lon:.4}, latitude {lat:.4}", shown(x), shown(y));
        if let Some((lon, lat)) = swapped.filter(|place| fits(*place)) {
            let words = format!(
                "{would}, {expected}; with x and y swapped it would lie inside, at {lon:.4}, {lat:.4}: are x and y swapped? x is east"
            );
            return Refusal { rule: "place.swapped", found, words };
        }
        Refusal { rule, found, words: format!("{would}, {expected}; are x and y swapped, or is it another crs?") }
    }

    /// What is worth knowing of a row that goes on.
    fn note(&self, source: [f64; 4], bounds: [f64; 4], row: u64, findings: &mut Findings) {
        if is_origin(source) {
            let rule = "place.zero";
            findings.add(rule, Severity::Warning, message("at zero"), 1, [example(Some(row), None, "(0, 0)", None)]);
        }
        // Another zone's digits show in the place: it is beyond the area.
        if let (false, Some((rule @ "place.degrees_as_metres", _))) = (self.is_geographic, self.suspicion(source)) {
            let (x, y) = middle(source);
            let found = format!("({}, {})", shown(x), shown(y));
            findings.add(rule, Severity::Warning, message(rule), 1, [example(Some(row), None, &found, None)]);
        }
        let (lon, lat) = middle(bounds);
        if self.area.is_some_and(|area| !is_near(area, (lon, lat), AREA_SLACK)) {
            let rule = "place.beyond_area";
            let found = format!("longitude {lon:.4}, latitude {lat:.4}");
            findings.add(rule, Severity::Warning, message(rule), 1, [example(Some(row), None, &found, None)]);
        }
    }
}

/// The sentence of a rule.
fn message(rule: &str) -> &'static str {
    match rule {
        "place.not_finite" => "rows with a coordinate that is not a finite number were refused",
        "place.outside_range" => "rows whose degrees are outside ±180 and ±90 were refused",
        "place.metres_as_degrees" => "rows with metres where degrees are declared were refused",
        "place.swapped" => "rows that would only be in their place with x and y swapped were refused",
        "place.outside_domain" => "rows with coordinates that the crs does not reach were refused",
        "place.outside_region" => "rows outside the declared region were refused",
        "place.outside_area" => "rows far outside the area of the crs were refused",
        "place.zero" => "rows at (0, 0), which stands for an unknown place, were refused",
        "place.degrees_as_metres" => {
            "coordinates look like degrees, but the crs is in metres; they were taken as they are"
        }
        "place.beyond_area" => "rows lie outside the area that the crs is meant for, where it is less accurate",
        _ => "points at (0, 0) look like unknown places; they were taken as they are",
    }
}

fn not_finite(shape: &wkb::Shape, row: u64) -> Refusal {
    let kind = shape.kind.name();
    Refusal {
        rule: "place.not_finite",
        found: format!("a {kind} with a coordinate that is not a finite number"),
        words: format!(
            "row {} has a coordinate that is not a finite number, expected finite x and y in its {kind}",
            row + 1
        ),
    }
}

/// Whether there is nothing but (0, 0).
fn is_origin(bounds: [f64; 4]) -> bool {
    bounds.iter().all(|value| *value == 0.0)
}

fn middle([x_min, y_min, x_max, y_max]: [f64; 4]) -> (f64, f64) {
    (x_min.midpoint(x_max), y_min.midpoint(y_max))
}

/// A coordinate in few characters, however large it is.
fn shown(value: f64) -> String {
    if value.abs() < 1e12 { value.to_string() } else { format!("{value:e}") }
}

/// How far outside its area a CRS is still used in practice, degrees of longitude and latitude: a whole country in one
/// zone. Beyond, the numbers belong to something else.
const AREA_MARGIN: (f64, f64) = (30.0, 15.0);
/// How far outside its area a place goes without a word, degrees.
const AREA_SLACK: (f64, f64) = (0.5, 0.5);

/// Whether a place lies in an area, which may cross the antimeridian, or at most a margin around it.
fn is_near([west, south, east, north]: [f64; 4], (lon, lat): (f64, f64), margin: (f64, f64)) -> bool {
    let width = if east >= west { east - west } else { east - west + 360.0 };
    let from_west = (lon - (west - margin.0)).rem_euclid(360.0);
    (width + 2.0 * margin.0 >= 360.0 || from_west <= width + 2.0 * margin.0)
        && lat >= south - margin.1
        && lat <= north + margin.1
}
