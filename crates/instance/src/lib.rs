//! One instance of a function, from the moment it has a sandbox to its end: what is spoken with it and what it hears, what
//! each of its calls means, what it writes into the function's log. Never decides when an instance starts, with what
//! program, or who is served by which: that is `functions`, above, which hands in a [`Beginning`] and events
//! ([`Instance::dispatch`]), and hears of the instance as its [`Owner`].
//!
//! ```text
//!  Owner (a pool) ◄── offer, gone … ── Instance ◄── dispatch, stop, time_out ── functions
//!    Instance         one sandbox, one invocation at a time: the state machine
//!      ├─ runtime_api   2018-06-01, on a listener inside the sandbox's own network namespace
//!      ├─ web           speaks for a web server that knows nothing of the Runtime API
//!      ├─ door          the AWS endpoint, on another listener
//!      ├─ Extensions    who else runs in it, and waits for events of its own
//!      ├─ Telemetry     what they hear of it
//!      ├─ Journal       its output and the platform's lines (`report`), in one order (room `managed`)
//!      └─ Sandbox       where it runs (room `sandbox`, or a fake)
//! ```

#![deny(missing_docs)]

mod accept;
mod door;
mod extensions;
mod fault;
mod instance;
mod journal;
mod lines;
mod logging;
mod owner;
mod pieces;
mod report;
mod runtime_api;
mod sandboxes;
mod stages;
mod telemetry;
pub mod web;

pub use door::{DOOR_PORT, Door};
pub use extensions::{Identity, Launch, find as find_extensions};
pub use fault::Fault;
pub use instance::{
    Answer, Beginning, Born, Caller, FailedStart, FunctionError, InitFailure, Instance, Metered, Rejected,
    Reply, Terms, Unserved, Work,
};
pub use journal::TAIL_BYTES;
pub use logging::{Format, Level, Logging, default_group, streams_of};
pub use owner::Owner;
pub use pieces::{Opened, STREAM_BYTES_MAX};
pub use runtime_api::{API_PORT, PAYLOAD_BYTES_MAX};
pub use sandboxes::{Program, Running, Sandbox, Sandboxes, Spec, StartError};
pub use stages::{Stage, Stopwatch};
