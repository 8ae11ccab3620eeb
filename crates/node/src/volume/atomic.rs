//! Writes a volume's files so that readers see either all of the old or all of the new: a fresh directory, and one
//! rename of the `..data` link that all visible names lead through. The layout is the one that programs which watch
//! mounted ConfigMaps rely on.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown, symlink};
use std::path::Path;

use super::payload::Payload;

/// The link to the current directory.
const DATA: &str = "..data";

/// Who owns the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
}

/// Makes the directory hold exactly these files. `version` differs with each call for one directory.
pub(crate) fn write(dir: &Path, payload: &Payload, owner: Owner, version: &str) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
    let old = fs::read_link(dir.join(DATA)).ok();
    let fresh = format!("..{version}");
    write_files(&dir.join(&fresh), payload, owner)?;
    let next = dir.join("..data_tmp");
    let _ = fs::remove_file(&next);
    symlink(&fresh, &next)?;
    fs::rename(&next, dir.join(DATA))?;
    publish(dir, payload)?;
    if let Some(old) = old.filter(|old| old.as_os_str() != fresh.as_str()) {
        fs::remove_dir_all(dir.join(old))?;
    }
    Ok(())
}

fn write_files(dir: &Path, payload: &Payload, owner: Owner) -> io::Result<()> {
    DirBuilder::new().mode(0o755).create(dir)?;
    chown(dir, None, owner.gid)?;
    for (path, file) in payload {
        let path = dir.join(path);
        let parent = path.parent().expect("a file of the payload lies in a directory");
        if parent != dir {
            DirBuilder::new().mode(0o755).recursive(true).create(parent)?;
        }
        let mut open = OpenOptions::new();
        let mut out = open.write(true).create_new(true).mode(0o600).open(&path)?;
        out.write_all(&file.bytes)?;
        // A group that shares the volume can read all of it, as upstream gives it to `fsGroup`.
        let mode = if owner.gid.is_some() { file.mode | 0o440 } else { file.mode };
        chown(&path, owner.uid, owner.gid)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Visible names are links through `..data`; names that are no longer in the payload go.
fn publish(dir: &Path, payload: &Payload) -> io::Result<()> {
    let top = |path: &String| path.split('/').next().unwrap_or_default().to_owned();
    let wanted: BTreeSet<String> = payload.keys().map(top).collect();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && !wanted.contains(&name) {
            fs::remove_file(entry.path())?;
        }
    }
    for name in wanted {
        let link = dir.join(&name);
        if link.symlink_metadata().is_err() {
            symlink(Path::new(DATA).join(&name), link)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::payload::File;
    use super::*;

    fn payload(files: &[(&str, &str, u32)]) -> Payload {
        let file = |(path, text, mode): &(&str, &str, u32)| {
            ((*path).to_owned(), File { bytes: text.as_bytes().to_vec(), mode: *mode })
        };
        files.iter().map(file).collect()
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries =
            fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("readable").file_name());
        let mut names: Vec<_> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn replaces_all_files_at_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let dir = dir.path().join("volume");
        let first = payload(&[("a", "1", 0o644), ("deep/b", "2", 0o400)]);
        write(&dir, &first, Owner::default(), "1").expect("written");
        assert_eq!(fs::read_to_string(dir.join("deep/b")).expect("there"), "2");
        let mode = fs::metadata(dir.join("deep/b")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o400);
        // A reader that opened before goes on with what it has.
        let held = fs::File::open(dir.join("a")).expect("there");
        write(&dir, &payload(&[("a", "one", 0o644), ("c", "3", 0o644)]), Owner::default(), "2")
            .expect("written");
        assert_eq!(io::read_to_string(held).expect("still open"), "1");
        assert_eq!(fs::read_to_string(dir.join("a")).expect("there"), "one");
        assert_eq!(names(&dir), ["..2", "..data", "a", "c"], "nothing of the first version is left");
        assert_eq!(fs::read_link(dir.join("a")).expect("a link"), Path::new("..data/a"));
    }
}
