//! What is asked for: pods, containers in them, commands in those, and function instances. Plain data that `node`
//! and `functions` fill in and that travels to the supervisor as JSON.
use container::cgroup::Limits;
use container::mount::Mount;
use container::process::{Capabilities, Rlimit, Seccomp, User};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A pod: the namespaces that its containers share.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PodSpec {
    /// The pod's uid: names its directory and its control group. `[A-Za-z0-9_.-]`, at most 63 bytes.
    pub id: String,
    /// Host name inside (UTS namespace).
    pub hostname: String,
    /// For humans and for the owner: kept with the pod and given back after adoption (namespace, name …).
    pub labels: BTreeMap<String, String>,
    /// Limits of all containers together.
    pub limits: Limits,
    /// Namespaced sysctls (`net.*`, `kernel.shm*`, `kernel.msg*`, `kernel.sem`, `fs.mqueue.*`); others are refused.
    pub sysctls: BTreeMap<String, String>,
    /// Text of `/etc/resolv.conf` in every container.
    pub resolv_conf: String,
    /// Lines that follow the standard ones in `/etc/hosts` (host aliases). The standard ones are the loopback
    /// names and the pod's own address and host name.
    pub hosts: String,
    /// One process namespace for all containers.
    pub share_pid: bool,
    /// The host's network instead of a leased one.
    pub host_network: bool,
    /// The host's processes are visible (and share one process namespace with the containers).
    pub host_pid: bool,
    /// The host's System V IPC and POSIX queues.
    pub host_ipc: bool,
}

/// Where a root file system comes from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Root {
    /// The layers of an image in the store, by name, tag or id, with a private writable layer on top; function instances
    /// have none.
    Image(String),
    /// Unpacked layers of an image, lowest first; as for [`Root::Image`].
    Layers(Vec<PathBuf>),
    /// A directory, written to in place unless the root is read-only.
    Dir(PathBuf),
    /// The host's programs and libraries, read-only, in an otherwise private, empty root; for function instances.
    Host {
        /// Further host directories, read-only, at the same path (an interpreter's prefix).
        prefixes: Vec<PathBuf>,
    },
}

impl Default for Root {
    fn default() -> Root {
        Root::Host { prefixes: Vec::new() }
    }
}

/// A container of a pod.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerSpec {
    /// Its name in the pod.
    pub name: String,
    /// 0 for the first start, counted up by the caller with each restart.
    pub attempt: u32,
    /// Its root file system.
    pub root: Root,
    /// The full command. Empty = the image's entry point and command.
    pub argv: Vec<String>,
    /// The environment. Variables of the image that are not named here are added.
    pub env: Vec<(String, String)>,
    /// Working directory, created when missing. `None` = the image's, else `/`.
    pub cwd: Option<String>,
    /// Who it runs as. An empty name = the image's user.
    pub user: User,
    /// Mounts, applied in order after the standard ones.
    pub mounts: Vec<Mount>,
    /// Limits of this container.
    pub limits: Limits,
    /// Capabilities; ignored when `privileged`.
    pub capabilities: Capabilities,
    /// All capabilities, all devices, nothing masked, no seccomp.
    pub privileged: bool,
    /// No gain of privileges through set-user-id programs (`allowPrivilegeEscalation: false`).
    pub no_new_privileges: bool,
    /// System call filter.
    pub seccomp: Seccomp,
    /// No writes to the root file system.
    pub read_only_root: bool,
    /// `/proc` without masked and read-only paths (`procMount: Unmasked`).
    pub unmasked_proc: bool,
    /// A terminal as standard input and output.
    pub tty: bool,
    /// Standard input stays open, and whoever attaches writes to it; otherwise it is `/dev/null`.
    pub stdin: bool,
    /// It ends with the first who attached.
    pub stdin_once: bool,
    /// Where the log goes, for example `<pod logs>/<container>/0.log`. Directories are created.
    pub log_path: PathBuf,
    /// Signal number that asks it to end. `None` = the image's, else SIGTERM.
    pub stop_signal: Option<i32>,
    /// Resource limits.
    pub rlimits: Vec<Rlimit>,
    /// The kernel's preference when memory runs out, -1000 (never) to 1000 (first).
    pub oom_score_adj: Option<i32>,
}

/// A command in a running container.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecSpec {
    /// The full command.
    pub argv: Vec<String>,
    /// Variables in addition to the container's.
    pub env: Vec<(String, String)>,
    /// A terminal.
    pub tty: bool,
    /// A standard input that the caller writes to; otherwise it is `/dev/null`.
    pub stdin: bool,
}

/// What a function instance can reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reach {
    /// A leased network with the way out to the world.
    #[default]
    Egress,
    /// Its own loopback only.
    Nothing,
}

/// An instance of a function: one process tree, soft state, dead with dory.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct InstanceSpec {
    /// Unique among the live instances of this host. `[A-Za-z0-9_.-]`, at most 63 bytes.
    pub id: String,
    /// The full command, looked up in the environment's PATH inside the root.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Working directory.
    pub cwd: String,
    /// Mounts besides the standard ones; the code as `Mount::bind(code, "/var/task", true)`.
    pub mounts: Vec<Mount>,
    /// The root file system, always read-only.
    pub root: Root,
    /// Memory limit in bytes, `/tmp` not counted.
    pub memory_bytes: u64,
    /// Hard CPU limit in thousandths of a CPU.
    pub cpu_millis: Option<u64>,
    /// Processes and threads.
    pub pids_max: Option<u64>,
    /// Size of the private `/tmp`.
    pub tmp_bytes: u64,
    /// Port on 127.0.0.1 inside, where [`crate::Instance::take_listener`] listens.
    pub api_port: Option<u16>,
    /// Port on 127.0.0.1 inside, where [`crate::Instance::take_door`] listens.
    pub door_port: Option<u16>,
    /// What it can reach.
    pub reach: Reach,
    /// Text of `/etc/resolv.conf`; empty = the host's.
    pub resolv_conf: String,
    /// Its standard input is a pipe that [`crate::Instance::assign`] writes to: it starts before it is known what for.
    pub unassigned: bool,
    /// Its process is handed two descriptors from [`crate::HANDED_FIRST`] on, to read from and to write to: the far ends of
    /// [`crate::Instance::take_pipes`].
    pub connected: bool,
    /// No command of its own: its first process only holds the namespaces, and what runs is what
    /// [`crate::Instance::run`] starts.
    pub held: bool,
}

/// A program in an instance that is held.
#[derive(Debug, Clone, Default)]
pub struct ProgramSpec {
    /// The full command, looked up in the environment's PATH inside the root.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Working directory.
    pub cwd: String,
}
