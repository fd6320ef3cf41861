//! Texts in other encodings than they say.

use super::Case;
use super::Outcome::{Asked, FileRefused, RowRefused, Taken, TakenWithFinding};
use crate::random::Seeded;
use std::fmt::Write as _;

const ROWS: u64 = 40;

/// Rows of a table in Russian or Kazakh.
fn table(random: &mut Seeded, words: &[&str]) -> String {
    let mut text = "id;name;note\n".to_owned();
    for id in 0..ROWS {
        let word = |n: u64| words[n as usize % words.len()];
        let (a, b) = (word(random.next_u64() >> 8), word(random.next_u64() >> 8));
        let _ = writeln!(text, "{id};{a} {b};{b}");
    }
    text
}

const RUSSIAN: [&str; 5] = ["Школа", "Улица", "Больница", "Район", "Площадь"];
const KAZAKH: [&str; 5] = ["Мектеп", "Көше", "Аурухана", "Әкімдік", "Құрылыс"];

/// The byte of a Cyrillic letter in KZ-1048, which is windows-1251 with nine letters of Kazakh in other places.
fn kz1048(character: char) -> u8 {
    match character {
        'Ә' => 0xA3,
        'ә' => 0xBC,
        'Ғ' => 0xAA,
        'ғ' => 0xBA,
        'Қ' => 0x8D,
        'қ' => 0x9D,
        'Ң' => 0xBD,
        'ң' => 0xBE,
        'Ө' => 0xA5,
        'ө' => 0xB4,
        'Ұ' => 0xA1,
        'ұ' => 0xA2,
        'Ү' => 0xAF,
        'ү' => 0xBF,
        'Һ' => 0x8E,
        'һ' => 0x9E,
        'І' => 0xB2,
        'і' => 0xB3,
        'Ё' => 0xA8,
        'ё' => 0xB8,
        'А'..='я' => (character as u32 - 0x410 + 0xC0) as u8,
        ascii => ascii as u8,
    }
}

fn encoded(text: &str) -> Vec<u8> {
    text.chars().map(kz1048).collect()
}

/// UTF-8 that someone read as windows-1251 and wrote as UTF-8 again, for the bytes that have a letter there.
fn twice_utf8(text: &str) -> Vec<u8> {
    let as_1251 = |byte: u8| match byte {
        0xC0..=0xFF => char::from_u32(0x410 + u32::from(byte) - 0xC0).unwrap_or('?'),
        0x80..=0xA0 => '\u{402}',
        other => char::from(other),
    };
    text.bytes().map(as_1251).collect::<String>().into_bytes()
}

pub(super) fn cases(random: &mut Seeded) -> Vec<Case> {
    let russian = table(random, &RUSSIAN);
    let kazakh = table(random, &KAZAKH);
    let utf16: Vec<u8> = russian.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cut = random.up_to(20) as usize;
    let mut split = russian.clone().into_bytes();
    // In the middle of a letter of two bytes: the second byte goes.
    let at = split.iter().enumerate().filter(|(_, b)| **b == 0xD0).map(|(i, _)| i + 1).nth(cut).unwrap_or(30);
    split.remove(at);
    vec![
        Case::new("plain.csv", "none: UTF-8", russian.clone(), ROWS, &[Taken]),
        Case::new("bom.csv", "none: UTF-8 with a mark", [b"\xEF\xBB\xBF", russian.as_bytes()].concat(), ROWS, &[Taken]),
        Case::new("cp1251.csv", "windows-1251, not declared", encoded(&russian), ROWS, &[TakenWithFinding, Asked]),
        Case::new(
            "kz1048.csv",
            "KZ-1048, declared windows-1251",
            encoded(&kazakh),
            ROWS,
            &[TakenWithFinding, FileRefused],
        )
        .with_encoding("windows-1251"),
        Case::new("utf8_as_1251.csv", "UTF-8, declared windows-1251", kazakh, ROWS, &[TakenWithFinding, FileRefused])
            .with_encoding("windows-1251"),
        Case::new(
            "double.csv",
            "UTF-8 twice",
            twice_utf8(&russian),
            ROWS,
            &[TakenWithFinding, RowRefused, FileRefused],
        ),
        Case::new("utf16.csv", "UTF-16 without a mark", utf16, ROWS, &[TakenWithFinding, FileRefused, Asked]),
        Case::new(
            "letter.csv",
            "a letter lost its second byte",
            split,
            ROWS,
            &[TakenWithFinding, RowRefused, FileRefused, Asked],
        ),
    ]
}
