//! What a person and a script see: the only file that prints.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use ukimet_model::{Error, Result};
use ukimet_proto::status::code;

/// Prints one line to standard output; a reader that went away ends nothing.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
    let _ = std::io::stdout().flush();
}

/// Copies a file to standard output; a reader that has seen enough ends nothing.
///
/// # Errors
///
/// `Unavailable` if it cannot be read or printed.
pub fn copy(mut file: std::fs::File) -> Result<()> {
    match std::io::copy(&mut file, &mut std::io::stdout().lock()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::unavailable("printing failed").caused_by(error))
        }
        _ => std::io::stdout().flush().or(Ok(())),
    }
}

/// Prints one JSON document to standard output.
pub fn document(value: &Value) {
    line(&serde_json::to_string_pretty(value).expect("a JSON value is printable"));
}

/// Prints an error to standard error.
pub fn error(error: &Error) {
    eprintln!("error: {error}");
}

/// Prints one line to standard error, beside a file on standard output.
pub fn remark(text: &str) {
    eprintln!("{text}");
}

/// An error as scripts see it.
pub fn error_json(error: &Error) -> Value {
    json!({ "code": code_name(error), "number": code(error.kind()) as i32, "message": error.to_string() })
}

/// The gRPC name of an error's code, e.g. `INVALID_ARGUMENT`.
pub fn code_name(error: &Error) -> String {
    let name = format!("{:?}", code(error.kind()));
    let mut words = String::new();
    for (i, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && i > 0 {
            words.push('_');
        }
        words.push(letter.to_ascii_uppercase());
    }
    words
}

/// A table with a line per row, columns as wide as their widest cell.
pub fn table(header: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([header[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let print = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| {
            let missing = width.saturating_sub(cell.chars().count());
            format!("{cell}{}", " ".repeat(missing))
        });
        line(padded.collect::<Vec<_>>().join("  ").trim_end());
    };
    print(header.to_vec());
    for row in rows {
        print(row.iter().map(String::as_str).collect());
    }
}

/// A bar on standard error for work of known or unknown length; hidden in scripts.
pub fn bar(total: Option<u64>, what: &'static str, is_bytes: bool) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let counted = if is_bytes { "{bytes}/{total_bytes}" } else { "{human_pos}/{human_len}" };
    let template = match total {
        Some(_) => format!("{{msg}} [{{bar:30}}] {counted} {{eta}}"),
        None => "{msg} {spinner} {human_pos}".to_owned(),
    };
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    bar.set_style(ProgressStyle::with_template(&template).expect("the template is well formed"));
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A file that appears under its name when it is complete.
pub struct NewFile {
    temporary: tempfile::NamedTempFile,
    path: PathBuf,
}

impl NewFile {
    /// Begins a file beside where it will be.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if nothing can be written there.
    pub fn create(path: &Path) -> Result<Self> {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // As any new file: what the umask leaves.
        let readable = std::fs::Permissions::from_mode(0o666);
        let mut builder = tempfile::Builder::new();
        let temporary = builder.prefix(".ukimet-export-").permissions(readable).tempfile_in(dir);
        Ok(Self { temporary: temporary.map_err(|e| unwritable(path, &e))?, path: path.to_owned() })
    }

    /// The folder that the file will be in.
    pub fn folder(&self) -> PathBuf {
        let folder = self.temporary.path().parent();
        folder.map_or_else(|| PathBuf::from("."), Path::to_path_buf)
    }

    /// A further handle to the file.
    pub fn handle(&self) -> Result<std::fs::File> {
        self.temporary.as_file().try_clone().map_err(|e| unwritable(&self.path, &e))
    }

    /// Gives the file its name.
    pub fn publish(self) -> Result<()> {
        self.temporary.as_file().sync_all().map_err(|e| unwritable(&self.path, &e))?;
        self.temporary.persist(&self.path).map(drop).map_err(|e| unwritable(&self.path, &e.error))
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.temporary.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.temporary.flush()
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::invalid_request(format!("{} cannot be written: {error}", path.display()))
}

/// Numbers with a thin border between thousands, for people.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number with what it counts: `1 version`, `2 000 versions`.
pub fn counted(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(number))
}

/// Reads `LANG=TEXT`.
pub fn parse_text(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((language, text)) if !text.is_empty() => Ok((language.to_owned(), text.to_owned())),
        _ => Err(format!("expected LANG=TEXT such as ru=Школы, found {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_grpc_names() {
        assert_eq!(code_name(&Error::undeclared("")), "FAILED_PRECONDITION");
        assert_eq!(code_name(&Error::data_loss("")), "DATA_LOSS");
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_234_567), "1 234 567");
        assert_eq!((counted(1, "row"), counted(2_000, "row")), ("1 row".to_owned(), "2 000 rows".to_owned()));
    }
}
