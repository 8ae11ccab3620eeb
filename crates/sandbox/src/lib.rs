//! A running thing with an address: start, stop, freeze, exec, stats, logs. The one place where pods and function
//! instances meet.
//!
//! ```text
//!   dory ── Host ─┬─ Pod ──────── unix socket ── supervisor (`dory shim pod`)       ── containers
//!                 └─ Instance ─── unix socket ── spawner    (`dory shim instances`) ── instances
//! ```
//!
//! Pods outlive dory, instances do not. `node` and `functions` call this room; it calls `container` and `net`.

mod error;
mod host;
mod instance;
mod link;
mod pod;
mod pull;
mod record;
mod shim;
mod shims;
mod spec;
mod wire;

pub use container::bundle::HANDED_FIRST;
pub use container::cgroup::{Limits, Usage};
pub use container::heap;
pub use container::image;
pub use container::mount::{Mount, MountKind, Propagation};
pub use container::process::{Capabilities, Rlimit, Seccomp, StartError, StartErrorKind, User};
pub use error::Error;
pub use host::{Host, Settings};
pub use instance::{Instance, Pipes, Program};
pub use pod::{Attach, Exec, Pod};
pub use pull::{PullError, Pulls};
pub use record::{ContainerRecord, ContainerState, Exit};
pub use registry::{Credentials, docker_config};
pub use shim::supervisor_main;
pub use spec::{ContainerSpec, ExecSpec, InstanceSpec, PodSpec, ProgramSpec, Reach, Root};
