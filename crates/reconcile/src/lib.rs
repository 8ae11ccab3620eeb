//! The loop, once: a queue of keys, workers, backoff, resync, leader lease.
//!
//! ```text
//!   Cache ──Changes──► map ──Key──► Queue ──► worker ──► Reconciler::reconcile(key)
//!                                     ▲          │ error: 5 ms … 1000 s later
//!                                     └──────────┘ Some(after): after
//! ```
//!
//! It knows keys and caches, never what a reconciler does with them. `controllers`, `scheduler`, `node`
//! and `gateway` give it their reconcilers.
#![deny(missing_docs)]

mod handle;
pub mod lease;
mod queue;
mod run;

pub use handle::Handle;
pub use queue::Queue;
pub use run::{Error, Loop, Outcome, Reconciler, Stats};
pub use tokio_util::sync::CancellationToken;
