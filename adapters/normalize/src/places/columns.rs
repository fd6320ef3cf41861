//! Which columns hold places, by their names in English, Russian and Kazakh.

/// The columns of one table that may make its geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Candidate {
    /// Two columns of numbers: x (longitude or easting) and y.
    Pair {
        /// Position of the column of x.
        x: usize,
        /// Position of the column of y.
        y: usize,
        /// Whether the names say longitude and latitude.
        is_degrees: bool,
    },
    /// One column of WKT, EWKT or hex WKB.
    Cell(usize),
}

const CELL: [&str; 10] =
    ["wkt", "ewkt", "wktgeom", "geomwkt", "wktgeometry", "geometrywkt", "geom", "thegeom", "geometry", "геометрия"];
/// Names of columns of WKB, apart from those of [`CELL`].
const WKB: [&str; 3] = ["wkb", "wkbgeometry", "geomwkb"];
const LON: [&str; 12] = [
    "lon",
    "lng",
    "long",
    "longitude",
    "долгота",
    "бойлық",
    "бойлык",
    "longitud",
    "lonwgs84",
    "долг",
    "xlon",
    "geolon",
];
const LAT: [&str; 11] =
    ["lat", "latitude", "широта", "ендік", "ендик", "latitud", "latwgs84", "шир", "ylat", "geolat", "lati"];
const X: [&str; 6] = ["x", "easting", "east", "х", "coordx", "xcoord"];
const Y: [&str; 6] = ["y", "northing", "north", "у", "coordy", "ycoord"];

/// The best candidate; pairs of x and y count only with a declared CRS.
pub(super) fn find(names: &[String], crs_is_declared: bool) -> Option<Candidate> {
    let words: Vec<Vec<String>> = names.iter().map(|name| words(name)).collect();
    if let Some(cell) = words.iter().position(|words| CELL.contains(&words.concat().as_str())) {
        return Some(Candidate::Cell(cell));
    }
    let degrees = pair(&words, &LON, &LAT, true).or_else(|| pair_of_wgs(&words));
    let metres = || crs_is_declared.then(|| pair(&words, &X, &Y, false)).flatten();
    degrees.or_else(metres)
}

/// Whether a column of bytes with this name is expected to hold a geometry (WKB).
pub fn is_geometry_name(name: &str) -> bool {
    let name = words(name).concat();
    CELL.contains(&name.as_str()) || WKB.contains(&name.as_str())
}

/// The words of a name: small letters, ё as е, punctuation between them.
fn words(name: &str) -> Vec<String> {
    let lower = name.to_lowercase().replace('ё', "е");
    lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The first two columns whose names differ only in the word for x and the word for y.
fn pair(names: &[Vec<String>], xs: &[&str], ys: &[&str], is_degrees: bool) -> Option<Candidate> {
    let rest = |name: &[String], words: &[&str]| -> Option<Vec<String>> {
        let joined = name.concat();
        if words.contains(&joined.as_str()) {
            return Some(Vec::new());
        }
        let at = name.iter().position(|word| words.contains(&word.as_str()))?;
        Some(name.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, word)| word.clone()).collect())
    };
    names.iter().enumerate().find_map(|(x, name)| {
        let around = rest(name, xs)?;
        let y = names.iter().position(|other| rest(other, ys).is_some_and(|other| other == around))?;
        (x != y).then_some(Candidate::Pair { x, y, is_degrees })
    })
}

/// `x_wgs84` and `y_wgs84`: x and y whose names say that they are degrees.
fn pair_of_wgs(names: &[Vec<String>]) -> Option<Candidate> {
    let has_wgs =
        |name: &[String]| name.iter().any(|word| word == "wgs" || word == "wgs84") || name.concat().contains("wgs84");
    let only: Vec<Vec<String>> =
        names.iter().map(|name| if has_wgs(name) { name.clone() } else { Vec::new() }).collect();
    pair(&only, &["x", "xwgs", "xwgs84"], &["y", "ywgs", "ywgs84"], true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_by_name_in_three_languages() {
        let degrees = |x, y| Some(Candidate::Pair { x, y, is_degrees: true });
        for (names, expected) in [
            (&["id", "lat", "lon"][..], degrees(2, 1)),
            (&["LNG", "LAT"], degrees(0, 1)),
            (&["Широта", "Долгота"], degrees(1, 0)),
            (&["Ендік", "Бойлық"], degrees(1, 0)),
            (&["Широта, град.", "Долгота, град."], degrees(1, 0)),
            (&["stop_lat", "stop_lon"], degrees(1, 0)),
            (&["X_WGS", "Y_WGS"], degrees(0, 1)),
            (&["x_wgs84", "y_wgs84"], degrees(0, 1)),
            (&["start_lon", "end_lat"], None),
            (&["name", "WKT"], Some(Candidate::Cell(1))),
            (&["the_geom", "lat", "lon"], Some(Candidate::Cell(0))),
            (&["Геометрия"], Some(Candidate::Cell(0))),
            (&["x", "y"], None),
            (&["longest", "latest"], None),
            (&["belong", "flat"], None),
            (&["lon"], None),
        ] {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(find(&names, false), expected, "{names:?}");
        }
        let metres = ["x".to_owned(), "y".to_owned()];
        assert_eq!(find(&metres, true), Some(Candidate::Pair { x: 0, y: 1, is_degrees: false }));
    }
}
