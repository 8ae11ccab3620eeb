//! What the gateway needs of the `functions` room, so that tests can stand in for it.

use std::sync::Arc;

use functions::{Functions, Invocation, InvokeError, Outcome};
use futures::future::BoxFuture;

/// Runs functions.
pub trait Invoke: Send + Sync + 'static {
    /// Runs a function and waits for its answer.
    fn invoke(self: Arc<Self>, invocation: Invocation) -> BoxFuture<'static, Result<Outcome, InvokeError>>;
}

impl Invoke for Functions {
    fn invoke(self: Arc<Self>, invocation: Invocation) -> BoxFuture<'static, Result<Outcome, InvokeError>> {
        Box::pin(async move { Functions::invoke(&self, invocation).await })
    }
}
