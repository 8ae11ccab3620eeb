//! What one service tells others: a queue, a topic or a function gets a document, on behalf of a resource of the service. Services see
//! one another only so; the door gives them the one that knows them all.

use futures::future::BoxFuture;

/// On whose behalf something is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source<'a> {
    /// The service, such as `s3.amazonaws.com`.
    pub service: &'a str,
    /// The resource of it, such as `arn:aws:s3:::bucket`.
    pub arn: &'a str,
    /// The trace header of what made it happen, to pass on.
    pub trace: Option<&'a str>,
}

/// Why something was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undelivered {
    /// Another try would end the same.
    Never(String),
    /// It may be tried again.
    Later(String),
}

/// Queues, topics and functions, by their ARNs.
pub trait Targets: Send + Sync {
    /// Whether a target is there and lets itself be told; why not, in words for whoever names it.
    fn check<'a>(&'a self, target: &'a str, source: Source<'a>) -> BoxFuture<'a, Result<(), String>>;

    /// Tells a target.
    fn send<'a>(
        &'a self,
        target: &'a str,
        source: Source<'a>,
        body: String,
    ) -> BoxFuture<'a, Result<(), Undelivered>>;
}
