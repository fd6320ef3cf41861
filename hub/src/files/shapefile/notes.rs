//! What the archive says of itself to people, in English, Russian and Kazakh.

use super::super::losses::Losses;
use super::survey::Column;
use std::fmt::Write;

/// Of each kind of loss what it means.
const MEANINGS: [(&str, [&str; 3]); 9] = [
    (
        "renamed-columns",
        [
            "columns have a shorter name; the list is below",
            "столбцы названы короче; список ниже",
            "бағандардың аты қысқартылды; тізім төменде",
        ],
    ),
    (
        "cut-texts",
        [
            "texts were longer than 254 bytes of UTF-8 and are cut",
            "тексты были длиннее 254 байт UTF-8 и обрезаны",
            "мәтіндер UTF-8 бойынша 254 байттан ұзын болды және қысқартылды",
        ],
    ),
    (
        "empty-texts",
        [
            "texts are empty, which a table does not tell from no value",
            "тексты пусты, таблица не отличает их от отсутствия значения",
            "мәтіндер бос, кесте оларды мәннің жоқтығынан ажыратпайды",
        ],
    ),
    (
        "floats-that-are-no-numbers",
        [
            "values are infinite or no number and are left out",
            "значения бесконечны или не числа и пропущены",
            "мәндер шексіз немесе сан емес, сондықтан жазылмады",
        ],
    ),
    (
        "number-columns-as-text",
        [
            "columns of numbers are text, so that no digit is lost",
            "столбцы чисел записаны текстом, чтобы не потерять цифры",
            "сан бағандары цифрлар жоғалмауы үшін мәтін түрінде жазылды",
        ],
    ),
    (
        "time-columns-as-text",
        [
            "columns of times are text (ISO 8601; moments in UTC)",
            "столбцы времени записаны текстом (ISO 8601; моменты в UTC)",
            "уақыт бағандары мәтін түрінде жазылды (ISO 8601; сәттер UTC бойынша)",
        ],
    ),
    (
        "other-columns-as-text",
        [
            "columns of lists, structures or bytes are text (JSON or hexadecimal)",
            "столбцы списков, структур или байтов записаны текстом (JSON или шестнадцатерично)",
            "тізім, құрылым немесе байт бағандары мәтін түрінде жазылды (JSON немесе он алтылық)",
        ],
    ),
    (
        "layers",
        [
            "layers hold the rows: a Shapefile has one kind of geometry",
            "слоёв содержат строки: в Shapefile один вид геометрии",
            "қабатта жолдар бар: Shapefile ішінде геометрияның бір түрі ғана болады",
        ],
    ),
    (
        "empty-geometries",
        ["geometries are empty and are left out", "геометрий пусты и пропущены", "геометрия бос, сондықтан жазылмады"],
    ),
];

/// What is so in every Shapefile, in each language.
const ALWAYS: [(&str, &str, &str); 3] = [
    (
        "English",
        "A Shapefile cannot say everything that this dataset says. What it does not say:",
        "Spaces at the end of texts are not kept, and rings may begin to run the other way. FlatGeobuf, GeoPackage and \
         GeoParquet lose nothing of this.",
    ),
    (
        "Русский",
        "Shapefile не может передать всё, что есть в этом наборе данных. Чего в нём нет:",
        "Пробелы в конце текстов не сохраняются, направление обхода колец может измениться. FlatGeobuf, GeoPackage и \
         GeoParquet ничего из этого не теряют.",
    ),
    (
        "Қазақша",
        "Shapefile бұл деректер жиынындағының бәрін жеткізе алмайды. Онда мыналар жоқ:",
        "Мәтін соңындағы бос орындар сақталмайды, сақиналардың бағыты өзгеруі мүмкін. FlatGeobuf, GeoPackage және \
         GeoParquet мұның ешқайсысын жоғалтпайды.",
    ),
];

/// The text of `LOSSES.txt`.
pub(super) fn notes(dataset: &str, columns: &[Column], losses: &Losses) -> String {
    let mut text = format!("{dataset}\r\n");
    for (language, (name, before, behind)) in ALWAYS.iter().enumerate() {
        let mut lines = vec![String::new(), (*name).to_owned(), (*before).to_owned()];
        let counted = MEANINGS.iter().filter_map(|(kind, meanings)| Some((losses.count(kind)?, meanings[language])));
        lines.extend(counted.map(|(count, meaning)| format!("- {count} {meaning}")));
        lines.push((*behind).to_owned());
        text.extend(lines.into_iter().map(|line| line + "\r\n"));
    }
    text.push_str("\r\n");
    for column in columns {
        let (name, (published, source)) = (&column.name, &column.known_as);
        // The names of sources are foreign: each stays on its line.
        let source = source.replace(char::is_control, " ");
        write!(text, "{name} = {published} ({source})\r\n").expect("writing to text does not fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_loss_is_told_in_three_languages() {
        let mut losses = Losses::default();
        losses.add("cut-texts", 17);
        let text = notes("schools", &[], &losses);
        assert_eq!(text.matches("- 17 ").count(), 3, "{text}");
        assert!(text.contains("обрезаны") && text.contains("қысқартылды") && !text.contains("infinite"), "{text}");
    }
}
