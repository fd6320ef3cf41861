//! What was declared against what the bytes say.

use super::detect::{Sample, is_kazakh};
use super::encoding::Encoding;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// Who declared an encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The publisher, with the push: what contradicts it is a question.
    Publisher,
    /// The source, e.g. `.cpg 1251`: often a default that nobody looked at.
    Source(String),
}

impl By {
    /// What to call them.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Publisher => "the publisher",
            Self::Source(by) => by,
        }
    }
}

/// A declaration that the bytes contradict beyond doubt, and what is taken instead.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Contradiction {
    pub(super) encoding: Encoding,
    pub(super) message: String,
}

/// Compares a declared encoding with the bytes; `None` if they do not contradict it.
///
/// KZ-1048 under a declared windows-1251 is taken whoever declared it: the two differ in 16 letters, and most
/// software only knows the name of the second.
///
/// # Errors
///
/// `Undeclared`, naming both encodings, if the bytes contradict the publisher: the declaration would make mojibake.
pub(super) fn compare(declared: Encoding, by: &By, sample: &Sample) -> Result<Option<Contradiction>> {
    let Some((found, why)) = contradicting(declared, sample) else { return Ok(None) };
    let who = by.name();
    let is_superset = declared == Encoding::WINDOWS_1251 && found == Encoding::KZ_1048;
    if *by == By::Publisher && !is_superset {
        return Err(Error::undeclared(format!(
            "declare encoding: {} was declared, but {why}, which is {}; declare {} or send the file in {}",
            declared.name(),
            found.name(),
            found.name(),
            declared.name()
        )));
    }
    let message = format!("{who} names {}, but {why}: {} was taken; check the letters", declared.name(), found.name());
    Ok(Some(Contradiction { encoding: found, message }))
}

/// The encoding that the bytes are in instead of the declared one, and why.
fn contradicting(declared: Encoding, sample: &Sample) -> Option<(Encoding, String)> {
    if sample.is_ascii() || declared == Encoding::UTF_8 || [Encoding::UTF_16LE, Encoding::UTF_16BE].contains(&declared)
    {
        return None;
    }
    if sample.is_utf8() {
        let letters = sample.utf8_letters();
        return is_no_accident(declared, sample)
            .then(|| (Encoding::UTF_8, format!("all of the text is valid UTF-8 with {letters} letters beyond ASCII")));
    }
    if declared == Encoding::WINDOWS_1251 && is_kazakh_beyond_doubt(sample) {
        return Some((Encoding::KZ_1048, "letters at the places where the two differ make Kazakh words".to_owned()));
    }
    likelier(declared, sample)
}

/// Whether the letters of UTF-8 cannot have come about in text of the declared encoding.
fn is_no_accident(declared: Encoding, sample: &Sample) -> bool {
    const IN_PAIRS_MIN: u64 = 4;
    if declared.is_single_byte() {
        !sample.reading(declared, 0.0).is_some_and(|reading| reading.is_good())
    } else {
        sample.utf8_letters() >= IN_PAIRS_MIN
    }
}

fn is_kazakh_beyond_doubt(sample: &Sample) -> bool {
    const GAIN_MIN: f64 = 6.0;
    let readings = [Encoding::KZ_1048, Encoding::WINDOWS_1251].map(|encoding| sample.reading(encoding, 0.0));
    match readings {
        [Some(kazakh), Some(windows)] => kazakh.log - windows.log >= GAIN_MIN + kazakh.doubt && is_kazakh(&kazakh.text),
        // Only one of the two can be right.
        [Some(kazakh), None] => is_kazakh(&kazakh.text),
        _ => false,
    }
}

/// A Cyrillic encoding in which the bytes read so much better that the declaration is a mistake.
fn likelier(declared: Encoding, sample: &Sample) -> Option<(Encoding, String)> {
    /// How much better, as a logarithm, in how many letters, and how well at least.
    const MISTAKE: (f64, f64, f64) = (30.0, 8.0, -4.2);
    if !declared.is_single_byte() {
        return None;
    }
    let declared_log = sample.reading(declared, 0.0).map_or(f64::NEG_INFINITY, |reading| reading.log);
    let best = sample.readings().into_iter().max_by(|one, other| one.log.total_cmp(&other.log))?;
    let is_mistake = best.log - declared_log >= MISTAKE.0 && best.fit.has_letters(MISTAKE.1) && best.mean >= MISTAKE.2;
    let text: String = best.text.lines().next().unwrap_or_default().chars().take(24).collect();
    (is_mistake && best.encoding != declared).then(|| {
        (best.encoding, format!("the text reads as Russian or Kazakh ({}) in another encoding", quoted(&text)))
    })
}
