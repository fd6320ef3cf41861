//! The beginning of an asset and what its sender says about it: all that recognition looks at.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use ukimet_model::{Error, Result};
use ukimet_normalize::text::{Utf16, unmarked_utf16};

/// How many bytes recognition looks at.
const HEAD_BYTES: usize = 64 * 1024;

/// The beginning of an asset.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// The first bytes.
    pub(crate) bytes: Vec<u8>,
    /// Size of the whole asset.
    pub(crate) size_bytes: u64,
    /// The ending of its name, lower case, without dot; empty if it has none.
    pub(crate) extension: String,
}

impl Head {
    /// Reads the beginning of a file that its sender calls `name`.
    ///
    /// # Errors
    ///
    /// `Unavailable` if the file cannot be read.
    pub(crate) fn read(path: &Path, name: &str) -> Result<Self> {
        let gone = |error: std::io::Error| Error::unavailable("the asset could not be read").caused_by(error);
        let file = File::open(path).map_err(gone)?;
        let size_bytes = file.metadata().map_err(gone)?.len();
        let mut bytes = Vec::new();
        file.take(HEAD_BYTES as u64).read_to_end(&mut bytes).map_err(gone)?;
        Ok(Self { bytes, size_bytes, extension: extension(name) })
    }

    /// Whether the bytes begin with these.
    pub(crate) fn starts_with(&self, magic: &[u8]) -> bool {
        self.bytes.starts_with(magic)
    }

    /// Whether these bytes stand at an offset.
    pub(crate) fn has_at(&self, offset: usize, magic: &[u8]) -> bool {
        self.bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic))
    }

    /// The first bytes as text: UTF-16 decoded, with a byte order mark or without one, anything else byte by byte, without the
    /// mark.
    pub(crate) fn text(&self) -> String {
        let bytes = &self.bytes;
        let utf16 = |decode: fn([u8; 2]) -> u16, skip: usize| {
            let units: Vec<u16> = bytes[skip..].chunks_exact(2).map(|pair| decode([pair[0], pair[1]])).collect();
            String::from_utf16_lossy(&units)
        };
        match bytes.as_slice() {
            [0xff, 0xfe, ..] => utf16(u16::from_le_bytes, 2),
            [0xfe, 0xff, ..] => utf16(u16::from_be_bytes, 2),
            [b'<' | b'{' | b'[', 0, ..] => utf16(u16::from_le_bytes, 0),
            [0, b'<' | b'{' | b'[', ..] => utf16(u16::from_be_bytes, 0),
            [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
            all => match unmarked_utf16(all) {
                Some(Utf16::Little) => utf16(u16::from_le_bytes, 0),
                Some(Utf16::Big) => utf16(u16::from_be_bytes, 0),
                None => String::from_utf8_lossy(all).into_owned(),
            },
        }
    }

    /// Whether this looks like text: few control characters.
    ///
    /// Those from U+0080 on are letters that were decoded wrongly, and no sign of anything else than text.
    pub(crate) fn is_text(&self) -> bool {
        const CONTROLS_IN_A_SHORT_TEXT_MAX: usize = 2;
        let text = self.text();
        let controls = text.chars().filter(|c| c.is_ascii_control() && !"\t\r\n\u{b}\u{c}\u{1e}".contains(*c)).count();
        let letters = text.chars().count() - controls;
        controls * 100 <= letters || (controls <= CONTROLS_IN_A_SHORT_TEXT_MAX && controls * 4 <= letters)
    }
}

/// The ending of a name, lower case, without dot.
pub(crate) fn extension(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    name.rsplit_once('.').map(|(_, extension)| extension.to_lowercase()).unwrap_or_default()
}
