//! Units that may stand beside a number or in a header. Values are never rescaled by them.

/// Units of length, area, volume, mass, money, energy, time, counts and shares, as written in kk, ru and en tables.
const UNITS: &[&str] = &[
    "%",
    "‰",
    "°",
    "°c",
    "°с",
    "мм",
    "см",
    "м",
    "км",
    "mm",
    "cm",
    "m",
    "km",
    "дм",
    "п.м",
    "п.м.",
    "пог.м",
    "га",
    "ha",
    "м2",
    "м²",
    "кв.м",
    "кв.м.",
    "кв. м",
    "кв. м.",
    "шаршы м",
    "км2",
    "км²",
    "кв.км",
    "кв.км.",
    "кв. км",
    "кв. км.",
    "шаршы км",
    "m2",
    "m²",
    "km2",
    "km²",
    "sqm",
    "sq km",
    "sq m",
    "сот.",
    "соток",
    "м3",
    "м³",
    "куб.м",
    "куб.м.",
    "куб. м",
    "куб. м.",
    "m3",
    "m³",
    "л",
    "l",
    "мл",
    "ml",
    "кг",
    "г",
    "мг",
    "т",
    "ц",
    "kg",
    "g",
    "t",
    "тонн",
    "тонна",
    "тг",
    "тг.",
    "тенге",
    "теңге",
    "kzt",
    "usd",
    "eur",
    "rub",
    "руб",
    "руб.",
    "долл.",
    "долл. сша",
    "млн тг",
    "вт",
    "квт",
    "мвт",
    "гвт",
    "kw",
    "mw",
    "gw",
    "квт*ч",
    "квт·ч",
    "квтч",
    "квт.ч",
    "kwh",
    "гкал",
    "гкал/ч",
    "в",
    "кпа",
    "мпа",
    "бар",
    "сек",
    "сек.",
    "мин",
    "мин.",
    "ч",
    "час",
    "часов",
    "сут",
    "дн",
    "дн.",
    "дней",
    "мес",
    "мес.",
    "лет",
    "жас",
    "min",
    "h",
    "days",
    "years",
    "км/ч",
    "м/с",
    "km/h",
    "м3/сут",
    "мкг/м3",
    "мг/м3",
    "шт",
    "шт.",
    "ед",
    "ед.",
];

/// Words that stand for people, things and powers of ten, also before another unit.
const COUNTS: &[&str] = &[
    "тыс",
    "тыс.",
    "мың",
    "млн",
    "млн.",
    "млрд",
    "млрд.",
    "трлн",
    "thousand",
    "million",
    "billion",
    "чел",
    "чел.",
    "человек",
    "адам",
    "дана",
    "бірлік",
    "единиц",
    "штук",
    "people",
    "persons",
    "pcs",
    "мест",
    "орын",
    "голов",
    "бас",
    "семей",
    "экз.",
    "экз",
    "койко-мест",
];

/// Whether a sign stands for money.
pub(crate) fn is_currency(c: char) -> bool {
    matches!(c, '₸' | '$' | '€' | '₽' | '£' | '¥')
}

/// Whether a text is a known unit, or several: `тыс. чел.`, `млн тг`.
///
/// A single letter or `кв` is one only after a space: `5г` is a class and `12м` may be a house.
pub(crate) fn is_known(text: &str, has_space: bool) -> bool {
    let is_sign = |c: char| is_currency(c) || matches!(c, '%' | '‰' | '°');
    let mut letters = text.chars();
    let first = letters.next();
    if letters.next().is_none() {
        return first.is_some_and(|c| is_sign(c) || (has_space && is_in_header(text) && c != 'в' && c != 'г'));
    }
    text != "кв" && is_in_header(text)
}

/// Whether a text is a known unit in a header, where no number makes it doubtful.
fn is_in_header(text: &str) -> bool {
    let lower = text.to_lowercase();
    let mut rest = lower.trim();
    loop {
        if UNITS.contains(&rest)
            || COUNTS.contains(&rest)
            || (rest.chars().count() == 1 && rest.starts_with(is_currency))
        {
            return true;
        }
        let Some((word, after)) = rest.split_once(' ') else { return false };
        if !COUNTS.contains(&word) {
            return false;
        }
        rest = after.trim_start();
    }
}

/// Ways to write one unit: each line is one.
const SAME: &[&[&str]] = &[
    &["м", "m"],
    &["км", "km"],
    &["см", "cm"],
    &["мм", "mm"],
    &["га", "ha"],
    &["м2", "м²", "кв.м", "кв м", "шаршы м", "m2", "m²", "sqm", "sq m"],
    &["км2", "км²", "кв.км", "кв км", "шаршы км", "km2", "km²", "sq km"],
    &["м3", "м³", "куб.м", "куб м", "m3", "m³"],
    &["л", "l"],
    &["мл", "ml"],
    &["кг", "kg"],
    &["г", "g"],
    &["т", "t", "тонн", "тонна"],
    &["тг", "тенге", "теңге", "kzt", "₸"],
    &["usd", "долл", "долл сша", "$"],
    &["eur", "€"],
    &["rub", "руб", "₽"],
    &["квт", "kw"],
    &["мвт", "mw"],
    &["гвт", "gw"],
    &["квт*ч", "квт·ч", "квтч", "квт.ч", "kwh"],
    &["мин", "min"],
    &["ч", "час", "часов", "h"],
    &["дн", "дней", "days"],
    &["лет", "жас", "years"],
    &["км/ч", "km/h"],
    &["°c", "°с"],
    &["тыс", "мың", "thousand"],
    &["млн", "million"],
    &["млрд", "billion"],
    &["чел", "человек", "адам", "people", "persons"],
    &["шт", "штук", "дана", "pcs"],
    &["ед", "единиц", "бірлік"],
    &["мест", "орын"],
    &["голов", "бас"],
];

/// Whether two units are one, written alike or in another language: `тыс. тг` and `мың теңге`.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    canonical(one) == canonical(other)
}

/// A unit in small letters without points at the ends of its words, counts and the unit itself as the first of their line.
fn canonical(unit: &str) -> String {
    let of_line = |word: &str| SAME.iter().find(|line| line.contains(&word)).map_or(word, |line| line[0]).to_owned();
    let lower = unit.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().map(|word| word.trim_end_matches('.')).collect();
    // The unit after a count may be of two words.
    let counts = words.iter().take_while(|word| COUNTS.contains(word)).count().min(words.len().saturating_sub(1));
    let (before, rest) = words.split_at(counts);
    let counted = before.iter().map(|word| of_line(word));
    counted.chain([of_line(&rest.join(" "))]).collect::<Vec<_>>().join(" ")
}

/// The unit in a header: in brackets at the end, or after the last comma.
pub(crate) fn of_header(name: &str) -> Option<&str> {
    let trimmed = name.trim();
    let inside = |open: char, close: char| trimmed.strip_suffix(close).and_then(|head| head.rsplit_once(open));
    let tail = inside('(', ')').or_else(|| inside('[', ']')).or_else(|| trimmed.rsplit_once(','));
    let unit = tail.map(|(_, unit)| unit.trim()).filter(|unit| !unit.is_empty())?;
    let unit = unit.strip_prefix("в ").unwrap_or(unit);
    is_in_header(unit).then_some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_unit_in_many_spellings_is_one_and_others_are_not() {
        for (one, other) in [
            ("тг", "тг."),
            ("тенге", "₸"),
            ("KZT", "теңге"),
            ("м²", "кв. м."),
            ("тыс. чел.", "мың адам"),
            ("тыс. тг", "тыс. тенге"),
            ("млн кв. м", "million m2"),
            ("чел.", "человек"),
            ("%", "%"),
        ] {
            assert!(is_same(one, other), "{one} {other}");
        }
        for (one, other) in [("га", "м²"), ("%", "км"), ("тг", "тыс. тг"), ("м", "м²"), ("кг", "г"), ("%", "‰")]
        {
            assert!(!is_same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn a_header_names_its_unit_only_if_it_is_one() {
        for (name, unit) in [
            ("Площадь, га", Some("га")),
            ("Население (тыс. чел.)", Some("тыс. чел.")),
            ("Объём [м³]", Some("м³")),
            ("Сумма, в тыс. тенге", Some("тыс. тенге")),
            ("Доля, %", Some("%")),
            ("Саны, мың адам", Some("мың адам")),
            ("Адрес (рус)", None),
            ("Фамилия, имя", None),
            ("Площадь", None),
            ("га", None),
            ("()", None),
        ] {
            assert_eq!(of_header(name), unit, "{name}");
        }
    }
}
