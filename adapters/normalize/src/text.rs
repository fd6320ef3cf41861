//! The text rule: every byte of text becomes UTF-8 or an error, never a replacement character, and text that was
//! decoded wrongly before it came here is read again the right way where the evidence leaves no doubt.
//!
//! Order: declared by the publisher, declared by the source, byte order mark, valid UTF-8, detected. What the bytes
//! contradict is not believed: a publisher is asked, a source is corrected with a finding. Then every column is
//! repaired by its own evidence, and every changed value is a verdict.

mod declared;
mod detect;
mod encoding;
mod file;
mod letters;
mod lookalikes;
mod marks;
mod repair;
mod reversal;
mod surrogates;
mod unremarkable;

pub use encoding::{Encoding, Undecodable, encoding_for};
pub use file::{Declaration, Decoded, How, Utf16, decode, decode_declared, unmarked_utf16};
pub(crate) use marks::without_controls;

use crate::findings::{Findings, example, step};
use crate::layer::{Declared, Limits, Role, SourceEncoding, SourceLayer};
use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, BinaryArray, RecordBatch, StringArray};
use declared::{By, compare};
use detect::Sample;
use repair::{ColumnRepair, ColumnSample, Verdict};
use reversal::Reversal;
use std::borrow::Cow;
use std::collections::BTreeMap;
use surrogates::without_surrogates;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Example, ProcessStep, Result, Severity};
use unremarkable::Unremarkable;

/// What is known before any row.
enum Source {
    /// Named by the publisher or the source, and who said so; the rows may contradict it.
    Named(Encoding, By),
    /// UTF-8 already, and who made it so.
    Utf8(&'static str),
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
    /// Evidence for repairs, one a column; only text columns have any.
    columns: Vec<ColumnSample>,
    has_text: bool,
    rows: u64,
    rows_max: u64,
    findings: Findings,
}

impl TextSurvey {
    pub(crate) fn begin(layer: &SourceLayer, declared: &Declared, limits: &Limits, roles: &[Role]) -> Result<Self> {
        let mut findings = Findings::default();
        let source = source(layer, declared, &mut findings)?;
        let raw_columns: Vec<usize> = (0..roles.len()).filter(|i| roles[*i] == Role::RawText).collect();
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
        Ok(Self {
            source,
            transcoded_from,
            raw_columns,
            raw_names,
            sample,
            columns: vec![ColumnSample::default(); roles.len()],
            has_text: roles.iter().any(|role| matches!(role, Role::Text | Role::RawText)),
            rows: 0,
            rows_max: limits.text_survey_rows_max,
            findings,
        })
    }

    pub(crate) fn needs_more(&self) -> bool {
        let is_open = matches!(self.source, Source::Unknown) && !self.raw_columns.is_empty();
        is_open || (self.has_text && self.rows < self.rows_max)
    }

    /// Looks at the undecoded columns of a batch, and counts its rows.
    pub(crate) fn observe(&mut self, raw: &RecordBatch) {
        let is_open = matches!(self.source, Source::Unknown);
        let room = self.room();
        for column in &self.raw_columns {
            for (row, value) in raw.column(*column).as_binary::<i32>().iter().enumerate() {
                let Some(value) = value.filter(|_| is_open || row < room) else { continue };
                self.sample.push(value);
                if row < room {
                    self.columns[*column].push(value);
                }
            }
        }
        self.rows += raw.num_rows() as u64;
    }

    /// Looks at a decoded column of a batch, before [`Self::observe`] counts its rows.
    pub(crate) fn observe_text(&mut self, column: usize, values: &StringArray) {
        let room = self.room();
        let sample = &mut self.columns[column];
        values.iter().take(room).flatten().for_each(|value| sample.push(value.as_bytes()));
    }

    /// How many rows of the next batch are evidence: the same whatever the size of batches.
    fn room(&self) -> usize {
        usize::try_from(self.rows_max.saturating_sub(self.rows)).unwrap_or(usize::MAX)
    }

    /// The names as far as they can be read before the decision: good enough to look for known words.
    pub(crate) fn names_so_far(&self, layer: &SourceLayer) -> Vec<String> {
        let encoding = match &self.source {
            Source::Named(declared, by) => {
                let contradicting = compare(*declared, by, &self.sample).ok().flatten();
                contradicting.map_or(*declared, |found| found.encoding)
            }
            Source::Utf8(_) => Encoding::UTF_8,
            Source::Unknown if self.sample.is_utf8() => Encoding::UTF_8,
            Source::Unknown => self.sample.likeliest().unwrap_or(Encoding::WINDOWS_1251),
        };
        let raw = |name: &Vec<u8>| encoding.decode(name).map(Cow::into_owned).unwrap_or_default();
        match &layer.raw_names {
            Some(names) => names.iter().map(raw).collect(),
            None => layer.schema.fields().iter().map(|field| field.name().clone()).collect(),
        }
    }

    pub(crate) fn decide(mut self, layer: &SourceLayer) -> Result<TextPlan> {
        let (encoding, by) = self.encoding()?;
        let names: Vec<String> = if layer.raw_names.is_some() {
            let decode = |name: &Vec<u8>| match encoding.decode(name) {
                Ok(name) => Ok(name.into_owned()),
                Err(at) => encoding.whole_letters(name).ok_or_else(|| undecodable_name(name, at, encoding)),
            };
            self.raw_names.iter().map(decode).collect::<Result<_>>()?
        } else {
            layer.schema.fields().iter().map(|field| field.name().clone()).collect()
        };
        let has_text = !self.raw_columns.is_empty() || layer.raw_names.is_some();
        let from = match &self.transcoded_from {
            Some(from) => from.clone(),
            None if has_text => encoding.name().to_owned(),
            None => Encoding::UTF_8.name().to_owned(),
        };
        let mut step = step("text", [("source_encoding", from.clone()), ("known_by", by)]);
        if let Source::Named(declared, by) = &self.source {
            step.parameters.insert("declared".to_owned(), format!("{} by {}", declared.name(), by.name()));
        }
        let repairs = self.repairs(encoding);
        for (name, repair) in names.iter().zip(&repairs).filter(|(_, repair)| !repair.reversals.is_empty()) {
            let reversals: Vec<String> = repair.reversals.iter().map(|reversal| reversal.name()).collect();
            step.parameters.insert(format!("reversed in {}", quoted(name)), reversals.join(", then "));
        }
        Ok(TextPlan {
            encoding,
            source_encoding: from,
            names,
            unremarkable: vec![Unremarkable::default(); repairs.len()],
            repairs,
            counts: BTreeMap::new(),
            findings: self.findings,
            step,
        })
    }

    /// The encoding of the undecoded columns, and how it is known.
    fn encoding(&mut self) -> Result<(Encoding, String)> {
        match &self.source {
            Source::Utf8(by) => Ok((Encoding::UTF_8, (*by).to_owned())),
            Source::Unknown => self.detect(),
            Source::Named(declared, by) => {
                let known_by = by.name().to_owned();
                let Some(found) = compare(*declared, by, &self.sample)? else { return Ok((*declared, known_by)) };
                let taken = (found.encoding, format!("detected against {known_by}"));
                let example = example(None, None, declared.name(), Some(found.encoding.name()));
                self.findings.add("text.encoding_contradicted", Severity::Warning, found.message, 1, [example]);
                Ok(taken)
            }
        }
    }

    fn detect(&mut self) -> Result<(Encoding, String)> {
        if self.sample.is_utf8() {
            self.sample.check_utf8()?;
            return Ok((Encoding::UTF_8, if self.sample.is_ascii() { "ASCII only" } else { "valid UTF-8" }.to_owned()));
        }
        let guess = self.sample.guess()?;
        self.findings.add(
            "text.encoding_detected",
            Severity::Warning,
            format!(
                "the source names no encoding; {} was found by {}; declare the encoding if letters look wrong",
                guess.encoding.name(),
                guess.reason
            ),
            1,
            [example(None, None, "no encoding", Some(guess.encoding.name()))],
        );
        Ok((guess.encoding, format!("detected: {}", guess.reason)))
    }

    fn repairs(&self, encoding: Encoding) -> Vec<ColumnRepair> {
        let decide = |(i, sample): (usize, &ColumnSample)| {
            let encoding = if self.raw_columns.contains(&i) { encoding } else { Encoding::UTF_8 };
            ColumnRepair::decide(sample.values().filter_map(|value| encoding.decode(value).ok().map(Cow::into_owned)))
        };
        self.columns.iter().enumerate().map(decide).collect()
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
        return Ok(Source::Utf8("the format"));
    }
    match (&declared.encoding, &layer.encoding) {
        (_, SourceEncoding::Utf8 { transcoded_from: Some(_) }) => Ok(Source::Utf8("the reader")),
        (_, SourceEncoding::Utf8 { .. }) => Ok(Source::Utf8("the format")),
        (Some(label), other) => {
            let encoding = encoding_for(label)?;
            if let SourceEncoding::Declared { label, by } = other
                && encoding_for(label).ok() != Some(encoding)
            {
                let message = format!("the publisher's {} overrides {} in {by}", encoding.name(), quoted(label));
                findings.add("text.encoding_overridden", Severity::Note, message, 1, []);
            }
            Ok(Source::Named(encoding, By::Publisher))
        }
        (None, SourceEncoding::Declared { label, by }) => {
            if let Ok(encoding) = encoding_for(label) {
                Ok(Source::Named(encoding, By::Source(format!("{by}: {label}"))))
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
    /// One a column.
    repairs: Vec<ColumnRepair>,
    /// One a column.
    unremarkable: Vec<Unremarkable>,
    /// Changes of values, by rule and the wrong decoding that was reversed.
    counts: BTreeMap<(&'static str, String), u64>,
    pub(crate) findings: Findings,
    step: ProcessStep,
}

impl TextPlan {
    /// Decodes one raw column; `row_first` is the number of its first row in the layer.
    ///
    /// # Errors
    ///
    /// `InvalidData` naming row, column and offset of a byte that the encoding does not define.
    pub(crate) fn decode(&mut self, raw: &BinaryArray, column: usize, row_first: u64) -> Result<StringArray> {
        if self.encoding == Encoding::UTF_8
            && let Ok(text) = StringArray::try_from_binary(raw.clone())
        {
            return Ok(text);
        }
        let mut text = StringBuilder::with_capacity(raw.len(), raw.value_data().len());
        for (value, row) in raw.iter().zip(row_first..) {
            let decoded = value.map(|bytes| self.decode_value(bytes, column, row)).transpose()?;
            text.append_option(decoded);
        }
        Ok(text.finish())
    }

    fn decode_value<'a>(&mut self, bytes: &'a [u8], column: usize, row: u64) -> Result<Cow<'a, str>> {
        let at = match self.encoding.decode(bytes) {
            Ok(Cow::Owned(decoded)) => {
                self.step.count += 1;
                if self.step.examples.len() < 2 {
                    let found = bytes.escape_ascii().to_string();
                    self.step.examples.push(example(Some(row), Some(&self.names[column]), &found, Some(&decoded)));
                }
                return Ok(Cow::Owned(decoded));
            }
            Ok(plain) => return Ok(plain),
            Err(at) => at,
        };
        let pairs = if self.encoding == Encoding::UTF_8 { without_surrogates(bytes) } else { None };
        let (rule, taken) = match (pairs, self.encoding.whole_letters(bytes)) {
            (Some(text), _) => ("text.surrogates", text),
            (None, Some(text)) => ("text.cut", text),
            (None, None) => return Err(self.undecodable(bytes, at, column, row)),
        };
        let found = bytes.escape_ascii().to_string();
        let verdict = Verdict { rule, found, taken: Some(taken.clone()), reversal: None };
        self.report(verdict, column, row);
        Ok(Cow::Owned(taken))
    }

    /// Repairs one decoded column; the same array if nothing was wrong with it.
    pub(crate) fn repair(&mut self, text: StringArray, column: usize, row_first: u64) -> StringArray {
        let mut verdicts = Vec::new();
        let mut repaired: Vec<(usize, String)> = Vec::new();
        for (i, value) in text.iter().enumerate() {
            let Some(value) = value.filter(|value| !is_plain(value)) else { continue };
            if self.unremarkable[column].has(value) {
                continue;
            }
            let taken = self.repairs[column].apply(value, &mut verdicts);
            if taken.is_none() && verdicts.is_empty() {
                self.unremarkable[column].keep();
            }
            repaired.extend(taken.map(|taken| (i, taken)));
            for verdict in verdicts.drain(..) {
                self.report(verdict, column, row_first + i as u64);
            }
        }
        if repaired.is_empty() { text } else { with_values(&text, &repaired) }
    }

    fn report(&mut self, verdict: Verdict, column: usize, row: u64) {
        let Verdict { rule, found, taken, reversal } = verdict;
        if taken.is_some() {
            *self.counts.entry((rule, reversal.map(Reversal::name).unwrap_or_default())).or_default() += 1;
        }
        let name = self.names.get(column).map(String::as_str);
        let example: Example = example(Some(row), name, &found, taken.as_deref());
        let (severity, message) = what(rule);
        self.findings.add(rule, severity, message, 1, [example]);
    }

    /// The receipt, and what was found.
    pub(crate) fn finish(mut self) -> (ProcessStep, Findings) {
        for ((rule, reversal), count) in self.counts {
            let name = if reversal.is_empty() { rule.to_owned() } else { format!("{rule}: {reversal}") };
            self.step.parameters.insert(name, count.to_string());
        }
        (self.step, self.findings)
    }

    fn undecodable(&self, bytes: &[u8], at: Undecodable, column: usize, row: u64) -> Error {
        let found = bytes.get(at.offset).map_or("the end".to_owned(), |byte| format!("byte 0x{byte:02X}"));
        Error::invalid_data(format!(
            "expected {} text, found {found} in row {}, column {}, offset {}; declare the encoding, for example windows-1251 or KZ-1048",
            self.encoding.name(),
            row + 1,
            quoted(&self.names[column]),
            at.offset
        ))
    }
}

/// Whether a value is ASCII without anything to look at.
fn is_plain(value: &str) -> bool {
    value.bytes().all(|byte| matches!(byte, b' '..=b'>' | b'@'..=b'~' | b'\t' | b'\n' | b'\r'))
}

/// The column with some values replaced, in the order of rows.
fn with_values(text: &StringArray, replaced: &[(usize, String)]) -> StringArray {
    let mut column = StringBuilder::with_capacity(text.len(), text.value_data().len());
    let mut replaced = replaced.iter().peekable();
    for (i, value) in text.iter().enumerate() {
        match replaced.next_if(|(at, _)| *at == i) {
            Some((_, taken)) => column.append_value(taken),
            None => column.append_option(value),
        }
    }
    column.finish()
}

/// How much a rule matters, and what it says.
fn what(rule: &str) -> (Severity, &'static str) {
    use Severity::{Note, Warning};
    match rule {
        "text.mojibake" => {
            (Warning, "values had been decoded with the wrong encoding before they came here; they were read again")
        }
        "text.mojibake_suspected" => {
            (Warning, "values look as if decoded with the wrong encoding, too few to be sure; they were kept")
        }
        "text.cut" => (Warning, "values end in the middle of a letter, as a field cuts them; its bytes were dropped"),
        "text.surrogates" => (Warning, "characters written as two surrogates (CESU-8) were put together"),
        "text.control" => (Warning, "control characters and inner byte order marks were dropped"),
        "text.nfc" => (Note, "letters written as letter and mark were composed (NFC)"),
        "text.lookalike" => {
            (Warning, "Latin letters inside Cyrillic words were replaced by the Cyrillic ones they look like")
        }
        "text.mixed_script" => (Note, "words mix Latin and Cyrillic letters; they were kept"),
        "text.digit_in_word" => (Note, "words have a digit where a letter may be meant; they were kept"),
        "text.lossy" => {
            (Warning, "letters were lost before the values came here: question or replacement marks stand for them")
        }
        "text.noncharacter" => (Warning, "values have code points that are no characters; they were kept"),
        "text.invisible" => (Note, "values have characters that nobody sees; they were kept"),
        _ => (Note, "values begin or end with a no-break space; they were kept"),
    }
}

#[cfg(test)]
mod measured;
#[cfg(test)]
mod tests;
