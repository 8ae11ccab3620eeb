//! The files of a pod: what dory asked for (`pod.json`, written once by dory) and what became of its containers
//! (`records.json`, written by the supervisor at every change). Written beside and renamed, so that a reader sees one
//! state or the next. Not synced to disk: they must survive processes; after a power cut the containers are gone
//! anyway, and their restart counts are in the API server.
use crate::{ContainerRecord, PodSpec};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// What dory tells a supervisor, and its successor dory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PodFile {
    pub(crate) spec: PodSpec,
    /// The pod's control group below the roots.
    pub(crate) group: String,
    /// The leased network; `None` = the host's.
    pub(crate) network: Option<NetworkFile>,
    /// Where the supervisor listens for a later dory.
    pub(crate) socket: PathBuf,
}

/// A leased network by name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NetworkFile {
    pub(crate) name: String,
    pub(crate) netns: PathBuf,
    pub(crate) address: Option<std::net::Ipv4Addr>,
}

/// The fixed names in a pod's directory.
#[derive(Debug, Clone)]
pub(crate) struct PodDir(pub(crate) PathBuf);

impl PodDir {
    pub(crate) fn read_pod(&self) -> io::Result<PodFile> {
        read(&self.0.join("pod.json"))
    }

    pub(crate) fn write_pod(&self, file: &PodFile) -> io::Result<()> {
        write(&self.0.join("pod.json"), file)
    }

    /// The last attempt of each container; none when nothing was written yet.
    pub(crate) fn read_records(&self) -> io::Result<Vec<ContainerRecord>> {
        match read(&self.0.join("records.json")) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            other => other,
        }
    }

    pub(crate) fn write_records(&self, records: &[ContainerRecord]) -> io::Result<()> {
        write(&self.0.join("records.json"), &records)
    }

    /// An empty directory over which containers mount their roots, each for itself alone.
    pub(crate) fn mountpoint(&self) -> PathBuf {
        self.0.join("rootfs")
    }

    /// Over which the supervisor mounts the pod's shared memory, for itself alone.
    pub(crate) fn shm(&self) -> PathBuf {
        self.0.join("shm")
    }

    /// A file that all containers see in `/etc`.
    pub(crate) fn etc(&self, name: &str) -> PathBuf {
        self.0.join("etc").join(name)
    }

    /// The writable layer of one attempt of a container.
    pub(crate) fn layer(&self, name: &str, attempt: u32) -> PathBuf {
        self.0.join("layers").join(format!("{name}-{attempt}"))
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<T> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let beside = path.with_extension("new");
    std::fs::write(&beside, serde_json::to_vec(value)?)?;
    std::fs::rename(&beside, path)
}
