//! The files: written whole, beside the old ones, and moved into place, so that a crash leaves the old or the new. A
//! thread of its own writes them some time after something changed; nobody waits for it.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Reads a file; a missing one is empty, a damaged one is set aside, said and empty.
pub(crate) fn read<T: DeserializeOwned + Default>(path: &Path) -> io::Result<T> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(T::default()),
        Err(error) => return Err(error),
    };
    match serde_json::from_slice(&bytes) {
        Ok(value) => Ok(value),
        Err(error) => {
            let aside = path.with_extension("damaged");
            tracing::error!(path = %path.display(), aside = %aside.display(), %error, "what was metered cannot be read");
            fs::rename(path, aside)?;
            Ok(T::default())
        }
    }
}

/// Replaces a file.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let fresh = path.with_extension("new");
    // Piece by piece: the whole text would be as large as what it says.
    let mut file = BufWriter::new(File::create(&fresh)?);
    serde_json::to_writer(&mut file, value)?;
    file.flush()?;
    file.get_ref().sync_data()?;
    fs::rename(&fresh, path)
}
