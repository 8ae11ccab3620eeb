//! What a process in a container is, and why one could not be started.
use serde::{Deserialize, Serialize};

/// Who a process runs as.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    /// `USER` of the image or a plain id: `name`, `uid`, `name:group`, `uid:gid`; empty = root. Names are looked
    /// up in the container's own `/etc/passwd` and `/etc/group`.
    pub name: String,
    /// Wins over the user in `name` (`runAsUser`).
    pub uid: Option<u32>,
    /// Wins over the group in `name` (`runAsGroup`).
    pub gid: Option<u32>,
    /// Further groups (`supplementalGroups`, `fsGroup`).
    pub groups: Vec<u32>,
}

/// Which capabilities a process has: the default set of Docker and Kubernetes, plus and minus these.
/// Names with or without `CAP_`, in any case; `ALL` is understood in both lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// Added.
    pub add: Vec<String>,
    /// Dropped (first, so that `drop: [ALL], add: [NET_BIND_SERVICE]` means what it says).
    pub drop: Vec<String>,
}

/// Which system calls a process may make.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seccomp {
    /// Any.
    Unconfined,
    /// The profile of a container runtime (`RuntimeDefault`).
    #[default]
    RuntimeDefault,
    /// The tighter profile of function instances.
    Function,
}

/// One resource limit (`RLIMIT_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// `RLIMIT_` number of the kernel.
    pub resource: u32,
    /// What is enforced.
    pub soft: u64,
    /// How far the process may raise it.
    pub hard: u64,
}

/// Why a process could not be started. Its text is the one that users of runc know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct StartError {
    /// The class.
    pub kind: StartErrorKind,
    /// The text, for example `exec: "nope": executable file not found in $PATH`.
    pub message: String,
}

/// Classes of [`StartError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartErrorKind {
    /// The command is not in the root file system.
    NotFound,
    /// The command may not be executed.
    PermissionDenied,
    /// The kernel cannot execute the file.
    ExecFormat,
    /// The working directory does not exist or may not be entered.
    WorkingDirectory,
    /// A named user or group is not in the image.
    User,
    /// A mount could not be made.
    Mount,
    /// The specification asks for something that does not exist or is not supported.
    Invalid,
    /// It was killed before it was what it should become: nothing of the command has run.
    Lost,
    /// Anything else on the way.
    Setup,
}

impl StartError {
    /// The exit code that shells and runtimes give: 127 not found, 126 not executable, else 128.
    pub fn exit_code(&self) -> i32 {
        match self.kind {
            StartErrorKind::NotFound => 127,
            StartErrorKind::PermissionDenied | StartErrorKind::ExecFormat => 126,
            _ => 128,
        }
    }
}

impl StartError {
    /// An error of the class `Setup` on preparing limits, streams or shared memory.
    pub fn limits(error: std::io::Error) -> StartError {
        StartError::setup("preparing the container")(error)
    }

    /// An error of the class `Setup`: a step on the way that should not fail.
    pub(crate) fn setup<E: Into<std::io::Error>>(
        what: impl std::fmt::Display,
    ) -> impl FnOnce(E) -> StartError {
        move |error| StartError {
            kind: StartErrorKind::Setup,
            message: format!("{what}: {}", describe(&error.into())),
        }
    }
}

/// The text of an error as Unix users know it, without Rust's "(os error 2)".
pub(crate) fn describe(error: &std::io::Error) -> String {
    let text = error.to_string();
    let plain = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = plain.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
