//! Tests of the text rule.

use super::measured::encode;
use super::*;
use proptest::prelude::*;

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
    for (encoding, to_bytes) in [("UTF-16LE", u16::to_le_bytes as fn(u16) -> [u8; 2]), ("UTF-16BE", u16::to_be_bytes)] {
        let text = "код;атауы\r\n1;Әсел, Қарағанды\r\n";
        let bytes: Vec<u8> = text.encode_utf16().flat_map(to_bytes).collect();
        check(&bytes, None, text, encoding, How::Detected);
    }
    check(b"a\xed\xa0\xbd\xed\xb8\x80", None, "a😀", "UTF-8", How::ValidUtf8);
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

#[test]
fn utf_8_that_a_publisher_declares_as_something_else_is_a_question_naming_both() {
    for (text, declared) in [
        ("Қазақстан;Алматы", "windows-1251"),
        ("Алматы", "866"),
        ("München", "windows-1252"),
        ("서울특별시 종로구", "EUC-KR"),
    ] {
        let error = decode(text.as_bytes(), Some(declared)).expect_err(text);
        assert_eq!(error.kind(), ukimet_model::ErrorKind::Undeclared, "{error}");
        let name = encoding_for(declared).expect("known").name();
        assert!(error.message().contains("UTF-8") && error.message().contains(name), "{error}");
    }
    let koi8 = encode(Encoding::KOI8_R, "Алматинская область, город Талдыкорган").expect("Russian");
    let error = decode(&koi8, Some("windows-1251")).expect_err("KOI8-R");
    assert!(error.message().contains("KOI8-R") && error.message().contains("windows-1251"), "{error}");
}

#[test]
fn a_source_that_is_contradicted_is_corrected_with_a_sentence() {
    let declared = |source| Declaration { publisher: None, source: Some(source) };
    let decoded = decode_declared("Алматы".as_bytes(), declared("windows-1251")).expect("UTF-8");
    assert_eq!((decoded.text.as_ref(), decoded.how), ("Алматы", How::Contradicted));
    let kazakh = encode(Encoding::KZ_1048, "Қызылорда облысы, Шығыс Қазақстан").expect("Kazakh");
    let decoded = decode_declared(&kazakh, declared("windows-1251")).expect("KZ-1048");
    assert_eq!((decoded.text.as_ref(), decoded.encoding.as_str()), ("Қызылорда облысы, Шығыс Қазақстан", "KZ-1048"));
    assert!(decoded.contradiction.expect("said").contains("KZ-1048"));
    let decoded = decode_declared(b"\xef\xbb\xbfa", declared("windows-1251")).expect("marked");
    assert_eq!((decoded.encoding.as_str(), decoded.how), ("UTF-8", How::Contradicted));
    let right = encode(Encoding::WINDOWS_1251, "Київська область, Євпаторія").expect("Ukrainian");
    assert_eq!(decode_declared(&right, declared("windows-1251")).expect("right").how, How::Declared);
}

#[test]
fn too_little_text_is_a_question_that_shows_the_readings() {
    let error = decode(b"\xe9", None).expect_err("one letter");
    assert_eq!(error.kind(), ukimet_model::ErrorKind::Undeclared);
    assert!(error.message().contains("windows-1251"), "{error}");
    // `рзд` in IBM866 is one letter of Devanagari in UTF-8.
    let error = decode(b"\xe0\xa7\xa4.5", None).expect_err("two readings");
    assert!(error.message().contains("UTF-8") && error.message().contains("IBM866"), "{error}");
}

fn repaired(values: &[&str]) -> Vec<(String, Vec<&'static str>)> {
    let repair = ColumnRepair::decide(values.iter().map(|value| (*value).to_owned()));
    let apply = |value: &&str| {
        let mut verdicts = Vec::new();
        let taken = repair.apply(value, &mut verdicts).unwrap_or_else(|| (*value).to_owned());
        (taken, verdicts.into_iter().map(|verdict| verdict.rule).collect())
    };
    values.iter().map(apply).collect()
}

#[test]
fn well_known_damage_is_undone() {
    let check = |damaged: &str, expected: &str| {
        assert_eq!(repaired(&[damaged]), [(expected.to_owned(), vec!["text.mojibake"])], "{damaged}");
    };
    check("Ќазаќстан", "Қазақстан");
    check("РљР°Р·Р°С…СЃС‚Р°РЅ", "Казахстан");
    check("ÐšÐ°Ð·Ð°Ñ…Ñ\u{81}Ñ\u{201a}Ð°Ð½", "Казахстан");
    check("Êàçàõñòàí", "Казахстан");
    check("╨Р╨╗╨╝╨░╤В╤Л", "Алматы");
}

#[test]
fn damage_that_a_register_really_has_is_undone() {
    // From the state register of administrative units, among thousands of whole names.
    let values = [
        "Қызылорда облысы",
        "Нўрғазы а.",
        "Кїшік жал  а.",
        "Кјркес а.",
        "с.\"Ќўрылысшы\"",
        "Форт-Шевченко ќ.",
        "Көлбўлағы а.",
        "Сарыбайїлкен а.",
        "Ќабырғатал а.",
        "Алматы қаласы",
    ];
    let all = repaired(&values);
    let (taken, kept): (Vec<String>, Vec<_>) = all.into_iter().unzip();
    // One word is not seen in any other: it is kept, and said.
    assert_eq!(kept[7], ["text.mojibake_suspected"]);
    assert_eq!(
        taken,
        [
            "Қызылорда облысы",
            "Нұрғазы а.",
            "Күшік жал  а.",
            "Кәркес а.",
            "с.\"Құрылысшы\"",
            "Форт-Шевченко қ.",
            "Көлбұлағы а.",
            "Сарыбайїлкен а.",
            "Қабырғатал а.",
            "Алматы қаласы",
        ]
    );
}

#[test]
fn damage_that_lost_bytes_is_said() {
    for damaged in ["ÐšÐ°Ð·Ð°Ñ…ÑÑ Ð°Ð½ Ð", "РљР°Р·Р°С…СЃС‚Р°Р ? Р РњР°Р№"]
    {
        assert_eq!(repaired(&[damaged])[0].1, ["text.mojibake_suspected"], "{damaged}");
    }
}

#[test]
fn one_doubtful_value_is_said_and_kept_and_company_decides_it() {
    assert_eq!(repaired(&["MÃ¼nchen"]), [("MÃ¼nchen".to_owned(), vec!["text.mojibake_suspected"])]);
    let german = repaired(&["MÃ¼nchen", "KÃ¶ln", "DÃ¼sseldorf", "Größe"]);
    let taken: Vec<&str> = german.iter().map(|(taken, _)| taken.as_str()).collect();
    assert_eq!(taken, ["München", "Köln", "Düsseldorf", "Größe"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn repairing_what_was_repaired_changes_nothing(
        values in prop::collection::vec(
            "([КРСТаіқўќЌ°±ЂђљњÐÑÃ©°µÊàçàõA-Ca-c \u{306}\u{1}\u{98}?0]{0,12}|(Р[°-»]|С[Ђ-љ]){1,6}|Қaзaқ|КӨШЕCI)",
            1..8,
        )
    ) {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let once: Vec<String> = repaired(&values).into_iter().map(|(taken, _)| taken).collect();
        let once: Vec<&str> = once.iter().map(String::as_str).collect();
        let twice: Vec<String> = repaired(&once).into_iter().map(|(taken, _)| taken).collect();
        prop_assert_eq!(once, twice);
    }
}
