//! The data directory: where each thing lies, who may use it, and which process holds it.
//!
//! Every path that `dory` writes starts here; nothing is written elsewhere on the host.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Serialize, de::DeserializeOwned};

/// The data directory of one platform.
#[derive(Clone, Debug)]
pub struct DataDir(PathBuf);

/// Held by the running platform: the lock on `dory.pid` goes with the process, however that ends.
pub struct Held {
    _pid_file: File,
}

impl DataDir {
    /// The directory named on the command line, else the usual place for this user.
    pub fn choose(named: Option<PathBuf>, home: Option<PathBuf>, root: bool) -> Result<DataDir> {
        let dir = match (named, root, home) {
            (Some(dir), _, _) => dir,
            (None, true, _) => PathBuf::from("/var/lib/dory"),
            (None, false, Some(home)) => home.join(".local/share/dory"),
            (None, false, None) => bail!("no data directory: HOME is not set; name one with --data-dir DIR"),
        };
        let dir =
            std::path::absolute(&dir).with_context(|| format!("the data directory {}", dir.display()))?;
        Ok(DataDir(dir))
    }

    /// Makes the directory, for its owner only, if it is not there yet.
    pub fn create(&self) -> Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0).with_context(|| {
            format!("cannot use {} as the data directory; name another with --data-dir DIR", self.0.display())
        })
    }

    /// Takes the directory for this process, or says which process has it.
    pub fn hold(&self) -> Result<Held> {
        let path = self.pid_file();
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot write {}; is the data directory yours?", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid).ok();
                bail!(
                    "the data directory {} is in use by process {}; stop it with `dory down`, or name another \
                     directory with --data-dir DIR",
                    self.0.display(),
                    pid.trim()
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).context(format!("locking {}", path.display()));
            }
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Held { _pid_file: file })
    }

    /// The process that holds the directory, when one does.
    pub fn holder(&self) -> Result<Option<i32>> {
        let mut file = match File::open(self.pid_file()) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).context(format!(
                    "cannot read {}; run as the user who ran `dory up`",
                    self.pid_file().display()
                ));
            }
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid)?;
                Ok(pid.trim().parse().ok())
            }
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file or directory in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn pid_file(&self) -> PathBuf {
        self.join("dory.pid")
    }

    /// What a background platform prints goes here.
    pub fn log_file(&self) -> PathBuf {
        self.join("dory.log")
    }

    /// Reads a small JSON file, `None` when it is not there.
    pub fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        match fs::read(self.join(name)) {
            Ok(bytes) => {
                let value = serde_json::from_slice(&bytes).with_context(|| {
                    format!("{} is damaged; mend or remove it", self.join(name).display())
                })?;
                Ok(Some(value))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context(format!("cannot read {}", self.join(name).display())),
        }
    }

    /// Writes a small JSON file, whole or not at all, readable by its owner only.
    pub fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<()> {
        self.write(name, &serde_json::to_vec_pretty(value)?)
    }

    /// Writes a file, whole or not at all, readable by its owner only.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.join(name);
        let fresh = path.with_extension("new");
        let write = || -> std::io::Result<()> {
            if let Some(parent) = path.parent() {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
            }
            let mut file =
                OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&fresh)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&fresh, &path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> (tempfile::TempDir, DataDir) {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::choose(Some(dir.path().join("data")), None, true).unwrap();
        data.create().unwrap();
        (dir, data)
    }

    #[test]
    fn a_second_holder_is_told_who_the_first_is() {
        let (_dir, data) = fresh();
        assert_eq!(data.holder().unwrap(), None);
        let held = data.hold().unwrap();
        assert_eq!(data.holder().unwrap(), Some(std::process::id() as i32));
        let error = data.hold().err().unwrap().to_string();
        assert!(error.contains(&format!("in use by process {}", std::process::id())), "{error}");
        drop(held);
        assert_eq!(data.holder().unwrap(), None);
    }

    #[test]
    fn files_are_private_and_whole() {
        use std::os::unix::fs::PermissionsExt;
        let (_dir, data) = fresh();
        data.write_json("pki/x.json", &vec![1, 2]).unwrap();
        assert_eq!(data.read_json::<Vec<u8>>("pki/x.json").unwrap(), Some(vec![1, 2]));
        assert_eq!(fs::metadata(data.join("pki/x.json")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(data.read_json::<Vec<u8>>("none.json").unwrap(), None);
        data.write("bad.json", b"{").unwrap();
        assert!(data.read_json::<Vec<u8>>("bad.json").unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn without_a_home_a_directory_must_be_named() {
        assert!(DataDir::choose(None, None, false).unwrap_err().to_string().contains("--data-dir"));
        let home = DataDir::choose(None, Some("/home/ada".into()), false).unwrap();
        assert_eq!(home.path(), Path::new("/home/ada/.local/share/dory"));
    }
}
