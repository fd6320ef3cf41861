//! Which code a column holds, by how many of its values pass.

use super::cell::CodePlan;
use super::kato::{KatoRegister, Standing};
use super::{Code, check, contact, kato};
use crate::findings::{Findings, example};
use crate::layer::Limits;
use crate::types::missing_mark;
use crate::types::value::without_spaces;
use jiff::civil::Date;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use ukimet_model::Severity;

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
        Some(CodePlan::new(code, is_numeric, pads, reference))
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
pub(super) fn plain(value: &str) -> Cow<'_, str> {
    without_spaces(value)
}

/// Contacts are looked at as written, codes without spaces.
pub(super) fn text_for<'a>(code: Code, value: &'a str, plain: &'a str) -> &'a str {
    if matches!(code, Code::Phone | Code::Email) { value } else { plain }
}

/// The twelve digits of an IIN or BIN that lost zeros; `None` if the check digit does not say so.
pub(super) fn padded(plain: &str) -> Option<String> {
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
