//! A whole text file, decoded before it is parsed.

use super::declared::{By, compare};
use super::detect::Sample;
use super::encoding::{Encoding, encoding_for};
use super::surrogates::without_surrogates;
use std::borrow::Cow;
use ukimet_model::{Error, Result};

/// How the encoding of a file became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It was declared.
    Declared,
    /// The bytes begin with a byte order mark.
    ByteOrderMark,
    /// The bytes are valid UTF-8.
    ValidUtf8,
    /// It was guessed from the bytes; the publisher must be told.
    Detected,
    /// It was declared, but the bytes contradict that; the publisher must be told.
    Contradicted,
}

/// A whole text file as UTF-8, without byte order mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// The text; borrowed where the bytes were UTF-8 already.
    pub text: Cow<'a, str>,
    /// The encoding it came in, IANA name.
    pub encoding: String,
    /// How that became known.
    pub how: How,
    /// A sentence for the publisher where the declaration was contradicted.
    pub contradiction: Option<String>,
}

/// What a file's encoding is declared as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Declaration<'a> {
    /// The label that the publisher sent with the push; it overrides the source.
    pub publisher: Option<&'a str>,
    /// The label that the file itself carries.
    pub source: Option<&'a str>,
}

/// Decodes a whole text file before it is parsed.
///
/// # Errors
///
/// `InvalidRequest` for an unknown label; `InvalidData` naming line and byte offset where the bytes do not fit a
/// declared encoding or contradict it by their byte order mark; `Undeclared` if no encoding fits, if several fit as
/// well, or if the bytes contradict what the publisher declared.
pub fn decode<'a>(bytes: &'a [u8], declared: Option<&str>) -> Result<Decoded<'a>> {
    decode_declared(bytes, Declaration { publisher: declared, source: None })
}

/// As [`decode`], for a file that may say something about itself: what the bytes contradict beyond doubt is then not
/// believed, and [`Decoded::contradiction`] says so.
///
/// # Errors
///
/// As [`decode`].
pub fn decode_declared<'a>(bytes: &'a [u8], declared: Declaration<'_>) -> Result<Decoded<'a>> {
    let mark = encoding_rs::Encoding::for_bom(bytes).map(|(encoding, size)| (Encoding::from_web(encoding), size));
    let label = declared.publisher.or(declared.source);
    if let Some(label) = label {
        let encoding = encoding_for(label)?;
        let by = if declared.publisher.is_some() { By::Publisher } else { By::Source("the file".to_owned()) };
        return decode_as_declared(bytes, encoding, &by, mark);
    }
    if let Some((encoding, size)) = mark {
        return read(bytes, size, encoding, How::ByteOrderMark);
    }
    if let Some(order) = unmarked_utf16(bytes) {
        let encoding = if order == Utf16::Big { Encoding::UTF_16BE } else { Encoding::UTF_16LE };
        return read(bytes, 0, encoding, How::Detected);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        const SMALL: usize = 1 << 12;
        if bytes.len() <= SMALL {
            sample(bytes).check_utf8()?;
        }
        return Ok(done(Cow::Borrowed(text), Encoding::UTF_8, How::ValidUtf8));
    }
    if let Some(text) = without_surrogates(bytes) {
        return Ok(done(Cow::Owned(text), Encoding::UTF_8, How::ValidUtf8));
    }
    let guess = sample(bytes).guess()?;
    read(bytes, 0, guess.encoding, How::Detected)
}

fn done(text: Cow<'_, str>, encoding: Encoding, how: How) -> Decoded<'_> {
    Decoded { text, encoding: encoding.name().to_owned(), how, contradiction: None }
}

fn read(bytes: &[u8], skipped: usize, encoding: Encoding, how: How) -> Result<Decoded<'_>> {
    let text =
        encoding.decode(&bytes[skipped..]).map_err(|at| undecodable_file(bytes, skipped + at.offset, encoding))?;
    Ok(done(text, encoding, how))
}

fn sample(bytes: &[u8]) -> Sample {
    let mut sample = Sample::default();
    bytes.split_inclusive(|b| *b == b'\n').for_each(|line| sample.push(line));
    sample
}

fn decode_as_declared<'a>(
    bytes: &'a [u8],
    encoding: Encoding,
    by: &By,
    mark: Option<(Encoding, usize)>,
) -> Result<Decoded<'a>> {
    match mark {
        Some((marked, size)) if marked == encoding => return read(bytes, size, encoding, How::Declared),
        Some((marked, _)) if *by == By::Publisher => {
            return Err(Error::invalid_data(format!(
                "the text is declared as {} but begins with the byte order mark of {}",
                encoding.name(),
                marked.name()
            )));
        }
        Some((marked, size)) => {
            let message = format!(
                "the file names {}, but begins with the byte order mark of {}, which was taken",
                encoding.name(),
                marked.name()
            );
            let decoded = read(bytes, size, marked, How::Contradicted)?;
            return Ok(Decoded { contradiction: Some(message), ..decoded });
        }
        None => {}
    }
    match compare(encoding, by, &sample(bytes))? {
        Some(found) => {
            let decoded = read(bytes, 0, found.encoding, How::Contradicted)?;
            Ok(Decoded { contradiction: Some(found.message), ..decoded })
        }
        None => read(bytes, 0, encoding, How::Declared),
    }
}

/// Which byte of a unit of UTF-16 comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Utf16 {
    /// The more significant one.
    Big,
    /// The less significant one.
    Little,
}

/// UTF-16 without a byte order mark, by where the zero and the Cyrillic high bytes stand; `None` for anything else.
///
/// `bytes` are a file or the beginning of one, which may end inside a character.
pub fn unmarked_utf16(bytes: &[u8]) -> Option<Utf16> {
    const HEAD: usize = 1 << 16;
    let head = &bytes[..bytes.len().min(HEAD)];
    if head.len() < 4 || !bytes.len().is_multiple_of(2) || !head.contains(&0) {
        return None;
    }
    let units = head.len() / 2;
    let highs = |first: usize| head.iter().skip(first).step_by(2).filter(|b| matches!(**b, 0 | 0x04)).count();
    let is_most = |count: usize| count * 10 >= units * 9;
    let (big, little) = (highs(0), highs(1));
    let order = match (is_most(big), is_most(little)) {
        (true, false) => Utf16::Big,
        (false, true) => Utf16::Little,
        _ => return None,
    };
    // Two zero bytes in a row are no letter.
    let has_zero = head.chunks_exact(2).any(|unit| unit == [0, 0]);
    (!has_zero).then_some(order)
}

fn undecodable_file(bytes: &[u8], offset: usize, encoding: Encoding) -> Error {
    let line = memchr::memchr_iter(b'\n', &bytes[..offset.min(bytes.len())]).count() + 1;
    let found = bytes.get(offset).map_or("the end".to_owned(), |byte| format!("byte 0x{byte:02X}"));
    Error::invalid_data(format!(
        "expected {} text, found {found} at offset {offset}, line {line}; declare the encoding, for example windows-1251 or KZ-1048",
        encoding.name()
    ))
}
