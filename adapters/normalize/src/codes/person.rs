//! An IIN beside a birthday or a sex: a difference is told and nothing more.
//!
//! Since 2013 a number need not follow the birthday and sex of its holder, so a difference is no error.

use super::Code;
use super::check;
use crate::findings::{Findings, example};
use arrow_array::cast::AsArray;
use arrow_array::types::Date32Type;
use arrow_array::{Array, ArrayRef, StringArray};
use ukimet_model::{Example, Severity};

/// The columns that speak of the same person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PersonPlan {
    iin: usize,
    birthday: Option<usize>,
    sex: Option<usize>,
}

impl PersonPlan {
    /// The columns of a table with one IIN and a birthday or a sex, by their names.
    pub(crate) fn find(columns: &[(&str, Option<Code>)]) -> Option<Self> {
        let mut iins = columns.iter().enumerate().filter(|(_, (_, code))| *code == Some(Code::Iin)).map(|(i, _)| i);
        let iin = iins.next().filter(|_| iins.next().is_none())?;
        let find = |fits: fn(&str) -> bool| columns.iter().position(|(name, _)| fits(&name.to_lowercase()));
        let (birthday, sex) = (find(is_birthday_name), find(is_sex_name));
        (birthday.is_some() || sex.is_some()).then_some(Self { iin, birthday, sex })
    }

    /// Compares the columns of a batch, as they are published.
    pub(crate) fn apply(self, columns: &[ArrayRef], names: &[&str], row_first: u64, findings: &mut Findings) {
        let Some(iins) = columns[self.iin].as_string_opt::<i32>() else { return };
        let born =
            (0..iins.len()).map(|i| (!iins.is_null(i)).then(|| of_iin(iins.value(i))).flatten()).collect::<Vec<_>>();
        let mut examples: Vec<Example> = Vec::new();
        let mut tell = |i: usize, column: usize, found: &str| {
            examples.push(example(Some(row_first + i as u64), Some(names[column]), found, None));
        };
        let days = self.birthday.and_then(|at| Some((at, columns[at].as_primitive_opt::<Date32Type>()?)));
        let sexes = self.sex.and_then(|at| Some((at, columns[at].as_string_opt::<i32>()?)));
        for (i, (date, is_man)) in born.into_iter().enumerate().filter_map(|(i, born)| Some((i, born?))) {
            if let Some((at, days)) = days.filter(|(_, days)| !days.is_null(i) && days.value(i) != epoch_days(date)) {
                tell(i, at, &days.value_as_date(i).map(|day| day.to_string()).unwrap_or_default());
            }
            let other = sexes.and_then(|(at, sexes)| Some((at, sex(sexes, i)?))).filter(|(_, other)| *other != is_man);
            if let Some((at, _)) = other {
                tell(i, at, sexes.map_or("", |(_, sexes)| sexes.value(i)));
            }
        }
        let message = "birthdays or sexes differ from the digits of the IIN, which is no error since 2013";
        findings.add("codes.person_differs", Severity::Warning, message, examples.len() as u64, examples);
    }
}

fn epoch_days(date: jiff::civil::Date) -> i32 {
    jiff::civil::date(1970, 1, 1).until(date).map_or(0, |span| span.get_days())
}

fn of_iin(text: &str) -> Option<(jiff::civil::Date, bool)> {
    let text = text.trim();
    Code::Iin.passes(text).then(|| check::birth(text)).flatten()
}

fn is_birthday_name(name: &str) -> bool {
    name.contains("рожд") || name.contains("birth") || name.contains("туған")
}

fn is_sex_name(name: &str) -> bool {
    name.split(|c: char| !c.is_alphanumeric()).any(|word| matches!(word, "пол" | "sex" | "gender" | "жынысы"))
}

/// Whether a text says man or woman; `None` if neither.
fn sex(column: &StringArray, i: usize) -> Option<bool> {
    if column.is_null(i) {
        return None;
    }
    match column.value(i).trim().to_lowercase().as_str() {
        "м" | "м." | "муж" | "муж." | "мужской" | "ер" | "еркек" | "m" | "male" => Some(true),
        "ж" | "ж." | "жен" | "жен." | "женский" | "әйел" | "f" | "female" => Some(false),
        _ => None,
    }
}
