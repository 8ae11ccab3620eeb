//! Images, layers, root file systems, processes, namespaces, cgroups, seccomp.
//!
//! ```text
//!   image      what is unpacked on disk                    (any process)
//!   cgroup     groups of processes, v1 and v2              (any process)
//!   bundle     what a container consists of: plain data
//!   launch ─┬─ fork      clone, setns, unshare             (single-threaded processes only:
//!           ├─ rootfs    mounts, /dev, pivot_root           the supervisor and the spawner
//!           └─ confine   ids, capabilities, seccomp, exec   of `sandbox`)
//!   heap       the process's own memory                 (any process)
//!   graft      mounts for a container that runs already    (single-threaded processes only)
//! ```
//!
//! The room makes containers; it keeps no records, knows no pods and opens no network.
#![deny(missing_docs)]

pub mod bundle;
pub mod capability;
pub mod cgroup;
mod confine;
pub mod fork;
pub mod frame;
pub mod graft;
pub mod heap;
pub mod image;
pub mod launch;
pub mod mount;
pub mod namespace;
pub mod process;
mod rootfs;
pub mod seccomp;
pub mod user;
