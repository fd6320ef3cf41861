//! Coordinate reference systems as they were received.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A code in an authority's register: `EPSG:28413`, `OGC:CRS84`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AuthorityCode {
    /// The register, upper case.
    pub authority: String,
    /// The entry.
    pub code: String,
}

impl fmt::Display for AuthorityCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.authority, self.code)
    }
}

/// A coordinate reference system: a definition as received, and its code if one is known.
///
/// Coordinates that travel with it are always x (east) before y (north), whatever axis order the
/// definition has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crs {
    /// `EPSG:n`, WKT or PROJJSON, as the source or the publisher wrote it.
    pub definition: String,
    /// The code in a register, where the definition names one.
    pub code: Option<AuthorityCode>,
    /// The name in the definition, for people.
    pub name: Option<String>,
}

impl Crs {
    /// OGC:CRS84: degrees on WGS 84, longitude first; the CRS of everything the hub gives out.
    pub fn crs84() -> Self {
        Self {
            definition: "OGC:CRS84".to_owned(),
            code: Some(AuthorityCode { authority: "OGC".to_owned(), code: "CRS84".to_owned() }),
            name: Some("WGS 84 (CRS84)".to_owned()),
        }
    }
}

impl fmt::Display for Crs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.code, &self.name) {
            (Some(code), _) => code.fmt(f),
            (None, Some(name)) => f.write_str(name),
            (None, None) => f.write_str(&self.definition),
        }
    }
}

/// OGC:CRS84 as PROJJSON, which GeoParquet and GeoArrow metadata carry.
pub const CRS84_PROJJSON: &str = r#"{"$schema":"https://proj.org/schemas/v0.7/projjson.schema.json","type":"GeographicCRS","name":"WGS 84 (CRS84)","datum_ensemble":{"name":"World Geodetic System 1984 ensemble","members":[{"name":"World Geodetic System 1984 (Transit)","id":{"authority":"EPSG","code":1166}},{"name":"World Geodetic System 1984 (G730)","id":{"authority":"EPSG","code":1152}},{"name":"World Geodetic System 1984 (G873)","id":{"authority":"EPSG","code":1153}},{"name":"World Geodetic System 1984 (G1150)","id":{"authority":"EPSG","code":1154}},{"name":"World Geodetic System 1984 (G1674)","id":{"authority":"EPSG","code":1155}},{"name":"World Geodetic System 1984 (G1762)","id":{"authority":"EPSG","code":1156}},{"name":"World Geodetic System 1984 (G2139)","id":{"authority":"EPSG","code":1309}}],"ellipsoid":{"name":"WGS 84","semi_major_axis":6378137,"inverse_flattening":298.257223563},"accuracy":"2.0","id":{"authority":"EPSG","code":6326}},"coordinate_system":{"subtype":"ellipsoidal","axis":[{"name":"Geodetic longitude","abbreviation":"Lon","direction":"east","unit":"degree"},{"name":"Geodetic latitude","abbreviation":"Lat","direction":"north","unit":"degree"}]},"scope":"Not known.","area":"World.","bbox":{"south_latitude":-90,"west_longitude":-180,"north_latitude":90,"east_longitude":180},"id":{"authority":"OGC","code":"CRS84"}}"#;
