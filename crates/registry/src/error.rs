//! Why an image was not pulled.

/// Reads after "failed to pull image …: ".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The registry has no such image.
    #[error("not found")]
    NotFound,
    /// The registry wants (other) credentials.
    #[error("pull access denied, repository does not exist or may require authorization: {0}")]
    Denied(String),
    /// The registry cannot be reached or broke off.
    #[error("failed to do request: {0}")]
    Network(String),
    /// The registry answered what is no image.
    #[error("unexpected answer of the registry: {0}")]
    Invalid(String),
    /// There is nothing in the image for this machine.
    #[error("no match for platform linux/{0} in the image's index")]
    Platform(&'static str),
    /// The archive could not be written.
    #[error("write the image: {0}")]
    Disk(String),
}
