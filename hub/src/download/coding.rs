//! Compression of a body on its way, as client and hub agree on it.

use crate::files::Sink;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// How the bytes of a body are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Not at all.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// Of zstd: as fast as a disk on one core.
const ZSTD_LEVEL: i32 = 3;

impl Coding {
    /// The name in `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// What a client likes best, by its `Accept-Encoding`; no compression where it does not ask for any.
    pub fn preferred(accepted: &str) -> Self {
        let weight = |coding: Self| {
            let named = accepted.split(',').map(|entry| entry.split(';').map(str::trim)).find_map(|mut parts| {
                let is_this = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding.name()));
                is_this.then(|| parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok()))
            });
            named.flatten().filter(|weight: &f32| *weight > 0.0).unwrap_or(0.0)
        };
        let (gzip, zstd) = (weight(Self::Gzip), weight(Self::Zstd));
        match (gzip > 0.0, zstd > 0.0) {
            (_, true) if zstd >= gzip => Self::Zstd,
            (true, _) => Self::Gzip,
            _ => Self::Identity,
        }
    }
}

enum Encoder<W: Write> {
    Identity(W),
    Gzip(GzEncoder<W>),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Encoder<W> {
    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Identity(writer) => writer,
            Self::Gzip(writer) => writer,
            Self::Zstd(writer) => writer,
        }
    }
}

/// Bytes on their way through a coding. Its handles write; one of them ends it and has back what is behind it.
pub(super) struct Coded<W: Write>(Arc<Mutex<Option<Encoder<W>>>>);

impl<W: Write + Send + 'static> Coded<W> {
    pub(super) fn new(coding: Coding, behind: W) -> io::Result<Self> {
        let encoder = match coding {
            Coding::Identity => Encoder::Identity(behind),
            Coding::Gzip => Encoder::Gzip(GzEncoder::new(behind, Compression::default())),
            Coding::Zstd => Encoder::Zstd(zstd::Encoder::new(behind, ZSTD_LEVEL)?),
        };
        Ok(Self(Arc::new(Mutex::new(Some(encoder)))))
    }

    /// A handle that writes.
    pub(super) fn sink(&self) -> Sink {
        Box::new(Self(Arc::clone(&self.0)))
    }

    /// Ends the coding; nothing can be written any more.
    pub(super) fn finish(self) -> io::Result<W> {
        let encoder = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match encoder.ok_or_else(ended)? {
            Encoder::Identity(writer) => Ok(writer),
            Encoder::Gzip(writer) => writer.finish(),
            Encoder::Zstd(writer) => writer.finish(),
        }
    }
}

fn ended() -> io::Error {
    io::Error::from(io::ErrorKind::BrokenPipe)
}

impl<W: Write> Write for Coded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut().ok_or_else(ended)?.writer().write(bytes)
    }

    /// Leaves in the coding what is in it: how often a writer flushes is no part of the bytes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_says_what_it_likes_best() {
        for (accepted, expected) in [
            ("", Coding::Identity),
            ("gzip", Coding::Gzip),
            ("gzip, deflate, br, zstd", Coding::Zstd),
            ("gzip;q=1.0, zstd; q=0.5", Coding::Gzip),
            ("GZIP;q=0.1", Coding::Gzip),
            ("gzip;q=0, zstd;q=0.0", Coding::Identity),
            ("gzip;q=much", Coding::Identity),
            ("identity, *", Coding::Identity),
        ] {
            assert_eq!(Coding::preferred(accepted), expected, "{accepted}");
        }
    }

    #[test]
    fn what_is_coded_reads_back() {
        use std::io::Read;
        for coding in [Coding::Identity, Coding::Gzip, Coding::Zstd] {
            let coded = Coded::new(coding, Vec::new()).expect("begins");
            let mut sink = coded.sink();
            for part in ["Алматы ", "қаласы"] {
                sink.write_all(part.as_bytes()).and_then(|()| sink.flush()).expect("written");
            }
            let bytes = coded.finish().expect("ends");
            let mut text = String::new();
            match coding {
                Coding::Identity => text = String::from_utf8(bytes).expect("text"),
                Coding::Gzip => drop(flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("gzip")),
                Coding::Zstd => text = String::from_utf8(zstd::decode_all(&bytes[..]).expect("zstd")).expect("text"),
            }
            assert_eq!(text, "Алматы қаласы");
            assert!(sink.write_all(b"more").is_err());
        }
    }
}
