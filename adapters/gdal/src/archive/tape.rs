//! The members of a tar archive.

use super::members::{Listing, Member, check_name, decoded_name, is_litter, no_plain_file};
use crate::limits::ReadLimits;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use tar::EntryType;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// Bytes of a block, to which everything is filled up.
const BLOCK_BYTES: u64 = 512;

/// The files of a tar archive, each with an acceptable name, kind and size.
pub(super) fn list_tape(file: &mut File, limits: &ReadLimits) -> Result<Vec<Member>> {
    let broken = |error: std::io::Error| Error::data_loss("the tar archive is cut or broken").caused_by(error);
    let archive_bytes = file.metadata().map_err(broken)?.len();
    let mut listing = Listing::new(archive_bytes, limits);
    let mut end = 0;
    for entry in tar::Archive::new(&mut *file).entries_with_seek().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        let (name, is_decoded) = decoded_name(&entry.path_bytes());
        let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
        let (place, size_bytes) = (entry.raw_file_position(), entry.size());
        end = place.saturating_add(size_bytes).next_multiple_of(BLOCK_BYTES);
        if end > archive_bytes {
            let name = quoted(&name);
            return Err(Error::data_loss(format!("the tar archive is cut: it ends inside member {name}")));
        }
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => check_name(&name)?,
            EntryType::Directory | EntryType::XGlobalHeader => continue,
            EntryType::GNUSparse => {
                let name = quoted(&name);
                return Err(Error::invalid_data(format!("files in a tar are stored whole, {name} is sparse")));
            }
            _ => return Err(no_plain_file(&name)),
        }
        if !is_litter(&name) {
            listing.add(Member { place, name, is_decoded, size_bytes, packed_bytes: size_bytes })?;
        }
    }
    check_end(file, end)
        .map_err(broken)?
        .then_some(listing.members)
        .ok_or_else(|| Error::data_loss("the tar archive is cut: after its last member there is no mark of the end"))
}

/// Whether a block of zeros stands where the last member ends.
fn check_end(file: &mut File, end: u64) -> std::io::Result<bool> {
    file.seek(SeekFrom::Start(end))?;
    let mut block = Vec::new();
    file.take(BLOCK_BYTES).read_to_end(&mut block)?;
    Ok(block.len() as u64 == BLOCK_BYTES && block.iter().all(|byte| *byte == 0))
}
