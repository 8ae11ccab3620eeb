//! Which node a pod runs on: `place(pod, snapshot)` is pure; a thin loop around it binds.
//!
//! ```text
//!   pods, nodes ──changes──► Snapshot (with assumed pods) ──► place ──► binding │ PodScheduled=False
//!                                                               └─ filter, score, message
//! ```
//!
//! A pod that fits nowhere is tried again when something changed that could help, and never on a clock.
//! What is not here: preemption. A pod never pushes another one out; priorities are not looked at.
#![deny(missing_docs)]

mod amounts;
mod filter;
mod message;
mod place;
mod run;
mod score;
mod snapshot;

pub use amounts::Amounts;
pub use place::{Placement, place};
pub use run::{Handle, Options, start};
pub use snapshot::{NodeInfo, PodInfo, Snapshot};
