//! Telephones, addresses of mail and postal codes, by shape. Nothing is rewritten.

/// Whether a text is one telephone or several, parted by comma, semicolon or slash.
///
/// A number of Kazakhstan is +7 or 8, then ten digits that begin with 7; one of another country begins with +.
pub(super) fn is_phone(text: &str) -> bool {
    let mut parts = text.split([',', ';', '/']).map(str::trim).filter(|part| !part.is_empty()).peekable();
    parts.peek().is_some() && parts.all(is_one_phone)
}

fn is_one_phone(text: &str) -> bool {
    let is_mark = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '-' | '–' | '.');
    let has_plus = text.starts_with('+');
    let rest = text.strip_prefix('+').unwrap_or(text);
    if rest.chars().any(|c| !c.is_ascii_digit() && !is_mark(c)) {
        return false;
    }
    let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
    match (has_plus, digits.len(), digits.as_bytes()) {
        (true, 11, [b'7', area, ..]) => *area != b'0',
        (true, 8..=15, [first, ..]) => *first != b'0' && *first != b'7',
        (false, 11, [b'7' | b'8', area, ..]) => matches!(area, b'6' | b'7'),
        (false, 10, [b'7', ..]) => true,
        _ => false,
    }
}

/// Whether a text is `name@domain.tld`, or several, parted by comma, semicolon or space.
pub(super) fn is_email(text: &str) -> bool {
    let mut parts = text.split([',', ';', ' ']).map(str::trim).filter(|part| !part.is_empty()).peekable();
    parts.peek().is_some() && parts.all(is_one_email)
}

fn is_one_email(text: &str) -> bool {
    const EMAIL_BYTES_MAX: usize = 254;
    let Some((name, domain)) = text.rsplit_once('@') else { return false };
    let is_name = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let is_label = |label: &str| {
        let is_edge = |c: char| c == '-';
        !label.is_empty()
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            && !label.starts_with(is_edge)
            && !label.ends_with(is_edge)
    };
    text.len() <= EMAIL_BYTES_MAX
        && !name.is_empty()
        && name.chars().all(is_name)
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && domain.contains('.')
        && domain.split('.').all(is_label)
        && domain
            .rsplit('.')
            .next()
            .is_some_and(|tld| tld.chars().count() >= 2 && !tld.contains(|c: char| c.is_ascii_digit()))
}

/// Whether a text is a postal code: six digits, or the newer form such as `A10A1B2`.
pub(super) fn is_postal(text: &str) -> bool {
    (text.len() == 6 && text.bytes().all(|b| b.is_ascii_digit())) || is_new_postal(text)
}

/// Letter, two digits, letter, digit, letter, digit.
pub(super) fn is_new_postal(text: &str) -> bool {
    let bytes = text.as_bytes();
    let fits = |(b, kind): (&u8, u8)| if kind == b'A' { b.is_ascii_uppercase() } else { b.is_ascii_digit() };
    bytes.len() == 7 && bytes.iter().zip(*b"A00A0A0").all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_have_shapes() {
        for text in [
            "+7 701 222 33 44",
            "8 (7172) 74-00-00",
            "87012223344",
            "77012223344",
            "7012223344",
            "+1 212 555 0100",
            "8-7172-74-00-00, +7 (701) 2223344",
        ] {
            assert!(is_phone(text), "{text}");
        }
        for text in ["", "74-00-00", "112", "890402315842", "8 495 123 45 67", "+7 701 222 33", "тел. 87012223344", ","]
        {
            assert!(!is_phone(text), "{text}");
        }
        for text in ["a.b@mail.kz", "info@almaty.gov.kz; x@y.kz", "пошта@мысал.қаз"] {
            assert!(is_email(text), "{text}");
        }
        for text in ["", "a@b", "@mail.kz", "a@@mail.kz", ".a@mail.kz", "a@mail..kz", "a@-x.kz", "a@1.2", "mail.kz"] {
            assert!(!is_email(text), "{text}");
        }
        assert!(is_postal("050000") && is_postal("A10A1B2") && is_new_postal("Z05T3D6"));
        for text in ["05000", "0500000", "a10a1b2", "A1AA1B2", "А10А1В2", ""] {
            assert!(!is_postal(text), "{text}");
        }
    }
}
