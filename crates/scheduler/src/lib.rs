//! Which node a pod runs on: `place(pod, snapshot)` is pure; a thin loop around it binds.
//!
//! ```text
//!   pods, nodes, claims ──changes──► Snapshot (with assumed pods) ──► place ──► (volumes) ──► binding │ PodScheduled=False
//!                                                                       └─ filter, score, message, preempt
//! ```
//!
//! A pod that fits nowhere is tried again when something changed that could help, and never on a clock. More important
//! pods come first, and push less important ones out where that makes room.
#![deny(missing_docs)]

mod amounts;
mod filter;
mod message;
mod place;
mod preempt;
mod run;
mod score;
mod snapshot;
mod state;
mod storage;
mod volumes;

pub use amounts::Amounts;
pub use filter::Provision;
pub use place::{Placement, place};
pub use preempt::{Preemption, preempt};
pub use reconcile::Handle;
pub use run::{Options, start};
pub use snapshot::{NodeInfo, PodInfo, Snapshot};
pub use storage::{Part, Storage};
