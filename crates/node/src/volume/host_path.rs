//! hostPath volumes: the `type` is checked or made true before anything is mounted. Rules and texts as the API documents
//! `HostPathVolumeSource`.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Checks that the path is what `kind` says, and makes it where the type asks for that.
pub(crate) fn prepare(path: &Path, kind: &str) -> Result<(), String> {
    let shown = path.display();
    if !path.is_absolute() || path.components().any(|part| part.as_os_str() == "..") {
        return Err(format!("hostPath {shown} is not an absolute path without \"..\""));
    }
    let found = fs::metadata(path).ok().map(|metadata| metadata.file_type());
    let is = |check: fn(&fs::FileType) -> bool| found.as_ref().is_some_and(check);
    let check = |holds: bool, what: &str| {
        if holds { Ok(()) } else { Err(format!("hostPath type check failed: {shown} is not a {what}")) }
    };
    match kind {
        // As container runtimes do for the kubelet, which asks for nothing here.
        "" if found.is_some() => Ok(()),
        "Directory" => check(is(fs::FileType::is_dir), "directory"),
        "File" => check(is(fs::FileType::is_file), "file"),
        "Socket" => check(is(FileTypeExt::is_socket), "socket file"),
        "CharDevice" => check(is(FileTypeExt::is_char_device), "character device"),
        "BlockDevice" => check(is(FileTypeExt::is_block_device), "block device"),
        "" | "DirectoryOrCreate" if found.is_none() => {
            let made = fs::DirBuilder::new().mode(0o755).recursive(true).create(path);
            made.map_err(|error| format!("failed to make {shown}: {error}"))
        }
        "FileOrCreate" if found.is_none() => {
            let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(path);
            made.map(drop).map_err(|error| format!("failed to make {shown}: {error}"))
        }
        "DirectoryOrCreate" => check(is(fs::FileType::is_dir), "directory"),
        "FileOrCreate" => check(is(fs::FileType::is_file), "file"),
        other => Err(format!("hostPath type {other} is not known")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_and_makes() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        assert!(prepare(&at("none"), "Directory").is_err());
        assert!(prepare(&at("d/e"), "DirectoryOrCreate").is_ok() && at("d/e").is_dir());
        assert!(prepare(&at("f"), "FileOrCreate").is_ok() && at("f").is_file());
        assert!(prepare(&at("f"), "Directory").unwrap_err().contains("is not a directory"));
        assert!(prepare(&at("g/h"), "").is_ok() && at("g/h").is_dir());
        assert!(prepare(&at("f"), "").is_ok());
        assert!(prepare(Path::new("/dev/null"), "CharDevice").is_ok());
        assert!(prepare(Path::new("/a/../etc"), "").is_err());
    }
}
