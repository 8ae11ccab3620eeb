//! Why something on a host, a pod or an instance failed.
use container::process::StartError;
use std::io;

/// Why an operation failed. Texts read after "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The image is not in the store, or damaged.
    #[error("image \"{0}\": {1}")]
    Image(String, #[source] container::image::Error),
    /// The spawner of function instances died; the next start gets a new one.
    #[error("the spawner of function instances is gone")]
    SpawnerGone,
    /// There is no such container in the pod, or it does not run.
    #[error("container \"{0}\" is not running")]
    NotRunning(String),
    /// Something with this name exists.
    #[error("\"{0}\" exists already")]
    Exists(String),
    /// The specification is not acceptable.
    #[error("{0}")]
    Invalid(String),
    /// The pod's supervisor is gone.
    #[error("the supervisor of pod {0} is gone")]
    SupervisorGone(String),
    /// The network.
    #[error("network: {0}")]
    Network(#[from] net::Error),
    /// The operating system refused a step.
    #[error("{step}: {source}")]
    Io {
        /// What was tried.
        step: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl Error {
    /// Names the step that failed.
    pub fn io(step: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let step = step.into();
        move |source| Error::Io { step, source }
    }
}
