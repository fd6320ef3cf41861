//! JSON text walked in place: values as slices, nothing kept and nothing nested on the stack.

use memchr::memchr2;

/// Why a walk stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The text ends inside a value.
    Incomplete,
    /// Something else stands where this was expected, at this byte.
    Expected(&'static str, usize),
}

/// A place in a JSON text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were passed.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The next byte that is no white space, not taken.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// Takes this byte.
    pub(super) fn take(&mut self, byte: u8, name: &'static str) -> Result<(), Broken> {
        match self.peek() {
            Some(found) if found == byte => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(Broken::Expected(name, self.at)),
            None => Err(Broken::Incomplete),
        }
    }

    /// Takes a text with its quotes.
    fn key(&mut self) -> Result<&'a [u8], Broken> {
        match self.peek() {
            Some(b'"') => self.value(),
            Some(_) => Err(Broken::Expected("a name in quotes", self.at)),
            None => Err(Broken::Incomplete),
        }
    }

    /// Takes the next value, brackets or quotes included.
    pub(super) fn value(&mut self) -> Result<&'a [u8], Broken> {
        let first = self.peek().ok_or(Broken::Incomplete)?;
        let start = self.at;
        let end = match first {
            b'"' => text_end(self.bytes, start)?,
            b'{' | b'[' => container_end(self.bytes, start)?,
            _ => {
                let is_end =
                    |byte: &u8| matches!(byte, b',' | b']' | b'}' | b':' | b' ' | b'\t' | b'\r' | b'\n' | 0x1e);
                let length = self.bytes[start..].iter().position(is_end).ok_or(Broken::Incomplete)?;
                if length == 0 {
                    return Err(Broken::Expected("a value", start));
                }
                start + length
            }
        };
        self.at = end;
        Ok(&self.bytes[start..end])
    }

    /// Goes on to the next item of a list or object: `false` at its end, which is taken.
    pub(super) fn next_item(&mut self, close: u8, is_first: bool) -> Result<bool, Broken> {
        match self.peek().ok_or(Broken::Incomplete)? {
            found if found == close => {
                self.at += 1;
                Ok(false)
            }
            _ if is_first => Ok(true),
            b',' => {
                self.at += 1;
                match self.peek().ok_or(Broken::Incomplete)? {
                    found if found == close => Err(Broken::Expected("a value after the comma", self.at)),
                    _ => Ok(true),
                }
            }
            _ => Err(Broken::Expected("a comma or a closing bracket", self.at)),
        }
    }

    /// Takes a member's name, with its quotes, and the colon.
    pub(super) fn member_name(&mut self) -> Result<&'a [u8], Broken> {
        let key = self.key()?;
        self.take(b':', "a colon")?;
        Ok(key)
    }
}

/// Where the text that begins here ends, after its quote.
fn text_end(bytes: &[u8], start: usize) -> Result<usize, Broken> {
    let mut at = start + 1;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()).ok_or(Broken::Incomplete)?;
        if bytes[at] == b'"' {
            return Ok(at + 1);
        }
        at += 2;
    }
}

/// Where the list or object that begins here ends, after its bracket.
fn container_end(bytes: &[u8], start: usize) -> Result<usize, Broken> {
    let mut depth = 0_usize;
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = text_end(bytes, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Ok(at + 1);
                }
            }
            _ => (),
        }
        at += 1;
    }
    Err(Broken::Incomplete)
}

/// A member's name, with its quotes, and its value.
pub(super) type Member<'a> = (&'a [u8], &'a [u8]);

/// The members of an object, names with their quotes.
pub(super) struct Members<'a> {
    cursor: Cursor<'a>,
    is_first: bool,
    is_over: bool,
}

impl<'a> Members<'a> {
    /// The members of this text, which begins with the brace.
    pub(super) fn of(object: &'a [u8]) -> Self {
        let mut cursor = Cursor::new(object);
        let is_over = cursor.take(b'{', "an object").is_err();
        Self { cursor, is_first: true, is_over }
    }

    fn step(&mut self) -> Result<Option<Member<'a>>, Broken> {
        if self.is_over || !self.cursor.next_item(b'}', std::mem::take(&mut self.is_first))? {
            return Ok(None);
        }
        let name = self.cursor.member_name()?;
        Ok(Some((name, self.cursor.value()?)))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<Member<'a>, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        self.is_over |= !matches!(step, Ok(Some(_)));
        step.transpose()
    }
}

/// The items of a list.
pub(super) struct Items<'a> {
    cursor: Cursor<'a>,
    is_first: bool,
    is_over: bool,
}

impl<'a> Items<'a> {
    /// The items of this text, which begins with the bracket.
    pub(super) fn of(list: &'a [u8]) -> Self {
        let mut cursor = Cursor::new(list);
        let is_over = cursor.take(b'[', "a list").is_err();
        Self { cursor, is_first: true, is_over }
    }

    fn step(&mut self) -> Result<Option<&'a [u8]>, Broken> {
        if self.is_over || !self.cursor.next_item(b']', std::mem::take(&mut self.is_first))? {
            return Ok(None);
        }
        self.cursor.value().map(Some)
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<&'a [u8], Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        self.is_over |= !matches!(step, Ok(Some(_)));
        step.transpose()
    }
}

/// A text without its quotes and escapes, and how many halves of surrogate pairs stood alone in it.
pub(super) fn unescaped(text: &[u8], into: &mut String) -> u64 {
    let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
    let mut lone = 0;
    let mut rest = inner;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        into.push_str(&String::from_utf8_lossy(&rest[..at]));
        rest = &rest[at..];
        let (letter, length) = escape(rest);
        lone += u64::from(letter.is_none());
        into.push(letter.unwrap_or(char::REPLACEMENT_CHARACTER));
        rest = &rest[length.min(rest.len())..];
    }
    match std::str::from_utf8(rest) {
        Ok(rest) => into.push_str(rest),
        Err(_) => into.push_str(&String::from_utf8_lossy(rest)),
    }
    lone
}

/// The letter of the escape that begins here, and how many bytes it takes; `None` for half a surrogate pair.
fn escape(bytes: &[u8]) -> (Option<char>, usize) {
    let unit = |at: usize| {
        let digits = std::str::from_utf8(bytes.get(at..at + 4)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    match bytes.get(1) {
        Some(b'n') => (Some('\n'), 2),
        Some(b't') => (Some('\t'), 2),
        Some(b'r') => (Some('\r'), 2),
        Some(b'b') => (Some('\u{8}'), 2),
        Some(b'f') => (Some('\u{c}'), 2),
        Some(b'u') => {
            let high = unit(2);
            let low = unit(8).filter(|_| bytes.get(6..8) == Some(b"\\u"));
            match (high, low) {
                (Some(high @ 0xd800..=0xdbff), Some(low @ 0xdc00..=0xdfff)) => {
                    (char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)), 12)
                }
                (Some(unit), _) => (char::from_u32(unit), 6),
                (None, _) => (None, 2),
            }
        }
        Some(other) if other.is_ascii() => (Some(char::from(*other)), 2),
        _ => (None, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_items_are_slices_of_the_text() {
        let text = br#"{"a" : [1, "]", {"b":"\""}], "c":null}"#;
        let members: Vec<_> = Members::of(text).map(|member| member.expect("whole")).collect();
        assert_eq!(members[0], (&b"\"a\""[..], &br#"[1, "]", {"b":"\""}]"#[..]));
        assert_eq!(members[1].1, b"null");
        assert_eq!(Items::of(members[0].1).map(|item| item.expect("whole").len()).collect::<Vec<_>>(), [1, 3, 10]);
        assert_eq!(Items::of(b"[1,]").last(), Some(Err(Broken::Expected("a value after the comma", 3))));
        assert_eq!(Members::of(b"{\"a\"}").last(), Some(Err(Broken::Expected("a colon", 4))));
        assert_eq!(Cursor::new(b"{\"a\":[").value(), Err(Broken::Incomplete));
    }

    #[test]
    fn depth_costs_no_stack() {
        let text = [vec![b'['; 1 << 20], vec![b']'; 1 << 20]].concat();
        assert_eq!(Cursor::new(&text).value().map(<[u8]>::len), Ok(2 << 20));
    }

    #[test]
    fn escapes_are_letters_and_half_a_pair_is_counted() {
        let mut text = String::new();
        assert_eq!(unescaped(br#""a\n\"\u0000\u04d8\ud83d\ude00\ud83d.""#, &mut text), 1);
        assert_eq!(text, "a\n\"\0Ә😀\u{fffd}.");
    }
}
