//! What is seen of one text column before it is decided.

use super::calendar::Form;
use super::moment::date_time;
use super::number::{Bare, bare, missing_mark};
use super::value::{self, Notation};
use std::collections::BTreeSet;

/// Counts of one text column; its rows are looked at again when they are read.
#[derive(Clone, Debug, Default)]
pub(crate) struct ColumnSurvey {
    /// Values that are neither empty nor a mark for a missing one.
    pub(super) filled: u64,
    /// Empty texts.
    pub(super) empty: u64,
    /// Marks that stand for a missing value in a table of numbers.
    pub(super) marks: u64,
    fits: [u64; Notation::ALL.len()],
    forms: [u64; Form::ALL.len()],
    /// Numbers whose digits no 64-bit number keeps.
    inexact: u64,
    pub(super) numbers: NumberSurvey,
    /// Shortest and longest value in bytes, all digits.
    digits: Option<(usize, usize)>,
    /// Values that are nothing but digits.
    all_digits: u64,
    has_leading_zero: bool,
    has_first_above_12: bool,
    has_second_above_12: bool,
    /// Offset of zoned times in seconds, and whether all share it.
    pub(super) offset: Option<(i32, bool)>,
}

/// What is seen of the numbers of one text column.
#[derive(Clone, Debug, Default)]
pub(super) struct NumberSurvey {
    count: u64,
    pub(super) bracketed: u64,
    with_plus: u64,
    /// Numbers with a power of ten.
    pub(super) powers: u64,
    /// Those of them without any separator or sign: 1E5 is a code as well.
    bare_powers: u64,
    has_comma: bool,
    has_decimal_comma: bool,
    has_both_marks: bool,
    /// Numbers with a point.
    points: u64,
    /// Numbers that cannot have a point between thousands, or lack one.
    not_grouped: u64,
    /// The units seen, `None` for numbers without one; no more than two are kept.
    units: BTreeSet<Option<String>>,
    /// Least and greatest of those that are written plainly.
    pub(super) range: Option<(f64, f64)>,
}

impl ColumnSurvey {
    /// Looks at one value.
    pub(crate) fn observe(&mut self, value: &str) {
        if value.is_empty() {
            self.empty += 1;
            return;
        }
        if missing_mark(value).is_some() {
            self.marks += 1;
            return;
        }
        self.filled += 1;
        let number = bare(value);
        let mut is_number = false;
        // Most text columns are decided by their first values: a notation that fits few is not tried again.
        for (i, notation) in Notation::ALL.into_iter().enumerate() {
            let text =
                if notation.is_number() { number.as_ref().map(|number| number.text.as_ref()) } else { Some(value) };
            let is_hopeless = self.filled > 1000 && self.fits[i] < 500;
            if !is_hopeless && text.is_some_and(|text| notation.fits(text)) {
                self.fits[i] += 1;
                is_number |= notation.is_number();
            }
        }
        if let Some(number) = number {
            self.numbers.observe(&number);
            self.inexact += u64::from(!is_number && is_inexact(&number.text));
        }
        self.observe_digits(value);
        self.observe_time(value);
    }

    fn observe_digits(&mut self, value: &str) {
        // 600 400 123 456 is an identifier as well as 600400123456.
        let value = value::without_spaces(value);
        if !value.bytes().all(|b| b.is_ascii_digit()) {
            return;
        }
        self.all_digits += 1;
        let (shortest, longest) = self.digits.unwrap_or((value.len(), value.len()));
        self.digits = Some((shortest.min(value.len()), longest.max(value.len())));
        self.has_leading_zero |= value.len() > 1 && value.starts_with('0');
    }

    fn observe_time(&mut self, value: &str) {
        if let Some(offset) = date_time(value).and_then(|read| read.offset) {
            let seconds = offset.seconds();
            let same = self.offset.is_none_or(|(first, same)| same && first == seconds);
            self.offset = Some((self.offset.map_or(seconds, |(first, _)| first), same));
        }
        self.has_first_above_12 |= Notation::DateSlashed.date(value).is_some_and(|date| date.day() > 12);
        self.has_second_above_12 |= Notation::DateMonthFirst.date(value).is_some_and(|date| date.day() > 12);
        let is_hopeless = self.filled > 1000 && self.forms.iter().sum::<u64>() < 500;
        if let Some(form) = Some(value).filter(|_| !is_hopeless).and_then(Form::of) {
            self.forms[Form::ALL.iter().position(|other| *other == form).unwrap_or(0)] += 1;
        }
    }

    /// The notation that all values share and that loses nothing.
    pub(crate) fn notation(&self) -> Option<Notation> {
        let all = Notation::ALL.into_iter().enumerate();
        let mut fitting = all.filter(|(i, notation)| self.fits[*i] == self.filled && self.is_sure(*notation));
        fitting.next().filter(|_| self.filled > 0 && self.marks_fit()).map(|(_, notation)| notation)
    }

    /// Marks beside values are missing values; a column of marks with a few values is something else.
    fn marks_fit(&self) -> bool {
        self.marks <= self.filled
    }

    fn is_sure(&self, notation: Notation) -> bool {
        match notation {
            Notation::DateSlashed => self.has_first_above_12,
            Notation::DateMonthFirst => self.has_second_above_12,
            Notation::DecimalComma => self.numbers.has_decimal_comma && self.numbers.is_sure(),
            Notation::GroupedPoint | Notation::GroupedComma => self.numbers.has_both_marks && self.numbers.is_sure(),
            Notation::DecimalPoint => self.form() != Some(Form::Month) && self.numbers.is_sure(),
            Notation::Integer => self.numbers.is_sure(),
            Notation::DateTimeZoned => self.offset.is_some_and(|(_, same)| same),
            Notation::Boolean => self.marks == 0,
            _ => true,
        }
    }

    /// The form of time that all values share.
    pub(super) fn form(&self) -> Option<Form> {
        let mut all = Form::ALL.into_iter().enumerate().filter(|(i, _)| self.forms[*i] == self.filled);
        all.next().filter(|_| self.filled > 0).map(|(_, form)| form)
    }

    /// How often a notation fits.
    pub(super) fn fits_of(&self, notation: Notation) -> u64 {
        Notation::ALL.iter().position(|other| *other == notation).map_or(0, |i| self.fits[i])
    }

    /// Whether every value is a day by its digits, but not which of them is the day.
    pub(super) fn slashed(&self) -> Option<Slashed> {
        let (day_first, month_first) = (self.fits_of(Notation::DateSlashed), self.fits_of(Notation::DateMonthFirst));
        let is_all = |count: u64| self.filled > 0 && count == self.filled;
        if is_all(day_first) && is_all(month_first) && !self.has_first_above_12 && !self.has_second_above_12 {
            return Some(Slashed::Undecidable);
        }
        let is_contradiction = self.has_first_above_12 && self.has_second_above_12;
        (is_contradiction && day_first + month_first >= self.filled).then_some(Slashed::Contradictory)
    }

    pub(super) fn is_identifier(&self) -> bool {
        const IDENTIFIER_DIGITS_MIN: usize = 9;
        self.has_leading_zero
            || self
                .digits
                .filter(|_| self.all_digits == self.filled)
                .is_some_and(|(shortest, longest)| shortest == longest && shortest >= IDENTIFIER_DIGITS_MIN)
    }

    /// Whether there is nothing but digits.
    pub(super) fn is_digits_only(&self) -> bool {
        self.filled > 0 && self.all_digits == self.filled
    }

    /// Whether every point may part thousands as well as decimals.
    pub(super) fn has_doubtful_points(&self) -> bool {
        self.numbers.points > 0 && self.numbers.not_grouped == 0
    }

    /// The notation that fits most values, the first of several, and how many.
    pub(super) fn best(&self) -> (Notation, u64) {
        let at = (0..Notation::ALL.len()).max_by_key(|i| (self.fits[*i], usize::MAX - i)).unwrap_or(0);
        (Notation::ALL[at], self.fits[at])
    }

    /// How many numbers have more digits than are kept, if that is all that keeps the column from being one of numbers.
    pub(super) fn inexact(&self) -> u64 {
        let (best, fits) = self.best();
        let is_all = self.filled > 0 && fits + self.inexact == self.filled && (fits == 0 || best.is_number());
        if is_all && !self.is_identifier() { self.inexact } else { 0 }
    }

    /// Whether every comma may part thousands as well as decimals.
    pub(super) fn has_doubtful_commas(&self) -> bool {
        self.filled > 0
            && self.fits_of(Notation::DecimalComma) == self.filled
            && self.numbers.has_comma
            && !self.numbers.has_decimal_comma
    }
}

/// What is wrong with days such as `05/06/2024`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slashed {
    /// No value has a part above 12.
    Undecidable,
    /// Some begin with a part above 12, some have it in the middle.
    Contradictory,
}

impl NumberSurvey {
    fn observe(&mut self, number: &Bare<'_>) {
        const UNITS_MAX: usize = 2;
        let text = number.text.as_ref();
        self.count += 1;
        self.bracketed += u64::from(number.is_bracketed);
        self.with_plus += u64::from(number.has_plus);
        self.powers += u64::from(number.has_exponent);
        self.bare_powers += u64::from(is_like_a_code(text));
        self.has_comma |= text.contains(',');
        self.has_decimal_comma |= text.contains(',') && !value::is_grouped_by_comma(text);
        let is_grouped = value::is_grouped_by_comma(&text.replace('.', ",")) && !text.contains(',');
        self.points += u64::from(text.contains('.'));
        self.not_grouped += u64::from(!is_grouped);
        self.has_both_marks |= value::has_both_marks(text) || text.matches(',').count() > 1;
        if self.units.len() < UNITS_MAX && !self.units.iter().any(|unit| unit.as_deref() == number.unit) {
            self.units.insert(number.unit.map(str::to_owned));
        }
        if let Ok(value) = text.parse::<f64>() {
            let (least, greatest) = self.range.unwrap_or((value, value));
            self.range = Some((least.min(value), greatest.max(value)));
        }
    }

    /// Whether brackets, pluses, powers and units are those of numbers.
    fn is_sure(&self) -> bool {
        let has_others = |odd: u64| odd == 0 || odd < self.count;
        has_others(self.bracketed)
            && has_others(self.with_plus)
            && has_others(self.bare_powers)
            && self.units.len() <= 1
    }

    /// The unit that all values share.
    pub(super) fn unit(&self) -> Option<&str> {
        self.units.iter().next().filter(|_| self.units.len() == 1)?.as_deref()
    }

    /// The units, if there are several.
    pub(super) fn units_that_differ(&self) -> Option<String> {
        let names = self.units.iter().map(|unit| unit.as_deref().unwrap_or("none"));
        (self.units.len() > 1).then(|| names.collect::<Vec<_>>().join(", "))
    }
}

/// Whether a number with a power of ten has no separator, no sign and a power that fits a plain number: `1E5`.
fn is_like_a_code(text: &str) -> bool {
    const PLAIN_POWER_MAX: u32 = 15;
    let power = text.split_once(['e', 'E']).and_then(|(_, power)| power.parse::<u32>().ok());
    power.is_some_and(|power| power <= PLAIN_POWER_MAX) && !text.contains(['.', ',', '-', '+'])
}

/// Whether a text has the digits of a number that no 64-bit number keeps.
pub(super) fn is_inexact(text: &str) -> bool {
    const EXACT_DIGITS_MIN: usize = 16;
    let plain = value::without_spaces(text);
    let digits = plain.strip_prefix('-').unwrap_or(&plain);
    let (whole, fraction) = digits.split_once(['.', ',']).unwrap_or((digits, "0"));
    let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let is_canonical = whole == "0" || !whole.starts_with('0');
    all_digits(whole) && all_digits(fraction) && is_canonical && whole.len() + fraction.len() >= EXACT_DIGITS_MIN
}
