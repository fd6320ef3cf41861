//! What is told of the cells of a column that holds a code.

use super::column::{Reference, padded, plain, text_for};
use super::kato::{self, Standing};
use super::{Code, check};
use crate::findings::{Findings, example};
use crate::types::missing_mark;
use arrow_array::{Array, StringArray};
use ukimet_model::{Example, Severity};

/// A column that holds a code.
#[derive(Clone, Debug)]
pub(crate) struct CodePlan {
    pub(crate) code: Code,
    pub(super) cells: Cells,
    /// Whether every value that is too short is right with zeros before it.
    pub(super) pads: bool,
    pub(super) reference: Reference,
}

/// Where the cells of a column come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cells {
    Text,
    /// They went through a number.
    Numbers,
    /// They went through a number before, and come again as text, corrected or not.
    Corrected,
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
    pub(super) fn new(code: Code, is_numeric: bool, pads: bool, reference: Reference) -> Self {
        let cells = if is_numeric { Cells::Numbers } else { Cells::Text };
        Self { code, cells, pads, reference }
    }

    /// A column as it was decided before, whose rows come again as text.
    pub(crate) fn corrected(code: Code, was_numeric: bool, pads: bool, reference: Reference) -> Self {
        let cells = if was_numeric { Cells::Corrected } else { Cells::Text };
        Self { code, cells, pads, reference }
    }

    /// Whether its cells went through a number.
    pub(crate) fn is_from_number(&self) -> bool {
        self.cells != Cells::Text
    }

    /// Whether zeros are put back.
    pub(crate) fn is_padded(&self) -> bool {
        self.pads
    }

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
            Code::Rka if self.is_damaged(&plain) => Some((Verdict::Damaged, None)),
            code => (!code.passes(text_for(code, trimmed, &plain))).then_some((Verdict::Shape, None)),
        }
    }

    /// Whether an RKA lost digits or zeros when it was a number.
    fn is_damaged(&self, plain: &str) -> bool {
        let passes = self.code.passes(plain);
        match self.cells {
            Cells::Text => false,
            // A text that begins with zero never was a number.
            Cells::Numbers => !(plain.starts_with('0') && passes),
            Cells::Corrected => !passes,
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
