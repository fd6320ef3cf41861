//! Which encoding undeclared bytes are in: letter statistics of Russian and Kazakh, then a general detector.

use super::encoding::Encoding;
use super::letters::{Fit, fit};
use super::surrogates::without_surrogates;
use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use std::borrow::Cow;
use ukimet_model::Error;
use ukimet_model::error::quoted;

/// How many bytes with non-ASCII values are kept for the statistics.
const SAMPLE_SIZE_MAX: usize = 1 << 20;

/// The Cyrillic encodings that are told apart by letters, with the logarithm of how seldom each is met.
const CYRILLIC: [(Encoding, f64); 9] = [
    (Encoding::WINDOWS_1251, 0.0),
    (Encoding::KZ_1048, -1.0),
    (Encoding::IBM866, -2.0),
    (Encoding::KOI8_R, -3.0),
    (Encoding::KOI8_U, -3.5),
    (Encoding::PTCP154, -4.0),
    (Encoding::MAC_CYRILLIC, -5.0),
    (Encoding::ISO_8859_5, -5.0),
    (Encoding::IBM855, -6.0),
];

/// What counts against a Kazakh reading without its commonest vowels, as a logarithm: it may be Macedonian.
const NO_KAZAKH_VOWEL: f64 = 8.0;

/// The bytes of one layer or file whose encoding is looked at.
#[derive(Debug, Default)]
pub(super) struct Sample {
    bytes: Vec<u8>,
    /// Characters beyond ASCII in what is UTF-8.
    utf8_letters: u64,
    /// Values that are UTF-8 but for a last letter that is cut.
    cut: u64,
    /// Values that are no UTF-8.
    other: u64,
}

/// What was found and why.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Guess {
    pub(super) encoding: Encoding,
    pub(super) reason: String,
}

/// Why no encoding is taken.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Doubt {
    /// None fits.
    Nothing,
    /// These fit about as well: the encoding and how the first words read in it.
    Between(Vec<(Encoding, String)>),
}

impl From<Doubt> for Error {
    fn from(doubt: Doubt) -> Self {
        match doubt {
            Doubt::Nothing => {
                Error::undeclared("declare encoding: the text is not UTF-8 and no other encoding fits all of it")
            }
            Doubt::Between(candidates) => {
                let candidates =
                    candidates.iter().map(|(encoding, text)| format!("{} {}", encoding.name(), quoted(text)));
                Error::undeclared(format!(
                    "declare encoding: there is too little text to be sure; it may be {}",
                    candidates.collect::<Vec<_>>().join(" or ")
                ))
            }
        }
    }
}

/// One reading of the sample.
pub(super) struct Reading<'a> {
    pub(super) encoding: Encoding,
    pub(super) text: Cow<'a, str>,
    /// The logarithm of its probability, how seldom the encoding is met included.
    pub(super) log: f64,
    /// How much more it must be likelier than others, because of what it lacks.
    pub(super) doubt: f64,
    /// The mean of its characters.
    pub(super) mean: f64,
    /// How well it reads.
    pub(super) fit: Fit,
}

impl Reading<'_> {
    /// Whether this is Russian or Kazakh as far as can be told: of a few letters all must be Cyrillic.
    pub(super) fn is_good(&self) -> bool {
        const MEAN_MIN: f64 = -4.6;
        const FEW: (f64, f64) = (9.0, -6.0);
        let is_word = self.fit.count <= FEW.0 && self.fit.letters >= self.fit.count && self.mean > FEW.1;
        is_word || (self.mean >= MEAN_MIN && self.fit.has_letters(1.0))
    }
}

impl Sample {
    /// Takes one whole value or line.
    pub(super) fn push(&mut self, value: &[u8]) {
        if value.is_ascii() {
            return;
        }
        self.count_utf8(value);
        let room = SAMPLE_SIZE_MAX.saturating_sub(self.bytes.len());
        if room > value.len() {
            self.bytes.extend(value);
            self.bytes.push(b'\n');
        }
    }

    fn count_utf8(&mut self, value: &[u8]) {
        let letters = |text: &str| text.chars().filter(|letter| !letter.is_ascii()).count() as u64;
        match std::str::from_utf8(value) {
            Ok(text) => self.utf8_letters += letters(text),
            Err(error) if error.error_len().is_none() => {
                let whole = std::str::from_utf8(&value[..error.valid_up_to()]).unwrap_or_default();
                self.utf8_letters += letters(whole);
                self.cut += 1;
            }
            Err(_) if without_surrogates(value).is_some() => self.utf8_letters += 1,
            Err(_) => self.other += 1,
        }
    }

    /// Whether everything seen was ASCII.
    pub(super) fn is_ascii(&self) -> bool {
        self.utf8_letters + self.cut + self.other == 0
    }

    /// Whether everything seen was UTF-8, letters that are cut at the end of a value allowed among many whole ones.
    pub(super) fn is_utf8(&self) -> bool {
        const WHOLE_MIN: u64 = 3;
        self.other == 0 && self.utf8_letters >= WHOLE_MIN * self.cut
    }

    /// How many characters beyond ASCII there are, if all is UTF-8.
    pub(super) fn utf8_letters(&self) -> u64 {
        if self.is_utf8() { self.utf8_letters } else { 0 }
    }

    /// Asks where a few characters that are valid UTF-8 are Cyrillic words in another encoding: `рзд` of IBM866 is
    /// one letter of Devanagari.
    ///
    /// # Errors
    ///
    /// A doubt between UTF-8 and the other.
    pub(super) fn check_utf8(&self) -> Result<(), Doubt> {
        const FEW: u64 = 24;
        if self.is_ascii() || self.utf8_letters > FEW {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&self.bytes);
        if text.chars().any(|letter| !letter.is_ascii() && letter < '\u{800}') {
            return Ok(());
        }
        let good = self.readings().into_iter().find(Reading::is_good);
        good.map_or(Ok(()), |good| Err(doubt(&[(Encoding::UTF_8, &text), (good.encoding, &good.text)])))
    }

    /// The likeliest encoding of what is not UTF-8.
    ///
    /// # Errors
    ///
    /// A doubt if none fits, or if two that read differently fit about as well.
    pub(super) fn guess(&self) -> Result<Guess, Doubt> {
        /// The worst mean that a Cyrillic reading may have.
        const MEAN_MIN: f64 = -4.6;
        /// The worst mean of a few words that may yet be Cyrillic.
        const MEAN_OF_DOUBT_MIN: f64 = -5.8;
        /// How much likelier the first must be than the next, as a logarithm.
        const LEAD_MIN: f64 = 5.0;
        /// The same where there are few letters.
        const LEAD_OF_FEW_MIN: f64 = 8.0;
        /// So few letters may as well be something else altogether.
        const FEW: f64 = 24.0;
        /// Fewer letters are no evidence.
        const LETTERS_MIN: f64 = 4.0;
        let mut readings = self.readings();
        readings.sort_by(|one, other| other.log.total_cmp(&one.log));
        let is_text = |best: &&Reading<'_>| best.mean >= MEAN_MIN && best.fit.has_letters(1.0);
        let Some(best) = readings.first().filter(is_text) else {
            let is_nearly = |best: &&Reading<'_>| {
                best.mean >= MEAN_OF_DOUBT_MIN && best.fit.has_letters(LETTERS_MIN) && best.fit.letters < FEW
            };
            return match readings.first().filter(is_nearly) {
                Some(best) => Err(doubt(&[(best.encoding, &best.text)])),
                None => self.other(),
            };
        };
        let lead_min = best.doubt + if best.fit.letters < FEW { LEAD_OF_FEW_MIN } else { LEAD_MIN };
        let near: Vec<_> = readings.iter().filter(|reading| best.log - reading.log < lead_min).collect();
        if near.len() > 1 || !best.fit.has_letters(LETTERS_MIN) || (best.fit.letters < FEW && self.is_korean()) {
            return Err(doubt(&near.iter().map(|near| (near.encoding, near.text.as_ref())).collect::<Vec<_>>()));
        }
        let reason = format!("letter statistics of Russian and Kazakh, mean log probability {:.2}", best.mean);
        Ok(Guess { encoding: best.encoding, reason })
    }

    /// The Cyrillic encoding in which the sample reads well and best, however little it is; `None` if it does in none.
    pub(super) fn likeliest(&self) -> Option<Encoding> {
        let good = self.readings().into_iter().filter(Reading::is_good);
        good.max_by(|one, other| one.log.total_cmp(&other.log)).map(|reading| reading.encoding)
    }

    /// The Cyrillic readings that differ, of equal ones the one that is met most.
    pub(super) fn readings(&self) -> Vec<Reading<'_>> {
        let mut readings: Vec<Reading<'_>> = Vec::new();
        for (encoding, seldom) in CYRILLIC {
            let Some(reading) = self.reading(encoding, seldom) else { continue };
            let is_new = readings.iter().all(|other| other.text != reading.text);
            if is_new && (encoding != Encoding::KZ_1048 && encoding != Encoding::PTCP154 || is_kazakh(&reading.text)) {
                readings.push(reading);
            }
        }
        readings
    }

    /// How the sample reads in an encoding; `None` if it cannot be in it.
    pub(super) fn reading(&self, encoding: Encoding, seldom: f64) -> Option<Reading<'_>> {
        let text = encoding.decode(&self.bytes).ok()?;
        let fit = fit(&text);
        let is_asian = [Encoding::KZ_1048, Encoding::PTCP154].contains(&encoding);
        let doubt =
            if is_asian && !text.contains(|letter| "ыіЫІ".contains(letter)) { NO_KAZAKH_VOWEL } else { 0.0 };
        Some(Reading { encoding, text, log: fit.log + seldom, doubt, mean: fit.mean(), fit })
    }

    /// Whether everything reads as Korean syllables.
    fn is_korean(&self) -> bool {
        let korean = Encoding::from_web(encoding_rs::EUC_KR).decode(&self.bytes);
        korean.is_ok_and(|text| text.chars().all(|l| l.is_ascii() || matches!(l, '\u{ac00}'..='\u{d7a3}')))
    }

    fn other(&self) -> Result<Guess, Doubt> {
        let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
        detector.feed(&self.bytes, true);
        let encoding = Encoding::from_web(detector.guess(None, Utf8Detection::Deny));
        let mut values = self.bytes.split(|byte| *byte == b'\n');
        if !values.all(|value| encoding.decode(value).is_ok() || encoding.whole_letters(value).is_some()) {
            return Err(Doubt::Nothing);
        }
        self.check_size(encoding)?;
        Ok(Guess { encoding, reason: "general detector".to_owned() })
    }

    /// The general detector always answers; from a few letters it cannot know.
    fn check_size(&self, encoding: Encoding) -> Result<(), Doubt> {
        const LETTERS_MIN: usize = 8;
        const PAIRS_MIN: usize = 4;
        let outside = self.bytes.iter().filter(|byte| !byte.is_ascii()).count();
        let enough = if encoding.is_single_byte() { outside >= LETTERS_MIN } else { outside >= 2 * PAIRS_MIN };
        if enough {
            return Ok(());
        }
        let readings = [encoding, Encoding::WINDOWS_1251, Encoding::WINDOWS_1252]
            .into_iter()
            .filter_map(|encoding| Some((encoding, encoding.decode(&self.bytes).ok()?)))
            .collect::<Vec<_>>();
        Err(doubt(&readings.iter().map(|(encoding, text)| (*encoding, text.as_ref())).collect::<Vec<_>>()))
    }
}

/// The question that these readings leave: every encoding once, with the beginning of its reading.
fn doubt(readings: &[(Encoding, &str)]) -> Doubt {
    const LETTERS_MAX: usize = 24;
    let mut candidates: Vec<(Encoding, String)> = Vec::new();
    for (encoding, text) in readings {
        let text: String = text.lines().next().unwrap_or_default().chars().take(LETTERS_MAX).collect();
        if !candidates.iter().any(|(other, _)| other == encoding) {
            candidates.push((*encoding, text));
        }
    }
    Doubt::Between(candidates)
}

/// Whether text read as KZ-1048 is Kazakh, not Russian with a few damaged letters.
///
/// In Kazakh text one letter in six is special; registers in windows-1251 hold a few in a million, left over from old
/// fonts.
pub(super) fn is_kazakh(text: &str) -> bool {
    const SHARE_MIN: f64 = 0.001;
    const SPECIAL: &str = "қңәұһғүөҚҢӘҰҺҒҮӨ";
    let special = text.chars().filter(|letter| SPECIAL.contains(*letter)).count();
    let letters = text.chars().filter(|letter| !letter.is_ascii()).count();
    special as f64 >= letters as f64 * SHARE_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text in an encoding, by the reverse of its table.
    fn encode(encoding: Encoding, text: &str) -> Vec<u8> {
        let table: Vec<(char, u8)> = (0_u8..=255)
            .filter_map(|b| encoding.decode(&[b]).ok().and_then(|t| t.chars().next()).map(|c| (c, b)))
            .collect();
        text.chars().map(|c| table.iter().find(|(letter, _)| *letter == c).expect("in the table").1).collect()
    }

    fn guess(bytes: &[u8]) -> Option<&'static str> {
        let mut sample = Sample::default();
        bytes.split(|b| *b == b'\n').for_each(|value| sample.push(value));
        sample.guess().ok().map(|guess| guess.encoding.name())
    }

    #[test]
    fn cyrillic_encodings_are_told_apart() {
        let russian = "Алматинская область\nг. Усть-Каменогорск\nСеверо-Казахстанская\nулица Абая, дом 5\nЖамбыл";
        let capitals = "АЛМАТИНСКАЯ ОБЛАСТЬ\nУСТЬ-КАМЕНОГОРСК\nПАВЛОДАР";
        let kazakh = "Қарағанды облысы\nӨскемен қаласы\nТүркістан\nМаңғыстау облысы\nШығыс Қазақстан";
        for encoding in [Encoding::WINDOWS_1251, Encoding::IBM866, Encoding::KOI8_R] {
            for text in [russian, capitals] {
                assert_eq!(guess(&encode(encoding, text)), Some(encoding.name()), "{text}");
            }
        }
        assert_eq!(guess(&encode(Encoding::KZ_1048, kazakh)), Some("KZ-1048"));
        assert_eq!(
            guess(&encode(Encoding::WINDOWS_1251, "Київська область\nЄвропейський Союз\nїжак")),
            Some("windows-1251")
        );
    }

    #[test]
    fn a_few_letters_of_old_fonts_do_not_make_a_register_kazakh() {
        let mut lines =
            vec!["Северо-Казахстанская область, Кызылжарский район"; 500].join("\n");
        lines.push_str("\nЌабыргатал");
        assert_eq!(guess(&encode(Encoding::WINDOWS_1251, &lines)), Some("windows-1251"));
    }

    #[test]
    fn korean_district_names_are_found() {
        // 도봉구, 은평구, 동대문구, 동작구, 금천구, 구로구, 종로구 as a DBF of Seoul holds them.
        let names: [&[u8]; 7] = [
            b"\xb5\xb5\xba\xc0\xb1\xb8",
            b"\xc0\xba\xc6\xf2\xb1\xb8",
            b"\xb5\xbf\xb4\xeb\xb9\xae\xb1\xb8",
            b"\xb5\xbf\xc0\xdb\xb1\xb8",
            b"\xb1\xdd\xc3\xb5\xb1\xb8",
            b"\xb1\xb8\xb7\xce\xb1\xb8",
            b"\xc1\xbe\xb7\xce\xb1\xb8",
        ];
        assert_eq!(guess(&names.join(&b'\n')), Some("EUC-KR"));
    }

    #[test]
    fn ascii_and_utf_8_need_no_guess() {
        let mut sample = Sample::default();
        sample.push(b"plain");
        assert!(sample.is_ascii() && sample.is_utf8());
        sample.push("Алматы".as_bytes());
        assert!(!sample.is_ascii() && sample.is_utf8());
        sample.push(b"\xc0\xeb");
        assert!(!sample.is_utf8());
    }
}
