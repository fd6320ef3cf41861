//! Which code a column holds, by how many of its values pass, and what is told of those that do not.

use super::kato::{KatoRegister, Standing};
use super::{Code, check, contact, kato};
use crate::findings::{Findings, example};
use crate::layer::Limits;
use crate::types::missing_mark;
use crate::types::value::without_spaces;
use arrow_array::{Array, StringArray};
use jiff::civil::Date;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use ukimet_model::{Example, Severity};

/// Longest value that is tried as a code, in bytes.
const CODE_BYTES_MAX: usize = 256;

/// Digits of an IIN or BIN that lost its leading zeros: those of the year 2000 have lost three.
const TWELVE_SHORT: std::ops::RangeInclusive<usize> = 9..=11;

/// Whether a column's name speaks of a code.
pub(crate) fn is_code_name(name: &str) -> bool {
    Code::of_name(name).is_some()
}

/// What is seen of one column of text, or of numbers as their digits.
#[derive(Clone, Debug, Default)]
pub(crate) struct CodeSurvey {
    filled: u64,
    passes: [u64; Code::ALL.len()],
    /// Values of twelve digits, and those of them with a right check digit.
    twelve: u64,
    checked: u64,
    /// Values of fewer digits that have a right check digit with zeros before them.
    padded: u64,
    /// Values of as many digits as an RKA has after it went through a number.
    about_sixteen: u64,
    /// Telephones that no plain number looks like, and postal codes of the newer form.
    marked_phones: u64,
    new_postals: u64,
    known_kato: u64,
    groups: u64,
    regions: BTreeSet<[u8; 2]>,
    /// The first different values, as many as a decision without a name asks for.
    distinct: BTreeSet<String>,
}

impl CodeSurvey {
    /// Looks at one value; empty texts and marks for a missing value do not count.
    pub(crate) fn observe(&mut self, value: &str, limits: &Limits, register: Option<&KatoRegister>) {
        let value = value.trim();
        if value.is_empty() || missing_mark(value).is_some() {
            return;
        }
        self.filled += 1;
        let seen: u64 = self.passes.iter().sum::<u64>() + self.twelve + self.about_sixteen;
        let is_hopeless = self.filled > 1000 && seen < 500;
        let may_be = value.bytes().any(|b| b.is_ascii_digit() || b == b'@');
        if is_hopeless || !may_be || value.len() > CODE_BYTES_MAX {
            return;
        }
        let plain = plain(value);
        let mut passes_any = false;
        for (i, code) in Code::ALL.into_iter().enumerate() {
            let passes = code.passes(text_for(code, value, &plain));
            self.passes[i] += u64::from(passes);
            passes_any |= passes;
        }
        self.observe_digits(&plain, register);
        let is_plain = value.bytes().all(|b| b.is_ascii_digit());
        self.marked_phones += u64::from(!is_plain && contact::is_phone(value));
        self.new_postals += u64::from(contact::is_new_postal(&plain));
        if passes_any && (self.distinct.len() as u64) < limits.code_values_min {
            self.distinct.insert(plain.into_owned());
        }
    }

    fn observe_digits(&mut self, plain: &str, register: Option<&KatoRegister>) {
        if !check::is_digits(plain) {
            return;
        }
        self.twelve += u64::from(plain.len() == 12);
        self.checked += u64::from(Code::IinOrBin.passes(plain));
        self.padded += u64::from(padded(plain).is_some());
        self.about_sixteen += u64::from((11..=17).contains(&plain.len()));
        if kato::has_form(plain) {
            self.regions.insert([plain.as_bytes()[0], plain.as_bytes()[1]]);
            self.groups += u64::from(plain.ends_with("000"));
        }
        let is_known = register.is_some_and(|register| register.standing(plain, None) != Standing::Unknown);
        self.known_kato += u64::from(is_known);
    }

    fn passes_of(&self, code: Code) -> u64 {
        match code {
            Code::Iin | Code::Bin | Code::IinOrBin => self.checked,
            code => Code::ALL.iter().position(|other| *other == code).map_or(0, |i| self.passes[i]),
        }
    }

    /// The code of the column, if its values agree; `is_numeric` if they went through a number.
    fn code(&self, name: &str, is_numeric: bool, limits: &Limits) -> Option<Code> {
        let is_share = |count: u64, share_min: f64| self.filled > 0 && count as f64 >= self.filled as f64 * share_min;
        let named = Code::of_name(name).filter(|code| {
            let passes = match code {
                Code::Iin | Code::Bin | Code::IinOrBin => self.checked + self.padded,
                Code::Rka if is_numeric => self.about_sixteen,
                code => self.passes_of(*code),
            };
            is_share(passes, limits.code_named_share_min)
        });
        named.or_else(|| {
            let is_seen = self.distinct.len() as u64 >= limits.code_values_min;
            self.unnamed(|count| is_share(count, limits.code_share_min)).filter(|_| is_seen && !is_numeric)
        })
    }

    /// The code of a column whose name says nothing.
    fn unnamed(&self, is_most: impl Fn(u64) -> bool) -> Option<Code> {
        const REGIONS_MIN: usize = 3;
        if is_most(self.checked) {
            let share = |code: Code| is_most(self.passes[Code::ALL.iter().position(|c| *c == code).unwrap_or(0)]);
            let kind = [Code::Iin, Code::Bin].into_iter().find(|code| share(*code));
            return Some(kind.unwrap_or(Code::IinOrBin));
        }
        // Numbers that count up may all begin like a region; a classifier has groups in several.
        let is_kato = self.regions.len() >= REGIONS_MIN && self.groups * 20 >= self.filled;
        if is_most(self.known_kato) || (is_kato && is_most(self.passes_of(Code::Kato))) {
            return Some(Code::Kato);
        }
        let counts = [
            (Code::Cadastral, self.passes_of(Code::Cadastral)),
            (Code::Phone, self.marked_phones),
            (Code::Email, self.passes_of(Code::Email)),
            (Code::Postal, self.new_postals),
        ];
        counts.into_iter().find(|(_, count)| is_most(*count)).map(|(code, _)| code)
    }

    /// Decides the column and says what it holds; `None` if it holds no code.
    pub(crate) fn decide(
        &self,
        name: &str,
        is_numeric: bool,
        limits: &Limits,
        reference: Reference,
        findings: &mut Findings,
    ) -> Option<CodePlan> {
        let Some(code) = self.code(name, is_numeric, limits) else {
            self.report_not_as_named(name, limits, findings);
            return None;
        };
        let passes = if code == Code::Rka && is_numeric { 0 } else { self.passes_of(code) };
        let share = passes as f64 / self.filled as f64 * 100.0;
        let found = format!("{}: {passes} of {} values pass ({share:.1} %)", code.role(), self.filled);
        let message = "columns hold identifiers or contacts; their values stay as written";
        findings.add(
            "codes.detected",
            Severity::Note,
            message,
            1,
            [example(None, Some(name), &found, Some(code.role()))],
        );
        if is_numeric {
            let message = "identifiers that the source keeps as numbers are published as text";
            let examples = [example(None, Some(name), "number", Some("text"))];
            findings.add("codes.from_number", Severity::Note, message, 1, examples);
        }
        let pads = self.checked > 0 && self.checked + self.padded == self.filled;
        Some(CodePlan { code, is_numeric, pads, reference })
    }

    fn report_not_as_named(&self, name: &str, limits: &Limits, findings: &mut Findings) {
        let is_checked = matches!(Code::of_name(name), Some(Code::Iin | Code::Bin | Code::IinOrBin));
        if is_checked && self.twelve > 0 && self.twelve as f64 >= self.filled as f64 * limits.code_share_min {
            let found = format!("{} of {} values have a right check digit", self.checked, self.filled);
            let message = "columns are named like an IIN or BIN, but most of their numbers are none";
            let examples = [example(None, Some(name), &found, None)];
            findings.add("codes.not_as_named", Severity::Warning, message, 1, examples);
        }
    }
}

/// Digits may be grouped by spaces, and a zero-width mark is no digit.
fn plain(value: &str) -> Cow<'_, str> {
    without_spaces(value)
}

/// Contacts are looked at as written, codes without spaces.
fn text_for<'a>(code: Code, value: &'a str, plain: &'a str) -> &'a str {
    if matches!(code, Code::Phone | Code::Email) { value } else { plain }
}

/// The twelve digits of an IIN or BIN that lost zeros; `None` if the check digit does not say so.
fn padded(plain: &str) -> Option<String> {
    let is_short = TWELVE_SHORT.contains(&plain.len()) && check::is_digits(plain) && !plain.starts_with('0');
    let padded = is_short.then(|| format!("{plain:0>12}"))?;
    Code::IinOrBin.passes(&padded).then_some(padded)
}

/// What codes are compared with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reference {
    /// The classifier, if it was handed in.
    pub(crate) kato: Option<Arc<KatoRegister>>,
    /// The day that the data describes, if the publisher said.
    pub(crate) day: Option<Date>,
}

/// A column that holds a code.
#[derive(Clone, Debug)]
pub(crate) struct CodePlan {
    pub(crate) code: Code,
    is_numeric: bool,
    /// Whether every value that is too short is right with zeros before it.
    pads: bool,
    reference: Reference,
}

/// What is told of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Checksum,
    Shape,
    Unknown,
    NotThen,
    Ended,
    Birthday,
    Padded,
    ZerosLost,
    Damaged,
}

impl Verdict {
    const ALL: [Self; 9] = [
        Self::Checksum,
        Self::Shape,
        Self::Unknown,
        Self::NotThen,
        Self::Ended,
        Self::Birthday,
        Self::Padded,
        Self::ZerosLost,
        Self::Damaged,
    ];

    fn finding(self) -> (&'static str, Severity, &'static str) {
        use Severity::{Error, Note, Warning};
        match self {
            Self::Checksum => {
                ("codes.checksum", Warning, "numbers of IIN or BIN have a wrong check digit; they are kept")
            }
            Self::Shape => {
                ("codes.shape", Warning, "values have not the form of the others in their column; they are kept")
            }
            Self::Unknown => ("codes.unknown_kato", Warning, "codes of KATO are not known; they are kept"),
            Self::NotThen => {
                ("codes.kato_not_then", Warning, "codes of KATO were not in force on the day that the data describes")
            }
            Self::Ended => ("codes.kato_ended", Note, "codes of KATO have ended; the data may be older than that"),
            Self::Birthday => ("codes.birthday", Warning, "the first digits of an IIN are no day; the number is kept"),
            Self::Padded => (
                "codes.leading_zeros",
                Warning,
                "zeros that numbers lost are put back: the check digit says so, and all others pass",
            ),
            Self::ZerosLost => ("codes.zeros_lost", Warning, "numbers may have lost leading zeros; they are kept"),
            Self::Damaged => (
                "codes.damaged_rka",
                Error,
                "an RKA that went through a number has lost digits or zeros: its row is refused; send the column as text",
            ),
        }
    }
}

impl CodePlan {
    /// Looks at every cell of a batch: the values as published, and which rows are refused (empty if none is).
    pub(crate) fn apply(
        &self,
        column: &StringArray,
        name: &str,
        row_first: u64,
        refused: &mut Vec<bool>,
        findings: &mut Findings,
    ) -> StringArray {
        let mut told: Vec<(Verdict, Example)> = Vec::new();
        let mut repaired: Vec<(usize, String)> = Vec::new();
        for (i, value) in column.iter().enumerate().filter_map(|(i, value)| Some((i, value?))) {
            let Some((verdict, taken)) = self.verdict(value) else { continue };
            told.push((verdict, example(Some(row_first + i as u64), Some(name), value, taken.as_deref())));
            if verdict == Verdict::Damaged {
                refused.resize(column.len(), false);
                refused[i] = true;
            }
            repaired.extend(taken.map(|taken| (i, taken)));
        }
        for verdict in Verdict::ALL {
            let of_it = || told.iter().filter(|(other, _)| *other == verdict).map(|(_, example)| example.clone());
            let (rule, severity, message) = verdict.finding();
            findings.add(rule, severity, message, of_it().count() as u64, of_it());
        }
        if repaired.is_empty() {
            return column.clone();
        }
        let mut values: Vec<Option<&str>> = column.iter().collect();
        for (i, taken) in &repaired {
            values[*i] = Some(taken);
        }
        StringArray::from(values)
    }

    /// What is told of a value, and what is taken for it; `None` if it is right.
    fn verdict(&self, value: &str) -> Option<(Verdict, Option<String>)> {
        let trimmed = value.trim();
        if trimmed.is_empty() || missing_mark(trimmed).is_some() {
            return None;
        }
        let plain = plain(trimmed);
        match self.code {
            Code::Iin | Code::Bin | Code::IinOrBin => self.verdict_of_twelve(&plain),
            Code::Kato => self.verdict_of_kato(&plain).map(|verdict| (verdict, None)),
            // A text that begins with zero never was a number.
            Code::Rka if self.is_numeric && !(plain.starts_with('0') && self.code.passes(&plain)) => {
                Some((Verdict::Damaged, None))
            }
            code => (!code.passes(text_for(code, trimmed, &plain))).then_some((Verdict::Shape, None)),
        }
    }

    fn verdict_of_twelve(&self, plain: &str) -> Option<(Verdict, Option<String>)> {
        if !check::is_twelve_digits(plain) {
            return Some(match padded(plain) {
                Some(padded) if self.pads => (Verdict::Padded, Some(padded)),
                Some(_) => (Verdict::ZerosLost, None),
                None => (Verdict::Shape, None),
            });
        }
        if !check::has_check_digit(plain) {
            return Some((Verdict::Checksum, None));
        }
        let has_century = (b'1'..=b'6').contains(&plain.as_bytes()[6]);
        let is_odd = check::is_iin(plain) && has_century && check::birth(plain).is_none();
        (is_odd && self.code == Code::Iin).then_some((Verdict::Birthday, None))
    }

    fn verdict_of_kato(&self, plain: &str) -> Option<Verdict> {
        let Some(register) = &self.reference.kato else {
            let is_nine = plain.len() == 9 && check::is_digits(plain);
            return match (is_nine, kato::has_form(plain)) {
                (_, true) => None,
                (true, false) => Some(Verdict::Unknown),
                (false, false) => Some(Verdict::Shape),
            };
        };
        match register.standing(plain, self.reference.day) {
            Standing::InForce => None,
            Standing::NotThen => Some(Verdict::NotThen),
            Standing::Ended => Some(Verdict::Ended),
            Standing::Unknown if plain.len() == 9 && check::is_digits(plain) => Some(Verdict::Unknown),
            Standing::Unknown => Some(Verdict::Shape),
        }
    }
}
