//! How deep the elements of an XML text lie inside each other: libraries follow them by calling themselves, and a deep
//! text ends their stack.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use ukimet_model::{Error, Result};

/// Where the scanner stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Place {
    #[default]
    Text,
    /// After `<`.
    Begin,
    /// Inside a tag that opens; the byte before, to know `/>`.
    Tag { before: u8 },
    /// Inside a value of a tag that opens.
    Value { quote: u8 },
    /// Inside a tag that closes.
    Closing,
    /// After `<!`, `<?` or inside of what they begin, until these bytes.
    Skipped { end: &'static [u8] },
    /// After `<!`, before it is clear what it begins.
    Declaration,
}

/// Counts elements that are open, byte after byte of a text in UTF-8 or in any encoding that has ASCII in it.
#[derive(Debug, Default)]
pub(crate) struct Nesting {
    place: Place,
    depth: u32,
    /// The greatest depth so far.
    pub(crate) deepest: u32,
    /// The last bytes, to know the end of what is skipped.
    last: [u8; 3],
}

impl Nesting {
    /// Takes the next bytes.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.place = self.next(byte);
            self.last = [self.last[1], self.last[2], byte];
        }
    }

    fn next(&mut self, byte: u8) -> Place {
        match self.place {
            Place::Text if byte == b'<' => Place::Begin,
            Place::Text => Place::Text,
            Place::Begin => match byte {
                b'/' => Place::Closing,
                b'!' => Place::Declaration,
                b'?' => Place::Skipped { end: b"?>" },
                _ => Place::Tag { before: byte },
            },
            Place::Tag { before } => match byte {
                b'>' if before == b'/' => {
                    self.deepest = self.deepest.max(self.depth + 1);
                    Place::Text
                }
                b'>' => {
                    self.depth += 1;
                    self.deepest = self.deepest.max(self.depth);
                    Place::Text
                }
                b'"' | b'\'' => Place::Value { quote: byte },
                _ => Place::Tag { before: byte },
            },
            Place::Value { quote } if byte == quote => Place::Tag { before: byte },
            Place::Closing if byte == b'>' => {
                self.depth = self.depth.saturating_sub(1);
                Place::Text
            }
            Place::Declaration if byte == b'[' => Place::Skipped { end: b"]]>" },
            Place::Declaration if byte == b'-' => Place::Skipped { end: b"-->" },
            Place::Declaration => Place::Skipped { end: b">" },
            Place::Skipped { end } if [self.last[1], self.last[2], byte].ends_with(end) => Place::Text,
            other => other,
        }
    }
}

/// Refuses a text whose elements lie deeper than allowed.
///
/// # Errors
///
/// `LimitReached` with the limit and the depth.
pub(crate) fn check_depth(deepest: u32, nesting_max: u32) -> Result<()> {
    if deepest > nesting_max {
        return Err(Error::limit_reached(format!(
            "values lie at most {nesting_max} deep inside each other, found {deepest}"
        )));
    }
    Ok(())
}

/// Reads a file once for how deep its elements lie.
///
/// # Errors
///
/// `LimitReached` as [`check_depth`], `Unavailable` if it cannot be read.
pub(crate) fn check_nesting(path: &Path, nesting_max: u32) -> Result<()> {
    let gone = |error: std::io::Error| Error::unavailable("the asset could not be read").caused_by(error);
    let mut file = File::open(path).map_err(gone)?;
    let mut nesting = Nesting::default();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).map_err(gone)? {
            0 => return check_depth(nesting.deepest, nesting_max),
            count => nesting.take(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, deepest: u32) {
        let mut nesting = Nesting::default();
        nesting.take(text.as_bytes());
        assert_eq!(nesting.deepest, deepest, "{text}");
    }

    #[test]
    fn only_elements_count_and_those_that_close_no_more() {
        check("<a><b/><b>x</b><b><c d='/>' e=\"<\"></c></b></a>", 3);
        check("<?xml version=\"1.0\"?><!-- <x><y><z> --><a><![CDATA[<x><y>]]></a>", 1);
        check("<a/>", 1);
        check("no element", 0);
        check(&"<a>".repeat(1_000), 1_000);
    }
}
