//! UTF-8 as some databases write it: a character beyond the first plane as two surrogates of three bytes (CESU-8).

/// The bytes as UTF-8; `None` if there are no pairs of surrogates, a surrogate stands alone, or other bytes are no
/// UTF-8.
pub(super) fn without_surrogates(bytes: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    let mut has_pair = false;
    while !rest.is_empty() {
        match std::str::from_utf8(rest) {
            Ok(valid) => {
                text.push_str(valid);
                break;
            }
            Err(error) => {
                let (valid, after) = rest.split_at(error.valid_up_to());
                text.push_str(std::str::from_utf8(valid).ok()?);
                text.push(pair(after)?);
                has_pair = true;
                rest = &after[6..];
            }
        }
    }
    has_pair.then_some(text)
}

/// The character of the pair of surrogates that the bytes begin with.
fn pair(bytes: &[u8]) -> Option<char> {
    let [0xed, high @ 0xa0..=0xaf, high_low, 0xed, low @ 0xb0..=0xbf, low_low, ..] = *bytes else { return None };
    let unit = |first: u8, second: u8| 0xd000 | (u16::from(first & 0x3f) << 6) | u16::from(second & 0x3f);
    char::decode_utf16([unit(high, high_low), unit(low, low_low)]).next()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_become_one_character_and_a_lone_surrogate_none() {
        assert_eq!(without_surrogates(b"a\xed\xa0\xbd\xed\xb8\x80b").as_deref(), Some("a😀b"));
        for none in [&b"plain"[..], b"\xed\xa0\xbd", b"\xed\xa0\xbdab", b"\xc0\xeb", "Алматы".as_bytes()] {
            assert_eq!(without_surrogates(none), None, "{none:?}");
        }
    }
}
