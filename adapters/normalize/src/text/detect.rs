//! Which encoding undeclared bytes are in: letter statistics of Russian and Kazakh, then a general detector.

use super::encoding::Encoding;
use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};

/// How many bytes with non-ASCII values are kept for the statistics.
const SAMPLE_SIZE_MAX: usize = 1 << 20;

/// The bytes of one layer or file whose encoding nobody named.
#[derive(Debug, Default)]
pub(super) struct Sample {
    bytes: Vec<u8>,
    is_utf8: Option<bool>,
}

/// What was found and why.
#[derive(Debug, PartialEq)]
pub(super) struct Guess {
    pub(super) encoding: Encoding,
    pub(super) reason: String,
}

impl Sample {
    /// Takes one whole value or file.
    pub(super) fn push(&mut self, value: &[u8]) {
        if value.is_ascii() {
            return;
        }
        *self.is_utf8.get_or_insert(true) &= std::str::from_utf8(value).is_ok();
        let room = SAMPLE_SIZE_MAX.saturating_sub(self.bytes.len());
        if room > 0 {
            self.bytes.extend(&value[..value.len().min(room)]);
            self.bytes.push(b'\n');
        }
    }

    /// Whether everything seen was ASCII.
    pub(super) fn is_ascii(&self) -> bool {
        self.is_utf8.is_none()
    }

    /// Whether everything seen was UTF-8.
    pub(super) fn is_utf8(&self) -> bool {
        self.is_utf8 != Some(false)
    }

    /// The likeliest encoding of what is not UTF-8; `None` if nothing fits.
    pub(super) fn guess(&self) -> Option<Guess> {
        self.cyrillic().or_else(|| self.other())
    }

    /// Cyrillic, by the frequency of its letters and by the shape of its words.
    fn cyrillic(&self) -> Option<Guess> {
        /// Mean natural logarithm of letter probability: Russian and Kazakh prose lies near -3.0, the right
        /// bytes in the wrong table below -5.
        const SCORE_MIN: f64 = -4.2;
        let candidates = [Encoding::WINDOWS_1251, Encoding::KZ_1048, Encoding::IBM866, Encoding::KOI8_R];
        let scored = candidates.into_iter().filter_map(|encoding| {
            let text = encoding.decode(&self.bytes).ok()?;
            let is_plausible = encoding != Encoding::KZ_1048 || is_kazakh(&text);
            is_plausible.then(|| score(&text)).flatten().map(|score| (encoding, score))
        });
        // The first of equals wins: without a letter that only one of them has, it is the common one.
        let (encoding, score) = scored.reduce(|best, next| if next.1 > best.1 { next } else { best })?;
        let reason = format!("letter statistics of Russian and Kazakh, mean log probability {score:.2}");
        (score >= SCORE_MIN).then_some(Guess { encoding, reason })
    }

    fn other(&self) -> Option<Guess> {
        let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
        detector.feed(&self.bytes, true);
        let encoding = Encoding::from_web(detector.guess(None, Utf8Detection::Deny));
        // The sample may end inside a letter.
        encoding.decode(self.whole_lines()).ok()?;
        Some(Guess { encoding, reason: "general detector".to_owned() })
    }

    fn whole_lines(&self) -> &[u8] {
        let full = self.bytes.len() > SAMPLE_SIZE_MAX;
        let end =
            if full { memchr::memrchr(b'\n', &self.bytes[..SAMPLE_SIZE_MAX]).unwrap_or(0) } else { self.bytes.len() };
        &self.bytes[..end]
    }
}

/// Whether text read as KZ-1048 is Kazakh, not Ukrainian and not Russian with a few damaged letters.
///
/// Ї, є and ґ stand at the places of ү, ғ and ө, but Ukrainian has neither ы nor anything at the places of the other
/// letters. In Kazakh text one letter in six is special; registers in windows-1251 hold a few in a million, left
/// over from old fonts.
fn is_kazakh(text: &str) -> bool {
    const SHARE_MIN: f64 = 0.001;
    const SURE: &str = "қңәұһҚҢӘҰҺыЫ";
    const SPECIAL: &str = "қңәұһғүөҚҢӘҰҺҒҮӨ";
    let count = |letters: &str| text.chars().filter(|letter| letters.contains(*letter)).count();
    let letters = text.chars().filter(|letter| !letter.is_ascii()).count();
    count(SURE) > 0 && count(SPECIAL) as f64 >= letters as f64 * SHARE_MIN
}

/// Mean log probability of the non-ASCII characters as Russian or Kazakh; `None` without any letter.
fn score(text: &str) -> Option<f64> {
    let (mut sum, mut count, mut before) = (0.0, 0.0, ' ');
    for letter in text.chars() {
        if !letter.is_ascii()
            && let Some(value) = log_probability(letter)
        {
            sum += value;
            count += 1.0;
            // A capital after a small letter is a sign of the wrong table.
            if before.is_lowercase() && letter.is_uppercase() {
                sum -= 4.0;
            }
        }
        before = letter;
    }
    (count > 0.0).then(|| sum / count)
}

/// The natural logarithm of a character's share, in per mille of letters; `None` for punctuation of plain prose.
fn log_probability(letter: char) -> Option<f64> {
    const SHARES: [(&str, f64); 14] = [
        ("аео", 90.0),
        ("инт", 68.0),
        ("рсл", 50.0),
        ("кмдв", 36.0),
        ("ыпуя", 24.0),
        ("гзбьч", 16.0),
        ("қіңй", 14.0),
        ("шхжәұүғө", 9.0),
        ("юцщэф", 5.0),
        ("ёъ", 1.0),
        ("һ", 0.4),
        ("єїґў", 0.1),
        ("ђћљњџѓќѕј", 0.02),
        ("", 0.01),
    ];
    if matches!(
        letter,
        '\u{a0}' | '№' | '«' | '»' | '–' | '—' | '…' | '“' | '”' | '„' | '°' | '’' | '‘' | '§' | '²' | '³'
    ) {
        return None;
    }
    let small = letter.to_lowercase().next().unwrap_or(letter);
    let share = SHARES.iter().find(|(letters, _)| letters.contains(small)).map_or(0.01, |(_, share)| *share);
    Some((share / 1000.0).ln())
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
        sample.guess().map(|guess| guess.encoding.name())
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
