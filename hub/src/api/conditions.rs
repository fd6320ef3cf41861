//! Conditions and ranges of HTTP requests (RFC 9110): what a client has already, and which bytes it asks for.

use http::{HeaderMap, header};
use std::ops::Range;

/// What a client's conditions say about a representation.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is to be sent.
    Send,
    /// The client has it.
    NotModified,
    /// The client wants another, or none.
    Failed,
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    let values: Vec<_> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// Weighs `If-Match` and `If-None-Match` for a representation with this strong entity tag.
pub(super) fn verdict(headers: &HeaderMap, tag: &str) -> Verdict {
    if text(headers, header::IF_MATCH).is_some_and(|tags| !names_strongly(&tags, tag)) {
        return Verdict::Failed;
    }
    if text(headers, header::IF_NONE_MATCH).is_some_and(|tags| names(&tags, tag)) {
        return Verdict::NotModified;
    }
    Verdict::Send
}

/// The range that is asked for, if it is asked for of the representation with this strong entity tag.
pub(super) fn range_header(headers: &HeaderMap, tag: &str) -> Option<String> {
    // A date says too little: two files may be made in a second.
    let is_same = text(headers, header::IF_RANGE).is_none_or(|known| known == tag);
    text(headers, header::RANGE).filter(|_| is_same)
}

/// Whether a list of tags has one, weak or strong.
pub(super) fn names(tags: &str, tag: &str) -> bool {
    tags.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

fn names_strongly(tags: &str, tag: &str) -> bool {
    tags.split(',').map(str::trim).any(|known| known == "*" || known == tag)
}

/// What a `Range` header means.
#[derive(Debug, PartialEq)]
pub(super) enum Asked {
    /// All, because it is no range of bytes, or several: then the whole is a right answer too.
    All,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes that the file does not have.
    Nothing,
}

/// Reads a `Range` header for a file of this length.
pub(super) fn parse_range(header: &str, size_bytes: u64) -> Asked {
    let Some((first, last)) = header.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Asked::All;
    };
    let (first, last) = (first.trim(), last.trim());
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
    let range = match (is_number(first), is_number(last)) {
        (true, true) if number(first) > number(last) => return Asked::All,
        (true, true) => number(first)..number(last).saturating_add(1).min(size_bytes),
        (true, false) if last.is_empty() => number(first)..size_bytes,
        (false, true) if first.is_empty() => size_bytes.saturating_sub(number(last))..size_bytes,
        _ => return Asked::All,
    };
    if range.start < range.end { Asked::Part(range) } else { Asked::Nothing }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_range_is_one_part_of_the_file() {
        for (header, expected) in [
            ("bytes=0-0", Asked::Part(0..1)),
            ("bytes=10-", Asked::Part(10..100)),
            ("bytes=-10", Asked::Part(90..100)),
            ("bytes=-1000", Asked::Part(0..100)),
            ("bytes=90-1000", Asked::Part(90..100)),
            ("bytes=100-", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=99999999999999999999-", Asked::Nothing),
            ("bytes=5-4", Asked::All),
            ("bytes=0-1,5-6", Asked::All),
            ("bytes=-", Asked::All),
            ("rows=0-1", Asked::All),
        ] {
            assert_eq!(parse_range(header, 100), expected, "{header}");
        }
    }

    #[test]
    fn a_list_of_tags_is_looked_through() {
        assert!(names("\"x\", W/\"a\"", "\"a\"") && names("*", "\"a\""));
        assert!(!names("\"b\"", "\"a\""));
    }

    #[test]
    fn conditions_are_weighed_in_their_order() {
        let weighed = |conditions: &[(header::HeaderName, &'static str)]| {
            let headers = conditions.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            verdict(&headers.collect(), "\"a\"")
        };
        assert_eq!(weighed(&[]), Verdict::Send);
        assert_eq!(weighed(&[(header::IF_MATCH, "\"a\"")]), Verdict::Send);
        assert_eq!(weighed(&[(header::IF_MATCH, "\"b\", \"c\"")]), Verdict::Failed);
        assert_eq!(weighed(&[(header::IF_MATCH, "W/\"a\"")]), Verdict::Failed, "a weak tag is no promise of bytes");
        assert_eq!(weighed(&[(header::IF_NONE_MATCH, "W/\"a\"")]), Verdict::NotModified);
        assert_eq!(weighed(&[(header::IF_NONE_MATCH, "\"b\"")]), Verdict::Send);
        let both = [(header::IF_NONE_MATCH, "\"a\""), (header::IF_MATCH, "\"b\"")];
        assert_eq!(weighed(&both), Verdict::Failed);
    }

    #[test]
    fn a_range_is_one_of_the_file_that_the_client_began() {
        let asked = |known: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_static("bytes=5-"));
            headers.extend(known.map(|known| (header::IF_RANGE, HeaderValue::from_static(known))));
            range_header(&headers, "\"a\"").is_some()
        };
        assert!(asked(None) && asked(Some("\"a\"")));
        assert!(!asked(Some("\"b\"")) && !asked(Some("W/\"a\"")));
        assert!(!asked(Some("Sun, 01 Mar 2026 00:00:00 GMT")));
    }
}
