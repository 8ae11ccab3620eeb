//! What the node needs of the machine, as traits: `sandbox` implements them in the world, [`fake`] in tests.

#[cfg(test)]
pub(crate) mod fake;
mod real;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use sandbox::{Attach, ContainerRecord, ContainerSpec, Credentials, Error, Exec, ExecSpec, PodSpec, Usage};

pub(crate) use self::real::Real;

/// What an image says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) id: String,
    pub(crate) entrypoint: Vec<String>,
    pub(crate) command: Vec<String>,
    pub(crate) user: String,
    /// It came from a registry, which may have a newer one.
    pub(crate) pulled: bool,
}

/// What a pull brought: the image, and the bytes fetched for it.
pub(crate) type Pull = Result<(Image, u64), String>;

/// Starts pods and knows images.
pub(crate) trait Runtime: Send + Sync + 'static {
    /// An image of the local store.
    fn image(&self, name: &str) -> Option<Image>;
    /// Fetches an image from its registry; with `missing_only` not one that came meanwhile.
    fn pull(&self, name: &str, credentials: Vec<Credentials>, missing_only: bool)
    -> BoxFuture<'static, Pull>;
    /// Starts a pod without containers.
    fn start_pod(&self, spec: PodSpec) -> BoxFuture<'static, Result<Arc<dyn Sandbox>, Error>>;
    /// Pods that an earlier process started.
    fn adopt(&self) -> BoxFuture<'static, Result<Vec<Arc<dyn Sandbox>>, Error>>;
}

/// What a pod uses, and each of its running containers by name.
pub(crate) type PodUsage = (Usage, BTreeMap<String, Usage>);

/// How a command in a container ended: its exit code, and the beginning of what it wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) output: String,
}

/// One pod's namespaces and the containers in them.
pub(crate) trait Sandbox: Send + Sync + 'static {
    fn id(&self) -> String;
    fn address(&self) -> Option<Ipv4Addr>;
    /// Its network namespace; `None` on the host's network.
    fn netns(&self) -> Option<PathBuf>;
    fn is_live(&self) -> bool;
    fn start_container(&self, spec: ContainerSpec) -> BoxFuture<'_, Result<ContainerRecord, Error>>;
    /// Sends a container its stop signal.
    fn stop<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Error>>;
    fn kill<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Error>>;
    fn containers(&self) -> Vec<ContainerRecord>;
    fn events(&self) -> BoxStream<'static, ContainerRecord>;
    fn exec<'a>(&'a self, name: &'a str, spec: ExecSpec) -> BoxFuture<'a, Result<Exec, Error>>;
    fn attach<'a>(&'a self, name: &'a str, stdin: bool) -> BoxFuture<'a, Result<Attach, Error>>;
    /// Runs a command to its end, or kills it after `timeout`.
    fn run<'a>(
        &'a self,
        name: &'a str,
        argv: Vec<String>,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Ran, String>>;
    /// The writable layer of each container.
    fn layers(&self) -> Vec<(String, PathBuf)>;
    fn usage(&self) -> BoxFuture<'_, Result<PodUsage, Error>>;
    fn remove(&self) -> BoxFuture<'_, Result<(), Error>>;
}
