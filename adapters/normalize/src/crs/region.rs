//! Where the publisher says that the data lies: a region by code, or a box.

use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// A declared region as a box.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Region {
    /// Code and name for people.
    pub(crate) name: String,
    /// West, south, east, north in degrees of OGC:CRS84.
    bounds: [f64; 4],
}

/// The first two digits of KATO (those of ISO 3166-2:KZ too), the name, and the box: west, south, east, north in degrees.
///
/// The boxes hold the borders of OpenStreetMap (2020) and, for the regions of 2022, those of their districts, rounded
/// outward to a tenth of a degree and a tenth more; the Caspian regions reach out to sea.
const REGIONS: [(&str, &str, [f64; 4]); 20] = [
    ("10", "Abai Region", [76.5, 45.4, 84.4, 51.8]),
    ("11", "Akmola Region", [65.2, 49.9, 74.4, 53.8]),
    ("15", "Aktobe Region", [53.5, 45.0, 64.4, 51.5]),
    ("19", "Almaty Region", [73.6, 42.1, 80.9, 46.9]),
    ("23", "Atyrau Region", [46.9, 44.9, 56.6, 49.4]),
    ("27", "West Kazakhstan Region", [46.3, 47.8, 54.7, 51.9]),
    ("31", "Zhambyl Region", [68.9, 42.2, 76.0, 46.2]),
    ("33", "Jetisu Region", [76.0, 43.6, 82.7, 47.5]),
    ("35", "Karaganda Region", [67.2, 45.8, 77.9, 51.5]),
    ("39", "Kostanay Region", [59.8, 48.0, 68.2, 54.9]),
    ("43", "Kyzylorda Region", [58.8, 42.2, 68.2, 48.0]),
    ("47", "Mangystau Region", [48.9, 41.1, 56.9, 46.7]),
    ("55", "Pavlodar Region", [73.3, 49.9, 79.5, 54.6]),
    ("59", "North Kazakhstan Region", [65.8, 52.1, 74.2, 55.6]),
    ("61", "Turkistan Region", [65.9, 40.4, 71.1, 46.1]),
    ("62", "Ulytau Region", [62.6, 45.8, 72.3, 50.1]),
    ("63", "East Kazakhstan Region", [81.0, 46.7, 87.5, 51.1]),
    ("71", "Astana", [71.1, 50.9, 71.9, 51.5]),
    ("75", "Almaty", [76.6, 42.9, 77.3, 43.5]),
    ("79", "Shymkent", [69.1, 42.0, 70.1, 42.6]),
];

/// The country with its part of the Caspian.
const COUNTRY: [f64; 4] = [46.3, 40.4, 87.5, 55.6];

impl Region {
    /// Reads `75`, `750000000`, `KZ-75`, `KZ` or `west,south,east,north`.
    ///
    /// A code below a region (a district, a village) stands for its region: the boxes of smaller units are not known.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` saying what is accepted and what was found.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let upper = text.to_ascii_uppercase();
        if upper == "KZ" {
            return Ok(Self { name: "KZ, Kazakhstan".to_owned(), bounds: COUNTRY });
        }
        if text.contains(',') {
            return boxed(text).map(|bounds| Self { name: text.to_owned(), bounds }).ok_or_else(|| {
                Error::invalid_request(format!(
                    "a region is west,south,east,north in degrees, west below east and south below north, found {}",
                    quoted(text)
                ))
            });
        }
        let digits = upper.strip_prefix("KZ-").unwrap_or(&upper);
        let is_code =
            digits.is_ascii() && (2..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        let found = REGIONS.iter().find(|(code, ..)| is_code && digits.starts_with(code));
        found.map(|(code, name, bounds)| Self { name: format!("{code}, {name}"), bounds: *bounds }).ok_or_else(|| {
            Error::invalid_request(format!(
                "a region is a KATO code or its first digits (75), an ISO code (KZ-75, KZ) or west,south,east,north in degrees, found {}",
                quoted(text)
            ))
        })
    }

    /// Whether a place lies in the box.
    pub(crate) fn contains(&self, lon: f64, lat: f64) -> bool {
        let [west, south, east, north] = self.bounds;
        (west..=east).contains(&lon) && (south..=north).contains(&lat)
    }

    /// Whether any of a box lies in the box.
    pub(crate) fn meets(&self, [x_min, y_min, x_max, y_max]: [f64; 4]) -> bool {
        let [west, south, east, north] = self.bounds;
        x_min <= east && x_max >= west && y_min <= north && y_max >= south
    }

    /// Code, name and box for people.
    pub(crate) fn described(&self) -> String {
        let [west, south, east, north] = self.bounds;
        format!("{} (west {west}, south {south}, east {east}, north {north})", self.name)
    }

    /// The boxes of all regions, for tests of what depends on them.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<(&'static str, [f64; 4])> {
        REGIONS.iter().map(|(code, _, bounds)| (*code, *bounds)).collect()
    }
}

fn boxed(text: &str) -> Option<[f64; 4]> {
    let numbers: Option<Vec<f64>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    let bounds: [f64; 4] = numbers?.try_into().ok()?;
    let [west, south, east, north] = bounds;
    let is_box = west >= -180.0 && west < east && east <= 180.0 && south >= -90.0 && south < north && north <= 90.0;
    is_box.then_some(bounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_named_by_kato_iso_or_box() {
        for (text, name) in [
            ("75", "75, Almaty"),
            ("750000000", "75, Almaty"),
            ("751110000", "75, Almaty"),
            ("kz-10", "10, Abai Region"),
            ("KZ", "KZ, Kazakhstan"),
            (" 76.7, 43.1,77.2,43.4", "76.7, 43.1,77.2,43.4"),
        ] {
            assert_eq!(Region::parse(text).expect(text).name, name);
        }
        for refused in [
            "",
            "7",
            "99",
            "KZ-ALA",
            "7500000000",
            "Алматы",
            "1,2,3",
            "77,43,76,44",
            "0,0,200,1",
            "a,b,c,d",
            "NaN,0,1,1",
        ] {
            let error = Region::parse(refused).expect_err(refused);
            assert_eq!(error.kind(), ukimet_model::ErrorKind::InvalidRequest, "{refused}");
        }
    }

    #[test]
    fn every_region_lies_in_the_country() {
        let [west, south, east, north] = COUNTRY;
        for (code, bounds) in Region::all() {
            let inside = bounds[0] >= west && bounds[1] >= south && bounds[2] <= east && bounds[3] <= north;
            assert!(inside && bounds[0] < bounds[2] && bounds[1] < bounds[3], "{code}");
        }
    }
}
