//! Days written with a month's name, and forms of time that are no day: they stay text, with their name.

use jiff::civil::Date;

/// Longest text that is tried as a form of time, in bytes.
const FORM_BYTES_MAX: usize = 64;

/// A way of writing a time that is not one day, or not surely one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `31.12.24`: the century is not said.
    TwoDigitYear,
    /// `2024 г.`
    Year,
    /// `2024-01`, `01.2024`, `январь 2024`.
    Month,
    /// `I квартал 2024`.
    Quarter,
    /// `1 полугодие 2024`.
    HalfYear,
    /// `весна 2024`.
    Season,
    /// `2024-W05`, `2024-W05-3`.
    Week,
    /// `2021-01-01+06:00`.
    DateWithZone,
}

impl Form {
    /// Every form.
    pub(crate) const ALL: [Self; 8] = [
        Self::TwoDigitYear,
        Self::Year,
        Self::Month,
        Self::Quarter,
        Self::HalfYear,
        Self::Season,
        Self::Week,
        Self::DateWithZone,
    ];

    /// The form in words.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TwoDigitYear => "day with a year of two digits",
            Self::Year => "year",
            Self::Month => "month of a year",
            Self::Quarter => "quarter",
            Self::HalfYear => "half of a year",
            Self::Season => "season",
            Self::Week => "week of a year",
            Self::DateWithZone => "day with a zone",
        }
    }

    /// The form that a text has, if any.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() > FORM_BYTES_MAX || !text.bytes().any(|b| b.is_ascii_digit()) {
            return None;
        }
        if text.is_ascii() && text.starts_with(|c: char| c.is_ascii_digit()) {
            let in_digits = in_digits(text);
            if in_digits.is_some() {
                return in_digits;
            }
        }
        in_words(text)
    }
}

fn in_digits(text: &str) -> Option<Form> {
    let digits = |s: &str, len: usize| s.len() == len && s.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<&str> = text.split(['.', '/', '-']).collect();
    match parts.as_slice() {
        [day, month, year] if digits(day, 2) && digits(month, 2) && digits(year, 2) => {
            let (day, month) = (number(day)?, number(month)?);
            let fits = |day, month| (1..=31).contains(&day) && (1..=12).contains(&month);
            (fits(day, month) || fits(month, day)).then_some(Form::TwoDigitYear)
        }
        [year, month] if digits(year, 4) && digits(month, 2) && text.contains('-') => {
            (is_year(year) && is_month(month)).then_some(Form::Month)
        }
        [month, year] if digits(month, 2) && digits(year, 4) => {
            (is_year(year) && is_month(month)).then_some(Form::Month)
        }
        [year, week, ..] if digits(year, 4) && parts.len() <= 3 && week.starts_with(['W', 'w']) => {
            let day_fits = parts.get(2).is_none_or(|day| matches!(day.as_bytes(), [b'1'..=b'7']));
            (digits(&week[1..], 2) && (1..=53).contains(&number(&week[1..])?) && day_fits).then_some(Form::Week)
        }
        _ => {
            let (day, zone) = (text.get(..10)?, text.get(10..)?);
            let is_day = super::value::Notation::DateIso.fits(day);
            (is_day && super::moment::offset(zone).is_some()).then_some(Form::DateWithZone)
        }
    }
}

fn number(digits: &str) -> Option<i16> {
    digits.parse().ok()
}

fn is_month(digits: &str) -> bool {
    number(digits).is_some_and(|month| (1..=12).contains(&month))
}

fn is_year(digits: &str) -> bool {
    digits.len() == 4 && number(digits).is_some_and(|year| (1800..=2200).contains(&year))
}

/// The words of a text in small letters, split at everything that is no letter or digit.
fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn is_year_word(word: &str) -> bool {
    matches!(word, "г" | "год" | "года" | "ж" | "жыл" | "жылы" | "жылғы" | "year")
}

fn in_words(text: &str) -> Option<Form> {
    const SEASONS: [&str; 14] = [
        "зима",
        "весна",
        "лето",
        "осень",
        "қыс",
        "көктем",
        "жаз",
        "күз",
        "winter",
        "spring",
        "summer",
        "autumn",
        "fall",
        "қысы",
    ];
    let words = words(text);
    let year = words.iter().position(|word| is_year(word))?;
    let rest: Vec<&str> =
        words.iter().enumerate().filter(|(i, w)| *i != year && !is_year_word(w)).map(|(_, w)| w.as_str()).collect();
    match rest.as_slice() {
        [] => (words.len() > 1).then_some(Form::Year),
        [word] if month(word).is_some() => Some(Form::Month),
        [word] if SEASONS.contains(word) => Some(Form::Season),
        [word] if matches!(*word, "q1" | "q2" | "q3" | "q4") => Some(Form::Quarter),
        [word] if matches!(*word, "h1" | "h2") => Some(Form::HalfYear),
        [one, other] => part_of_year(one, other).or_else(|| part_of_year(other, one)),
        // `1-й квартал`, `2-е полугодие`
        [one, ending, other] if matches!(*ending, "й" | "ый" | "е" | "ое" | "го" | "ші" | "шы") => {
            part_of_year(one, other)
        }
        _ => None,
    }
}

fn part_of_year(which: &str, part: &str) -> Option<Form> {
    let which = match which {
        "1" | "i" | "і" | "первый" | "первое" => 1,
        "2" | "ii" | "іі" | "второй" | "второе" => 2,
        "3" | "iii" | "ііі" | "третий" => 3,
        "4" | "iv" | "іv" | "четвертый" | "четвёртый" => 4,
        _ => return None,
    };
    match part {
        "кв" | "квартал" | "тоқсан" | "тоқсаны" | "quarter" => Some(Form::Quarter),
        "полугодие" | "жартыжылдық" | "жартыжылдығы" | "half" if which <= 2 => {
            Some(Form::HalfYear)
        }
        _ => None,
    }
}

/// The month that a word names, 1 to 12.
fn month(word: &str) -> Option<i8> {
    const MONTHS: [&[&str]; 12] = [
        &["январь", "января", "янв", "қаңтар", "қаң", "january", "jan"],
        &["февраль", "февраля", "фев", "ақпан", "ақп", "february", "feb"],
        &["март", "марта", "мар", "наурыз", "нау", "march", "mar"],
        &["апрель", "апреля", "апр", "сәуір", "сәу", "april", "apr"],
        &["май", "мая", "мамыр", "мам", "may"],
        &["июнь", "июня", "июн", "маусым", "мау", "june", "jun"],
        &["июль", "июля", "июл", "шілде", "шіл", "july", "jul"],
        &["август", "августа", "авг", "тамыз", "там", "august", "aug"],
        &["сентябрь", "сентября", "сен", "сент", "қыркүйек", "қыр", "september", "sep", "sept"],
        &["октябрь", "октября", "окт", "қазан", "қаз", "october", "oct"],
        &["ноябрь", "ноября", "ноя", "нояб", "қараша", "қар", "november", "nov"],
        &["декабрь", "декабря", "дек", "желтоқсан", "жел", "december", "dec"],
    ];
    (1..).zip(MONTHS).find(|(_, names)| names.contains(&word)).map(|(month, _)| month)
}

/// A day with its month as a word: `12 января 2024 г.`, `2024 жылғы 12 қаңтар`, `Jan 12, 2024`.
pub(crate) fn date_in_words(text: &str) -> Option<Date> {
    let trimmed = text.trim();
    let may_be = trimmed.len() <= FORM_BYTES_MAX
        && trimmed.bytes().any(|b| b.is_ascii_digit())
        && trimmed.chars().any(char::is_alphabetic)
        && trimmed
            .chars()
            .all(|c| c.is_alphanumeric() || c.is_whitespace() || matches!(c, '.' | ',' | '«' | '»' | '"'));
    if !may_be {
        return None;
    }
    let words = words(trimmed);
    let mut parts = words.iter().filter(|word| !is_year_word(word));
    let (mut year, mut month_of, mut day) = (None, None, None);
    for word in parts.by_ref() {
        let slot = match word {
            word if word.len() == 4 && word.bytes().all(|b| b.is_ascii_digit()) => (&mut year, number(word)),
            word if word.len() <= 2 && word.bytes().all(|b| b.is_ascii_digit()) => (&mut day, number(word)),
            word => (&mut month_of, Some(i16::from(month(word)?))),
        };
        if slot.0.replace(slot.1?).is_some() {
            return None;
        }
    }
    Date::new(year?, month_of? as i8, day? as i8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_with_a_months_name_are_read_in_three_languages() {
        for text in [
            "12 января 2024 г.",
            "«12» января 2024 года",
            "2024 жылғы 12 қаңтар",
            "12 қаңтар 2024 ж.",
            "12 Jan 2024",
            "January 12, 2024",
        ] {
            assert_eq!(date_in_words(text), Some(jiff::civil::date(2024, 1, 12)), "{text}");
        }
        for text in ["31 февраля 2024", "12 января", "январь 2024", "12 12 2024", "12 мебель 2024", "12-14 мая 2024"]
        {
            assert_eq!(date_in_words(text), None, "{text}");
        }
    }

    #[test]
    fn other_forms_of_time_have_a_name() {
        for (text, form) in [
            ("31.12.24", Some(Form::TwoDigitYear)),
            ("12/31/24", Some(Form::TwoDigitYear)),
            ("45.45.45", None),
            ("2024 г.", Some(Form::Year)),
            ("2024 жыл", Some(Form::Year)),
            ("2024", None),
            ("2024-01", Some(Form::Month)),
            ("01.2024", Some(Form::Month)),
            ("Январь 2024", Some(Form::Month)),
            ("I квартал 2024", Some(Form::Quarter)),
            ("1-й квартал 2024 года", Some(Form::Quarter)),
            ("2024 ж. 3 тоқсан", Some(Form::Quarter)),
            ("2024-Q1", Some(Form::Quarter)),
            ("5 квартал 2024", None),
            ("2 полугодие 2024 г.", Some(Form::HalfYear)),
            ("весна 2024", Some(Form::Season)),
            ("2024-W05", Some(Form::Week)),
            ("2024-W05-3", Some(Form::Week)),
            ("2024-W54", None),
            ("2021-01-01+06:00", Some(Form::DateWithZone)),
            ("2021-01-01Z", Some(Form::DateWithZone)),
            ("ул. 1 Мая", None),
            ("приказ 2024 о бюджете", None),
        ] {
            assert_eq!(Form::of(text), form, "{text}");
        }
    }
}
