//! Where a platform listens and how to prove who we are: read from its data directory.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use client::kube;
use serde::{Deserialize, Serialize};

/// Name of the file in the data directory that holds [`Endpoints`].
pub const ENDPOINTS_FILE: &str = "endpoints.json";

/// What a running platform really listens on; written by `dory up`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Endpoints {
    pub api_port: u16,
    pub aws_port: u16,
    pub http_port: u16,
    pub https_port: u16,
    pub region: String,
    pub account_id: String,
}

/// The key pair of the AWS door.
#[derive(Deserialize)]
pub(crate) struct Keys {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
}

/// A platform as its data directory describes it.
pub struct Platform {
    data_dir: PathBuf,
}

impl Platform {
    /// The platform of this data directory, running or not.
    pub fn at(data_dir: &Path) -> Platform {
        Platform { data_dir: data_dir.to_owned() }
    }

    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Where it listens, or how to start it.
    pub fn endpoints(&self) -> Result<Endpoints> {
        self.read(ENDPOINTS_FILE)
    }

    pub(crate) fn keys(&self) -> Result<Keys> {
        self.read("credentials")
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.data_dir.join("kubeconfig")
    }

    pub(crate) async fn client(&self) -> Result<kube::Client> {
        self.endpoints()?;
        Ok(client::from_kubeconfig(&self.kubeconfig()).await?)
    }

    fn read<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T> {
        let path = self.data_dir.join(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(
                "no platform runs from {}; start one with `dory up --detach`, or name its directory with --data-dir DIR",
                self.data_dir.display()
            ),
            Err(error) => {
                return Err(error)
                    .context(format!("cannot read {}; run as the user who ran `dory up`", path.display()));
            }
        };
        serde_json::from_slice(&bytes).with_context(|| {
            format!("{} is damaged; `dory down` and `dory up` write it anew", path.display())
        })
    }
}
