//! Data engines: what a serverless application keeps its data in, without the wire format of any API. Today that is the
//! queue. Everything is kept in one store, whose acknowledged writes are durable; called by `functions` (asynchronous
//! invocations) and, when they exist, by the services of the AWS door that sell these engines.
//!
//! ```text
//!  Queues ─ all queues of one store, and their limits
//!    └─ Queue   send ─▶ [ delayed | visible ] ─▶ receive ─▶ [ hidden ] ─▶ delete
//!                             ▲                                  │
//!                             └──── release, defer, time-out ────┘
//! ```
#![deny(missing_docs)]

mod clock;
mod queue;

pub use clock::{Clock, Wall};
pub use queue::{Depth, MESSAGE_BYTES_MAX, Message, Queue, QueueError, Queues, Receipt, SendError};
