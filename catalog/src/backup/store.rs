//! What copying asks of a store: only calls that a bucket has, too, so that one can take a directory's place.

use crate::objects::{ObjectWriter, Objects};
use std::io::{self, Read, Write};
use ukimet_model::{Error, ErrorKind, Result};

/// Immutable objects by key.
pub(crate) trait Store {
    /// The names in a folder, sorted; none if there is no such folder.
    fn names(&self, folder: &str) -> Result<Vec<String>>;
    /// How large an object is; `None` if it is not there.
    fn size_bytes(&self, key: &str) -> Result<Option<u64>>;
    /// Reads an object front to back.
    fn reader(&self, key: &str) -> Result<Box<dyn Read>>;
    /// Writes an object, unless it is there. When it returns, the object survives a power cut; until then nobody sees
    /// any of it. If reading `from` fails, nothing is written and that error, if it is one of the model, comes back.
    fn put(&self, key: &str, from: &mut dyn Read) -> Result<()>;
    /// Takes an object away, durably.
    fn remove(&self, key: &str) -> Result<()>;
}

impl Store for Objects {
    fn names(&self, folder: &str) -> Result<Vec<String>> {
        self.list(folder)
    }

    fn size_bytes(&self, key: &str) -> Result<Option<u64>> {
        Ok(self.stat(key)?.map(|stat| stat.size_bytes))
    }

    fn reader(&self, key: &str) -> Result<Box<dyn Read>> {
        Ok(Box::new(self.open(key)?.reader(0)))
    }

    fn put(&self, key: &str, from: &mut dyn Read) -> Result<()> {
        let mut writer = self.writer()?;
        pour(self, key, from, &mut writer)?;
        writer.finish()?.publish(key).map(|_| ())
    }

    fn remove(&self, key: &str) -> Result<()> {
        self.delete(key)?;
        self.sync_dir(key.rsplit_once('/').map_or("", |(folder, _)| folder))
    }
}

fn pour(objects: &Objects, key: &str, from: &mut dyn Read, to: &mut ObjectWriter) -> Result<()> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(&buffer[..count]).map_err(|e| objects.write_error("writing", key, e))?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => (),
            Err(e) => return Err(model_error(e, key)),
        }
    }
}

/// The error of the model that a reader wrapped, or a new one.
fn model_error(error: io::Error, key: &str) -> Error {
    let reading = || format!("reading object {key} failed");
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::new(ErrorKind::Internal, reading()).caused_by(error),
    }
}

/// All bytes of a small object.
pub(crate) fn read_all(store: &dyn Store, key: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    store.reader(key)?.read_to_end(&mut bytes).map_err(|e| model_error(e, key))?;
    Ok(bytes)
}
