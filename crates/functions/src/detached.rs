//! Work that is done to its end although who asked for it goes away, and that costs no task of its own as long as they
//! stay: it runs where it is awaited, and becomes a task only when it is dropped half done.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future that cannot be cancelled.
pub(crate) struct Detached<T: Send + 'static>(Option<Pin<Box<dyn Future<Output = T> + Send>>>);

impl<T: Send + 'static> Detached<T> {
    pub(crate) fn new(work: impl Future<Output = T> + Send + 'static) -> Detached<T> {
        Detached(Some(Box::pin(work)))
    }
}

impl<T: Send + 'static> Future for Detached<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        // Taken out meanwhile: work that panics is not gone on with.
        let Some(mut work) = self.0.take() else { return Poll::Pending };
        let polled = work.as_mut().poll(context);
        if polled.is_pending() {
            self.0 = Some(work);
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Detached<T> {
    fn drop(&mut self) {
        if let (Some(work), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move { drop(work.await) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn goes_on_when_nobody_waits() {
        let (go, gone) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let work = Detached::new(async move {
            drop(gone.await);
            tell.send(7).expect("somebody listens");
        });
        let waited = tokio::time::timeout(Duration::from_millis(1), work).await;
        assert!(waited.is_err());
        go.send(()).expect("it still waits");
        assert_eq!(told.await, Ok(7));
    }

    #[tokio::test]
    async fn answers_who_waits() {
        assert_eq!(Detached::new(async { 3 }).await, 3);
    }
}
