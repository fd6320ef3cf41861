//! The text rule: every byte of text becomes UTF-8 or an error, never a replacement character.
//!
//! Order: declared by the publisher, declared by the source, byte order mark, valid UTF-8, detected. What was
//! detected is said in a diagnostic.

mod detect;
mod encoding;

pub use encoding::{Encoding, Undecodable, encoding_for};

use crate::findings::{Findings, example, step};
use crate::layer::{Declared, Role, SourceEncoding, SourceLayer};
use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, BinaryArray, RecordBatch, StringArray};
use detect::Sample;
use std::borrow::Cow;
use ukimet_model::error::quoted;
use ukimet_model::{Error, ProcessStep, Result, Severity};

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
}

/// Decodes a whole text file before it is parsed.
///
/// # Errors
///
/// `InvalidRequest` for an unknown label; `InvalidData` naming line and byte offset where the bytes do not fit a
/// declared encoding or contradict it by their byte order mark; `Undeclared` if no encoding fits.
pub fn decode<'a>(bytes: &'a [u8], declared: Option<&str>) -> Result<Decoded<'a>> {
    let mark = encoding_rs::Encoding::for_bom(bytes).map(|(encoding, size)| (Encoding::from_web(encoding), size));
    let done = |text, encoding: Encoding, how| Decoded { text, encoding: encoding.name().to_owned(), how };
    if let Some(label) = declared {
        let encoding = encoding_for(label)?;
        let skipped = match mark {
            Some((marked, size)) if marked == encoding => size,
            Some((marked, _)) => {
                return Err(Error::invalid_data(format!(
                    "the text is declared as {} but begins with the byte order mark of {}",
                    encoding.name(),
                    marked.name()
                )));
            }
            None => 0,
        };
        let text =
            encoding.decode(&bytes[skipped..]).map_err(|at| undecodable_file(bytes, skipped + at.offset, encoding))?;
        return Ok(done(text, encoding, How::Declared));
    }
    if let Some((encoding, size)) = mark {
        let text = encoding.decode(&bytes[size..]).map_err(|at| undecodable_file(bytes, size + at.offset, encoding))?;
        return Ok(done(text, encoding, How::ByteOrderMark));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok(done(Cow::Borrowed(text), Encoding::UTF_8, How::ValidUtf8));
    }
    let mut sample = Sample::default();
    bytes.split_inclusive(|b| *b == b'\n').for_each(|line| sample.push(line));
    let guess = sample.guess().ok_or_else(nothing_fits)?;
    let text = guess.encoding.decode(bytes).map_err(|at| undecodable_file(bytes, at.offset, guess.encoding))?;
    Ok(done(text, guess.encoding, How::Detected))
}

fn undecodable_file(bytes: &[u8], offset: usize, encoding: Encoding) -> Error {
    let line = memchr::memchr_iter(b'\n', &bytes[..offset.min(bytes.len())]).count() + 1;
    let found = bytes.get(offset).map_or("the end".to_owned(), |byte| format!("byte 0x{byte:02X}"));
    Error::invalid_data(format!(
        "expected {} text, found {found} at offset {offset}, line {line}; declare the encoding, for example windows-1251 or KZ-1048",
        encoding.name()
    ))
}

fn nothing_fits() -> Error {
    Error::undeclared("declare encoding: the text is not UTF-8 and no other encoding fits all of it")
}

/// What is known before any row.
enum Source {
    /// Named by the publisher or the source: the encoding and who said so.
    Named(Encoding, String),
    /// To be found out.
    Unknown,
}

/// The first pass of the rule.
pub(crate) struct TextSurvey {
    source: Source,
    transcoded_from: Option<String>,
    raw_columns: Vec<usize>,
    raw_names: Vec<Vec<u8>>,
    sample: Sample,
    findings: Findings,
}

impl TextSurvey {
    pub(crate) fn begin(layer: &SourceLayer, declared: &Declared, roles: &[Role]) -> Result<Self> {
        let mut findings = Findings::default();
        let source = source(layer, declared, &mut findings)?;
        let raw_columns = (0..roles.len()).filter(|i| roles[*i] == Role::RawText).collect();
        let raw_names = layer.raw_names.clone().unwrap_or_default();
        if layer.raw_names.is_some() && raw_names.len() != roles.len() {
            return Err(Error::internal(format!("{} raw names for {} columns", raw_names.len(), roles.len())));
        }
        let mut sample = Sample::default();
        for name in &raw_names {
            sample.push(name);
        }
        let transcoded_from = match &layer.encoding {
            SourceEncoding::Utf8 { transcoded_from } => transcoded_from.clone(),
            _ => None,
        };
        Ok(Self { source, transcoded_from, raw_columns, raw_names, sample, findings })
    }

    pub(crate) fn needs_more(&self) -> bool {
        matches!(self.source, Source::Unknown) && !self.raw_columns.is_empty()
    }

    pub(crate) fn observe(&mut self, raw: &RecordBatch) {
        if !self.needs_more() {
            return;
        }
        for column in &self.raw_columns {
            raw.column(*column).as_binary::<i32>().iter().flatten().for_each(|value| self.sample.push(value));
        }
    }

    /// The names as far as they can be read before the decision: good enough to look for known words.
    pub(crate) fn names_so_far(&self, layer: &SourceLayer) -> Vec<String> {
        let encoding = match &self.source {
            Source::Named(encoding, _) => *encoding,
            Source::Unknown if self.sample.is_utf8() => Encoding::UTF_8,
            Source::Unknown => Encoding::WINDOWS_1251,
        };
        let raw = |name: &Vec<u8>| encoding.decode(name).map(Cow::into_owned).unwrap_or_default();
        match &layer.raw_names {
            Some(names) => names.iter().map(raw).collect(),
            None => layer.schema.fields().iter().map(|field| field.name().clone()).collect(),
        }
    }

    pub(crate) fn decide(mut self, layer: &SourceLayer) -> Result<TextPlan> {
        let (encoding, by) = match self.source {
            Source::Named(encoding, ref by) => (encoding, by.clone()),
            Source::Unknown => self.detect()?,
        };
        let names = if layer.raw_names.is_some() {
            let decode = |name: &Vec<u8>| {
                encoding.decode(name).map(Cow::into_owned).map_err(|at| undecodable_name(name, at, encoding))
            };
            self.raw_names.iter().map(decode).collect::<Result<_>>()?
        } else {
            layer.schema.fields().iter().map(|field| field.name().clone()).collect()
        };
        let has_text = !self.raw_columns.is_empty() || layer.raw_names.is_some();
        let from = match self.transcoded_from {
            Some(from) => from,
            None if has_text => encoding.name().to_owned(),
            None => Encoding::UTF_8.name().to_owned(),
        };
        let step = step("text", [("source_encoding", from.clone()), ("known_by", by)]);
        Ok(TextPlan { encoding, source_encoding: from, names, findings: self.findings, step })
    }

    fn detect(&mut self) -> Result<(Encoding, String)> {
        if self.sample.is_utf8() {
            return Ok((Encoding::UTF_8, if self.sample.is_ascii() { "ASCII only" } else { "valid UTF-8" }.to_owned()));
        }
        let guess = self.sample.guess().ok_or_else(nothing_fits)?;
        self.findings.add(
            "text.encoding_detected",
            Severity::Warning,
            format!(
                "the source names no encoding; {} was found by {}; declare the encoding if letters look wrong",
                guess.encoding.name(),
                guess.reason
            ),
            1,
            [],
        );
        Ok((guess.encoding, format!("detected: {}", guess.reason)))
    }
}

fn source(layer: &SourceLayer, declared: &Declared, findings: &mut Findings) -> Result<Source> {
    if let (Some(label), SourceEncoding::Utf8 { transcoded_from: None }) = (&declared.encoding, &layer.encoding) {
        let encoding = encoding_for(label)?;
        if encoding != Encoding::UTF_8 {
            let message =
                format!("the format is UTF-8 by its own rule; the declared {} was not needed", encoding.name());
            findings.add("text.declaration_unused", Severity::Note, message, 1, []);
        }
        return Ok(Source::Named(Encoding::UTF_8, "the format".to_owned()));
    }
    match (&declared.encoding, &layer.encoding) {
        (_, SourceEncoding::Utf8 { transcoded_from: Some(_) }) => {
            Ok(Source::Named(Encoding::UTF_8, "the reader".to_owned()))
        }
        (_, SourceEncoding::Utf8 { .. }) => Ok(Source::Named(Encoding::UTF_8, "the format".to_owned())),
        (Some(label), other) => {
            let encoding = encoding_for(label)?;
            if let SourceEncoding::Declared { label, by } = other
                && encoding_for(label).ok() != Some(encoding)
            {
                let message = format!("the publisher's {} overrides {} in {by}", encoding.name(), quoted(label));
                findings.add("text.encoding_overridden", Severity::Note, message, 1, []);
            }
            Ok(Source::Named(encoding, "the publisher".to_owned()))
        }
        (None, SourceEncoding::Declared { label, by }) => {
            if let Ok(encoding) = encoding_for(label) {
                Ok(Source::Named(encoding, format!("{by}: {label}")))
            } else {
                let message = format!("{by} names the encoding {}, which is not known; it was not used", quoted(label));
                findings.add("text.encoding_unknown", Severity::Warning, message, 1, []);
                Ok(Source::Unknown)
            }
        }
        (None, SourceEncoding::Unknown) => Ok(Source::Unknown),
    }
}

fn undecodable_name(name: &[u8], at: Undecodable, encoding: Encoding) -> Error {
    Error::invalid_data(format!(
        "expected {} in the column name {}, found byte 0x{:02X} at offset {}; declare the encoding",
        encoding.name(),
        quoted(&name.escape_ascii().to_string()),
        name.get(at.offset).copied().unwrap_or_default(),
        at.offset
    ))
}

/// The decision of the rule.
pub(crate) struct TextPlan {
    encoding: Encoding,
    /// The encoding the text came in, IANA name.
    pub(crate) source_encoding: String,
    /// The source's column names, decoded.
    pub(crate) names: Vec<String>,
    /// What was found so far.
    pub(crate) findings: Findings,
    /// The receipt under way.
    pub(crate) step: ProcessStep,
}

impl TextPlan {
    /// Decodes one raw column; `row_first` is the number of its first row in the layer.
    ///
    /// # Errors
    ///
    /// `InvalidData` naming row, column and offset of a byte that the encoding does not define.
    pub(crate) fn apply(&mut self, raw: &BinaryArray, column: usize, row_first: u64) -> Result<StringArray> {
        if self.encoding == Encoding::UTF_8
            && let Ok(text) = StringArray::try_from_binary(raw.clone())
        {
            return Ok(text);
        }
        let mut text = StringBuilder::with_capacity(raw.len(), raw.value_data().len());
        for (i, value) in raw.iter().enumerate() {
            let Some(bytes) = value else {
                text.append_null();
                continue;
            };
            let decoded =
                self.encoding.decode(bytes).map_err(|at| self.undecodable(bytes, at, column, row_first + i as u64))?;
            if let Cow::Owned(decoded) = &decoded {
                self.step.count += 1;
                if self.step.examples.len() < 2 {
                    let found = bytes.escape_ascii().to_string();
                    self.step.examples.push(example(
                        Some(row_first + i as u64),
                        Some(&self.names[column]),
                        &found,
                        Some(decoded),
                    ));
                }
            }
            text.append_value(decoded);
        }
        Ok(text.finish())
    }

    fn undecodable(&self, bytes: &[u8], at: Undecodable, column: usize, row: u64) -> Error {
        let found = bytes.get(at.offset).map_or("the end".to_owned(), |byte| format!("byte 0x{byte:02X}"));
        Error::invalid_data(format!(
            "expected {} text, found {found} in row {row}, column {}, offset {}; declare the encoding, for example windows-1251 or KZ-1048",
            self.encoding.name(),
            quoted(&self.names[column]),
            at.offset
        ))
    }
}

#[cfg(test)]
mod tests;
