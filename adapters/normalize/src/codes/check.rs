//! The forms of codes, and the check digit of IIN and BIN.

use jiff::civil::Date;

/// Whether a text is ASCII digits, at least one.
pub(super) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Whether a text has the length of an IIN or BIN.
pub(super) fn is_twelve_digits(text: &str) -> bool {
    text.len() == 12 && is_digits(text)
}

/// The check digit of the first eleven digits; `None` if both passes give 10: such a number is never issued.
fn check_digit(digits: &[u8]) -> Option<u32> {
    const WEIGHTS: [[u32; 11]; 2] = [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], [3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2]];
    let sum = |weights: &[u32; 11]| {
        let products = digits.iter().zip(weights).map(|(digit, weight)| u32::from(digit - b'0') * weight);
        products.sum::<u32>() % 11
    };
    WEIGHTS.iter().map(sum).find(|sum| *sum < 10)
}

/// Whether twelve digits end with their check digit.
pub(super) fn has_check_digit(text: &str) -> bool {
    let (head, last) = text.as_bytes().split_at(11);
    check_digit(head) == Some(u32::from(last[0] - b'0'))
}

/// Whether the fifth of twelve digits is one of an IIN, where the day of birth begins.
pub(super) fn is_iin(text: &str) -> bool {
    matches!(text.as_bytes()[4], b'0'..=b'3')
}

/// Whether the fifth of twelve digits is one of a BIN: resident, non-resident, joint entrepreneur.
pub(super) fn is_bin(text: &str) -> bool {
    matches!(text.as_bytes()[4], b'4'..=b'6')
}

/// The birthday that an IIN was made from and whether it is a man's; `None` if its digits are none.
pub(super) fn birth(iin: &str) -> Option<(Date, bool)> {
    let digit = |at: usize| iin.as_bytes().get(at).map(|b| i16::from(b - b'0'));
    let two = |at: usize| Some(digit(at)? * 10 + digit(at + 1)?);
    let century = digit(6).filter(|century| (1..=6).contains(century))?;
    let year = 1800 + (century - 1) / 2 * 100 + two(0)?;
    let date = Date::new(year, two(2)? as i8, two(4)? as i8).ok()?;
    Some((date, century % 2 == 1))
}

/// Oblast, district, quarter and parcel in digits, joined by one of `-`, `:` and `/`.
pub(super) fn is_cadastral(text: &str) -> bool {
    let Some(separator) = text.chars().find(|c| !c.is_ascii_digit()).filter(|c| matches!(c, '-' | ':' | '/')) else {
        return false;
    };
    let parts: Vec<&str> = text.split(separator).collect();
    let [oblast, district, quarter, parcel, rest @ ..] = parts.as_slice() else { return false };
    let is_rest = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'/');
    oblast.len() == 2
        && district.len() == 3
        && quarter.len() == 3
        && [oblast, district, quarter].into_iter().all(|part| is_digits(part))
        && parcel.starts_with(|c: char| c.is_ascii_digit())
        && is_rest(parcel)
        && rest.len() <= 3
        && rest.iter().all(is_rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    /// Twelve digits with the right end, if there is one.
    fn completed(head: &str) -> Option<String> {
        check_digit(head.as_bytes()).map(|digit| format!("{head}{digit}"))
    }

    #[test]
    fn the_check_digit_takes_the_second_weights_only_after_ten() {
        // Sums of the first weights: 1·1 + 0… = 1; 10 for a 1 in the tenth place, then 1·1 by the second weights.
        assert_eq!(completed("10000000000").as_deref(), Some("100000000001"));
        assert_eq!(completed("00000000010").as_deref(), Some("000000000101"));
        assert!(has_check_digit("000000000101") && !has_check_digit("000000000100"));
        // A prefix for which both give ten is never issued: no last digit is right, zero neither.
        assert_eq!(completed("89040231584"), None);
        assert!((0..10).all(|last| !has_check_digit(&format!("89040231584{last}"))));
    }

    #[test]
    fn one_in_ten_numbers_passes_and_one_in_eleven_needs_the_second_weights() {
        let heads = (0..110_000_u64).map(|i| format!("{:011}", i.wrapping_mul(48_271_000_003) % 100_000_000_000));
        let (mut unusable, mut second) = (0_u32, 0_u32);
        for head in heads {
            let first: u32 = head.bytes().zip(1..).map(|(b, weight)| u32::from(b - b'0') * weight).sum();
            second += u32::from(first % 11 == 10);
            unusable += u32::from(completed(&head).is_none());
        }
        assert!((9_500..10_500).contains(&second) && (700..1_150).contains(&unusable), "{second} {unusable}");
    }

    #[test]
    fn the_digits_of_an_iin_are_a_birthday_or_not() {
        assert_eq!(birth("890402350000"), Some((date(1989, 4, 2), true)));
        assert_eq!(birth("010229650000"), None);

        assert_eq!(birth("040229500000"), Some((date(2004, 2, 29), true)));
        assert_eq!(birth("040229000000"), None);
    }

    #[test]
    fn cadastral_numbers_have_four_parts() {
        for text in ["20-315-027-123", "03:046:158:1", "21-318-035-045/1", "20-315-027-123-1-2"] {
            assert!(is_cadastral(text), "{text}");
        }
        for text in
            ["", "20-315-027", "2024-01-01", "20:315-027-1", "20-31-027-1", "20-315-027-", "8-701-222-33-44", "a"]
        {
            assert!(!is_cadastral(text), "{text}");
        }
    }
}
