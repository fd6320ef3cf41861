//! Encodings by label: those of the WHATWG standard, and the tables it lacks.

use encoding_rs as web;
use std::borrow::Cow;
use std::sync::OnceLock;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// One character encoding, known by its IANA name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Web(&'static web::Encoding),
    Table(&'static Table),
}

/// A single-byte encoding whose lower half is ASCII.
#[derive(Debug, PartialEq, Eq)]
struct Table {
    name: &'static str,
    /// Labels in lower case without punctuation.
    labels: &'static [&'static str],
    /// The 128 characters of the upper half; U+FFFD where there is none.
    upper: &'static str,
    /// The same, for access by number.
    letters: OnceLock<Box<[char]>>,
}

/// Where bytes stop being text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecodable {
    /// Byte offset of the first byte that does not fit.
    pub offset: usize,
}

impl Encoding {
    /// UTF-8.
    pub const UTF_8: Self = Self(Kind::Web(web::UTF_8));
    pub(super) const WINDOWS_1251: Self = Self(Kind::Web(web::WINDOWS_1251));
    pub(super) const KZ_1048: Self = Self(Kind::Table(&TABLES[0]));
    pub(super) const IBM866: Self = Self(Kind::Web(web::IBM866));
    pub(super) const KOI8_R: Self = Self(Kind::Web(web::KOI8_R));
    pub(super) const KOI8_U: Self = Self(Kind::Web(web::KOI8_U));
    pub(super) const ISO_8859_5: Self = Self(Kind::Web(web::ISO_8859_5));
    pub(super) const MAC_CYRILLIC: Self = Self(Kind::Web(web::X_MAC_CYRILLIC));
    pub(super) const WINDOWS_1252: Self = Self(Kind::Web(web::WINDOWS_1252));
    pub(super) const UTF_16LE: Self = Self(Kind::Web(web::UTF_16LE));
    pub(super) const UTF_16BE: Self = Self(Kind::Web(web::UTF_16BE));
    pub(super) const PTCP154: Self = Self(Kind::Table(&TABLES[1]));
    pub(super) const IBM855: Self = Self(Kind::Table(&TABLES[5]));

    pub(super) const fn from_web(encoding: &'static web::Encoding) -> Self {
        Self(Kind::Web(encoding))
    }

    /// The IANA name, e.g. `windows-1251`.
    pub fn name(&self) -> &'static str {
        match self.0 {
            Kind::Web(encoding) => encoding.name(),
            Kind::Table(table) => table.name,
        }
    }

    /// Decodes bytes without ever replacing one; borrows where the bytes already are UTF-8.
    ///
    /// No byte order mark is looked for.
    ///
    /// # Errors
    ///
    /// The offset of the first byte that the encoding does not define. The control characters that the WHATWG
    /// standard puts into the holes of the Windows code pages count as undefined.
    pub fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Cow<'a, str>, Undecodable> {
        match self.0 {
            Kind::Web(encoding) if encoding == web::UTF_8 => std::str::from_utf8(bytes)
                .map(Cow::Borrowed)
                .map_err(|error| Undecodable { offset: error.valid_up_to() }),
            _ if bytes.is_ascii() && self.is_ascii_superset() => {
                Ok(Cow::Borrowed(std::str::from_utf8(bytes).expect("ASCII is UTF-8")))
            }
            Kind::Web(encoding) => decode_web(encoding, bytes),
            Kind::Table(table) => decode_table(table, bytes),
        }
    }

    /// The letters before a last one that is cut; `None` if what is wrong is anything else.
    pub(super) fn whole_letters(self, bytes: &[u8]) -> Option<String> {
        let end = match self.0 {
            Kind::Web(encoding) if encoding == web::UTF_8 => {
                let error = std::str::from_utf8(bytes).err().filter(|error| error.error_len().is_none())?;
                error.valid_up_to()
            }
            _ if self.is_single_byte() => return None,
            _ => bytes.len().checked_sub(1).filter(|last| !bytes[*last].is_ascii())?,
        };
        self.decode(&bytes[..end]).ok().map(Cow::into_owned)
    }

    /// Whether every byte is one character.
    pub(super) fn is_single_byte(self) -> bool {
        match self.0 {
            Kind::Web(encoding) => encoding.is_single_byte(),
            Kind::Table(_) => true,
        }
    }

    /// The characters of the upper half of a single-byte encoding with their bytes, sorted by character.
    pub(super) fn upper_letters(self) -> Vec<(char, u8)> {
        let letter = |byte: u8| Some((self.decode(&[byte]).ok()?.chars().next()?, byte));
        let mut letters: Vec<(char, u8)> = (128..=255).filter_map(letter).collect();
        letters.sort_unstable();
        letters
    }

    /// Whether ASCII bytes mean ASCII.
    fn is_ascii_superset(self) -> bool {
        match self.0 {
            Kind::Web(encoding) => encoding.is_ascii_compatible(),
            Kind::Table(_) => true,
        }
    }
}

fn decode_web<'a>(encoding: &'static web::Encoding, bytes: &'a [u8]) -> Result<Cow<'a, str>, Undecodable> {
    let has_holes = encoding.name().starts_with("windows-12");
    match encoding.decode_without_bom_handling_and_without_replacement(bytes) {
        Some(text) if !has_holes || !text.contains(is_upper_control) => Ok(text),
        Some(text) => {
            // Single-byte: characters and bytes go in step.
            let offset = text.chars().position(is_upper_control).expect("one was seen");
            Err(Undecodable { offset })
        }
        None => Err(Undecodable { offset: first_malformed(encoding, bytes) }),
    }
}

fn is_upper_control(letter: char) -> bool {
    ('\u{80}'..='\u{9f}').contains(&letter)
}

fn first_malformed(encoding: &'static web::Encoding, bytes: &[u8]) -> usize {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut text = String::with_capacity(decoder.max_utf8_buffer_length_without_replacement(bytes.len()).unwrap_or(0));
    match decoder.decode_to_string_without_replacement(bytes, &mut text, true) {
        (web::DecoderResult::Malformed(length, after), read) => read - usize::from(length) - usize::from(after),
        (_, read) => read,
    }
}

fn decode_table<'a>(table: &'static Table, bytes: &'a [u8]) -> Result<Cow<'a, str>, Undecodable> {
    let upper = table.letters.get_or_init(|| table.upper.chars().collect());
    let mut text = String::with_capacity(bytes.len() * 2);
    for (offset, byte) in bytes.iter().enumerate() {
        let letter = if byte.is_ascii() { char::from(*byte) } else { upper[usize::from(*byte) - 128] };
        if letter == char::REPLACEMENT_CHARACTER {
            return Err(Undecodable { offset });
        }
        text.push(letter);
    }
    Ok(Cow::Owned(text))
}

/// Finds an encoding by any of its labels, code page numbers included.
///
/// Case, spaces and punctuation do not matter: `windows-1251`, `CP1251`, `ANSI 1251`, `1251`, `WindowsCyrillic`.
///
/// # Errors
///
/// `InvalidRequest` naming a label that is not known.
pub fn encoding_for(label: &str) -> Result<Encoding> {
    find(label).ok_or_else(|| {
        Error::invalid_request(format!(
            "an encoding is a label such as UTF-8, windows-1251, KZ-1048, IBM866, KOI8-R or a code page number, found {}",
            quoted(label)
        ))
    })
}

fn find(label: &str) -> Option<Encoding> {
    let plain: String = label.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let by_web = |label: &str| web::Encoding::for_label_no_replacement(label.as_bytes()).map(Encoding::from_web);
    if let Some(table) = TABLES.iter().find(|table| table.labels.contains(&plain.as_str())) {
        return Some(Encoding(Kind::Table(table)));
    }
    if let Some((_, standard)) = NAMES.iter().find(|(other, _)| *other == plain) {
        return by_web(standard);
    }
    by_web(label.trim()).or_else(|| by_number(&plain, by_web))
}

/// Code page numbers as DBF, MapInfo and Windows write them, with or without a word before.
fn by_number(plain: &str, by_web: impl Fn(&str) -> Option<Encoding>) -> Option<Encoding> {
    let digits = plain.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let word = &plain[..plain.len() - digits.len()];
    if !["", "cp", "ansi", "oem", "windows", "win", "ms", "ibm", "dos", "codepage", "xcp", "iso"].contains(&word) {
        return None;
    }
    let number: u32 = digits.parse().ok()?;
    let label = match number {
        874 | 1250..=1258 => format!("windows-{number}"),
        866 => "ibm866".to_owned(),
        932 => "shift_jis".to_owned(),
        936 => "gbk".to_owned(),
        949 | 51949 => "euc-kr".to_owned(),
        950 => "big5".to_owned(),
        10007 => "x-mac-cyrillic".to_owned(),
        10000 => "macintosh".to_owned(),
        20866 => "koi8-r".to_owned(),
        21866 => "koi8-u".to_owned(),
        54936 => "gb18030".to_owned(),
        65001 => "utf-8".to_owned(),
        1200 => "utf-16le".to_owned(),
        1201 => "utf-16be".to_owned(),
        28591..=28606 => format!("iso-8859-{}", number - 28590),
        88591..=88599 => format!("iso-8859-{}", number - 88590),
        885_910..=885_916 => format!("iso-8859-{}", number - 885_900),
        _ => return None,
    };
    by_web(&label)
}

/// Names without a number, in lower case without punctuation, that the WHATWG standard does not list.
const NAMES: [(&str, &str); 16] = [
    ("utf8bom", "utf-8"),
    ("utf8sig", "utf-8"),
    ("windowscyrillic", "windows-1251"),
    ("windowslatin1", "windows-1252"),
    ("windowslatin2", "windows-1250"),
    ("windowsturkish", "windows-1254"),
    ("windowsgreek", "windows-1253"),
    ("windowsarabic", "windows-1256"),
    ("windowshebrew", "windows-1255"),
    ("windowsbalticrim", "windows-1257"),
    ("windowsjapanese", "shift_jis"),
    ("windowskorean", "euc-kr"),
    ("windowssimpchinese", "gbk"),
    ("windowstradchinese", "big5"),
    ("uhc", "euc-kr"),
    ("maccyrillic", "x-mac-cyrillic"),
];

/// Encodings of old Kazakh and DOS files that the WHATWG standard lacks.
static TABLES: [Table; 6] = [
    Table {
        name: "KZ-1048",
        labels: &["kz1048", "strk10482002", "strk1048", "rk1048", "cskz1048", "kaz1048", "1048", "cp1048"],
        upper: KZ_1048,
        letters: OnceLock::new(),
    },
    Table {
        name: "PTCP154",
        labels: &["ptcp154", "csptcp154", "pt154", "cp154", "cyrillicasian", "154"],
        upper: PTCP154,
        letters: OnceLock::new(),
    },
    Table {
        name: "IBM437",
        labels: &["ibm437", "cp437", "437", "cspc8codepage437", "dos437", "oem437"],
        upper: IBM437,
        letters: OnceLock::new(),
    },
    Table {
        name: "IBM850",
        labels: &["ibm850", "cp850", "850", "dos850", "oem850"],
        upper: IBM850,
        letters: OnceLock::new(),
    },
    Table {
        name: "IBM852",
        labels: &["ibm852", "cp852", "852", "dos852", "oem852"],
        upper: IBM852,
        letters: OnceLock::new(),
    },
    Table {
        name: "IBM855",
        labels: &["ibm855", "cp855", "855", "dos855", "oem855"],
        upper: IBM855,
        letters: OnceLock::new(),
    },
];

const KZ_1048: &str = "ЂЃ‚ѓ„…†‡€‰Љ‹ЊҚҺЏђ‘’“”•–—\u{fffd}™љ›њқһџ\u{a0}ҰұӘ¤Ө¦§Ё©Ғ«¬\u{ad}®Ү°±Ііөµ¶·ё№ғ»әҢңү\
    АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯабвгдежзийклмнопрстуфхцчшщъыьэюя";

const PTCP154: &str = "ҖҒӮғ„…ҶҮҲүҠӢҢҚҺҸҗ‘’“”•–—ҳҷҡӣңқһҹ\u{a0}ЎўЈӨҘҰ§Ё©Ә«¬ӯ®Ҝ°ұІіҙө¶·ё№ә»јҪҫҝ\
    АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯабвгдежзийклмнопрстуфхцчшщъыьэюя";

const IBM437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐\
    └┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

const IBM850: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐\
    └┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}";

const IBM852: &str = "ÇüéâäůćçłëŐőîŹÄĆÉĹĺôöĽľŚśÖÜŤťŁ×čáíóúĄąŽžĘę¬źČş«»░▒▓│┤ÁÂĚŞ╣║╗╝Żż┐\
    └┴┬├─┼Ăă╚╔╩╦╠═╬¤đĐĎËďŇÍÎě┘┌█▄ŢŮ▀ÓßÔŃńňŠšŔÚŕŰýÝţ´\u{ad}˝˛ˇ˘§÷¸°¨˙űŘř■\u{a0}";

const IBM855: &str = "ђЂѓЃёЁєЄѕЅіІїЇјЈљЉњЊћЋќЌўЎџЏюЮъЪаАбБцЦдДеЕфФгГ«»░▒▓│┤хХиИ╣║╗╝йЙ┐\
    └┴┬├─┼кК╚╔╩╦╠═╬¤лЛмМнНоОп┘┌█▄Пя▀ЯрРсСтТуУжЖвВьЬ№\u{ad}ыЫзЗшШэЭщЩчЧ§■\u{a0}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_every_custom_are_known() {
        for (label, name) in [
            ("UTF-8", "UTF-8"),
            ("utf8", "UTF-8"),
            ("65001", "UTF-8"),
            ("1251", "windows-1251"),
            ("CP1251", "windows-1251"),
            ("ANSI 1251", "windows-1251"),
            ("WindowsCyrillic", "windows-1251"),
            ("windows-1251", "windows-1251"),
            ("win1251", "windows-1251"),
            ("STRK1048-2002", "KZ-1048"),
            ("RK1048", "KZ-1048"),
            ("kz-1048", "KZ-1048"),
            ("CP866", "IBM866"),
            ("866", "IBM866"),
            ("KOI8-R", "KOI8-R"),
            ("949", "EUC-KR"),
            ("CP949", "EUC-KR"),
            ("936", "GBK"),
            ("ISO 8859-5", "ISO-8859-5"),
            ("88595", "ISO-8859-5"),
            ("OEM 437", "IBM437"),
            ("PTCP154", "PTCP154"),
        ] {
            assert_eq!(encoding_for(label).expect(label).name(), name);
        }
        for unknown in ["", "klingon", "99999", "1251x", "replacement"] {
            let error = encoding_for(unknown).expect_err(unknown);
            assert_eq!(error.kind(), ukimet_model::ErrorKind::InvalidRequest);
            assert!(error.message().contains(&quoted(unknown)), "{error}");
        }
    }

    #[test]
    fn kz_1048_differs_from_windows_1251_in_sixteen_letters() {
        let letters = |encoding: Encoding| {
            (128_u8..=255).map(move |b| encoding.decode(&[b]).map(Cow::into_owned).unwrap_or_default())
        };
        let changed: String = letters(Encoding::KZ_1048)
            .zip(letters(Encoding::WINDOWS_1251))
            .filter_map(|(kz, windows)| (kz != windows).then_some(kz))
            .collect();
        assert_eq!(changed, "ҚҺқһҰұӘӨҒҮөғәҢңү");
        assert_eq!(TABLES.iter().map(|table| table.upper.chars().count()).collect::<Vec<_>>(), [128; 6]);
    }

    #[test]
    fn a_byte_without_meaning_is_named_by_its_offset() {
        for (label, bytes, offset) in [
            ("utf-8", &b"ab\xcc\xce"[..], 2),
            ("windows-1251", b"abc\x98", 3),
            ("KZ-1048", b"\xc0\x98", 1),
            ("euc-kr", b"a\xff\xff", 1),
        ] {
            assert_eq!(encoding_for(label).expect("known").decode(bytes), Err(Undecodable { offset }), "{label}");
        }
        assert_eq!(Encoding::IBM866.decode(b"\x80\xab\xac").expect("valid"), "Алм");
    }
}
