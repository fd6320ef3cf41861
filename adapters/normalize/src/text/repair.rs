//! Repairs of decoded values: decided by the evidence of a column, done cell by cell, every one with its verdict.

use super::letters::{Fit, fit};
use super::marks::{composed, flags, scripts, without_controls};
use super::reversal::{Neighbors, REVERSALS, Reversal, Strength, Undone, has_kazakh_marker, has_pieces_of_utf8};
use std::collections::BTreeSet;

/// Bytes of the values of one column that are kept as evidence.
const COLUMN_BYTES_MAX: usize = 32 << 10;

/// Reversals and foldings of one value, one after the other; a value is never damaged that often.
const ROUNDS_MAX: usize = 16;

/// The distinct values of a column that are not ASCII, undecoded, up to a limit.
#[derive(Clone, Debug, Default)]
pub(super) struct ColumnSample {
    values: BTreeSet<Vec<u8>>,
    size_bytes: usize,
}

impl ColumnSample {
    /// Takes one value.
    pub(super) fn push(&mut self, value: &[u8]) {
        let has_room = self.size_bytes + value.len() <= COLUMN_BYTES_MAX;
        if has_room && !value.is_ascii() && !self.values.contains(value) {
            self.size_bytes += value.len();
            self.values.insert(value.to_vec());
        }
    }

    /// The values.
    pub(super) fn values(&self) -> impl Iterator<Item = &[u8]> {
        self.values.iter().map(Vec::as_slice)
    }
}

/// What one rule did to a value, or only says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) rule: &'static str,
    pub(super) found: String,
    /// What was taken; `None` if nothing was changed.
    pub(super) taken: Option<String>,
    /// The wrong decoding that was reversed.
    pub(super) reversal: Option<Reversal>,
}

/// What the evidence of one column allows.
#[derive(Clone, Debug, Default)]
pub(super) struct ColumnRepair {
    /// The wrong decodings that the column as a whole went through, the last one first.
    pub(super) reversals: Vec<Reversal>,
    neighbors: Neighbors,
}

impl ColumnRepair {
    /// Decides by the distinct values of a column.
    pub(super) fn decide(values: impl IntoIterator<Item = String>) -> Self {
        let mut repair = Self::default();
        let mut values: Vec<String> = values.into_iter().collect();
        // A repaired value can show another damage under the first.
        for _ in 0..REVERSALS.len() {
            values =
                values.iter().map(|value| repair.change(value, &mut Vec::new()).unwrap_or(value.clone())).collect();
            repair.neighbors = Neighbors::default();
            for value in &values {
                repair.neighbors.see(value);
            }
            let Some(found) = repair.likeliest(&values) else { break };
            repair.reversals.push(found);
        }
        repair
    }

    /// The wrong decoding for which these values speak most, if they do so beyond doubt.
    fn likeliest(&self, values: &[String]) -> Option<Reversal> {
        let values: Vec<(&str, Fit)> = values.iter().map(|value| (value.as_str(), fit(value))).collect();
        let open = REVERSALS.into_iter().filter(|reversal| !self.reversals.contains(reversal));
        let weighed = open.filter_map(|reversal| Some((reversal, self.evidence(reversal, &values)?)));
        weighed.max_by(|one, other| one.1.total_cmp(&other.1)).map(|(reversal, _)| reversal)
    }

    /// The sum of what is gained by a reversal of values that fit so; `None` if they do not suffice or contradict it.
    fn evidence(&self, reversal: Reversal, values: &[(&str, Fit)]) -> Option<f64> {
        /// Enough for letters that other languages have as well.
        const KAZAKH_MIN: f64 = 12.0;
        /// Enough for everything else: three letters of UTF-8, or a few words.
        const GAIN_MIN: f64 = 30.0;
        /// What counts against a reading as Kazakh.
        const LOSS: f64 = -1.0;
        let undo = |(value, before): &(&str, Fit)| reversal.undo(value, *before).filter(Undone::is_evidence);
        let undone: Vec<Undone> = values.iter().filter_map(undo).collect();
        let gain: f64 = undone.iter().map(|undone| undone.gain.max(0.0)).sum();
        if reversal.is_kazakh() {
            let losses = undone.iter().filter(|undone| undone.gain < LOSS).count();
            let is_clear = losses * 10 <= undone.len() && !self.neighbors.doubt_kazakh();
            return (is_clear && gain >= KAZAKH_MIN).then_some(gain);
        }
        (gain >= GAIN_MIN).then_some(gain)
    }

    /// Repairs one value; `None` if nothing was changed. What was done and what is only said goes to `verdicts`.
    pub(super) fn apply(&self, value: &str, verdicts: &mut Vec<Verdict>) -> Option<String> {
        let changed = self.change(value, verdicts);
        let taken = changed.as_deref().unwrap_or(value);
        let is_kazakh = self.reversals.iter().any(|reversal| reversal.is_kazakh());
        say(taken, is_kazakh && has_kazakh_marker(taken), verdicts);
        changed
    }

    fn change(&self, value: &str, verdicts: &mut Vec<Verdict>) -> Option<String> {
        let mut text: Option<String> = None;
        for _ in 0..ROUNDS_MAX {
            let now = text.as_deref().unwrap_or(value);
            let Some((rule, reversal, next)) = self.step(now) else { break };
            verdicts.push(Verdict { rule, found: now.to_owned(), taken: Some(next.clone()), reversal });
            text = Some(next);
        }
        text
    }

    /// The first change that a value needs, and its rule.
    fn step(&self, text: &str) -> Option<(&'static str, Option<Reversal>, String)> {
        if !text.is_ascii()
            && let Some((reversal, undone)) = self.undone(text)
        {
            return Some(("text.mojibake", Some(reversal), undone));
        }
        if let Some(plain) = without_controls(text) {
            return Some(("text.control", None, plain));
        }
        if text.is_ascii() {
            return None;
        }
        if let Some(composed) = composed(text) {
            return Some(("text.nfc", None, composed));
        }
        scripts(text).folded.map(|folded| ("text.lookalike", None, folded))
    }

    /// The best reversal that the column decided or that needs no column.
    fn undone(&self, text: &str) -> Option<(Reversal, String)> {
        let before = fit(text);
        let tried = REVERSALS.into_iter().filter_map(|reversal| Some((reversal, reversal.undo(text, before)?)));
        let taken = tried.filter(|(reversal, undone)| self.is_taken(*reversal, undone));
        taken.max_by(|one, other| one.1.gain.total_cmp(&other.1.gain)).map(|(reversal, undone)| (reversal, undone.text))
    }

    fn is_taken(&self, reversal: Reversal, undone: &Undone) -> bool {
        if undone.gain <= 0.0 {
            return false;
        }
        let is_alone_enough = undone.strength == Strength::Overwhelming;
        self.reversals.iter().any(|decided| decided.is_near(reversal))
            || (is_alone_enough && !(reversal.is_kazakh() && self.neighbors.doubt_kazakh()))
    }
}

/// Says what is wrong with a value and stays.
fn say(text: &str, is_left_over: bool, verdicts: &mut Vec<Verdict>) {
    let mut say = |rule| verdicts.push(Verdict { rule, found: text.to_owned(), taken: None, reversal: None });
    if !text.is_ascii() {
        if is_left_over || is_suspect(text) {
            say("text.mojibake_suspected");
        }
        if scripts(text).is_mixed {
            say("text.mixed_script");
        }
    }
    flags(text).into_iter().for_each(say);
}

fn is_suspect(text: &str) -> bool {
    let before = fit(text);
    let is_suspect =
        |reversal: &Reversal| reversal.undo(text, before).is_some_and(|undone| undone.strength >= Strength::Suspect);
    REVERSALS.iter().any(is_suspect) || has_pieces_of_utf8(text)
}
