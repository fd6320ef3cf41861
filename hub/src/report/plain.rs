//! A report as plain text.

use super::document::{Block, Document};

/// Characters in a line, unless a word is longer.
const LINE_CHARACTERS_MAX: usize = 96;

/// The document as lines of text.
pub(super) fn text(document: &Document) -> String {
    let mut out = format!("{}\n{}\n", document.title, "=".repeat(document.title.chars().count()));
    for block in &document.blocks {
        match block {
            Block::Heading(text) => out.extend(["\n", text, "\n", &"-".repeat(text.chars().count()), "\n"]),
            Block::Paragraph(text) => out.push_str(&wrapped(text, "", "")),
            Block::Finding { label, what, count, places, next, .. } => {
                out.push_str(&wrapped(&format!("{label}: {what} ({count})"), "* ", "  "));
                out.extend(places.iter().map(|place| wrapped(place, "    - ", "      ")));
                out.extend(next.iter().map(|next| wrapped(next, "  → ", "    ")));
            }
            Block::Commands(commands) => out.extend(commands.iter().flat_map(|command| ["    ", command, "\n"])),
        }
    }
    out
}

/// Breaks a text at its spaces into lines; narrow spaces and those that join a number to its noun are none.
fn wrapped(text: &str, first: &str, others: &str) -> String {
    let mut out = first.to_owned();
    let mut length = first.chars().count();
    let mut is_begun = false;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let word_length = word.chars().count();
        if is_begun && length + 1 + word_length > LINE_CHARACTERS_MAX {
            out.push('\n');
            out.push_str(others);
            length = others.chars().count();
        } else if is_begun {
            out.push(' ');
            length += 1;
        }
        out.push_str(word);
        length += word_length;
        is_begun = true;
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_broken_at_spaces_and_never_inside_numbers() {
        let text = wrapped(&"1\u{202f}234\u{a0}жол ".repeat(20), "* ", "  ");
        assert!(text.lines().count() > 1);
        assert!(text.lines().all(|line| line.chars().count() <= LINE_CHARACTERS_MAX && line.ends_with("жол")));
        assert!(text.lines().skip(1).all(|line| line.starts_with("  1")));
    }
}
