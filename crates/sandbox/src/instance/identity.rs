//! What an image gets around it when it becomes the root of instances, as two layers: below it the places where the
//! platform mounts something, above it the small files of the instance in `/etc`. The root is read-only, so neither can
//! be made at a start; and with nothing private in it, the same layers serve every instance.
use std::fs::{DirBuilder, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Directories that every instance's root has.
const PLACES: [&str; 9] =
    ["dev", "etc", "opt/lib", "proc", "run", "sys", "tmp", "var/runtime", "var/task/lib"];

pub(super) struct Identity {
    pub(super) below: PathBuf,
    pub(super) above: PathBuf,
}

/// The two layers, made where they are missing. What the host says may change (name servers), and a layer that is
/// mounted must not: each text has a layer of its own.
pub(super) fn layer(run_dir: &Path, files: &[(PathBuf, String)]) -> io::Result<Identity> {
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    let dir = run_dir.join("instances");
    let identity =
        Identity { below: dir.join("places"), above: dir.join(format!("identity-{:016x}", hasher.finish())) };
    if !identity.below.is_dir() {
        let places: Vec<PathBuf> = PLACES.iter().map(PathBuf::from).collect();
        make(&identity.below, &places, &[])?;
    }
    if !identity.above.is_dir() {
        make(&identity.above, &["etc".into()], files)?;
    }
    Ok(identity)
}

/// Appears whole, or not at all. Another start may make the same at the same time.
fn make(layer: &Path, dirs: &[PathBuf], files: &[(PathBuf, String)]) -> io::Result<()> {
    let fresh =
        layer.with_extension(format!("new-{:?}", std::thread::current().id()).replace(['(', ')'], "-"));
    for dir in dirs {
        DirBuilder::new().recursive(true).mode(0o755).create(fresh.join(dir))?;
    }
    std::fs::set_permissions(&fresh, Permissions::from_mode(0o755))?;
    for (path, text) in files {
        std::fs::write(fresh.join(path.strip_prefix("/").unwrap_or(path)), text)?;
    }
    match std::fs::rename(&fresh, layer) {
        Err(_) if layer.is_dir() => std::fs::remove_dir_all(&fresh),
        other => other,
    }
}
