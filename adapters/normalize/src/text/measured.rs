//! What is found, asked and repaired over thousands of values, counted: the figures of `docs/encodings.md`.

use super::declared::{By, compare};
use super::detect::Sample;
use super::encoding::Encoding;
use super::repair::{ColumnRepair, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

const NAMES_RU: &str = include_str!("../../tests/data/names_ru.txt");
const NAMES_KK: &str = include_str!("../../tests/data/names_kk.txt");
const TITLES_RU: &str = include_str!("../../tests/data/titles_ru.txt");
const OWN: &str = include_str!("../../tests/data/own_words.txt");

/// The lines that the letter model has not learned from.
fn kept(list: &'static str) -> Vec<&'static str> {
    list.lines().skip(1).step_by(2).collect()
}

/// Values by language.
fn corpus() -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut corpus: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (language, values) in OWN.lines().filter_map(|line| line.split_once('\t')) {
        corpus.entry(language).or_default().extend(values.split(';'));
    }
    corpus.insert("names_ru", NAMES_RU.lines().collect());
    corpus.insert("names_kk", NAMES_KK.lines().collect());
    corpus.insert("titles_ru", TITLES_RU.lines().collect());
    corpus
}

/// Text in an encoding; `None` if a letter has no place in it.
pub(super) fn encode(encoding: Encoding, text: &str) -> Option<Vec<u8>> {
    if !encoding.is_single_byte() {
        let web = encoding_rs::Encoding::for_label(encoding.name().as_bytes())?;
        let (bytes, _, is_lossy) = web.encode(text);
        return (!is_lossy).then(|| bytes.into_owned());
    }
    let upper = encoding.upper_letters();
    let byte = |letter: char| {
        if letter.is_ascii() {
            return u8::try_from(u32::from(letter)).ok();
        }
        upper.iter().find(|(other, _)| *other == letter).map(|(_, byte)| *byte)
    };
    text.chars().map(byte).collect()
}

/// Bytes of `was` read as `read_as`, the way lenient software does it.
fn misread(bytes: &[u8], read_as: Encoding) -> String {
    let upper: BTreeMap<u8, char> = read_as.upper_letters().into_iter().map(|(letter, byte)| (byte, letter)).collect();
    bytes.iter().map(|byte| upper.get(byte).copied().unwrap_or(char::from(*byte))).collect()
}

fn repaired(repair: &ColumnRepair, value: &str) -> (String, Vec<Verdict>) {
    let mut verdicts = Vec::new();
    let taken = repair.apply(value, &mut verdicts).unwrap_or_else(|| value.to_owned());
    (taken, verdicts)
}

#[test]
fn nothing_clean_is_repaired_in_columns_and_alone() {
    let corpus = corpus();
    let mut wrong = Vec::new();
    let mut flagged: BTreeMap<&str, usize> = BTreeMap::new();
    for (language, values) in &corpus {
        let column = ColumnRepair::decide(values.iter().map(|value| (*value).to_owned()));
        assert!(column.reversals.is_empty(), "{language}: {:?}", column.reversals);
        // Alone, of the long lists a part: the same words come again and again.
        let step = if values.len() > 500 { 4 } else { 1 };
        for (i, value) in values.iter().enumerate() {
            let mut seen = BTreeSet::new();
            let alone = (i % step == 0).then(|| ColumnRepair::decide([(*value).to_owned()]));
            for repair in [Some(&column), alone.as_ref()].into_iter().flatten() {
                let (taken, verdicts) = repaired(repair, value);
                if taken != *value {
                    wrong.push(format!("{language}: {value} became {taken}"));
                }
                verdicts.iter().filter(|v| seen.insert(v.rule)).for_each(|v| {
                    *flagged.entry(v.rule).or_default() += 1;
                });
            }
        }
    }
    // Everything in one column as well: no language may be repaired by the evidence of another.
    let all = ColumnRepair::decide(corpus.values().flatten().map(|value| (*value).to_owned()));
    assert!(all.reversals.is_empty(), "{:?}", all.reversals);
    let count: usize = corpus.values().map(Vec::len).sum();
    println!("{count} clean values in {} columns: {} repaired, flagged {flagged:?}", corpus.len(), wrong.len());
    let most = flagged.values().copied().max().unwrap_or_default();
    assert!(count > 8_000 && most <= 4, "{count} {flagged:?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Correct, asked and wrong answers.
#[derive(Default)]
struct Tally {
    correct: usize,
    asked: usize,
    wrong: Vec<String>,
}

/// Detects every column of `size` values that can be encoded.
fn detect(encoding: Encoding, values: &[&str], size: usize) -> Tally {
    const COLUMNS_MAX: usize = 200;
    let mut tally = Tally::default();
    let values: Vec<_> = values.iter().filter(|v| !v.is_ascii() && encode(encoding, v).is_some()).copied().collect();
    // Values from all over the list, so that a column is not one letter of the alphabet.
    let columns = (values.len() / size).min(COLUMNS_MAX);
    for column in 0..columns {
        let column: Vec<&str> = values.iter().skip(column).step_by(columns).take(size).copied().collect();
        let mut sample = Sample::default();
        for value in &column {
            sample.push(&encode(encoding, value).expect("it was tried"));
        }
        if sample.is_utf8() {
            tally.wrong.push(format!("{column:?} is UTF-8"));
            continue;
        }
        match sample.guess() {
            Err(_) => tally.asked += 1,
            Ok(guess) => {
                let is_right = column.iter().all(|value| {
                    guess
                        .encoding
                        .decode(&encode(encoding, value).expect("it was tried"))
                        .is_ok_and(|text| text == *value)
                });
                if is_right {
                    tally.correct += 1;
                } else {
                    tally.wrong.push(format!("{} for {column:?}", guess.encoding.name()));
                }
            }
        }
    }
    tally
}

#[test]
fn encodings_are_found_or_asked_for_and_never_wrong_in_columns_of_ten() {
    let corpus = corpus();
    let mut cases: Vec<(Encoding, &str, Vec<&str>)> = Vec::new();
    let label = |label| super::encoding_for(label).expect("known");
    for encoding in ["windows-1251", "IBM866", "KOI8-R", "x-mac-cyrillic", "ISO-8859-5", "IBM855"].map(label) {
        cases.push((encoding, "ru", kept(NAMES_RU)));
    }
    for encoding in ["KZ-1048", "PTCP154"].map(label) {
        cases.push((encoding, "kk", kept(NAMES_KK)));
    }
    for (encoding, language) in [
        ("windows-1251", "uk"),
        ("KOI8-U", "uk"),
        ("windows-1251", "be"),
        ("windows-1251", "sr"),
        ("windows-1251", "mk"),
        ("windows-1251", "bg"),
        ("windows-1252", "de"),
        ("windows-1252", "fr"),
        ("windows-1254", "tr"),
        ("windows-1250", "pl"),
        ("EUC-KR", "ko"),
        ("GBK", "zh"),
    ] {
        cases.push((label(encoding), language, corpus[language].clone()));
    }
    let mut table = String::from("| encoding | text | 1 value | 3 | 10 | 100 |\n|---|---|---|---|---|---|\n");
    let mut wrong = Vec::new();
    for (encoding, language, values) in cases {
        write!(table, "| {} | {language} |", encoding.name()).expect("memory");
        for size in [1, 3, 10, 100] {
            let tally = detect(encoding, &values, size);
            if tally.correct + tally.asked + tally.wrong.len() == 0 {
                table.push_str(" – |");
                continue;
            }
            write!(table, " {} / {} / {} |", tally.correct, tally.asked, tally.wrong.len()).expect("memory");
            if size >= 10 || (size >= 3 && ["ru", "kk"].contains(&language)) {
                wrong.extend(tally.wrong.into_iter().map(|wrong| format!("{} {language}: {wrong}", encoding.name())));
            } else if std::env::var_os("UKIMET_SHOW").is_some() {
                tally.wrong.iter().take(6).for_each(|wrong| println!("{} {language}: {wrong}", encoding.name()));
            }
        }
        table.push('\n');
    }
    println!("{table}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A damage: how it is called, how it is done to a value, and the encodings that were mistaken.
fn damages() -> Vec<(&'static str, Vec<(Encoding, Encoding)>)> {
    let (utf8, win, latin, dos, koi, kz) = (
        Encoding::UTF_8,
        Encoding::WINDOWS_1251,
        Encoding::WINDOWS_1252,
        Encoding::IBM866,
        Encoding::KOI8_R,
        Encoding::KZ_1048,
    );
    vec![
        ("KZ-1048 read as windows-1251", vec![(kz, win)]),
        ("UTF-8 read as windows-1251", vec![(utf8, win)]),
        ("UTF-8 read as windows-1252", vec![(utf8, latin)]),
        ("UTF-8 read as IBM866", vec![(utf8, dos)]),
        ("UTF-8 read as KOI8-R", vec![(utf8, koi)]),
        ("windows-1251 read as windows-1252", vec![(win, latin)]),
        ("KZ-1048 read as windows-1252", vec![(kz, latin)]),
        ("IBM866 read as windows-1251", vec![(dos, win)]),
        ("windows-1251 read as IBM866", vec![(win, dos)]),
        ("KOI8-R read as windows-1251", vec![(koi, win)]),
        ("windows-1251 read as KOI8-R", vec![(win, koi)]),
        ("UTF-8 read as windows-1251, twice", vec![(utf8, win), (utf8, win)]),
        ("UTF-8 read as windows-1252, three times", vec![(utf8, latin), (utf8, latin), (utf8, latin)]),
        ("KZ-1048 read as windows-1251, then UTF-8 as windows-1251", vec![(kz, win), (utf8, win)]),
    ]
}

fn damaged_so_far(value: &str, steps: &[(Encoding, Encoding)]) -> String {
    damaged(value, steps).unwrap_or_else(|| value.to_owned())
}

fn damaged(value: &str, steps: &[(Encoding, Encoding)]) -> Option<String> {
    let mut text = value.to_owned();
    for (was, read_as) in steps {
        text = misread(&encode(*was, &text)?, *read_as);
    }
    Some(text).filter(|text| text != value)
}

/// Damages columns of `size` values, and counts repaired, flagged, unnoticed and wrong values.
fn repair(steps: &[(Encoding, Encoding)], values: &[&str], size: usize) -> ([usize; 3], Vec<String>) {
    const VALUES_MAX: usize = 100;
    let pairs: Vec<(&str, String)> =
        values.iter().filter(|v| !v.is_ascii()).filter_map(|v| Some((*v, damaged(v, steps)?))).collect();
    let columns = (pairs.len() / size).min(VALUES_MAX / size);
    let (mut counts, mut wrong) = ([0; 3], Vec::new());
    for column in 0..columns {
        let column: Vec<_> = pairs.iter().skip(column).step_by(columns).take(size).collect();
        let repair = ColumnRepair::decide(column.iter().map(|(_, damaged)| damaged.clone()));
        for (clean, damaged) in column {
            let (taken, verdicts) = repaired(&repair, damaged);
            let is_partly = (1..steps.len()).any(|count| damaged_so_far(clean, &steps[..count]) == taken);
            if taken == *clean {
                counts[0] += 1;
            } else if is_partly {
                counts[1] += 1;
            } else if taken != *damaged {
                wrong.push(format!("{clean} damaged to {damaged} became {taken}"));
            } else {
                counts[if verdicts.is_empty() { 2 } else { 1 }] += 1;
            }
        }
    }
    (counts, wrong)
}

#[test]
fn damage_is_undone_exactly_or_said() {
    let lists = [kept(NAMES_KK), kept(NAMES_RU)];
    let mut table = String::from("| damage | 1 value | 3 | 10 | 100 |\n|---|---|---|---|---|\n");
    let (mut failures, mut short) = (Vec::new(), Vec::new());
    for (name, steps) in damages() {
        write!(table, "| {name} |").expect("memory");
        for (at, size) in [1, 3, 10, 100].into_iter().enumerate() {
            let (mut counts, mut wrong) = ([0; 3], Vec::new());
            for values in &lists {
                let (of_list, wrong_of_list) = repair(&steps, values, size);
                counts = [0, 1, 2].map(|i| counts[i] + of_list[i]);
                wrong.extend(wrong_of_list);
            }
            let all = counts.iter().sum::<usize>() + wrong.len();
            let share = |count: usize| 100.0 * count as f64 / all.max(1) as f64;
            write!(
                table,
                " {:.1} / {:.1} / {:.1} / {} |",
                share(counts[0]),
                share(counts[1]),
                share(counts[2]),
                wrong.len()
            )
            .expect("memory");
            if share(counts[0]) < [0.0, 60.0, 90.0, 95.0][at] {
                short.push(format!("{name}, {size}: {:.1} % repaired", share(counts[0])));
            }
            if size >= 10 {
                failures.extend(wrong.into_iter().map(|wrong| format!("{name}, {size}: {wrong}")));
            } else if std::env::var_os("UKIMET_SHOW").is_some() {
                wrong.iter().take(6).for_each(|wrong| println!("{name}: {wrong}"));
            }
        }
        table.push('\n');
    }
    println!("{table}");
    assert!(failures.is_empty(), "{} {:#?}", failures.len(), &failures[..failures.len().min(40)]);
    assert!(short.is_empty(), "{short:#?}");
}

#[test]
fn a_declaration_that_is_right_is_never_contradicted() {
    let mut count = 0;
    for (language, values) in corpus() {
        for encoding in [
            "windows-1251",
            "KZ-1048",
            "IBM866",
            "KOI8-R",
            "KOI8-U",
            "windows-1252",
            "windows-1254",
            "windows-1250",
            "EUC-KR",
            "GBK",
        ] {
            let encoding = super::encoding_for(encoding).expect("known");
            let encoded: Vec<Vec<u8>> = values.iter().filter_map(|value| encode(encoding, value)).collect();
            // A list is in an encoding if it was ever written in it.
            if encoded.len() * 10 < values.len() * 9 {
                continue;
            }
            for size in [1, 10, 100] {
                for column in encoded.chunks(size) {
                    let mut sample = Sample::default();
                    for value in column {
                        sample.push(value);
                    }
                    let found =
                        compare(encoding, &By::Source(".cpg".to_owned()), &sample).expect("no question to a source");
                    let is_same = found.as_ref().is_none_or(|found| {
                        column.iter().all(|value| found.encoding.decode(value).ok() == encoding.decode(value).ok())
                    });
                    assert!(is_same, "{language} {}: {found:?}", encoding.name());
                    count += 1;
                }
            }
        }
    }
    println!("{count} right declarations, none contradicted");
}
