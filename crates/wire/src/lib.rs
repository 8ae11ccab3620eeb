//! What every service of AWS speaks, and none of them owns: a request whose signature held, answers, errors in the shape of
//! each protocol. Called by the services and by the door; knows no operation, no object and no function.
//!
//! ```text
//!   Call ─ a verified request      Reply, reply ─ answers: JSON, XML, bytes, streams
//!   Fault ─ one error, in the shape of the protocol that it is answered in
//!   query ─ forms in, XML out      event_stream ─ answers that come as a stream of events
//!   Bodies, Share ─ how much of requests is in memory, in all and of each instance
//!   Targets ─ the queues, topics and functions that one service tells of what happened in another
//! ```

mod bodies;
mod call;
pub mod event_stream;
mod fault;
pub mod query;
pub mod reply;
mod target;

pub use bodies::{Bodies, REQUEST_BYTES_MAX, Share};
pub use call::{Call, FromInstance, NAMESPACE, OWN_PREFIX, REQUEST_ID, parameters};
pub use fault::{Blame, Fault};
pub use reply::{Body, Reply};
pub use target::{Source, Targets, Undelivered};
