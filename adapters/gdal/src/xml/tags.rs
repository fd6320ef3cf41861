//! The tags of an XML text, without building anything: enough to see what a reader leaves out.

use memchr::memchr;
use memchr::memmem;

/// A tag as it stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag<'a> {
    /// The element's name without its prefix.
    pub(crate) name: &'a str,
    /// What stands after the name: attributes as written.
    pub(crate) attributes: &'a str,
    pub(crate) is_start: bool,
    /// Whether it also ends the element.
    pub(crate) is_end: bool,
}

/// The tags of a text in order; comments, instructions and sections of characters are passed over.
pub(crate) struct Tags<'a> {
    rest: &'a str,
}

impl<'a> Tags<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        Self { rest: text }
    }
}

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        loop {
            let at = memchr(b'<', self.rest.as_bytes())?;
            self.rest = &self.rest[at..];
            let passed = [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")];
            if let Some((_, end)) = passed.iter().find(|(begin, _)| self.rest.starts_with(begin)) {
                let at = memmem::find(self.rest.as_bytes(), end.as_bytes())?;
                self.rest = &self.rest[at + end.len()..];
                continue;
            }
            let end = tag_end(self.rest.as_bytes())?;
            let inside = &self.rest[1..end];
            self.rest = &self.rest[end + 1..];
            return Some(tag(inside));
        }
    }
}

/// Where the tag that begins here ends; its attributes may have an angle bracket in quotes.
fn tag_end(bytes: &[u8]) -> Option<usize> {
    let mut quote = None;
    bytes.iter().position(|byte| match (quote, byte) {
        (None, b'>') => true,
        (None, b'"' | b'\'') => {
            quote = Some(*byte);
            false
        }
        (Some(open), byte) if open == *byte => {
            quote = None;
            false
        }
        _ => false,
    })
}

fn tag(inside: &str) -> Tag<'_> {
    let is_start = !inside.starts_with('/');
    let is_end = !is_start || inside.ends_with('/');
    let inside = inside.trim_start_matches('/').trim_end_matches('/');
    let (name, attributes) = inside.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((inside, ""));
    let name = name.rsplit(':').next().unwrap_or(name);
    Tag { name, attributes, is_start, is_end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_and_what_only_looks_like_one_is_not() {
        let text = r#"<?xml?><!-- <a> --><k:b x="1>2"><![CDATA[<c>]]><d/></k:b>"#;
        let tags: Vec<_> = Tags::of(text).map(|tag| (tag.name, tag.attributes, tag.is_start, tag.is_end)).collect();
        assert_eq!(tags, [("b", "x=\"1>2\"", true, false), ("d", "", true, true), ("b", "", false, true)]);
    }
}
