//! What stands in for the layer that brings AWS's Lambda Web Adapter, for functions that name it: its script, and a mark by
//! which their instances are known. The adapter itself is the platform.

use std::io::{Cursor, Write};
use zip::ZipWriter;
use zip::result::ZipResult;
use zip::write::SimpleFileOptions;

/// Below `/opt`: the function names the layer.
pub(crate) const MARK: &str = "web-adapter";

/// Runs what the handler names, in place of a runtime.
const SCRIPT: &str = "#!/bin/sh\nexec \"$LAMBDA_TASK_ROOT/$_HANDLER\"\n";

/// The layer's archive, always the same.
pub fn archive() -> ZipResult<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text, mode) in [("bootstrap", SCRIPT, 0o755), (MARK, "", 0o644)] {
        zip.start_file(name, SimpleFileOptions::default().unix_permissions(mode))?;
        zip.write_all(text.as_bytes())?;
    }
    Ok(zip.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_archive_is_always_the_same() {
        assert_eq!(super::archive().expect("an archive"), super::archive().expect("an archive"));
    }
}
