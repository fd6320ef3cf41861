//! Which systems would put numbers without a CRS into Kazakhstan: help for the publisher, never a guess.

use super::guarded;
use proj::Proj;

/// West, south, east, north of Kazakhstan in degrees.
const KAZAKHSTAN: [f64; 4] = [46.49, 40.59, 87.35, 55.45];
/// A system that might be meant.
pub(super) struct Candidate {
    /// EPSG code.
    code: u32,
    /// What its family is called.
    pub(super) family: &'static str,
    projection: Projection,
    /// Central meridian and half width in degrees, where the zone bounds the choice.
    zone: Option<(f64, f64)>,
}

enum Projection {
    None,
    Mercator,
    /// PROJ's words, and the false easting in metres.
    Zone(String, f64),
}

/// The question to the publisher, with the numbers and the systems they would fit.
pub(super) fn question(bounds: [f64; 4]) -> String {
    let hint = "a declared region (KATO code or box) may tell them apart";
    match readings(bounds) {
        Readings::None(numbers) => format!("declare crs: the layer names none, and {numbers}"),
        Readings::Some(numbers) => format!("declare crs: the layer names none; {numbers}; {hint}"),
    }
}

/// The numbers and the systems they would fit, where a crs is known that they do not.
pub(super) fn other_crs(bounds: [f64; 4]) -> String {
    match readings(bounds) {
        Readings::None(numbers) => format!("{numbers}; declare the crs they are in"),
        Readings::Some(numbers) => format!("{numbers}; declare the crs that is right"),
    }
}

/// What the numbers would be in Kazakhstan, in words.
enum Readings {
    /// Nothing, in any system known here.
    None(String),
    /// Places in these.
    Some(String),
}

fn readings([x_min, y_min, x_max, y_max]: [f64; 4]) -> Readings {
    let numbers = format!("the coordinates (x {x_min} … {x_max}, y {y_min} … {y_max})");
    let fitting = fitting([x_min, y_min, x_max, y_max]);
    if fitting.is_empty() {
        return Readings::None(format!("{numbers} lie in Kazakhstan in no system known here"));
    }
    Readings::Some(format!("{numbers} would lie in Kazakhstan as {}", fitting.join("; or as ")))
}

/// The fitting systems by family, those that take the numbers as they stand first.
fn fitting([x_min, y_min, x_max, y_max]: [f64; 4]) -> Vec<String> {
    let candidates = all();
    let families = |bounds: [f64; 4], how: &str| {
        let mut families: Vec<(&str, Vec<String>)> = Vec::new();
        for candidate in candidates.iter().filter(|candidate| candidate.fits(bounds)) {
            let code = candidate.code();
            match families.iter_mut().find(|(family, _)| *family == candidate.family) {
                Some((_, codes)) => codes.push(code),
                None => families.push((candidate.family, vec![code])),
            }
        }
        families.into_iter().map(|(family, codes)| format!("{} ({family}{how})", codes.join(", "))).collect::<Vec<_>>()
    };
    let mut fitting = families([x_min, y_min, x_max, y_max], "");
    fitting.extend(families([y_min, x_min, y_max, x_max], ", with x and y swapped"));
    fitting
}

impl Candidate {
    fn fits(&self, [x_min, y_min, x_max, y_max]: [f64; 4]) -> bool {
        let middle = (x_min.midpoint(x_max), y_min.midpoint(y_max));
        let corners = [middle, (x_min, y_min), (x_max, y_min), (x_max, y_max), (x_min, y_max)];
        let Some(places) = self.places(&corners) else { return false };
        let [west, south, east, north] = KAZAKHSTAN;
        let inside = |(lon, lat): &(f64, f64)| (west..=east).contains(lon) && (south..=north).contains(lat);
        let in_zone = self.zone.is_none_or(|(meridian, half)| (places[0].0 - meridian).abs() <= half);
        places.iter().all(inside) && in_zone
    }

    /// Where positions would lie, to about 200 m: the datum is left out. `None` if the first one is out of reach, or
    /// PROJ cannot take one.
    pub(super) fn places(&self, positions: &[(f64, f64)]) -> Option<Vec<(f64, f64)>> {
        /// Farther from the false easting, or at other northings, no zone reaches into Kazakhstan. Asking PROJ for
        /// every system would take a second.
        const EASTING_REACH_M: f64 = 3_000_000.0;
        const NORTHINGS_M: std::ops::Range<f64> = 4_000_000.0..8_000_000.0;
        let mut points = positions.to_vec();
        let (projection, easting) = match &self.projection {
            Projection::None => return Some(points),
            Projection::Mercator => ("proj=webmerc ellps=WGS84", None),
            Projection::Zone(words, easting) => (words.as_str(), Some(*easting)),
        };
        let in_reach = |(x, y): &(f64, f64)| {
            easting.is_none_or(|easting| (x - easting).abs() < EASTING_REACH_M) && NORTHINGS_M.contains(y)
        };
        if !points.first().is_some_and(in_reach) {
            return None;
        }
        let pipeline = format!("proj=pipeline step inv {projection} step proj=unitconvert xy_in=rad xy_out=deg");
        let convert = || {
            let proj = Proj::new(&pipeline).map_err(|error| error.to_string())?;
            proj.convert_array(&mut points).map(|_| ()).map_err(|error| error.to_string())
        };
        guarded(convert).ok()?;
        points.iter().all(|(lon, lat)| lon.is_finite() && lat.is_finite()).then_some(points)
    }

    /// Whether a region lies at least partly in the system's zone: west, south, east, north in degrees.
    #[cfg(test)]
    pub(super) fn serves(&self, [west, _, east, _]: [f64; 4]) -> bool {
        self.zone.is_none_or(|(meridian, _)| meridian + 3.0 >= west && meridian - 3.0 <= east)
    }

    /// A position in the system that lies in Kazakhstan, in its units.
    #[cfg(test)]
    pub(super) fn origin(&self) -> Vec<(f64, f64)> {
        match &self.projection {
            Projection::None => vec![(68.0, 48.0)],
            Projection::Mercator => vec![(7_570_000.0, 6_100_000.0)],
            Projection::Zone(_, easting) => vec![(*easting, 5_300_000.0)],
        }
    }

    /// The code, e.g. `EPSG:28413`.
    pub(super) fn code(&self) -> String {
        format!("EPSG:{}", self.code)
    }
}

/// Every system that is looked at.
pub(super) fn all() -> Vec<Candidate> {
    let plain =
        |code: u32, family: &'static str, projection: Projection| Candidate { code, family, projection, zone: None };
    let mut all = vec![
        plain(4326, "WGS 84", Projection::None),
        plain(4284, "Pulkovo 1942", Projection::None),
        plain(10_941, "QazTRF-23", Projection::None),
        plain(3857, "Web Mercator", Projection::Mercator),
    ];
    all.extend((8..=15).map(|zone| six_degrees(28_400 + zone, "Pulkovo 1942 / Gauss-Kruger", zone)));
    all.extend((8..=15).map(|zone| six_degrees(10_942 + zone - 8, "QazTRF-23 / Gauss-Kruger", zone)));
    all.extend((8..=15).map(|zone| {
        let family = "Pulkovo 1942 / Gauss-Kruger, easting without zone number";
        gauss(2_498 + zone - 8, family, 6 * zone - 3, 500_000.0, 3.5)
    }));
    all.extend((16..=29).map(|zone| {
        let easting = f64::from(zone * 1_000_000 + 500_000);
        gauss(2_532 + zone - 16, "Pulkovo 1942 / 3-degree Gauss-Kruger", 3 * zone, easting, 6.0)
    }));
    all.extend((16..=29).map(|zone| {
        // 2600 is another country's system.
        let code = if zone <= 24 { 2_591 + zone - 16 } else { 2_601 + zone - 25 };
        gauss(code, "Pulkovo 1942 / 3-degree Gauss-Kruger, easting without zone number", 3 * zone, 500_000.0, 2.0)
    }));
    all.extend((2..=4).map(|zone| {
        let words = format!(
            "proj=tmerc lat_0=0.133333333333333 lon_0={} k=1 x_0={} y_0=0 ellps=krass",
            f64::from(3 * zone) + 44.0 + 46.0 / 60.0,
            zone * 1_000_000 + 300_000
        );
        let easting = f64::from(zone * 1_000_000 + 300_000);
        let zone_bounds = Some((f64::from(3 * zone) + 44.0 + 46.0 / 60.0, 3.0));
        let projection = Projection::Zone(words, easting);
        Candidate { code: 2_939 + zone - 2, family: "Pulkovo 1942 / CS63", projection, zone: zone_bounds }
    }));
    all.extend((38..=45).map(|zone: u32| Candidate {
        code: 32_600 + zone,
        family: "WGS 84 / UTM",
        projection: Projection::Zone(format!("proj=utm zone={zone} ellps=WGS84"), 500_000.0),
        zone: Some((f64::from(6 * zone) - 183.0, 3.5)),
    }));
    all
}

/// A zone of six degrees whose easting begins with its number.
fn six_degrees(code: u32, family: &'static str, zone: u32) -> Candidate {
    gauss(code, family, 6 * zone - 3, f64::from(zone * 1_000_000 + 500_000), 9.0)
}

/// Gauss-Kruger about a meridian in degrees. The ellipsoid does not matter here: a few metres.
fn gauss(code: u32, family: &'static str, meridian: u32, easting: f64, half_width: f64) -> Candidate {
    let words = format!("proj=tmerc lat_0=0 lon_0={meridian} k=1 x_0={easting} y_0=0 ellps=krass");
    let zone = Some((f64::from(meridian), half_width));
    Candidate { code, family, projection: Projection::Zone(words, easting), zone }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_suggest_the_systems_they_fit() {
        for (bounds, expected, absent) in [
            ([13_600_000.0, 4_780_000.0, 13_700_000.0, 4_800_000.0], "EPSG:28413 ", "EPSG:28412 "),
            ([13_600_000.0, 4_780_000.0, 13_700_000.0, 4_800_000.0], "EPSG:10947 ", "EPSG:4326"),
            (
                [4_780_000.0, 13_600_000.0, 4_800_000.0, 13_700_000.0],
                "EPSG:28413 (Pulkovo 1942 / Gauss-Kruger, with x and y swapped)",
                "EPSG:4326",
            ),
            ([25_600_000.0, 4_780_000.0, 25_700_000.0, 4_800_000.0], "EPSG:2541 ", "EPSG:28413"),
            ([640_000.0, 4_780_000.0, 660_000.0, 4_800_000.0], "EPSG:2503, ", "EPSG:28413"),
            ([76.7, 43.1, 77.1, 43.4], "EPSG:4326 ", "swapped"),
            ([43.1, 76.7, 43.4, 77.1], "EPSG:4326 (WGS 84, with x and y swapped)", "EPSG:28413"),
            ([8_540_000.0, 5_330_000.0, 8_580_000.0, 5_370_000.0], "EPSG:3857 ", "EPSG:28413"),
        ] {
            let found = fitting(bounds).join(", ") + " ";
            assert!(found.contains(expected) && !found.contains(absent), "{bounds:?}: {found}");
        }
        let other = other_crs([640_000.0, 4_780_000.0, 660_000.0, 4_800_000.0]);
        assert!(other.contains("EPSG:32643") && !other.contains("names none") && !other.contains("region"), "{other}");
        assert!(question([0.0, 0.0, 1.0, 1.0]).contains("in no system known here"));
        assert!(question([640_000.0, 4_780_000.0, 660_000.0, 4_800_000.0]).contains("EPSG:32643"));
    }
}
