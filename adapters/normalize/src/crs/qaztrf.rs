//! QazTRF-23, Kazakhstan's frame since 2025, which the linked database does not have yet.
//!
//! Numbers from the EPSG register: GRS 80; EPSG:10941 geographic; EPSG:10942 to 10949 Gauss-Kruger zones 8 to 15,
//! false easting zone · 10⁶ + 500 000 m, central meridian 6 · zone - 3 degrees; to WGS 84 by EPSG:10965, null, 1 m.

use serde_json::Value;

/// The name of the operation to WGS 84.
pub(super) const OPERATION: &str = "QazTRF-23 to WGS 84 (1), EPSG:10965, null";
/// Its accuracy.
pub(super) const ACCURACY_M: f64 = 1.0;

/// The geocentric system of the frame.
pub(super) const GEOCENTRIC: &str = "EPSG:10939";

/// One system of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum System {
    /// EPSG:10940 and 10941, degrees.
    Geographic,
    /// A Gauss-Kruger zone, 8 to 15, metres.
    Zone(u32),
}

impl System {
    /// The system of a code, e.g. `EPSG:10947`.
    pub(super) fn of_code(code: &str) -> Option<Self> {
        let number: u32 = code.strip_prefix("EPSG:")?.parse().ok()?;
        match number {
            10_940 | 10_941 => Some(Self::Geographic),
            10_942..=10_949 => Some(Self::Zone(number - 10_942 + 8)),
            _ => None,
        }
    }

    /// The system of a definition on this datum; `None` for other datums and for projections of its own.
    pub(super) fn of_definition(horizontal: &Value) -> Option<Self> {
        let base = horizontal.get("base_crs").unwrap_or(horizontal);
        let is_ours = |value: &Value| {
            value["name"].as_str().is_some_and(|name| name.contains("QazTRF") || name.contains("Qazaqstan Terrestrial"))
        };
        if !is_ours(&base["datum"]) && !is_ours(base) {
            return None;
        }
        if horizontal["type"] == "GeographicCRS" {
            return Some(Self::Geographic);
        }
        let parameters = horizontal["conversion"]["parameters"].as_array()?;
        let value = |name: &str| parameters.iter().find(|p| p["name"] == name).and_then(|p| p["value"].as_f64());
        let (meridian, easting) = (value("Longitude of natural origin")?, value("False easting")?);
        (8..=15).map(Self::Zone).find(|zone| zone.parameters() == Some((meridian, easting)))
    }

    /// The code in the register.
    pub(super) fn code(self) -> String {
        match self {
            Self::Geographic => "EPSG:10941".to_owned(),
            Self::Zone(zone) => format!("EPSG:{}", zone + 10_942 - 8),
        }
    }

    /// The name in the register.
    pub(super) fn name(self) -> String {
        match self {
            Self::Geographic => "QazTRF-23".to_owned(),
            Self::Zone(zone) => format!("QazTRF-23 / Gauss-Kruger zone {zone}"),
        }
    }

    /// Central meridian in degrees and false easting in metres.
    fn parameters(self) -> Option<(f64, f64)> {
        match self {
            Self::Geographic => None,
            Self::Zone(zone) => Some((f64::from(6 * zone - 3), f64::from(zone * 1_000_000 + 500_000))),
        }
    }

    /// The pipeline from east, north to longitude, latitude in degrees; `None` where nothing has to be done.
    pub(super) fn pipeline(self) -> Option<String> {
        let (meridian, easting) = self.parameters()?;
        Some(format!(
            "proj=pipeline step inv proj=tmerc lat_0=0 lon_0={meridian} k=1 x_0={easting} y_0=0 ellps=GRS80 step proj=unitconvert xy_in=rad xy_out=deg"
        ))
    }

    /// Where it is meant to be used: west, south, east, north in degrees.
    pub(super) fn area(self) -> [f64; 4] {
        match self.parameters() {
            None => [46.49, 40.59, 87.35, 55.45],
            Some((meridian, _)) => [meridian - 3.0, 40.59, meridian + 3.0, 55.45],
        }
    }
}
