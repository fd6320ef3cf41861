//! The lengths that an Arrow IPC file or stream gives, looked at before the decoder makes room for them: memory that
//! is not there would end the process.

use arrow_ipc::{Block, Buffer, Message, root_as_footer, root_as_message};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use ukimet_model::{Error, Result};

/// What a file ends with after its footer: the footer's length and the magic.
const TRAILER_BYTES: u64 = 10;
/// The mark that each message begins with, and the length of its metadata.
const PREFIX_BYTES: u64 = 8;
/// The length alone, as messages began before Arrow 0.15.
const OLD_PREFIX_BYTES: u64 = 4;

/// Refuses a file whose blocks do not lie inside it, or unpack to more than `unpacked_bytes_max`.
///
/// # Errors
///
/// `DataLoss` naming what does not fit, `LimitReached`, `InvalidData` if the footer is none.
pub(super) fn check_file(file: &mut File, unpacked_bytes_max: u64) -> Result<()> {
    let size_bytes = size_of(file)?;
    let trailer = bytes_at(file, size_bytes.saturating_sub(TRAILER_BYTES), TRAILER_BYTES.min(size_bytes))?;
    let footer_bytes = number(&trailer, 0).filter(|_| trailer.ends_with(b"ARROW1"));
    let footer_bytes = footer_bytes.and_then(|bytes| u64::try_from(bytes).ok());
    let Some((footer_bytes, end)) = footer_bytes.zip(size_bytes.checked_sub(TRAILER_BYTES)) else {
        return Err(Error::data_loss("an Arrow IPC file ends with its footer, found none: it is cut"));
    };
    let Some(start) = end.checked_sub(footer_bytes) else {
        return Err(outside("the footer", 0, footer_bytes, end));
    };
    let footer = bytes_at(file, start, footer_bytes)?;
    let footer = root_as_footer(&footer)
        .map_err(|error| Error::invalid_data("the footer of the Arrow IPC file is damaged").caused_by(error))?;
    let blocks = footer.dictionaries().into_iter().flatten().chain(footer.recordBatches().into_iter().flatten());
    for block in blocks {
        check_block(file, block, start, unpacked_bytes_max)?;
    }
    file.rewind().map_err(gone)
}

fn check_block(file: &mut File, block: &Block, end: u64, unpacked_bytes_max: u64) -> Result<()> {
    let parts = [block.offset(), i64::from(block.metaDataLength()), block.bodyLength()];
    let [Ok(offset), Ok(metadata), Ok(body)] = parts.map(u64::try_from) else {
        return Err(Error::data_loss(format!("a block of the Arrow IPC file has a negative length: {parts:?}")));
    };
    let length = metadata.saturating_add(body);
    if offset.saturating_add(length) > end {
        return Err(outside("a block", offset, length, end));
    }
    let metadata_bytes = bytes_at(file, offset, metadata)?;
    let prefix = if metadata_bytes.starts_with(&[0xff; 4]) { PREFIX_BYTES } else { OLD_PREFIX_BYTES };
    let Some(message) = metadata_bytes.get(prefix as usize..).and_then(|bytes| root_as_message(bytes).ok()) else {
        return Err(Error::data_loss("a block of the Arrow IPC file is no message"));
    };
    check_buffers(file, &message, offset + metadata, body, unpacked_bytes_max)
}

/// Refuses a stream whose messages do not lie inside it, or unpack to more than `unpacked_bytes_max`.
///
/// # Errors
///
/// As [`check_file`].
pub(super) fn check_stream(file: &mut File, unpacked_bytes_max: u64) -> Result<()> {
    let size_bytes = size_of(file)?;
    let mut at = 0;
    while at + OLD_PREFIX_BYTES <= size_bytes {
        let prefix = bytes_at(file, at, PREFIX_BYTES)?;
        let (prefix_bytes, length) = match number(&prefix, 4).filter(|_| prefix.starts_with(&[0xff; 4])) {
            Some(length) => (PREFIX_BYTES, length),
            None => (OLD_PREFIX_BYTES, number(&prefix, 0).unwrap_or_default()),
        };
        // The end marker, or what the decoder refuses by itself.
        if length <= 0 {
            break;
        }
        let (start, metadata) = (at + prefix_bytes, u64::from(length.unsigned_abs()));
        if start + metadata > size_bytes {
            return Err(outside("a message", start, metadata, size_bytes));
        }
        let metadata_bytes = bytes_at(file, start, metadata)?;
        let Ok(message) = root_as_message(&metadata_bytes) else {
            return Err(Error::data_loss(format!("what stands at byte {at} of the Arrow IPC stream is no message")));
        };
        let Ok(body) = u64::try_from(message.bodyLength()) else {
            return Err(Error::data_loss(format!(
                "the message at byte {at} of the Arrow IPC stream has a negative length"
            )));
        };
        let body_start = start + metadata;
        if body_start.saturating_add(body) > size_bytes {
            return Err(outside("a message", body_start, body, size_bytes));
        }
        check_buffers(file, &message, body_start, body, unpacked_bytes_max)?;
        at = body_start + body;
    }
    file.rewind().map_err(gone)
}

/// Refuses buffers outside of their body, and packed ones that say they unpack to too much.
fn check_buffers(file: &mut File, message: &Message<'_>, start: u64, body: u64, unpacked_bytes_max: u64) -> Result<()> {
    let dictionary = message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
    let Some(batch) = message.header_as_record_batch().or(dictionary) else { return Ok(()) };
    let mut unpacked: u64 = 0;
    for buffer in batch.buffers().into_iter().flatten() {
        let (offset, length) = within(buffer, body)?;
        if batch.compression().is_some() && length >= PREFIX_BYTES {
            // Before the packed bytes stands how many they unpack to; -1: they are not packed.
            let claimed = bytes_at(file, start + offset, PREFIX_BYTES)?;
            let claimed = claimed.try_into().map_or(0, i64::from_le_bytes);
            unpacked = unpacked.saturating_add(u64::try_from(claimed).unwrap_or(length));
        }
        if unpacked > unpacked_bytes_max {
            return Err(Error::limit_reached(format!(
                "a batch unpacks to at most {unpacked_bytes_max} bytes, found {unpacked} or more"
            )));
        }
    }
    Ok(())
}

fn within(buffer: &Buffer, body: u64) -> Result<(u64, u64)> {
    let parts = [buffer.offset(), buffer.length()];
    match parts.map(u64::try_from) {
        [Ok(offset), Ok(length)] if offset.saturating_add(length) <= body => Ok((offset, length)),
        _ => Err(Error::data_loss(format!("a buffer of {body} bytes of a batch was expected, found {parts:?}"))),
    }
}

fn outside(what: &str, offset: u64, length: u64, end: u64) -> Error {
    Error::data_loss(format!("{what} of {length} bytes at byte {offset} was expected to end before byte {end}"))
}

fn number(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn size_of(file: &File) -> Result<u64> {
    Ok(file.metadata().map_err(gone)?.len())
}

/// So many bytes of a file, which are known to be there.
fn bytes_at(file: &mut File, offset: u64, length: u64) -> Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset)).map_err(gone)?;
    let mut bytes = Vec::new();
    Read::by_ref(file).take(length).read_to_end(&mut bytes).map_err(gone)?;
    Ok(bytes)
}

fn gone(error: std::io::Error) -> Error {
    Error::unavailable("the asset could not be read").caused_by(error)
}
