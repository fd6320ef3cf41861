//! Values of a column with which nothing was wrong, so that their like need no second look.
//!
//! Registers repeat themselves: streets with other numbers, categories, owners. Judging a value costs microseconds,
//! finding its like a tenth of that.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes of the shapes of one column.
const SHAPES_BYTES_MAX: usize = 2 << 20;
/// What keeping one costs beside its letters.
const SHAPE_BYTES: usize = 64;

/// Shapes of values; a shape stands for all values that differ only in numbers which no letter touches.
#[derive(Clone, Debug, Default)]
pub(super) struct Unremarkable {
    shapes: HashSet<Box<str>, Hashing>,
    size_bytes: usize,
    /// The shape that was asked for last.
    shape: String,
}

/// Hashes of shapes, from a seed that no publisher knows. That of the standard library takes longer than all else.
#[derive(Clone, Debug)]
struct Hashing(u64);

impl Default for Hashing {
    fn default() -> Self {
        Self(RandomState::new().hash_one(()))
    }
}

impl BuildHasher for Hashing {
    type Hasher = ShapeHasher;

    fn build_hasher(&self) -> ShapeHasher {
        ShapeHasher(self.0)
    }
}

struct ShapeHasher(u64);

impl Hasher for ShapeHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    /// What ends a text says nothing about one that is hashed alone.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Unremarkable {
    /// Whether nothing was wrong with a value of this shape.
    pub(super) fn has(&mut self, value: &str) -> bool {
        shape_into(value, &mut self.shape);
        self.shapes.contains(self.shape.as_str())
    }

    /// Keeps the shape that was asked for last. When there is no more room, it begins anew with it.
    pub(super) fn keep(&mut self) {
        let size_bytes = self.shape.len() + SHAPE_BYTES;
        if self.size_bytes + size_bytes > SHAPES_BYTES_MAX {
            self.shapes.clear();
            self.size_bytes = 0;
        }
        self.size_bytes += size_bytes;
        self.shapes.insert(self.shape.as_str().into());
    }
}

/// The value with `0` for every run of digits between marks, spaces and ends. Letters and everything outside of ASCII keep the
/// digits beside them: there a digit may stand for a letter, and a word beside one is a code.
fn shape_into(value: &str, shape: &mut String) {
    shape.clear();
    let bytes = value.as_bytes();
    let is_apart = |byte: Option<&u8>| byte.is_none_or(|byte| byte.is_ascii() && !byte.is_ascii_alphanumeric());
    let mut kept = 0;
    let mut begin = digit_from(bytes, 0);
    while begin < bytes.len() {
        let end = begin + bytes[begin..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if is_apart(begin.checked_sub(1).map(|before| &bytes[before])) && is_apart(bytes.get(end)) {
            shape.push_str(&value[kept..begin]);
            shape.push('0');
            kept = end;
        }
        begin = digit_from(bytes, end);
    }
    shape.push_str(&value[kept..]);
}

/// Where the next digit is, or the end.
fn digit_from(bytes: &[u8], from: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut at = from;
    while let Some((eight, _)) = bytes[at..].split_first_chunk() {
        // Of eight bytes a digit, and nothing else, is now less than ten, and borrows if ten is taken from it.
        let numbers = u64::from_le_bytes(*eight) ^ (ONES * u64::from(b'0'));
        if numbers.wrapping_sub(ONES * 10) & !numbers & (ONES << 7) != 0 {
            break;
        }
        at += eight.len();
    }
    at + bytes[at..].iter().take_while(|byte| !byte.is_ascii_digit()).count()
}

#[cfg(test)]
mod tests {
    use super::super::repair::ColumnRepair;
    use super::*;
    use proptest::prelude::*;

    /// Pieces of values, damaged and whole ones, with and without numbers.
    const PIECES: [&str; 27] = [
        "Абай",
        "көшесі",
        "Aбая",
        "К",
        "ШЕСІ",
        "ќала",
        "РђР»",
        "Ã¼",
        "?",
        "????",
        " ",
        ", ",
        "-",
        "/",
        "_",
        "@",
        "\u{a0}",
        "\u{301}",
        "\u{200d}",
        "\u{fffd}",
        "\u{0}",
        "№",
        "IT",
        "0",
        "13",
        "306",
        "050000",
    ];

    /// The value with other numbers where its shape allows any.
    fn renumbered(value: &str, number: u32) -> String {
        let mut shape = String::new();
        shape_into(value, &mut shape);
        let parts: Vec<&str> = shape.split('0').collect();
        let mut renumbered = parts[0].to_owned();
        for (before, after) in parts.iter().zip(&parts[1..]) {
            let is_apart = |letter: Option<char>| letter.is_none_or(|l| l.is_ascii() && !l.is_ascii_alphanumeric());
            let number =
                if is_apart(before.chars().next_back()) && is_apart(after.chars().next()) { number } else { 0 };
            renumbered.extend([number.to_string().as_str(), after]);
        }
        renumbered
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn the_next_digit_is_found_among_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..40), from in 0..40_usize) {
            let from = from.min(bytes.len());
            let next = bytes[from..].iter().position(u8::is_ascii_digit).map_or(bytes.len(), |at| from + at);
            prop_assert_eq!(digit_from(&bytes, from), next);
        }

        #[test]
        fn values_of_one_shape_are_judged_alike(
            pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 1..8),
            number in any::<u32>(),
        ) {
            let value = pieces.concat();
            let other = renumbered(&value, number);
            for evidence in ["Қазақстан, 5", "ќала ўлкен Џала Ќазаќстан", "РђР»РјР°С‚С‹ Р°СѓРґР°РЅС‹"] {
                let repair = ColumnRepair::decide([evidence.to_owned()]);
                let is_remarkable = |value: &str| {
                    let mut verdicts = Vec::new();
                    repair.apply(value, &mut verdicts).is_some() || !verdicts.is_empty()
                };
                prop_assert_eq!(is_remarkable(&value), is_remarkable(&other), "{:?} and {:?}", &value, &other);
            }
        }
    }

    #[test]
    fn numbers_between_marks_do_not_count_and_digits_beside_letters_do() {
        for (value, expected) in [
            ("ул. Абая, д. 13", "ул. Абая, д. 0"),
            ("13/2, 050000 Алматы", "0/0, 0 Алматы"),
            ("3этажа", "3этажа"),
            ("дом 5б", "дом 5б"),
            ("A-12-B7", "A-0-B7"),
            ("№5", "№5"),
            ("", ""),
            ("7", "0"),
        ] {
            let mut shape = String::new();
            shape_into(value, &mut shape);
            assert_eq!(shape, expected, "{value}");
        }
    }

    #[test]
    fn shapes_never_take_more_room_than_they_may() {
        let mut seen = Unremarkable::default();
        let long = "ұ".repeat(SHAPES_BYTES_MAX / 4);
        for letter in ['а', 'б', 'в'] {
            assert!(!seen.has(&format!("{long}{letter}")));
            seen.keep();
            assert!(seen.has(&format!("{long}{letter}")) && seen.size_bytes <= SHAPES_BYTES_MAX);
        }
        assert!(!seen.has(&format!("{long}а")), "the first went");
    }
}
