//! The prolog of an XML file: what it declares, and no DTD.
//!
//! Entities can read files, reach the network and blow up; they need a DTD, and a DTD can only stand before the first
//! element. So a file with anything like it is refused before any parser sees it.

mod nesting;
mod tags;

use crate::head::Head;
use crate::source::{Context, Staged};
use crate::transcode::{Transcoded, replace};
use std::fs;
use std::path::Path;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};
use ukimet_normalize::text;

use nesting::check_nesting;
pub(crate) use nesting::{Nesting, check_depth};
pub(crate) use tags::{Tag, Tags};

/// What stands before the content of an XML file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prolog {
    /// The encoding of the XML declaration.
    pub(crate) encoding: Option<String>,
    /// The first element's name without its prefix; empty if there is none.
    pub(crate) root: String,
    /// The first element's tag, attributes included.
    pub(crate) tag: String,
    /// Whether there is a document type declaration or anything else that begins with `<!`.
    pub(crate) has_dtd: bool,
    /// Where the content after the XML declaration begins, in bytes.
    content_at: usize,
}

/// Reads the prolog of a text; `None` if it is no XML.
pub(crate) fn prolog(text: &str) -> Option<Prolog> {
    let mut prolog = Prolog::default();
    let mut rest = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if !rest.starts_with('<') {
        return None;
    }
    loop {
        rest = rest.trim_start();
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.split_once("-->")?.1;
        } else if rest.starts_with("<!") {
            prolog.has_dtd = true;
            return Some(prolog);
        } else if let Some(instruction) = rest.strip_prefix("<?") {
            let (inside, after) = instruction.split_once("?>")?;
            if inside.starts_with("xml ") {
                prolog.encoding = attribute(inside, "encoding");
                prolog.content_at = text.len() - after.len();
            }
            rest = after;
        } else {
            let tag = rest.strip_prefix('<')?;
            let tag = tag.split_once('>').map_or(tag, |(tag, _)| tag);
            let name = tag.split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default();
            name.rsplit(':').next().unwrap_or(name).clone_into(&mut prolog.root);
            tag.clone_into(&mut prolog.tag);
            return Some(prolog);
        }
    }
}

/// The value of an attribute, whatever its prefix, by the first place where its name stands.
pub(crate) fn attribute(inside: &str, name: &str) -> Option<String> {
    let is_own = |at: usize| inside[..at].chars().next_back().is_none_or(|c| c == ':' || c.is_whitespace());
    inside.match_indices(name).filter(|(at, _)| is_own(*at)).find_map(|(at, _)| {
        let after = inside[at + name.len()..].trim_start().strip_prefix('=')?.trim_start();
        let quote = after.chars().next().filter(|c| *c == '"' || *c == '\'')?;
        Some(after[1..].split_once(quote)?.0.to_owned())
    })
}

/// Refuses a DTD.
///
/// # Errors
///
/// `InvalidData` if there is one.
pub(crate) fn check_no_dtd(text: &str) -> Result<()> {
    match prolog(text) {
        Some(prolog) if prolog.has_dtd => Err(Error::invalid_data(
            "an XML file here has no DTD (DOCTYPE, ENTITY), because a DTD can reach other files: found one",
        )),
        _ => Ok(()),
    }
}

/// Refuses a DTD in the beginning of a file, and a prolog that goes on behind it: a DTD could follow there.
///
/// # Errors
///
/// `InvalidData` for either.
pub(crate) fn check_no_dtd_in_head(head: &Head) -> Result<()> {
    let text = head.text();
    check_no_dtd(&text)?;
    let is_whole = head.bytes.len() as u64 == head.size_bytes;
    if is_whole || prolog(&text).is_some_and(|prolog| !prolog.root.is_empty()) {
        return Ok(());
    }
    Err(Error::invalid_data(format!(
        "an XML file here has its first element within {} bytes, so that a DTD cannot hide, found none there",
        head.bytes.len()
    )))
}

/// The text of a file that is read as a whole, and the encoding it came in if it was not UTF-8; the file is UTF-8 then.
///
/// # Errors
///
/// As [`ensure_utf8`]; `LimitReached` if elements lie too deep.
pub(crate) fn read_text(staged: &Staged, context: Context<'_>) -> Result<(String, Option<Transcoded>)> {
    let transcoded = ensure_utf8(&staged.main, context.options.encoding.as_deref())?;
    check_nesting(&staged.main, context.limits.nesting_max)?;
    let text = fs::read_to_string(&staged.main)
        .map_err(|error| Error::unavailable("the asset could not be read").caused_by(error))?;
    Ok((text, transcoded))
}

/// Makes sure that a file is UTF-8 and says so: another encoding is decoded into a copy at the same path.
///
/// Gives the encoding it came in, if it was not UTF-8.
///
/// # Errors
///
/// `InvalidData` if the bytes are not what the declaration says; `InvalidData` for a DTD.
pub(crate) fn ensure_utf8(path: &Path, declared: Option<&str>) -> Result<Option<Transcoded>> {
    let bytes = fs::read(path).map_err(|e| Error::unavailable("the asset could not be read").caused_by(e))?;
    let head = prolog(&String::from_utf8_lossy(&bytes[..bytes.len().min(4_096)])).unwrap_or_default();
    let is_utf8 = |label: &str| label.eq_ignore_ascii_case("utf-8") || label.eq_ignore_ascii_case("us-ascii");
    let in_file = head.encoding.as_deref();
    if declared.is_none_or(is_utf8)
        && in_file.is_none_or(is_utf8)
        && let Ok(text) = std::str::from_utf8(&bytes)
    {
        check_no_dtd(text)?;
        return Ok(None);
    }
    let has_mark = matches!(bytes.as_slice(), [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
    let unmarked = match bytes.as_slice() {
        [b'<', 0, ..] => Some("utf-16le"),
        [0, b'<', ..] => Some("utf-16be"),
        _ => None,
    };
    let source = unmarked.or(in_file.filter(|_| !has_mark));
    let label = declared.or(source);
    let decoded = text::decode_declared(&bytes, text::Declaration { publisher: declared, source })
        .map_err(|error| error.context(format!("XML that declares {}", quoted(label.unwrap_or("nothing")))))?;
    check_no_dtd(&decoded.text)?;
    let content_at = prolog(&decoded.text).map_or(0, |prolog| prolog.content_at);
    let copy = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{}", &decoded.text[content_at..]);
    let encoding = decoded.encoding.clone();
    let is_detected = decoded.how == text::How::Detected;
    let contradiction = decoded.contradiction.clone();
    replace(path, copy.as_bytes())?;
    Ok(Some(Transcoded { encoding, is_detected, contradiction }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prolog_tells_encoding_and_root() {
        let text = "\u{feff}<?xml version='1.0' encoding='windows-1251'?>\n<!-- <!DOCTYPE x> --><?style?> <gml:FeatureCollection xmlns=\"u\">";
        let prolog = prolog(text).expect("XML");
        assert_eq!(prolog.encoding.as_deref(), Some("windows-1251"));
        assert_eq!((prolog.root.as_str(), prolog.has_dtd), ("FeatureCollection", false));
        assert!(prolog.tag.contains("xmlns"));
        assert!(super::prolog("id;name").is_none());
    }

    #[test]
    fn a_dtd_is_refused_and_text_that_mentions_one_is_not() {
        for refused in ["<!DOCTYPE kml SYSTEM 'x'><kml/>", "<?xml version='1.0'?> <!ENTITY a 'b'><kml/>"] {
            let error = check_no_dtd(refused).expect_err("a DTD");
            assert!(error.to_string().contains("DTD"), "{error}");
        }
        check_no_dtd("<kml><description><![CDATA[<!DOCTYPE html>]]></description></kml>").expect("only text");
    }
}
