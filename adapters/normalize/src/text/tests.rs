//! Tests of the text rule.

use super::*;

#[test]
fn a_file_is_decoded_by_the_first_rule_that_answers() {
    let check = |bytes: &[u8], declared: Option<&str>, text: &str, encoding: &str, how: How| {
        let decoded = decode(bytes, declared).expect("decodes");
        assert_eq!((decoded.text.as_ref(), decoded.encoding.as_str(), decoded.how), (text, encoding, how));
    };
    check("Имя;1\n".as_bytes(), None, "Имя;1\n", "UTF-8", How::ValidUtf8);
    check(b"\xef\xbb\xbfa", None, "a", "UTF-8", How::ByteOrderMark);
    check(b"\xff\xfea\0", None, "a", "UTF-16LE", How::ByteOrderMark);
    check(b"\xc0\xeb\xec\xe0\xf2\xfb", Some("1251"), "Алматы", "windows-1251", How::Declared);
    check(
        b"\xc0\xeb\xec\xe0\xf2\xe8\xed\xf1\xea\xe0\xff;\xee\xe1\xeb\xe0\xf1\xf2\xfc",
        None,
        "Алматинская;область",
        "windows-1251",
        How::Detected,
    );
}

#[test]
fn a_wrong_declaration_is_an_error_with_its_place() {
    let error = decode(b"a;b\nc;\xc0\xeb\n", Some("UTF-8")).expect_err("not UTF-8");
    assert_eq!(error.kind(), ukimet_model::ErrorKind::InvalidData);
    assert!(error.message().contains("offset 6, line 2"), "{error}");
    assert!(
        decode(b"\xef\xbb\xbfa", Some("windows-1251"))
            .expect_err("contradiction")
            .message()
            .contains("byte order mark")
    );
    assert_eq!(decode(b"a", Some("klingon")).expect_err("unknown").kind(), ukimet_model::ErrorKind::InvalidRequest);
}
