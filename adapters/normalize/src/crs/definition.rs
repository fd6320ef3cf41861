//! Which texts name a coordinate reference system, and what PROJ makes of them.

use super::guarded;
use proj::Proj;
use serde_json::Value;
use ukimet_model::error::quoted;
use ukimet_model::{AuthorityCode, Crs, Error, Result};

/// A definition in a form that PROJ may see: no URL, no file, no name to search for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Definition {
    /// `EPSG:28413`.
    Code(AuthorityCode),
    /// WKT, PROJJSON or a PROJ string.
    Text(String),
}

impl Definition {
    /// What PROJ is given.
    pub(super) fn for_proj(&self) -> String {
        match self {
            Self::Code(code) => code.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// Longest definition that is looked at.
const SIZE_MAX: usize = 1 << 16;

/// Reads a text as a definition: a code, URN, WKT, PROJJSON or PROJ string.
///
/// # Errors
///
/// `InvalidRequest` saying what is accepted and what was found: URLs, files, names and oversize texts are refused.
pub(super) fn accept(text: &str) -> Result<Definition> {
    let text = text.trim().trim_start_matches('\u{feff}');
    let refuse = |why: &str| {
        Err(Error::invalid_request(format!(
            "a crs is EPSG:n, OGC:CRS84, a URN, WKT, PROJJSON or a PROJ string, {why}, found {}",
            quoted(text)
        )))
    };
    if text.len() > SIZE_MAX {
        return refuse("at most 64 KiB");
    }
    if text.contains('\0') {
        return refuse("without control characters");
    }
    if names_a_file(text) {
        return refuse("without references to files or addresses");
    }
    if let Some(code) = code(text) {
        return Ok(Definition::Code(code));
    }
    if text.starts_with('+') || text.starts_with("proj=") {
        return Ok(Definition::Text(if text.contains("type=crs") {
            text.to_owned()
        } else {
            format!("{text} +type=crs")
        }));
    }
    if text.starts_with('{') || is_wkt(text) {
        return Ok(Definition::Text(text.to_owned()));
    }
    refuse("nothing else")
}

/// Whether a definition would make PROJ open something: a URL, `+init=<file>`, a grid or file with a path.
fn names_a_file(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let is_address = lower.starts_with("http:") || lower.starts_with("https:") || lower.starts_with("file:");
    let has_path = |key: &str| {
        lower.match_indices(key).any(|(at, _)| {
            let value = lower[at + key.len()..].trim_start_matches(['"', ',', ' ', '=']);
            let value = value.split(['"', ' ', ']', '}']).next().unwrap_or_default();
            value.contains(['/', '\\'])
        })
    };
    let is_init = lower.contains("init=") && code(text).is_none();
    is_address || is_init || ["grids", "file=", "geoidgrids", "proj4_grids"].into_iter().any(has_path)
}

fn code(text: &str) -> Option<AuthorityCode> {
    let new = |authority: &str, code: &str| {
        Some(AuthorityCode { authority: authority.to_ascii_uppercase(), code: code.to_owned() })
    };
    let is_word = |s: &str| {
        !s.is_empty() && s.len() <= 32 && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
    };
    let lower = text.to_ascii_lowercase();
    if let Some(rest) = lower.strip_prefix("+init=epsg:").or_else(|| lower.strip_prefix("init=epsg:")) {
        let number = rest.split_whitespace().next().unwrap_or_default();
        return number.bytes().all(|b| b.is_ascii_digit()).then(|| new("EPSG", number)).flatten();
    }
    if lower.starts_with("urn:ogc:def:crs:") || lower.starts_with("urn:x-ogc:def:crs:") {
        let parts: Vec<&str> = text.split(':').collect();
        let (authority, code) = (parts.get(4)?, parts.last()?);
        return (parts.len() > 5 && is_word(authority) && is_word(code)).then(|| new(authority, code)).flatten();
    }
    if !text.is_empty() && text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit()) {
        return new("EPSG", text);
    }
    let (authority, code) = text.split_once(':')?;
    if authority.eq_ignore_ascii_case("crs") && code == "84" {
        return new("OGC", "CRS84");
    }
    (is_word(authority) && is_word(code)).then(|| new(authority, code)).flatten()
}

fn is_wkt(text: &str) -> bool {
    let keyword = text.split(['[', '(']).next().unwrap_or_default().trim().to_ascii_uppercase();
    keyword.len() < text.len()
        && (keyword.ends_with("CRS")
            || ["PROJCS", "GEOGCS", "COMPD_CS", "LOCAL_CS", "GEOCCS", "VERT_CS"].contains(&keyword.as_str()))
}

/// What a definition turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Resolved {
    /// What PROJ is given.
    pub(super) for_proj: String,
    /// The code if the definition has one, else the name.
    pub(super) label: String,
    /// Whether no code names it.
    pub(super) has_no_code: bool,
    /// The name, for people.
    pub(super) name: String,
    /// The PROJJSON of the horizontal part.
    pub(super) horizontal: Value,
    /// Where the CRS is meant to be used: west, south, east, north in degrees.
    pub(super) area: Option<[f64; 4]>,
}

impl Resolved {
    /// Whether the coordinates are degrees of longitude and latitude.
    pub(super) fn is_geographic(&self) -> bool {
        let is_degree = |axis: &Value| axis["unit"] == "degree";
        self.horizontal["type"] == "GeographicCRS" && self.axes().iter().take(2).all(is_degree)
    }

    /// The zone number that the false easting carries in its millions: 13 for 13,500,000 m.
    pub(super) fn zone(&self) -> Option<i64> {
        let parameters = self.horizontal["conversion"]["parameters"].as_array()?;
        let false_easting = parameters.iter().find(|parameter| parameter["name"] == "False easting")?;
        let metres = false_easting["value"].as_f64()?;
        (metres > 1_000_000.0 && (metres.rem_euclid(1_000_000.0) - 500_000.0).abs() < 1.0)
            .then(|| (metres / 1_000_000.0) as i64)
    }

    /// Whether both mean the same numbers, whatever they are called: the datum and the projection with its numbers.
    pub(super) fn is_same_system(&self, other: &Self) -> bool {
        const TOLERANCE: f64 = 1e-6;
        let numbers = |resolved: &Self| -> Vec<(String, f64)> {
            let parameters = resolved.horizontal["conversion"]["parameters"].as_array();
            let number =
                |parameter: &Value| Some((parameter["name"].as_str()?.to_owned(), parameter["value"].as_f64()?));
            parameters.into_iter().flatten().filter_map(number).collect()
        };
        let (ours, theirs) = (numbers(self), numbers(other));
        let is_equal = |((name, value), (other_name, other)): (&(String, f64), &(String, f64))| {
            name == other_name && (value - other).abs() <= TOLERANCE
        };
        self.datum() == other.datum() && ours.len() == theirs.len() && ours.iter().zip(&theirs).all(is_equal)
    }

    /// The name of the datum, as PROJ has it.
    pub(super) fn datum(&self) -> Option<&str> {
        let mut base = &self.horizontal;
        while base["base_crs"].is_object() {
            base = &base["base_crs"];
        }
        base["datum"]["name"].as_str().or_else(|| base["datum_ensemble"]["name"].as_str())
    }

    /// The numbers of the projection, for people; `None` without one.
    pub(super) fn projection(&self) -> Option<String> {
        let parameters = self.horizontal["conversion"]["parameters"].as_array()?;
        let text =
            |parameter: &Value| Some(format!("{} {}", parameter["name"].as_str()?, parameter["value"].as_f64()?));
        let parts: Vec<String> = parameters.iter().filter_map(text).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// Whether PROJ expects the northing or latitude first, though batches have x first.
    pub(super) fn is_north_first(&self) -> bool {
        let direction = |i: usize| self.axes().get(i).and_then(|axis| axis["direction"].as_str()).unwrap_or_default();
        let name = |i: usize| self.axes().get(i).and_then(|axis| axis["name"].as_str()).unwrap_or_default();
        let polar = |d: &str| direction(0) == d && direction(1) == d && name(0).starts_with("Northing");
        (direction(0) == "north" && direction(1) == "east") || polar("north") || polar("south")
    }

    fn axes(&self) -> &[Value] {
        self.horizontal["coordinate_system"]["axis"].as_array().map_or(&[], Vec::as_slice)
    }
}

/// Asks PROJ what a definition is.
///
/// # Errors
///
/// `InvalidRequest` if PROJ cannot read it or it has no horizontal coordinates; `Undeclared` if it is a local
/// system without any relation to the earth.
pub(super) fn resolve(definition: &Definition) -> Result<Resolved> {
    let for_proj = definition.for_proj();
    let crs = create(&for_proj)?;
    let json = guarded(|| crs.to_projjson(Some(false), None, None).map_err(|error| error.to_string()));
    let json: Value = json
        .ok()
        .and_then(|json| serde_json::from_str(&json).ok())
        .ok_or_else(|| Error::invalid_request(format!("{} is no coordinate reference system", quoted(&for_proj))))?;
    let name = name(&json);
    let code = match definition {
        Definition::Code(code) => Some(code.to_string()),
        Definition::Text(_) => id(&json),
    };
    let has_no_code = code.is_none();
    let label = code.unwrap_or_else(|| name.clone());
    let horizontal = horizontal(&json).clone();
    check_kind(&horizontal, &label)?;
    let area = guarded(|| crs.area_of_use().map_err(|error| error.to_string())).ok().and_then(|(area, _)| area);
    let area = area.map(|area| [area.west, area.south, area.east, area.north]);
    Ok(Resolved { for_proj, label, has_no_code, name, horizontal, area })
}

fn create(definition: &str) -> Result<Proj> {
    guarded(|| Proj::new(definition).map_err(|error| error.to_string())).map_err(|why| match database() {
        Ok(()) => Error::invalid_request(format!("PROJ does not know the crs {}: {why}", quoted(definition))),
        Err(broken) => broken,
    })
}

/// Whether PROJ has a database that fits it.
fn database() -> Result<()> {
    guarded(|| Proj::new("EPSG:4326").map(|_| ()).map_err(|error| error.to_string())).map_err(|why| {
        Error::internal(format!(
            "PROJ has no database of its own version ({why}): PROJ_DATA must name a folder without another proj.db"
        ))
    })
}

fn horizontal(json: &Value) -> &Value {
    match json["type"].as_str() {
        Some("BoundCRS") => horizontal(&json["source_crs"]),
        Some("CompoundCRS") => horizontal(&json["components"][0]),
        _ => json,
    }
}

/// The name of a CRS; one that formats leave unnamed is told by its datum.
fn name(json: &Value) -> String {
    let name = json["name"].as_str().unwrap_or_default();
    if !["", "unnamed", "unknown"].contains(&name.to_lowercase().as_str()) {
        return name.to_owned();
    }
    let mut base = horizontal(json);
    while base["base_crs"].is_object() {
        base = &base["base_crs"];
    }
    let datum = base["datum"]["name"].as_str().or_else(|| base["datum_ensemble"]["name"].as_str());
    datum.map_or_else(|| "unnamed".to_owned(), |datum| format!("unnamed, on datum {datum}"))
}

fn id(json: &Value) -> Option<String> {
    let id = json.get("id")?;
    let code = &id["code"];
    let code = code.as_str().map(str::to_owned).or_else(|| code.as_i64().map(|n| n.to_string()))?;
    Some(format!("{}:{code}", id["authority"].as_str()?))
}

fn check_kind(horizontal: &Value, label: &str) -> Result<()> {
    match horizontal["type"].as_str() {
        Some("GeographicCRS" | "ProjectedCRS" | "DerivedGeographicCRS" | "DerivedProjectedCRS") => Ok(()),
        Some("EngineeringCRS" | "DerivedEngineeringCRS") => Err(Error::undeclared(format!(
            "declare crs: {} is a local system without relation to the earth",
            quoted(label)
        ))),
        kind => Err(Error::invalid_request(format!(
            "expected a geographic or projected crs, found {} of kind {}",
            quoted(label),
            kind.unwrap_or("unknown")
        ))),
    }
}

/// The definition that stands for a reader's CRS: its code where it has one.
pub(super) fn of_crs(crs: &Crs) -> Result<Definition> {
    match &crs.code {
        Some(code) => Ok(Definition::Code(code.clone())),
        None => accept(&crs.definition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_and_definitions_are_accepted() {
        for (text, code) in [
            ("EPSG:28413", "EPSG:28413"),
            ("epsg:4326", "EPSG:4326"),
            ("28413", "EPSG:28413"),
            (" OGC:CRS84 ", "OGC:CRS84"),
            ("CRS:84", "OGC:CRS84"),
            ("urn:ogc:def:crs:EPSG::3857", "EPSG:3857"),
            ("urn:ogc:def:crs:OGC:1.3:CRS84", "OGC:CRS84"),
            ("urn:x-ogc:def:crs:EPSG:6.9:4326", "EPSG:4326"),
            ("+init=epsg:28413", "EPSG:28413"),
        ] {
            assert_eq!(accept(text).expect(text).for_proj(), code);
        }
        for refused in [
            "",
            "WGS 84",
            "http://www.opengis.net/def/crs/EPSG/0/4326",
            "file:///etc/passwd",
            "+init=/etc/passwd:1",
            "+proj=longlat +nadgrids=/etc/passwd",
            "+proj=longlat +nadgrids=@../x",
            "GEOGCS[\"x\",EXTENSION[\"PROJ4_GRIDS\",\"/etc/passwd\"]]",
            "EPSG:28413; drop",
            "EPSG:4326\0",
        ] {
            let error = accept(refused).expect_err(refused);
            assert_eq!(error.kind(), ukimet_model::ErrorKind::InvalidRequest, "{refused}");
        }
        assert!(accept(&"x".repeat(SIZE_MAX + 1)).is_err());
    }

    #[test]
    fn an_unnamed_crs_is_told_by_its_datum() {
        let geographic = r#"GEOGCS["unnamed",DATUM["Pulkovo_1942",SPHEROID["Krassowsky 1940",6378245,298.3]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]]"#;
        let resolved = resolve(&accept(geographic).expect("WKT")).expect("a crs");
        assert_eq!(resolved.label, "unnamed, on datum Pulkovo 1942");
        assert_eq!(resolve(&accept("EPSG:4284").expect("a code")).expect("a crs").name, "Pulkovo 1942");
    }

    #[test]
    fn axis_order_and_kind_come_from_the_definition() {
        let of = |text: &str| resolve(&accept(text).expect(text));
        for (text, geographic, north_first) in [
            ("EPSG:4326", true, true),
            ("OGC:CRS84", true, false),
            ("EPSG:28413", false, true),
            ("EPSG:3857", false, false),
            ("+proj=longlat +datum=WGS84 +no_defs", true, false),
        ] {
            let resolved = of(text).expect(text);
            assert_eq!((resolved.is_geographic(), resolved.is_north_first()), (geographic, north_first), "{text}");
        }
        let local = of("LOCAL_CS[\"plan\",UNIT[\"m\",1]]").expect_err("local");
        assert_eq!(local.kind(), ukimet_model::ErrorKind::Undeclared);
        for unknown in ["EPSG:999999", "EPSG:4978", "GEOGCS[broken", "{}", "+proj=nonsense"] {
            assert_eq!(of(unknown).expect_err(unknown).kind(), ukimet_model::ErrorKind::InvalidRequest, "{unknown}");
        }
    }
}
