//! Tables with years, quarters or months as columns: kept as they are, and offered in long form.

use super::Table;

/// Columns that must be periods before the long form is offered.
const PERIODS_MIN: usize = 3;

/// The positions of the columns that are periods, if they are a series: one kind, growing or falling, side by side.
pub(super) fn periods(table: &Table) -> Vec<usize> {
    if table.header.is_empty() {
        return Vec::new();
    }
    let found: Vec<(usize, Period)> =
        table.columns.iter().enumerate().filter_map(|(i, column)| Some((i, period(&column.name)?))).collect();
    let is_series = |step: fn(&Period, &Period) -> bool| {
        found
            .windows(2)
            .all(|pair| pair[0].0 + 1 == pair[1].0 && pair[0].1.kind == pair[1].1.kind && step(&pair[0].1, &pair[1].1))
    };
    let is_series = is_series(|a, b| a.number < b.number) || is_series(|a, b| a.number > b.number);
    let has_keys = found.len() < table.columns.len();
    if found.len() < PERIODS_MIN || !is_series || !has_keys {
        return Vec::new();
    }
    found.into_iter().map(|(i, _)| i).collect()
}

/// What the periods of a table are: `year`, `quarter` or `month`; `year` if there are none.
pub(super) fn kind(table: &Table) -> &'static str {
    let first = table.periods.first().and_then(|i| period(&table.columns[*i].name));
    first.map_or("year", |period| period.kind)
}

/// The name of the group of columns around a period, and the period as written: `годы / 2000` is `2000`.
pub(super) fn written(name: &str) -> &str {
    name.rsplit(" / ").next().unwrap_or(name)
}

struct Period {
    kind: &'static str,
    number: u32,
}

const MONTHS: [[&str; 3]; 12] = [
    ["январь", "қаңтар", "january"],
    ["февраль", "ақпан", "february"],
    ["март", "наурыз", "march"],
    ["апрель", "сәуір", "april"],
    ["май", "мамыр", "may"],
    ["июнь", "маусым", "june"],
    ["июль", "шілде", "july"],
    ["август", "тамыз", "august"],
    ["сентябрь", "қыркүйек", "september"],
    ["октябрь", "қазан", "october"],
    ["ноябрь", "қараша", "november"],
    ["декабрь", "желтоқсан", "december"],
];

fn period(name: &str) -> Option<Period> {
    let text = written(name).trim().to_lowercase();
    let mut words = text.split_whitespace();
    let first = words.next()?;
    let rest: Vec<&str> = words.collect();
    let is_year_word = |word: &&str| matches!(*word, "г." | "г" | "год" | "жыл" | "ж." | "year");
    if let Some(year) = year(first) {
        return rest.iter().all(is_year_word).then_some(Period { kind: "year", number: year });
    }
    let month = MONTHS.iter().position(|names| names.contains(&first)).map(|i| ("month", i as u32));
    let is_quarter_word = |word: &&str| matches!(*word, "квартал" | "кв." | "кв" | "тоқсан" | "quarter");
    let quarter = ["i", "ii", "iii", "iv"].iter().position(|roman| *roman == first);
    let quarter = quarter.or_else(|| first.parse::<usize>().ok().filter(|n| (1..=4).contains(n)).map(|n| n - 1));
    let quarter = quarter.filter(|_| rest.first().is_some_and(is_quarter_word)).map(|i| ("quarter", i as u32));
    let (kind, place) = month.or(quarter)?;
    let years: Vec<u32> = rest.iter().filter_map(|word| year(word)).collect();
    let known = rest.iter().all(|word| year(word).is_some() || is_year_word(word) || is_quarter_word(word));
    (known && years.len() <= 1).then(|| Period { kind, number: years.first().unwrap_or(&0) * 12 + place })
}

fn year(word: &str) -> Option<u32> {
    let is_plain = word.len() == 4 && word.bytes().all(|b| b.is_ascii_digit());
    word.parse().ok().filter(|year| is_plain && (1900..=2199).contains(year))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn years_quarters_and_months_are_periods_and_other_numbers_are_not() {
        for (name, kind, number) in [
            ("2000", "year", 2000),
            ("годы / 2021 г.", "year", 2021),
            ("Январь", "month", 0),
            ("қаңтар 2020", "month", 2020 * 12),
            ("II квартал 2020 г.", "quarter", 2020 * 12 + 1),
            ("3 тоқсан", "quarter", 2),
        ] {
            let found = period(name).expect(name);
            assert_eq!((found.kind, found.number), (kind, number), "{name}");
        }
        for name in ["", "1", "20000", "2000 тенге", "II", "майский", "2000 2001"] {
            assert!(period(name).is_none(), "{name}");
        }
    }
}
