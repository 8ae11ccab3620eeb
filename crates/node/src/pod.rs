//! One pod of this machine, from the moment it is bound until nothing of it is left.
//!
//! ```text
//!   state ── plan ──► actions (task carries them out: start, stop, hooks)      what happens comes back into state
//!     └───── status ──► what the API shows, written only when it changed
//! ```

pub(crate) mod backoff;
pub(crate) mod conditions;
pub(crate) mod ground;
mod hook;
mod image;
pub(crate) mod last_words;
pub(crate) mod launch;
pub(crate) mod mailbox;
pub(crate) mod plan;
pub(crate) mod report;
pub(crate) mod state;
pub(crate) mod status;
mod stop;
pub(crate) mod storage;
pub(crate) mod task;
