//! Light stripping of Kazakh endings, on the rough Latin of [`folding`](super::folding): one list for all scripts.
//!
//! An ending is taken off where the sound before it allows it. Where an ending can be read in two ways, e.g. `ауданы` as
//! `аудан-ы` or `ауда-ны`, both stems are given: two words meet if they share one.

/// Sounds of a stem that is left, at least.
const STEM_MIN: usize = 3;

/// What an ending comes after.
#[derive(Clone, Copy)]
enum After {
    /// A vowel; и, й and у are among them.
    Vowel,
    /// Any consonant.
    Consonant,
    /// A voiceless consonant, or a voiced one that Kazakh words do not end in.
    Voiceless,
    /// A vowel or a voiced consonant.
    Voiced,
    /// One of these.
    Of(&'static str),
}

impl After {
    fn allows(self, sound: char) -> bool {
        let is_vowel = "aeiou".contains(sound);
        let is_voiceless = "pktsxqfhcbvgd".contains(sound);
        match self {
            Self::Vowel => is_vowel,
            Self::Consonant => !is_vowel,
            Self::Voiceless => is_voiceless,
            Self::Voiced => !is_voiceless,
            Self::Of(sounds) => sounds.contains(sound),
        }
    }
}

type Endings = &'static [(&'static [&'static str], After)];

const ATTRIBUTIVE: Endings = &[(&["gi"], After::Of("ae")), (&["gi"], After::Voiced), (&["ki"], After::Voiceless)];
const CASES: Endings = &[
    (&["nin"], After::Of("aeioumn")),
    (&["din"], After::Voiced),
    (&["tin"], After::Voiceless),
    (&["ni"], After::Vowel),
    (&["di"], After::Voiced),
    (&["ti"], After::Voiceless),
    (&["n", "nda", "nde", "na", "ne"], After::Of("i")),
    (&["nan", "nen"], After::Of("imn")),
    (&["da", "de", "dan", "den", "ga", "ge", "men"], After::Voiced),
    (&["ta", "te", "tan", "ten", "ka", "ke", "pen"], After::Voiceless),
    (&["ben"], After::Of("zj")),
];
const POSSESSIVES: Endings = &[
    (&["si", "m", "n", "miz", "niz"], After::Vowel),
    (&["i", "im", "in", "imiz", "iniz"], After::Consonant),
    (&["i"], After::Of("iu")),
];
const PLURALS: Endings = &[
    (&["lar", "ler"], After::Of("aeiour")),
    (&["dar", "der"], After::Of("lmnzj")),
    (&["tar", "ter"], After::Voiceless),
];
const ADJECTIVES: Endings =
    &[(&["lik"], After::Of("aeiour")), (&["dik"], After::Of("lmnzj")), (&["tik"], After::Voiceless)];

/// In the order in which they come off, from the end of a word.
const LAYERS: [Endings; 5] = [ATTRIBUTIVE, CASES, POSSESSIVES, PLURALS, ADJECTIVES];

/// What may be left of a word when endings are taken off it; without the word itself.
pub(super) fn stems(reading: &str) -> Vec<String> {
    let mut stems = Vec::new();
    if reading.is_ascii() {
        strip(reading, 0, &mut stems);
    }
    stems
}

fn strip(word: &str, from: usize, stems: &mut Vec<String>) {
    for (layer, endings) in LAYERS.iter().enumerate().skip(from) {
        for (endings, after) in *endings {
            for ending in *endings {
                let Some(stem) = word.strip_suffix(ending).filter(|stem| is_stem(stem, ending, *after)) else {
                    continue;
                };
                let stem = devoiced(stem, ending);
                if !stems.contains(&stem) {
                    stems.push(stem.clone());
                    strip(&stem, layer + 1, stems);
                }
            }
        }
    }
}

fn is_stem(stem: &str, ending: &str, after: After) -> bool {
    let mut vowels = stem.chars().rev().filter(|sound| "aeiou".contains(*sound));
    let Some(last_vowel) = vowels.next() else { return false };
    let is_in_harmony = !(last_vowel == 'e' && ending.contains('a'));
    stem.len() >= STEM_MIN && is_in_harmony && stem.chars().last().is_some_and(|sound| after.allows(sound))
}

/// The sound that a stem ends in without a vowel after it: `мектеб-і` is `мектеп`.
fn devoiced(stem: &str, ending: &str) -> String {
    let bare = &stem[..stem.len() - 1];
    match (ending.starts_with('i'), stem.as_bytes().last()) {
        (true, Some(b'b')) => format!("{bare}p"),
        (true, Some(b'g')) => format!("{bare}k"),
        _ => stem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::text::folding::readings;

    fn stems_of(word: &str) -> Vec<String> {
        readings(word).iter().flat_map(|reading| [reading.clone()].into_iter().chain(stems(reading))).collect()
    }

    fn check(root: &str, forms: &[&str]) {
        let root_reading = &readings(root)[0];
        for form in forms {
            let found = stems_of(form);
            assert!(found.contains(root_reading), "{form} has {found:?}, not {root} ({root_reading})");
        }
    }

    #[test]
    fn endings_come_off_real_words() {
        check(
            "мектеп",
            &["мектептер", "мектебі", "мектептерінің", "мектептері", "мектепке", "мектебінде", "мектептен"],
        );
        check("мектеп", &["mektepterınıñ", "mektepteriniń", "mektepterining", "mektebi"]);
        check("бала", &["балалар", "баланың", "балаға", "балалардың", "балаларға", "балалары"]);
        check("қала", &["қалалар", "қаласы", "қаласының", "қаласында", "қаладағы", "қаланың", "қалалық"]);
        check("аудан", &["аудандар", "ауданы", "ауданының", "ауданында", "аудандық", "ауданнан", "аудандағы"]);
        check("облыс", &["облысы", "облысының", "облыстар", "облыстық", "облысында", "облыстың", "облыстарының"]);
        check("ауыл", &["ауылдар", "ауылы", "ауылдық", "ауылдың", "ауылына"]);
        check("аурухана", &["ауруханалар", "ауруханасы", "ауруханаларының", "ауруханаға"]);
        check("кітапхана", &["кітапханалар", "кітапханасы", "кітапханалардың"]);
        check("жер", &["жерлер", "жері", "жердің", "жерлерді"]);
        check("жол", &["жолдар", "жолдары", "жолдарының", "жолға"]);
        check("көше", &["көшелер", "көшесі", "көшелерінің", "көшеге", "КӨШЕCI"]);
        check("кәсіпорын", &["кәсіпорындар", "кәсіпорындары", "кәсіпорындардың"]);
        check("ұйым", &["ұйымдар", "ұйымдары", "ұйымдарының", "ұйымның"]);
        check("дәріхана", &["дәріханалар", "дәріханаларының"]);
        check("емхана", &["емханалар", "емханалардан"]);
        check("мәлімет", &["мәліметтер", "мәліметтері", "мәліметке"]);
        check("тізбе", &["тізбесі", "тізбелер", "тізбесінің"]);
        check("тілек", &["тілегі", "тілектер"]);
        check("халық", &["халықтың", "халықтар"]);
        check("мемлекет", &["мемлекеттер", "мемлекеті", "мемлекеттік", "мемлекеттің"]);
        check("орталық", &["орталықтар", "орталығы", "орталықтары", "орталықтарының"]);
        check("стадион", &["стадиондар", "стадионы", "стадионмен"]);
        check("клуб", &["клубтар", "клубтары", "клубта"]);
    }

    #[test]
    fn short_words_and_roots_keep_their_sounds() {
        for word in ["ат", "су", "үй", "жол", "бала", "мектеп", "школ", "школы"] {
            let found = stems(&readings(word)[0]);
            assert!(found.iter().all(|stem| stem.len() >= STEM_MIN), "{word} {found:?}");
        }
        for root in ["мектеп", "бала", "қала", "жол", "алма", "облыс"] {
            assert_eq!(stems(&readings(root)[0]), Vec::<String>::new(), "{root}");
        }
        assert!(!stems_of("ине").contains(&"i".to_owned()));
    }

    #[test]
    fn an_ending_with_two_readings_gives_both_stems() {
        let found = stems_of("ауданы");
        assert!(found.contains(&"audan".to_owned()) && found.contains(&"auda".to_owned()), "{found:?}");
    }
}
