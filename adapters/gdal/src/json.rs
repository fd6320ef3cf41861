//! The outline of a JSON file: its top-level members, and whether it is whole.
//!
//! GDAL takes almost any JSON with coordinates somewhere inside for GeoJSON and drops the rest in silence. So the top
//! level is read here first, in one pass and without keeping the values.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use ukimet_model::{Error, Result};

/// Longest key or text that is kept.
const KEPT_BYTES: usize = 128;

/// The top level of a JSON text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outline {
    /// Names of the members of the first top-level object.
    pub(crate) keys: Vec<String>,
    /// Its member `type`, if that is text.
    pub(crate) type_name: Option<String>,
    /// Its member `name`, if that is text.
    pub(crate) name: Option<String>,
    /// How many values stand at the top level: more than one is a sequence.
    pub(crate) values: u64,
    /// Whether the first value is an object.
    pub(crate) is_object: bool,
    /// Whether every value is closed.
    pub(crate) is_whole: bool,
    /// How many objects and lists lie inside each other at the deepest place.
    pub(crate) deepest: u32,
}

impl Outline {
    /// Whether the first object has this member.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|k| k == key)
    }
}

/// Reads the outline of a file.
///
/// # Errors
///
/// `Unavailable` if the file cannot be read. Text that is not JSON gives an outline that is not whole or no object.
pub(crate) fn outline(path: &Path) -> Result<Outline> {
    let gone = |error: std::io::Error| Error::unavailable("the asset could not be read").caused_by(error);
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path).map_err(gone)?);
    let mut scanner = Scanner::default();
    let utf16 = utf16_unit(reader.fill_buf().map_err(gone)?);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match (reader.read(&mut buffer).map_err(gone)?, utf16) {
            (0, _) => return Ok(scanner.finish()),
            (count, None) => buffer[..count].iter().for_each(|byte| scanner.byte(*byte)),
            (mut count, Some(unit)) => {
                if count % 2 == 1 {
                    count += reader.read(&mut buffer[count..=count]).map_err(gone)?;
                }
                let units = buffer[..count].chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
                for letter in char::decode_utf16(units).map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER)) {
                    letter.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| scanner.byte(byte));
                }
            }
        }
    }
}

/// How two bytes are a unit, if the text is UTF-16.
fn utf16_unit(head: &[u8]) -> Option<fn([u8; 2]) -> u16> {
    match head {
        [0xff, 0xfe, ..] | [b'{' | b'[', 0, ..] => Some(u16::from_le_bytes),
        [0xfe, 0xff, ..] | [0, b'{' | b'[', ..] => Some(u16::from_be_bytes),
        _ => None,
    }
}

/// Where the scanner stands.
#[derive(Clone, Copy, Default, PartialEq)]
enum Place {
    #[default]
    Structure,
    Text,
    /// In a text, after a backslash.
    Escape,
}

#[derive(Default)]
struct Scanner {
    outline: Outline,
    depth: u64,
    place: Place,
    token: Vec<u8>,
    text: Option<String>,
    key: Option<String>,
    broken: bool,
}

impl Scanner {
    fn byte(&mut self, byte: u8) {
        if self.place != Place::Structure {
            self.text_byte(byte);
            return;
        }
        match byte {
            b'"' => {
                self.place = Place::Text;
                self.token.clear();
            }
            b'{' | b'[' => {
                if self.depth == 0 {
                    self.outline.values += 1;
                    self.outline.is_object |= self.outline.values == 1 && byte == b'{';
                }
                self.depth += 1;
                self.outline.deepest = self.outline.deepest.max(u32::try_from(self.depth).unwrap_or(u32::MAX));
                self.text = None;
            }
            b'}' | b']' => {
                self.member_ends();
                self.broken |= self.depth == 0;
                self.depth = self.depth.saturating_sub(1);
            }
            b':' if self.is_top() => {
                self.key = self.text.take();
                if let Some(key) = self.key.clone().filter(|_| self.outline.keys.len() < 256) {
                    self.outline.keys.push(key);
                }
            }
            b',' => self.member_ends(),
            _ if self.depth == 0 && !byte.is_ascii_whitespace() && !matches!(byte, 0x1e | 0xef | 0xbb | 0xbf) => {
                self.broken = true;
            }
            _ => (),
        }
    }

    fn text_byte(&mut self, byte: u8) {
        if self.place == Place::Escape {
            self.place = Place::Text;
        } else if byte == b'\\' {
            self.place = Place::Escape;
        } else if byte == b'"' {
            self.place = Place::Structure;
            if self.is_top() {
                self.text = Some(String::from_utf8_lossy(&self.token).into_owned());
            }
            return;
        }
        if self.token.len() < KEPT_BYTES {
            self.token.push(byte);
        }
    }

    /// Inside the first top-level object, not deeper.
    fn is_top(&self) -> bool {
        self.depth == 1 && self.outline.values == 1
    }

    fn member_ends(&mut self) {
        if !self.is_top() {
            return;
        }
        let (key, text) = (self.key.take(), self.text.take());
        match key.as_deref() {
            Some("type") => self.outline.type_name = text,
            Some("name") => self.outline.name = text,
            _ => (),
        }
    }

    fn finish(mut self) -> Outline {
        let is_closed = self.depth == 0 && self.place == Place::Structure;
        self.outline.is_whole = self.outline.values > 0 && is_closed && !self.broken;
        self.outline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Outline {
        let mut scanner = Scanner::default();
        text.bytes().for_each(|byte| scanner.byte(byte));
        scanner.finish()
    }

    #[test]
    fn the_top_level_is_told_apart_from_what_lies_deeper() {
        let outline = check(
            r#"{"features":[{"type":"Feature","name":"no"}], "a":"\"{","type" : "FeatureCollection","name":"школы"}"#,
        );
        assert_eq!(outline.keys, ["features", "a", "type", "name"]);
        assert_eq!(outline.type_name.as_deref(), Some("FeatureCollection"));
        assert_eq!(outline.name.as_deref(), Some("школы"));
        assert!(outline.is_whole && outline.is_object && outline.values == 1);
    }

    #[test]
    fn a_sequence_has_several_values_and_a_cut_text_is_not_whole() {
        assert_eq!(check("{\"type\":\"Feature\"}\n\u{1e}{\"type\":\"Feature\"}\n").values, 2);
        for cut in ["", "{\"a\":[1,2", "{\"a\":\"b", "}{", "hello"] {
            assert!(!check(cut).is_whole, "{cut}");
        }
    }
}
