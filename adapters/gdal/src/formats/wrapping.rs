//! What files of datasets are wrapped in: archives and gzip.

use super::{Clues, check_extension, check_media_type};
use ukimet_model::Result;

/// An archive, or one packed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrapping {
    /// Any zip; which kind it is its members say.
    Zip,
    /// POSIX or GNU tar.
    Tar,
    /// One file packed by gzip.
    Gzip,
}

/// Endings of every wrapping.
pub(super) const EXTENSIONS: &[&str] = &["zip", "kmz", "shz", "tar", "gz", "tgz"];

impl Wrapping {
    /// The media type of a KMZ, which is a zip.
    pub(crate) const KMZ_MEDIA_TYPE: &str = "application/vnd.google-earth.kmz";

    /// By the first bytes of a file.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        let has = |at: usize, magic: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(magic));
        if has(0, b"PK\x03\x04") || has(0, b"PK\x05\x06") {
            Some(Self::Zip)
        } else if has(0, b"\x1f\x8b") {
            Some(Self::Gzip)
        } else if has(257, b"ustar") {
            Some(Self::Tar)
        } else {
            None
        }
    }

    /// The usual media type.
    pub(crate) fn media_type(self) -> &'static str {
        self.media_types()[0]
    }

    fn name(self) -> &'static str {
        match self {
            Self::Zip => "a zip archive",
            Self::Tar => "a tar archive",
            Self::Gzip => "gzip",
        }
    }

    fn media_types(self) -> &'static [&'static str] {
        match self {
            Self::Zip => &[
                "application/zip",
                "application/x-zip-compressed",
                Self::KMZ_MEDIA_TYPE,
                "application/vnd.shp+zip",
                "application/x-shapefile",
            ],
            Self::Tar => &["application/x-tar", "application/tar"],
            Self::Gzip => &["application/gzip", "application/x-gzip", "application/x-tar+gzip", "application/x-gtar"],
        }
    }

    fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Zip => &["zip", "kmz", "shz"],
            Self::Tar => &["tar"],
            Self::Gzip => &["gz", "tgz"],
        }
    }
}

/// Refuses a name or a media type that does not fit a wrapping.
///
/// # Errors
///
/// `InvalidData` naming both.
pub(crate) fn check_wrapping(clues: &Clues, wrapping: Wrapping) -> Result<()> {
    let extension = clues.head.extension.as_str();
    // Tile servers pack tiles without saying so in their names.
    let is_tile = wrapping == Wrapping::Gzip && matches!(extension, "mvt" | "pbf");
    if !is_tile && !wrapping.extensions().contains(&extension) {
        check_extension(wrapping.name(), wrapping.extensions(), extension)?;
    }
    check_media_type(wrapping.name(), wrapping.media_types(), &clues.media_type)
}
