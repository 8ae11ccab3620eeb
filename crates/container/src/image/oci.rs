//! The documents of the OCI image specification, and what `docker save` writes: only the parts that are used here.
//! Blobs are kept as they came, so nothing that is not named here is lost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Config;
use super::digest::Digest;

pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// Where an index holds the name of an image.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Where containerd and newer Dockers hold its full name.
pub(crate) const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Where this store notes that an image came from its registry, and was not made or loaded here.
pub(crate) const PULLED: &str = "dev.dory.image.pulled";

/// Marks an entry without a name: an image that is kept for its digest.
pub(crate) const KEPT: &str = "dev.dory.image.kept";

/// Where this store notes when an image came, in RFC 3339.
pub(crate) const ADDED: &str = "dev.dory.image.added";

/// A blob, and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

impl Descriptor {
    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Platform {
    pub architecture: String,
    pub os: String,
}

/// `index.json`: manifests, by name or by platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub schema_version: u32,
    #[serde(default)]
    pub media_type: String,
    pub manifests: Vec<Descriptor>,
}

impl Default for Index {
    fn default() -> Index {
        Index { schema_version: 2, media_type: INDEX.into(), manifests: Vec::new() }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub schema_version: u32,
    #[serde(default)]
    pub media_type: String,
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
}

/// The configuration blob.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ImageConfig {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    pub architecture: String,
    pub os: String,
    #[serde(default)]
    pub config: Option<Run>,
    pub rootfs: RootFs,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RootFs {
    #[serde(rename = "type")]
    pub kind: String,
    /// Of each layer's tar, decompressed; lowest first.
    pub diff_ids: Vec<Digest>,
}

/// What containers run; every field may be missing or null.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Run {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
}

impl From<Config> for Run {
    fn from(config: Config) -> Run {
        let text = |text: String| (!text.is_empty()).then_some(text);
        let list = |list: Vec<String>| (!list.is_empty()).then_some(list);
        let ports: BTreeMap<_, _> =
            config.exposed_ports.into_iter().map(|port| (port, serde_json::json!({}))).collect();
        Run {
            user: text(config.user),
            exposed_ports: (!ports.is_empty()).then_some(ports),
            env: list(config.env),
            entrypoint: list(config.entrypoint),
            cmd: list(config.cmd),
            working_dir: text(config.working_dir),
            stop_signal: config.stop_signal,
        }
    }
}

impl From<Run> for Config {
    fn from(run: Run) -> Config {
        Config {
            entrypoint: run.entrypoint.unwrap_or_default(),
            cmd: run.cmd.unwrap_or_default(),
            env: run.env.unwrap_or_default(),
            user: run.user.unwrap_or_default(),
            working_dir: run.working_dir.unwrap_or_default(),
            exposed_ports: run.exposed_ports.unwrap_or_default().into_keys().collect(),
            stop_signal: run.stop_signal.filter(|signal| !signal.is_empty()),
        }
    }
}

/// One image in the `manifest.json` of `docker save`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Saved {
    pub config: String,
    #[serde(default)]
    pub repo_tags: Option<Vec<String>>,
    pub layers: Vec<String>,
}

/// What the specification calls this machine: `linux/amd64`.
pub(crate) fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
