//! One cell as a geometry: WKT, EWKT, or WKB in hex digits.

use crate::geometry::canonical;
use geos::Geometry;
use ukimet_model::wkb;

/// A cell that is a geometry.
#[derive(Debug, PartialEq)]
pub(super) struct Cell {
    /// Canonical WKB, in the source's coordinates.
    pub(super) wkb: Vec<u8>,
    /// The number after `SRID=`, if there is one; 0 counts as none.
    pub(super) srid: Option<u32>,
}

/// Longest cell that is looked at, in bytes.
const SIZE_MAX: usize = 64 << 20;

/// Reads a cell; the error says what is wrong with it.
///
/// The text is checked for nesting before the native parser sees it.
pub(super) fn read(text: &str) -> Result<Cell, String> {
    let text = text.trim();
    if text.len() > SIZE_MAX {
        return Err(format!("a geometry of {} bytes, the limit is {SIZE_MAX}", text.len()));
    }
    let (srid, plain) = srid(text)?;
    if plain.starts_with(['0', '1']) {
        return Ok(Cell { wkb: hex(plain)?, srid: srid.or_else(|| hex_srid(plain)) });
    }
    check(plain)?;
    let geometry = Geometry::new_from_wkt(plain).map_err(|error| error.to_string())?;
    let wkb = canonical(&geometry).ok_or("no geometry of OGC Simple Features")?;
    Ok(Cell { wkb, srid })
}

fn srid(text: &str) -> Result<(Option<u32>, &str), String> {
    let Some(rest) = text.get(..5).filter(|start| start.eq_ignore_ascii_case("SRID=")).map(|_| &text[5..]) else {
        return Ok((None, text));
    };
    let (number, plain) = rest.split_once(';').ok_or("SRID= without a semicolon")?;
    let number: u32 = number.trim().parse().map_err(|_| "SRID= without a number")?;
    Ok(((number > 0).then_some(number), plain.trim_start()))
}

/// Looks at the first word, the nesting and the letters.
fn check(text: &str) -> Result<(), String> {
    const KINDS: [&str; 7] =
        ["POINT", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON", "GEOMETRYCOLLECTION"];
    let word = text.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default().to_ascii_uppercase();
    let kind = word.strip_suffix("ZM").or_else(|| word.strip_suffix('Z')).or_else(|| word.strip_suffix('M'));
    if !KINDS.contains(&word.as_str()) && !kind.is_some_and(|kind| KINDS.contains(&kind)) {
        return Err("no WKT of the seven kinds".to_owned());
    }
    let mut depth = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > wkb::DEPTH_MAX {
            return Err(format!("nesting deeper than {}", wkb::DEPTH_MAX));
        }
    }
    Ok(())
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let bytes = hex_bytes(text).ok_or("no WKB in hex digits")?;
    wkb::to_canonical(&bytes, false).map_err(|error| error.to_string())
}

fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| if let [a, b] = pair { Some(digit(*a)? << 4 | digit(*b)?) } else { None }).collect()
}

/// The SRID of EWKB, which canonical WKB leaves out.
fn hex_srid(text: &str) -> Option<u32> {
    let head = hex_bytes(text.get(..18)?)?;
    let number = |at: usize| {
        let bytes: [u8; 4] = head[at..at + 4].try_into().ok()?;
        Some(if head[0] == 1 { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let has_srid = number(1)? & 0x2000_0000 != 0;
    number(5).filter(|srid| has_srid && *srid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_wkt_ewkt_or_hex() {
        for (text, kind, srid) in [
            ("POINT (76.9 43.2)", "Point", None),
            ("point(76.9 43.2)", "Point", None),
            ("POINT Z (76.9 43.2 800)", "Point", None),
            ("SRID=28413;LINESTRING (1 2, 3 4)", "LineString", Some(28413)),
            ("SRID=0;POINT EMPTY", "Point", None),
            ("MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)))", "MultiPolygon", None),
            ("0101000000000000000000F03F0000000000000040", "Point", None),
            ("0101000020E6100000000000000000F03F0000000000000040", "Point", Some(4326)),
        ] {
            let cell = read(text).expect(text);
            assert_eq!((wkb::inspect(&cell.wkb).expect("WKB").kind.name(), cell.srid), (kind, srid), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_without_a_crash() {
        let nested = format!("GEOMETRYCOLLECTION {}", "(GEOMETRYCOLLECTION ".repeat(10_000));
        let parentheses = format!("POLYGON {}", "(".repeat(10_000));
        for text in [
            "",
            "Абая 5",
            "POINT",
            "POINT (1)",
            "SRID=x;POINT (1 2)",
            "01",
            "012",
            "CIRCULARSTRING (0 0, 1 1, 2 0)",
            &nested,
            &parentheses,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
