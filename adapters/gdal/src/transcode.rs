//! Text files as UTF-8: what is not gets a decoded scratch copy.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use ukimet_model::{Diagnostic, Error, Result, Severity};
use ukimet_normalize::text;

use crate::source::finding;

/// How a file was made UTF-8.
#[derive(Clone, Debug)]
pub(crate) struct Transcoded {
    /// The encoding it came in, IANA name.
    pub(crate) encoding: String,
    /// Whether nobody declared it.
    pub(crate) is_detected: bool,
    /// A sentence for the publisher where the bytes contradict what the file says about itself.
    pub(crate) contradiction: Option<String>,
}

impl Transcoded {
    /// Tells the publisher about an encoding that was detected, or taken against the file's own word.
    pub(crate) fn finding(&self) -> Option<Diagnostic> {
        if let Some(message) = &self.contradiction {
            let found = std::slice::from_ref(&self.encoding);
            return Some(finding("text.encoding_contradicted", Severity::Warning, message.clone(), 1, found));
        }
        self.is_detected.then(|| {
            let message = "the encoding is declared nowhere and was detected from the text".to_owned();
            finding("encoding.detected", Severity::Warning, message, 1, std::slice::from_ref(&self.encoding))
        })
    }
}

/// Makes a scratch file UTF-8 without a byte order mark, if it is not; tells how, unless it was.
///
/// # Errors
///
/// `InvalidData` if the bytes are not what is declared, or fit no encoding.
pub(crate) fn ensure_utf8(path: &Path, declared: Option<&str>) -> Result<Option<Transcoded>> {
    let gone = |error: std::io::Error| Error::unavailable("the asset could not be read").caused_by(error);
    let unmarked = unmarked_utf16(path).map_err(gone)?;
    if declared.is_none() && unmarked.is_none() && is_utf8(&mut File::open(path).map_err(gone)?).map_err(gone)? {
        return Ok(None);
    }
    let bytes = fs::read(path).map_err(gone)?;
    let decoded = text::decode(&bytes, declared.or(unmarked))?;
    let text = decoded.text.strip_prefix('\u{feff}').unwrap_or(&decoded.text);
    let encoding = decoded.encoding.clone();
    if text.len() != bytes.len() || text.as_bytes() != bytes {
        replace(path, text.as_bytes())?;
    }
    let is_detected = decoded.how == text::How::Detected;
    let contradiction = decoded.contradiction.clone();
    Ok(Some(Transcoded { encoding, is_detected, contradiction }).filter(|t| !t.encoding.eq_ignore_ascii_case("utf-8")))
}

/// The UTF-16 that JSON without a mark is in: its first letter is a bracket, and half of that is a zero byte.
fn unmarked_utf16(path: &Path) -> std::io::Result<Option<&'static str>> {
    let mut head = Vec::new();
    File::open(path)?.take(2).read_to_end(&mut head)?;
    Ok(match head.as_slice() {
        [b'{' | b'[', 0] => Some("utf-16le"),
        [0, b'{' | b'['] => Some("utf-16be"),
        _ => None,
    })
}

/// Whether a file is UTF-8 and has no mark and no zero byte, in bounded memory: UTF-16 may be UTF-8 with zeros in it.
fn is_utf8(file: &mut File) -> std::io::Result<bool> {
    let mut buffer = vec![0; 1 << 16];
    let mut kept = 0;
    let mut is_first = true;
    loop {
        let count = file.read(&mut buffer[kept..])?;
        let bytes = &buffer[..kept + count];
        let has_mark = std::mem::take(&mut is_first) && bytes.starts_with(&[0xef, 0xbb, 0xbf]);
        if has_mark || memchr::memchr(0, bytes).is_some() {
            return Ok(false);
        }
        if count == 0 {
            return Ok(kept == 0);
        }
        let valid = match std::str::from_utf8(bytes) {
            Ok(text) => text.len(),
            Err(error) if error.error_len().is_some() => return Ok(false),
            Err(error) => error.valid_up_to(),
        };
        let rest = valid..bytes.len();
        kept = rest.len();
        buffer.copy_within(rest, 0);
    }
}

/// Puts a scratch copy where a link to the asset was.
///
/// # Errors
///
/// `Unavailable` if the scratch folder cannot be written.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let not_kept = |error: std::io::Error| Error::unavailable("a scratch copy could not be written").caused_by(error);
    fs::remove_file(path).map_err(not_kept)?;
    fs::write(path, bytes).map_err(not_kept)
}
