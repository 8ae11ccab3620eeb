//! Bodies on the way through: a request's body that can be sent again as long as nobody read of it, and a response's
//! body that ends with an error when it falls silent.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use crate::answer::BoxError;

/// A client's body, shared by the attempts to send it. Only one attempt lives at a time.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<State>>);

struct State {
    body: Incoming,
    touched: bool,
    last_progress: Instant,
}

impl Shared {
    pub(super) fn new(body: Incoming) -> Shared {
        Shared(Arc::new(Mutex::new(State { body, touched: false, last_progress: Instant::now() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody has read of it, so that it can be sent to somebody else.
    pub(super) fn is_whole(&self) -> bool {
        !self.state().touched
    }

    /// When the last piece was read, or else when the request came.
    pub(super) fn last_progress(&self) -> Instant {
        self.state().last_progress
    }
}

impl Body for Shared {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut state = self.state();
        state.touched = true;
        let polled = Pin::new(&mut state.body).poll_frame(context);
        if polled.is_ready() {
            state.last_progress = Instant::now();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.state().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.state().body.size_hint()
    }
}

/// An endpoint's body, broken off when nothing comes for too long.
pub(super) struct Idle {
    body: Incoming,
    limit: Duration,
    /// Made at the first wait: most bodies are there at once.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Idle {
    pub(super) fn new(body: Incoming, limit: Duration) -> Idle {
        Idle { body, limit, sleep: None }
    }
}

impl Body for Idle {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.sleep = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)));
        }
        let limit = self.limit;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        match sleep.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Some(Err("the endpoint's answer broke off".into()))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
