//! What the gateway needs of the `functions` room, so that tests can stand in for it.

use std::sync::Arc;

use functions::{Functions, Invocation, InvokeError, Outcome, StreamedOutcome};
use futures::future::BoxFuture;

/// Runs functions.
pub trait Invoke: Send + Sync + 'static {
    /// Runs a function and waits for its answer.
    fn invoke(self: Arc<Self>, invocation: Invocation) -> BoxFuture<'static, Result<Outcome, InvokeError>>;

    /// Runs a function and returns when its answer begins; here, when all of it is there.
    fn invoke_streaming(
        self: Arc<Self>,
        invocation: Invocation,
    ) -> BoxFuture<'static, Result<StreamedOutcome, InvokeError>> {
        Box::pin(async move { Ok(self.invoke(invocation).await?.into()) })
    }
}

impl Invoke for Functions {
    fn invoke(self: Arc<Self>, invocation: Invocation) -> BoxFuture<'static, Result<Outcome, InvokeError>> {
        Box::pin(async move { Functions::invoke(&self, invocation).await })
    }

    fn invoke_streaming(
        self: Arc<Self>,
        invocation: Invocation,
    ) -> BoxFuture<'static, Result<StreamedOutcome, InvokeError>> {
        Box::pin(async move { Functions::invoke_streaming(&self, invocation).await })
    }
}
