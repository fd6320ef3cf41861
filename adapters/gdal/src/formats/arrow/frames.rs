//! The sizes that Arrow messages declare, against the file that holds them: the decoder makes room for what is declared
//! before it reads, so that a few bytes could end the process.

use arrow_ipc::{CompressionType, Message, root_as_footer, root_as_message};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use ukimet_model::{Error, Result};

/// What every message begins with, unless it is older than the format's version 0.15.
const CONTINUATION_MARKER: [u8; 4] = [0xff; 4];
/// How much a byte can become: a block of Zstandard of 4 bytes is up to 128 KiB, LZ4 adds at most 255 for each byte.
const ZSTD_RATIO_MAX: u64 = 1 << 15;
const LZ4_RATIO_MAX: u64 = 256;
/// What a packed buffer may become whatever its size.
const SMALL_BYTES: u64 = 1 << 18;

/// A part of the file.
#[derive(Clone, Copy)]
struct Part {
    at: u64,
    bytes: u64,
}

/// The file, and how long it is.
struct Frames<'a> {
    file: &'a mut File,
    size_bytes: u64,
}

/// Checks the messages of a stream up to the end of the stream; the file stands at its beginning again.
///
/// # Errors
///
/// `DataLoss` if a message says that it is longer than the file, `InvalidData` if it is none.
pub(super) fn check_stream(file: &mut File) -> Result<()> {
    let mut frames = Frames::of(file)?;
    let mut at = 0;
    while at < frames.size_bytes {
        let metadata = frames.metadata(at)?;
        if metadata.bytes == 0 {
            break;
        }
        let body_at = metadata.at + metadata.bytes;
        let body = frames.check_message(metadata, body_at)?;
        at = body_at + body;
    }
    frames.rewind()
}

/// Checks the footer of a file and the messages that it names; the file stands at its beginning again.
///
/// # Errors
///
/// As [`check_stream`].
pub(super) fn check_file(file: &mut File) -> Result<()> {
    const END_BYTES: u64 = 10;
    let mut frames = Frames::of(file)?;
    let end = frames.size_bytes.checked_sub(END_BYTES).ok_or_else(cut)?;
    if frames.bytes(Part { at: end + 4, bytes: 6 })? != b"ARROW1" {
        // The decoder says so before it makes room for anything.
        return frames.rewind();
    }
    let length = frames.number(end)?;
    let at = end.checked_sub(length).ok_or_else(cut)?;
    let footer = frames.bytes(Part { at, bytes: length })?;
    let footer = root_as_footer(&footer).map_err(|_| no_message())?;
    let blocks = footer.dictionaries().into_iter().flatten().chain(footer.recordBatches().into_iter().flatten());
    for block in blocks {
        let at = u64::try_from(block.offset()).map_err(|_| no_message())?;
        let metadata_bytes = u64::try_from(block.metaDataLength()).map_err(|_| no_message())?;
        let body_bytes = u64::try_from(block.bodyLength()).map_err(|_| no_message())?;
        let body_at = at.checked_add(metadata_bytes).ok_or_else(cut)?;
        frames.check_inside(Part { at: body_at, bytes: body_bytes })?;
        let metadata = frames.metadata(at)?;
        frames.check_message(metadata, body_at)?;
    }
    frames.rewind()
}

impl<'a> Frames<'a> {
    fn of(file: &'a mut File) -> Result<Self> {
        let size_bytes = file.metadata().map_err(gone)?.len();
        Ok(Self { file, size_bytes })
    }

    fn rewind(self) -> Result<()> {
        self.file.rewind().map_err(gone)
    }

    fn check_inside(&self, part: Part) -> Result<()> {
        let end = part.at.checked_add(part.bytes).filter(|end| *end <= self.size_bytes);
        end.map(drop).ok_or_else(cut)
    }

    fn bytes(&mut self, part: Part) -> Result<Vec<u8>> {
        self.check_inside(part)?;
        let mut bytes = vec![0; part.bytes as usize];
        self.file.seek(SeekFrom::Start(part.at)).map_err(gone)?;
        self.file.read_exact(&mut bytes).map_err(gone)?;
        Ok(bytes)
    }

    fn number(&mut self, at: u64) -> Result<u64> {
        let bytes = self.bytes(Part { at, bytes: 4 })?;
        Ok(u64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])))
    }

    /// The metadata of the message whose prefix stands here; of no bytes at the end of a stream.
    fn metadata(&mut self, at: u64) -> Result<Part> {
        let has_marker = self.bytes(Part { at, bytes: 4 })? == CONTINUATION_MARKER;
        let prefix = if has_marker { 8 } else { 4 };
        let part = Part { at: at + prefix, bytes: self.number(at + prefix - 4)? };
        self.check_inside(part)?;
        Ok(part)
    }

    /// Checks a message whose body begins at `body_at`; the size of the body.
    fn check_message(&mut self, metadata: Part, body_at: u64) -> Result<u64> {
        let bytes = self.bytes(metadata)?;
        let message = root_as_message(&bytes).map_err(|_| no_message())?;
        let body = u64::try_from(message.bodyLength()).map_err(|_| no_message())?;
        self.check_inside(Part { at: body_at, bytes: body })?;
        self.check_packed(&message, body_at)?;
        Ok(body)
    }

    /// Checks that packed buffers can become what they say.
    fn check_packed(&mut self, message: &Message<'_>, body_at: u64) -> Result<()> {
        let dictionary = message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
        let Some(batch) = message.header_as_record_batch().or(dictionary) else { return Ok(()) };
        let Some(compression) = batch.compression() else { return Ok(()) };
        let ratio = if compression.codec() == CompressionType::ZSTD { ZSTD_RATIO_MAX } else { LZ4_RATIO_MAX };
        for buffer in batch.buffers().into_iter().flatten() {
            let (Ok(offset), Ok(bytes)) = (u64::try_from(buffer.offset()), u64::try_from(buffer.length())) else {
                return Err(no_message());
            };
            if bytes < 8 {
                continue;
            }
            let at = body_at.checked_add(offset).ok_or_else(cut)?;
            let prefix = self.bytes(Part { at, bytes: 8 })?;
            let claimed = prefix.try_into().map(i64::from_le_bytes).unwrap_or_default();
            let possible = bytes.saturating_mul(ratio).saturating_add(SMALL_BYTES);
            // Minus one is a buffer that is not packed.
            if u64::try_from(claimed).is_ok_and(|claimed| claimed > possible) {
                return Err(Error::invalid_data(format!(
                    "a packed buffer of {bytes} bytes becomes at most {possible} bytes, found one that says {claimed}"
                )));
            }
        }
        Ok(())
    }
}

fn gone(error: std::io::Error) -> Error {
    Error::unavailable("the asset could not be read").caused_by(error)
}

fn cut() -> Error {
    Error::data_loss("the Arrow IPC is cut: a message says that it is longer than the file")
}

fn no_message() -> Error {
    Error::invalid_data("the Arrow IPC is damaged: its metadata is no message")
}
