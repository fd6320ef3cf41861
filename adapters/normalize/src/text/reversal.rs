//! Text that was decoded with the wrong table before it came here, and the way back.

use super::encoding::Encoding;
use super::letters::{Fit, fit};
use std::sync::OnceLock;

/// One wrong decoding: bytes of `was` that somebody read as `read_as`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reversal {
    pub(super) was: Encoding,
    pub(super) read_as: Encoding,
}

const fn reversal(was: Encoding, read_as: Encoding) -> Reversal {
    Reversal { was, read_as }
}

/// Every wrong decoding that is looked for.
pub(super) const REVERSALS: [Reversal; 13] = [
    reversal(Encoding::KZ_1048, Encoding::WINDOWS_1251),
    reversal(Encoding::UTF_8, Encoding::WINDOWS_1251),
    reversal(Encoding::UTF_8, Encoding::WINDOWS_1252),
    reversal(Encoding::UTF_8, Encoding::IBM866),
    reversal(Encoding::UTF_8, Encoding::KOI8_R),
    reversal(Encoding::WINDOWS_1251, Encoding::WINDOWS_1252),
    reversal(Encoding::KZ_1048, Encoding::WINDOWS_1252),
    reversal(Encoding::IBM866, Encoding::WINDOWS_1251),
    reversal(Encoding::WINDOWS_1251, Encoding::IBM866),
    reversal(Encoding::KOI8_R, Encoding::WINDOWS_1251),
    reversal(Encoding::WINDOWS_1251, Encoding::KOI8_R),
    reversal(Encoding::IBM866, Encoding::WINDOWS_1252),
    reversal(Encoding::KOI8_R, Encoding::WINDOWS_1252),
];

/// Letters of windows-1251 at the places where KZ-1048 has Kazakh ones.
const IN_WINDOWS: &str = "ЌЋќћЎўЈҐЄЇґєјЅѕї";
/// What KZ-1048 has there.
const IN_KAZAKH: &str = "ҚҺқһҰұӘӨҒҮөғәҢңү";

/// How sure a single value makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strength {
    /// It may be: counts with others of its column.
    Possible,
    /// Worth a word to the publisher, even alone.
    Suspect,
    /// Nothing else it could be.
    Overwhelming,
}

/// One value read the right way.
#[derive(Clone, Debug)]
pub(super) struct Undone {
    pub(super) text: String,
    /// What it is better by, natural logarithm of a ratio of probabilities.
    pub(super) gain: f64,
    pub(super) strength: Strength,
}

impl Undone {
    /// Whether the value is long enough to say something about its column: a letter alone is of any encoding.
    pub(super) fn is_evidence(&self) -> bool {
        const LETTERS_MIN: usize = 3;
        self.strength > Strength::Possible
            || self.text.chars().filter(|letter| letter.is_alphabetic()).count() >= LETTERS_MIN
    }
}

impl Reversal {
    /// What to call it: `KZ-1048 read as windows-1251`.
    pub(super) fn name(self) -> String {
        format!("{} read as {}", self.was.name(), self.read_as.name())
    }

    /// Whether it only concerns the letters in which the two tables differ.
    pub(super) fn is_kazakh(self) -> bool {
        self == REVERSALS[0]
    }

    /// Whether two wrong decodings differ only in the 16 letters of KZ-1048, so that evidence of one is evidence of
    /// the other.
    pub(super) fn is_near(self, other: Self) -> bool {
        let is_windows = |encoding| [Encoding::WINDOWS_1251, Encoding::KZ_1048].contains(&encoding);
        self == other || (self.read_as == other.read_as && is_windows(self.was) && is_windows(other.was))
    }

    /// The value before the wrong decoding, if it can be one; `None` where it cannot, or makes nothing better.
    pub(super) fn undo(self, text: &str, before: Fit) -> Option<Undone> {
        if self.is_kazakh() {
            undo_kazakh(text, before)
        } else if self.was == Encoding::UTF_8 {
            undo_utf8(text, self.read_as)
        } else {
            self.undo_table(text, before)
        }
    }

    /// Both tables have one byte a letter: the letters must read much better.
    fn undo_table(self, text: &str, before: Fit) -> Option<Undone> {
        /// Gain of a value that is counted at all.
        const GAIN_MIN: f64 = 3.0;
        /// The worst mean of a value that is counted at all.
        const MEAN_MIN: f64 = -4.8;
        /// Letters, gain and mean of a value that needs no company.
        const SURE: (f64, f64, f64) = (6.0, 25.0, -3.9);
        /// A value that reads better than this has nothing to gain.
        const MEAN_MAX: f64 = -4.0;
        /// Letters and gain of a value that is worth a word.
        const SUSPECT: (f64, f64) = (4.0, 16.0);
        if before.count < 1.0 || before.mean() > MEAN_MAX {
            return None;
        }
        let bytes = bytes_of(self.read_as, text)?;
        let undone = self.was.decode(&bytes).ok()?.into_owned();
        let after = fit(&undone);
        let gain = after.log - before.log;
        if gain < GAIN_MIN || after.mean() < MEAN_MIN || !after.has_letters(1.0) {
            return None;
        }
        if self.was == Encoding::WINDOWS_1251 && may_be_kazakh(&undone, after) {
            return None;
        }
        let strength = if after.has_letters(SURE.0) && gain >= SURE.1 && after.mean() >= SURE.2 {
            Strength::Overwhelming
        } else if after.has_letters(SUSPECT.0) && gain >= SUSPECT.1 {
            Strength::Suspect
        } else {
            Strength::Possible
        };
        Some(Undone { text: undone, gain, strength })
    }
}

/// Whether text that reads as windows-1251 may as well be KZ-1048, so that the first is not to be taken.
fn may_be_kazakh(windows: &str, before: Fit) -> bool {
    const GAIN_MIN: f64 = -4.0;
    undo_kazakh(windows, before).is_some_and(|undone| undone.gain > GAIN_MIN)
}

/// KZ-1048 read as windows-1251, told from Ukrainian, Belarusian, Serbian and Macedonian by the neighbors of its
/// letters.
fn undo_kazakh(text: &str, before: Fit) -> Option<Undone> {
    /// Gain that needs no company.
    const SURE: f64 = 10.0;
    /// Gain worth a word.
    const SUSPECT: f64 = 4.0;
    let is_common = |letter: char| letter.is_ascii() || matches!(letter, 'А'..='я');
    let swap = |letter: char| {
        if is_common(letter) { None } else { IN_WINDOWS.chars().position(|other| other == letter) }
    };
    if !text.chars().any(|letter| swap(letter).is_some()) {
        return None;
    }
    let kazakh = |at: usize| IN_KAZAKH.chars().nth(at);
    let undone: String = text.chars().map(|letter| swap(letter).and_then(kazakh).unwrap_or(letter)).collect();
    let gain = fit(&undone).log - before.log;
    let strength = match gain {
        gain if gain >= SURE => Strength::Overwhelming,
        gain if gain >= SUSPECT => Strength::Suspect,
        _ => Strength::Possible,
    };
    Some(Undone { text: undone, gain, strength })
}

/// UTF-8 read through a table: every character that is not ASCII must be a piece of a letter.
fn undo_utf8(text: &str, read_as: Encoding) -> Option<Undone> {
    /// Letters that need no company: chance does not make so many of them.
    const SURE: usize = 3;
    /// Letters worth a word.
    const SUSPECT: usize = 2;
    let mut outside = text.chars().filter(|letter| !letter.is_ascii());
    let is_begin = |letter: char| byte_of(read_as, letter).is_some_and(|byte| (0xc2..=0xf4).contains(&byte));
    let is_next = |letter: char| byte_of(read_as, letter).is_some_and(|byte| (0x80..=0xbf).contains(&byte));
    if !outside.next().is_some_and(is_begin) || !outside.next().is_some_and(is_next) {
        return None;
    }
    let undone = String::from_utf8(bytes_of(read_as, text)?).ok()?;
    let letters = undone.chars().filter(|letter| !letter.is_ascii());
    if !undone.chars().all(is_plain) {
        return None;
    }
    let count = letters.count();
    let strength = match count {
        count if count >= SURE => Strength::Overwhelming,
        // `Ã¼` is nothing else; `м²` is a letter of Cyrillic in KOI8-R.
        count if count >= SUSPECT || read_as == Encoding::WINDOWS_1252 => Strength::Suspect,
        _ => Strength::Possible,
    };
    Some(Undone { text: undone, gain: 10.0 * count as f64, strength })
}

/// Whether a character may come out of a reversal: nothing private, nothing undefined.
fn is_plain(letter: char) -> bool {
    letter.is_ascii()
        || letter.is_alphanumeric()
        || matches!(letter, '\u{80}'..='\u{bf}' | '×' | '÷' | '\u{300}'..='\u{36f}' | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}' | '\u{2b0}'..='\u{2ff}' | '™' | '₸' | '₽' | '€' | '№' | '\u{feff}')
        || matches!(letter, '\u{2190}'..='\u{27bf}' | '\u{1f300}'..='\u{1faff}')
}

/// Whether a value has a letter of windows-1251 at a place where KZ-1048 has a Kazakh one.
pub(super) fn has_kazakh_marker(text: &str) -> bool {
    text.contains(|letter| IN_WINDOWS.contains(letter))
}

/// Whether most of a value is letters of UTF-8 read through a table, though not all: some of it was lost since.
pub(super) fn has_pieces_of_utf8(text: &str) -> bool {
    const PIECES_MIN: usize = 4;
    [Encoding::WINDOWS_1251, Encoding::WINDOWS_1252].into_iter().any(|read_as| {
        let bytes: Vec<Option<u8>> = text.chars().map(|letter| byte_of(read_as, letter)).collect();
        let is_piece = |pair: &&[Option<u8>]| matches!(pair, [Some(0xc3 | 0xd0..=0xd3), Some(0x80..=0xbf)]);
        let pieces = bytes.windows(2).filter(is_piece).count();
        let outside = text.chars().filter(|letter| !letter.is_ascii()).count();
        pieces >= PIECES_MIN && pieces * 2 * 3 >= outside * 2
    })
}

/// Whether a column holds Serbian, Macedonian, Tajik or Uzbek: there KZ-1048 read as windows-1251 cannot be told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Neighbors {
    is_foreign: bool,
    has_uzbek: bool,
    /// Letters that Uzbek lacks.
    has_others: bool,
}

impl Neighbors {
    /// Looks at one value.
    pub(super) fn see(&mut self, text: &str) {
        self.is_foreign |= text.contains(|letter| "ђљњџѓЂЉЊЏЃҳҲҷҶӣӢӯӮ".contains(letter));
        self.has_uzbek |= text.contains(|letter| "ўЎ".contains(letter));
        self.has_others |= text.contains(|letter| "әөүұңіһыӘӨҮҰҢІҺЫЌЋќћЈҐЄЇґєјЅѕї".contains(letter));
    }

    /// Whether the letters of windows-1251 may be meant.
    pub(super) fn doubt_kazakh(self) -> bool {
        self.is_foreign || (self.has_uzbek && !self.has_others)
    }
}

/// The byte of a character in one of the encodings that text is read as by mistake; a control character stands for
/// itself, as lenient decoders have it.
fn byte_of(encoding: Encoding, letter: char) -> Option<u8> {
    const READ_AS: [Encoding; 4] = [Encoding::WINDOWS_1251, Encoding::WINDOWS_1252, Encoding::IBM866, Encoding::KOI8_R];
    static LETTERS: [OnceLock<Vec<(char, u8)>>; 4] = [const { OnceLock::new() }; 4];
    let code = u32::from(letter);
    if code < 0xa0 {
        return u8::try_from(code).ok();
    }
    let at = READ_AS.iter().position(|other| *other == encoding)?;
    let letters = LETTERS[at].get_or_init(|| encoding.upper_letters());
    letters.binary_search_by_key(&letter, |(other, _)| *other).ok().map(|at| letters[at].1)
}

/// The bytes of a text; `None` if a character has none.
fn bytes_of(encoding: Encoding, text: &str) -> Option<Vec<u8>> {
    text.chars().map(|letter| byte_of(encoding, letter)).collect()
}
