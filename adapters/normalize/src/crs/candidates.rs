//! Which systems would put numbers without a CRS into Kazakhstan: help for the publisher, never a guess.

use super::guarded;
use proj::Proj;

/// West, south, east, north of Kazakhstan in degrees.
const KAZAKHSTAN: [f64; 4] = [46.49, 40.59, 87.35, 55.45];
/// How many candidates a message names.
const SHOWN_MAX: usize = 8;

struct Candidate {
    code: String,
    name: String,
    /// PROJ's projection; `None` for degrees.
    projection: Option<String>,
    /// Central meridian and half width in degrees, where the zone bounds the choice.
    zone: Option<(f64, f64)>,
}

/// The question to the publisher, with the numbers and the systems they would fit.
pub(super) fn question([x_min, y_min, x_max, y_max]: [f64; 4]) -> String {
    let fitting = fitting([x_min, y_min, x_max, y_max]);
    let numbers = format!("the coordinates (x {x_min} … {x_max}, y {y_min} … {y_max})");
    if fitting.is_empty() {
        return format!("declare crs: the layer names none, and {numbers} lie in Kazakhstan in no system known here");
    }
    let more = fitting.len().saturating_sub(SHOWN_MAX);
    let shown = fitting[..fitting.len() - more].join(", ");
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("declare crs: the layer names none; {numbers} would lie in Kazakhstan as {shown}{more}")
}

/// The fitting systems, those that take the numbers as they stand first.
fn fitting([x_min, y_min, x_max, y_max]: [f64; 4]) -> Vec<String> {
    let candidates = all();
    let as_is =
        candidates.iter().filter(|c| c.fits([x_min, y_min, x_max, y_max])).map(|c| format!("{} ({})", c.code, c.name));
    let swapped = candidates.iter().filter(|c| c.fits([y_min, x_min, y_max, x_max]));
    let swapped = swapped.map(|c| format!("{} ({}) with x and y swapped", c.code, c.name));
    as_is.chain(swapped).collect()
}

impl Candidate {
    fn fits(&self, [x_min, y_min, x_max, y_max]: [f64; 4]) -> bool {
        let corners = [
            ((x_min + x_max) / 2.0, (y_min + y_max) / 2.0),
            (x_min, y_min),
            (x_max, y_min),
            (x_max, y_max),
            (x_min, y_max),
        ];
        let Some(places) = self.places(corners) else { return false };
        let [west, south, east, north] = KAZAKHSTAN;
        let inside = |(lon, lat): &(f64, f64)| (west..=east).contains(lon) && (south..=north).contains(lat);
        let in_zone = self.zone.is_none_or(|(meridian, half)| (places[0].0 - meridian).abs() <= half);
        places.iter().all(inside) && in_zone
    }

    fn places(&self, mut points: [(f64, f64); 5]) -> Option<[(f64, f64); 5]> {
        let Some(projection) = &self.projection else { return Some(points) };
        // A quick look spares the many systems whose false easting is a world away.
        let pipeline = format!("proj=pipeline step inv {projection} step proj=unitconvert xy_in=rad xy_out=deg");
        guarded(|| {
            let proj = Proj::new(&pipeline).map_err(|error| error.to_string())?;
            proj.convert_array(&mut points).map(|_| ()).map_err(|error| error.to_string())
        })
        .ok()?;
        points.iter().all(|(lon, lat)| lon.is_finite() && lat.is_finite()).then_some(points)
    }
}

fn all() -> Vec<Candidate> {
    let degrees = [("EPSG:4326", "WGS 84"), ("EPSG:4284", "Pulkovo 1942"), ("EPSG:10941", "QazTRF-23")];
    let degrees = degrees.map(|(code, name)| Candidate {
        code: code.to_owned(),
        name: name.to_owned(),
        projection: None,
        zone: None,
    });
    let mercator = Candidate {
        code: "EPSG:3857".to_owned(),
        name: "Web Mercator".to_owned(),
        projection: Some("proj=webmerc ellps=WGS84".to_owned()),
        zone: None,
    };
    let six = (8..=15).flat_map(|zone: u32| {
        let meridian = f64::from(6 * zone - 3);
        let (full, plain) = (f64::from(zone * 1_000_000 + 500_000), 500_000.0);
        [
            gauss(28_400 + zone, format!("Pulkovo 1942 / Gauss-Kruger zone {zone}"), meridian, full, 12.0),
            gauss(10_942 + zone - 8, format!("QazTRF-23 / Gauss-Kruger zone {zone}"), meridian, full, 12.0),
            gauss(
                2_498 + zone - 8,
                format!("Pulkovo 1942 / Gauss-Kruger CM {meridian}E, easting without zone number"),
                meridian,
                plain,
                3.5,
            ),
        ]
    });
    let three = (16..=29).flat_map(|zone: u32| {
        let meridian = f64::from(3 * zone);
        let full = f64::from(zone * 1_000_000 + 500_000);
        // 2600 is another country's system.
        let truncated = if zone <= 24 { 2_591 + zone - 16 } else { 2_601 + zone - 25 };
        [
            gauss(2_532 + zone - 16, format!("Pulkovo 1942 / 3-degree Gauss-Kruger zone {zone}"), meridian, full, 6.0),
            gauss(truncated, format!("Pulkovo 1942 / 3-degree Gauss-Kruger CM {meridian}E"), meridian, 500_000.0, 2.0),
        ]
    });
    let utm = (39..=45).map(|zone: u32| Candidate {
        code: format!("EPSG:326{zone}"),
        name: format!("WGS 84 / UTM zone {zone}N"),
        projection: Some(format!("proj=utm zone={zone} ellps=WGS84")),
        zone: Some((f64::from(6 * zone) - 183.0, 3.5)),
    });
    degrees.into_iter().chain([mercator]).chain(six).chain(utm).chain(three).collect()
}

fn gauss(code: u32, name: String, meridian: f64, easting: f64, half_width: f64) -> Candidate {
    Candidate {
        code: format!("EPSG:{code}"),
        name,
        projection: Some(format!("proj=tmerc lat_0=0 lon_0={meridian} k=1 x_0={easting} y_0=0 ellps=krass")),
        zone: Some((meridian, half_width)),
    }
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
                "EPSG:28413 (Pulkovo 1942 / Gauss-Kruger zone 13) with x and y swapped",
                "EPSG:4326",
            ),
            ([25_600_000.0, 4_780_000.0, 25_700_000.0, 4_800_000.0], "EPSG:2541 ", "EPSG:28413"),
            ([640_000.0, 4_780_000.0, 660_000.0, 4_800_000.0], "EPSG:2503 ", "EPSG:28413"),
            ([76.7, 43.1, 77.1, 43.4], "EPSG:4326 ", "swapped"),
            ([43.1, 76.7, 43.4, 77.1], "EPSG:4326 (WGS 84) with x and y swapped", "EPSG:28413"),
            ([8_540_000.0, 5_330_000.0, 8_580_000.0, 5_370_000.0], "EPSG:3857 ", "EPSG:28413"),
        ] {
            let found = fitting(bounds).join(", ") + " ";
            assert!(found.contains(expected) && !found.contains(absent), "{bounds:?}: {found}");
        }
        assert!(question([0.0, 0.0, 1.0, 1.0]).contains("in no system known here"));
        assert!(question([640_000.0, 4_780_000.0, 660_000.0, 4_800_000.0]).contains(" more"));
    }
}
