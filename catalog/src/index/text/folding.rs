//! Letters of every script to one rough Latin, so that all ways of writing a word meet.
//!
//! Kazakh letters fall together with the Russian ones that stand in for them, in files as in hasty typing; so do the letters
//! that a KZ-1048 text has when it was read as windows-1251. `x` stands for ш, `q` for ч, `j` for ж, `c` for ц.

/// Readings of one word at most.
const READINGS_MAX: usize = 8;

/// Latin letters that look like Cyrillic ones, and these.
const ALIKE: [&str; 2] = ["ABCEHIKMOPTXYaceiopxyhëïəɵ", "АВСЕНІКМОРТХУасеіорхуһёїәө"];

/// Latin letters together, and how they may sound; a longer cluster before one that it begins with.
const CLUSTERS: [(&str, &[&str]); 16] = [
    ("shch", &["x"]),
    ("sch", &["x", "sh"]),
    ("dzh", &["j"]),
    ("zh", &["j"]),
    ("kh", &["h"]),
    ("gh", &["g"]),
    ("ch", &["q"]),
    ("sh", &["x"]),
    ("yo", &["io", "e"]),
    ("s'", &["s", "x"]),
    ("c'", &["q", "c"]),
    ("y'", &["i", "u"]),
    ("j", &["j", "i"]),
    ("x", &["ks", "h"]),
    ("w", &["u", "v"]),
    ("ß", &["s"]),
];

/// The readings of a word, doubled letters as they are; none for a word of signs alone.
///
/// A Cyrillic word has one. A Latin one has several where writers differ: `j` is ж or й, `x` is кс or х.
pub(super) fn readings(word: &str) -> Vec<String> {
    let word = composed(&settled(word).to_lowercase());
    let mut readings = if word.chars().any(is_cyrillic) { vec![read_cyrillic(&word)] } else { read_latin(&word) };
    readings.retain(|reading| !reading.is_empty());
    readings.dedup();
    readings
}

/// A reading with doubled letters as one.
pub(super) fn pressed(reading: &str) -> String {
    let mut pressed = String::with_capacity(reading.len());
    for letter in reading.chars() {
        if !pressed.ends_with(letter) || letter.is_numeric() {
            pressed.push(letter);
        }
    }
    pressed
}

/// Whether a character is a Cyrillic letter.
pub(super) fn is_cyrillic(letter: char) -> bool {
    matches!(letter, '\u{400}'..='\u{481}' | '\u{48a}'..='\u{52f}')
}

/// Whether a character stands for an apostrophe, which is part of a word.
pub(super) fn is_apostrophe(sign: char) -> bool {
    matches!(sign, '\'' | '’' | '‘' | 'ʼ' | 'ʹ' | 'ʺ' | '`' | '´')
}

/// Whether a character is a mark over or under the letter before it.
pub(super) fn is_mark(sign: char) -> bool {
    matches!(sign, '\u{300}'..='\u{36f}')
}

/// A word of two scripts in one, where its other letters tell which.
pub(super) fn settled(word: &str) -> String {
    let [latin, cyrillic] = ALIKE;
    let is_latin = |letter: char| letter.is_alphabetic() && !is_cyrillic(letter);
    if !word.chars().any(is_latin) || !word.chars().any(is_cyrillic) {
        return word.to_owned();
    }
    let is_surely_cyrillic = word.chars().any(|letter| is_cyrillic(letter) && !cyrillic.contains(letter));
    let is_surely_latin = word.chars().any(|letter| is_latin(letter) && !latin.contains(letter));
    let (from, to) = match (is_surely_cyrillic, is_surely_latin) {
        (true, true) => return word.to_owned(),
        (false, true) => (cyrillic, latin),
        _ => (latin, cyrillic),
    };
    let other = |letter: char| from.chars().zip(to.chars()).find(|(from, _)| *from == letter).map(|(_, to)| to);
    word.chars().map(|letter| other(letter).unwrap_or(letter)).collect()
}

/// A word with marks that change a sound in their letter, without other marks, and with one kind of apostrophe.
fn composed(word: &str) -> String {
    let mut composed = String::with_capacity(word.len());
    for letter in word.chars() {
        if is_mark(letter) {
            let changed = match (composed.chars().last(), letter) {
                (Some('s'), '\u{327}' | '\u{30c}' | '\u{302}' | '\u{326}') => 'š',
                (Some('c'), '\u{327}' | '\u{30c}') => 'č',
                (Some('z'), '\u{30c}') => 'ž',
                (Some('y'), '\u{301}') => 'ý',
                _ => continue,
            };
            composed.pop();
            composed.push(changed);
        } else {
            composed.push(if is_apostrophe(letter) { '\'' } else { letter });
        }
    }
    composed
}

/// Adds a sound, one with the sounds before it where writers differ in how many letters these are.
fn join(reading: &mut String, sound: char) {
    match (reading.chars().last(), sound) {
        (Some('n'), 'g') => return,
        (Some('t'), 's') => {
            reading.pop();
            reading.push('c');
            return;
        }
        (Some('d'), 'j') => {
            reading.pop();
        }
        (_, 'e') => reading.truncate(reading.trim_end_matches('i').len()),
        _ => (),
    }
    reading.push(sound);
}

fn read_cyrillic(word: &str) -> String {
    let mut reading = String::with_capacity(word.len());
    let mut one = [0; 4];
    for letter in word.chars() {
        let sounds =
            cyrillic_sounds(letter).unwrap_or_else(|| latin_sounds(letter).unwrap_or(letter.encode_utf8(&mut one)));
        sounds.chars().for_each(|sound| join(&mut reading, sound));
    }
    reading
}

fn read_latin(word: &str) -> Vec<String> {
    let mut readings = vec![String::with_capacity(word.len())];
    let mut rest = word;
    let mut one = [0; 4];
    while let Some(letter) = rest.chars().next() {
        let cluster = CLUSTERS.iter().find(|(cluster, _)| rest.starts_with(cluster));
        let (length, sounds): (usize, &[&str]) = match cluster {
            Some((cluster, sounds)) => (cluster.len(), sounds),
            None => (letter.len_utf8(), &[latin_sounds(letter).unwrap_or(letter.encode_utf8(&mut one))]),
        };
        let so_far = if readings.len() * sounds.len() > READINGS_MAX { &sounds[..1] } else { sounds };
        readings = so_far.iter().flat_map(|sounds| readings.iter().map(|reading| with(reading, sounds))).collect();
        rest = &rest[length..];
    }
    readings
}

fn with(reading: &str, sounds: &str) -> String {
    let mut longer = reading.to_owned();
    sounds.chars().for_each(|sound| join(&mut longer, sound));
    longer
}

/// How a small Cyrillic letter sounds; `None` if it is none of ours.
fn cyrillic_sounds(letter: char) -> Option<&'static str> {
    Some(match letter {
        'а' | 'ә' | 'ј' => "a",
        'б' => "b",
        'в' => "v",
        'г' | 'ғ' | 'є' => "g",
        'д' => "d",
        'е' | 'ё' | 'э' => "e",
        'ж' => "j",
        'з' => "z",
        'и' | 'й' | 'і' | 'ы' => "i",
        'к' | 'қ' | 'ќ' => "k",
        'л' => "l",
        'м' => "m",
        'н' | 'ң' | 'ѕ' => "n",
        'о' | 'ө' | 'ґ' => "o",
        'п' => "p",
        'р' => "r",
        'с' => "s",
        'т' => "t",
        'у' | 'ұ' | 'ү' | 'ў' | 'ї' => "u",
        'ф' => "f",
        'х' | 'һ' | 'ћ' => "h",
        'ц' => "c",
        'ч' => "q",
        'ш' | 'щ' => "x",
        'ъ' | 'ь' | '\'' => "",
        'ю' => "iu",
        'я' => "ia",
        _ => return None,
    })
}

/// How a small Latin letter sounds by itself; `None` if it is as it is.
fn latin_sounds(letter: char) -> Option<&'static str> {
    Some(match letter {
        'á' | 'à' | 'ä' | 'ã' | 'å' | 'ā' | 'ă' | 'ə' => "a",
        'â' => "ia",
        'ç' | 'č' => "q",
        'ć' => "c",
        'ď' => "d",
        'é' | 'è' | 'ê' | 'ë' | 'ē' | 'ė' | 'ě' => "e",
        'ğ' | 'ǵ' | 'ġ' | 'ģ' | 'ĝ' => "g",
        'ḥ' => "h",
        'í' | 'ì' | 'î' | 'ï' | 'ī' | 'ı' | 'y' | 'ÿ' => "i",
        'q' | 'ķ' | 'ḳ' => "k",
        'ł' => "l",
        'ñ' | 'ń' | 'ň' | 'ņ' | 'ŋ' => "n",
        'ó' | 'ò' | 'ô' | 'ö' | 'õ' | 'ō' | 'ő' | 'ø' | 'ɵ' => "o",
        'š' | 'ş' | 'ș' | 'ŝ' => "x",
        'ú' | 'ù' | 'ü' | 'ū' | 'ű' | 'ů' | 'ŭ' | 'ý' => "u",
        'û' => "iu",
        'ž' => "j",
        '\'' => "",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every way of writing shares a reading with the first.
    fn check(ways: &[&str]) {
        let read = |word: &str| readings(word).iter().map(|reading| pressed(reading)).collect::<Vec<_>>();
        let first = read(ways[0]);
        for way in ways {
            let found = read(way);
            assert!(found.iter().any(|reading| first.contains(reading)), "{} {first:?}, {way} {found:?}", ways[0]);
        }
    }

    #[test]
    fn all_ways_of_writing_a_kazakh_word_meet() {
        check(&["мектеп", "МЕКТЕП", "mektep", "Mektep", "mекtеп"]);
        // Cyrillic, damaged KZ-1048, Russian letters, 2021, 2018, 2017, BGN, passport.
        check(&["Қызылорда", "Ќызылорда", "Кызылорда", "Qyzylorda", "Kyzylorda", "Qızılorda"]);
        check(&["Шымкент", "Şymkent", "Shymkent", "Šymkent", "S\u{327}ymkent"]);
        check(&["Жаңаөзен", "Жаѕаґзен", "Жанаозен", "Jañaözen", "Jańaózen", "Jan'ao'zen", "Zhangaözen", "Zhanaozen"]);
        check(&["Үстірт", "Їстірт", "Устирт", "Üstırt", "Ústirt", "U'stirt", "Ustirt"]);
        check(&["Ғылым", "Єылым", "Гылым", "Ğylym", "Ǵylym", "G'ylym", "Ghylym", "Gylym"]);
        check(&["Әкімдік", "Јкімдік", "Акимдик", "Äkımdık", "Ákimdik", "A'kimdik", "Əкімдік", "akimdik"]);
        check(&["Ұлытау", "Ўлытау", "Улытау", "Ūlytau", "Ulytaý", "Ulytaw", "Ulytau"]);
        check(&["Өскемен", "Ґскемен", "Оскемен", "Öskemen", "Óskemen", "O'skemen", "Oskemen"]);
        check(&["Маңғыстау", "Мангистау", "Mañğystau", "Mańǵystaý", "Mangghystau", "Mangystau"]);
        check(&["Қорғалжын", "Qorğaljyn", "Korgalzhyn", "Korgaldzhyn"]);
        check(&["КӨШЕCI", "көшесі"]);
    }

    #[test]
    fn all_ways_of_writing_a_russian_word_meet() {
        check(&["школы", "ШКОЛЫ", "shkoly", "školy", "шкoлы"]);
        check(&["район", "rayon", "raion", "rajon"]);
        check(&["население", "naselenie", "naseleniye", "naselenije"]);
        check(&["Щучинск", "Shchuchinsk", "Schuchinsk", "Ŝučinsk"]);
        check(&["ёлки", "елки", "yolki", "elki", "ёлки"]);
        check(&["центр", "tsentr", "centr"]);
        check(&["область", "oblast'", "oblast", "oblastʹ"]);
        check(&["хозяйство", "khozyaystvo", "hoziaistvo", "xozjajstvo"]);
        check(&["Евразия", "Yevraziya", "Evrazia", "Evraziâ"]);
        check(&["Аstаnа", "Astana", "Астана"]);
    }

    #[test]
    fn different_words_stay_apart() {
        let reading = |word: &str| pressed(&readings(word)[0]);
        for (one, other) in [("школа", "скала"), ("жол", "зол"), ("час", "шас"), ("цена", "сена"), ("том", "дом")]
        {
            assert_ne!(reading(one), reading(other));
        }
        assert_eq!((reading("2004"), reading("1100")), ("2004".to_owned(), "1100".to_owned()));
        assert!(readings("'").is_empty() && readings("ь").is_empty());
    }

    #[test]
    fn a_word_has_a_bounded_number_of_readings() {
        assert_eq!(readings(&"jxw".repeat(80)).len(), READINGS_MAX);
    }
}
