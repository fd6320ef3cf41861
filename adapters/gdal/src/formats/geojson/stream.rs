//! The items of a GeoJSON file, one after the other, in bounded memory.

use super::cursor::{Broken, Cursor};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use ukimet_model::{Error, Result};

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 1 << 20;
/// Bytes of one feature or other value.
const VALUE_BYTES_MAX: usize = 256 << 20;

/// Where the items of a file stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// In a list that begins at this byte, after its bracket.
    List(u64),
    /// At the top level, one or more.
    Sequence,
}

/// A JSON file that is read from front to back.
pub(super) struct Stream {
    file: File,
    format: &'static str,
    buffer: Vec<u8>,
    /// How much of the buffer was taken.
    taken: usize,
    /// Where in the file the buffer begins.
    base: u64,
}

impl Stream {
    /// Opens a UTF-8 file at a byte.
    pub(super) fn open(path: &Path, format: &'static str, at: u64) -> Result<Self> {
        let mut file = File::open(path).map_err(gone)?;
        file.seek(SeekFrom::Start(at)).map_err(gone)?;
        Ok(Self { file, format, buffer: Vec::new(), taken: 0, base: at })
    }

    /// The byte of the file that comes next.
    pub(super) fn position(&self) -> u64 {
        self.base + self.taken as u64
    }

    /// Reads on: as much again as waits already, so that a long value is not walked too often. `false` at the end.
    fn more(&mut self) -> Result<bool> {
        self.buffer.drain(..self.taken);
        self.base += std::mem::take(&mut self.taken) as u64;
        if self.buffer.len() > VALUE_BYTES_MAX {
            return Err(Error::limit_reached(format!(
                "a value of a {} has at most {VALUE_BYTES_MAX} bytes, found more from byte {}",
                self.format, self.base
            )));
        }
        let wanted = CHUNK_BYTES.max(self.buffer.len()) as u64;
        let count = (&mut self.file).take(wanted).read_to_end(&mut self.buffer).map_err(gone)?;
        Ok(count > 0)
    }

    /// Takes what `take` takes, reading on as long as it needs more.
    pub(super) fn step<T>(&mut self, take: impl Fn(&mut Cursor<'_>) -> Result<T, Broken>) -> Result<T> {
        loop {
            let mut cursor = Cursor::new(&self.buffer[self.taken..]);
            match take(&mut cursor) {
                Ok(taken) => {
                    self.taken += cursor.position();
                    return Ok(taken);
                }
                Err(Broken::Incomplete) if self.more()? => (),
                Err(broken) => return Err(self.error(broken)),
            }
        }
    }

    /// Takes the next value.
    pub(super) fn value(&mut self) -> Result<&[u8]> {
        let length = self.step(|cursor| cursor.value().map(<[u8]>::len))?;
        Ok(&self.buffer[self.taken - length..self.taken])
    }

    /// The next byte that parts no values, not taken; `None` at the end.
    pub(super) fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            let separates = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x1e);
            let rest = &self.buffer[self.taken..];
            let blank = rest.iter().take_while(|byte| separates(byte)).count();
            let found = rest.get(blank).copied();
            self.taken += blank;
            if found.is_some() || !self.more()? {
                return Ok(found);
            }
        }
    }

    fn error(&self, broken: Broken) -> Error {
        match broken {
            Broken::Incomplete => Error::data_loss(format!(
                "the {} is cut: the value that begins at byte {} does not close",
                self.format,
                self.position()
            )),
            Broken::Expected(what, at) => Error::invalid_data(format!(
                "the {} is no JSON: {what} was expected at byte {}",
                self.format,
                self.position() + at as u64
            )),
        }
    }
}

fn gone(error: std::io::Error) -> Error {
    Error::unavailable("the asset could not be read").caused_by(error)
}

/// The items of a file.
pub(super) struct FileItems {
    stream: Stream,
    layout: Layout,
    is_first: bool,
    is_over: bool,
}

impl FileItems {
    pub(super) fn open(path: &Path, format: &'static str, layout: Layout) -> Result<Self> {
        let at = if let Layout::List(at) = layout { at } else { 0 };
        Ok(Self::of(Stream::open(path, format, at)?, layout))
    }

    /// The items from where a stream stands.
    pub(super) fn of(stream: Stream, layout: Layout) -> Self {
        Self { stream, layout, is_first: true, is_over: false }
    }

    /// The next item; `None` at the end, and from then on.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>> {
        let is_first = std::mem::take(&mut self.is_first);
        self.is_over = self.is_over
            || match self.layout {
                Layout::List(_) => !self.stream.step(|cursor| cursor.next_item(b']', is_first))?,
                Layout::Sequence => self.stream.peek()?.is_none(),
            };
        if self.is_over {
            return Ok(None);
        }
        self.stream.value().map(Some)
    }

    pub(super) fn into_stream(self) -> Stream {
        self.stream
    }
}
