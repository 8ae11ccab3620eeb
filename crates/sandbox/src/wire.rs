//! What dory and its shims say to each other: requests down, replies and events up, as JSON in frames with
//! descriptors beside them. A request and its reply share an id.
use crate::{ContainerRecord, ContainerSpec, ExecSpec, Exit};
use container::bundle::{Order, Process};
use container::cgroup::Limits;
use container::mount::Mount;
use container::process::StartError;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// From dory to a shim.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Envelope {
    pub(crate) id: u64,
    pub(crate) request: Request,
}

/// What can be asked; the first five of a pod's supervisor, the rest of the spawner.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// The specification is complete: image defaults are merged, and `layers` are the image's (lowest first).
    Start {
        spec: Box<ContainerSpec>,
        layers: Vec<PathBuf>,
    },
    /// Signal 0 = the container's stop signal.
    Signal {
        name: String,
        signal: i32,
    },
    Kill {
        name: String,
    },
    Exec {
        name: String,
        spec: ExecSpec,
    },
    Attach {
        name: String,
        stdin: bool,
    },
    /// `exec` is the id of the request that started it.
    KillExec {
        exec: u64,
    },
    /// With standard output and error, network namespace, and (where it has them) what it is handed and standard input as
    /// descriptors.
    StartInstance(Box<InstanceOrder>),
    /// Mounts for an instance that runs and waits for them.
    MountInstance {
        id: String,
        mounts: Vec<Mount>,
    },
    KillInstance {
        id: String,
    },
    /// Sends a signal to the first process of an instance.
    SignalInstance {
        id: String,
        signal: i32,
    },
    /// A program in an instance that is held; with its standard output as descriptor.
    RunInInstance {
        id: String,
        process: Box<Process>,
    },
    /// `run` is the id of the request that started it.
    SignalProgram {
        run: u64,
        signal: i32,
    },
    /// Ends everything, then the shim itself.
    End,
}

/// An instance as the spawner needs it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct InstanceOrder {
    pub(crate) id: String,
    pub(crate) limits: Limits,
    /// Layers of an image; `None` = the host's programs.
    pub(crate) layers: Option<Vec<PathBuf>>,
    /// A directory as root.
    pub(crate) dir: Option<PathBuf>,
    pub(crate) order: Order,
}

/// From a shim to dory.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    /// The shim is ready (first message on every connection), with the last attempt of each container.
    Ready(Vec<ContainerRecord>),
    /// The shim could not set itself up.
    Failed(String),
    Reply {
        id: u64,
        result: Result<Answer, Fault>,
        /// How many descriptors belong to it: one transfer may bring several messages.
        fds: usize,
    },
    Record(ContainerRecord),
    ExecEnded {
        id: u64,
        exit: Exit,
    },
    /// `run` is the id of the request that started it.
    ProgramEnded {
        run: u64,
        exit: Exit,
    },
    InstanceEnded {
        id: String,
        exit: Exit,
        memory_peak_bytes: u64,
    },
}

/// What a request brought.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    Container(ContainerRecord),
    /// Comes with the near end of the terminal, or with standard input (if asked for), output and error.
    Exec,
    /// Comes with standard output and error as they are written from now on (one of them with a terminal), and at the
    /// end with the terminal, or with standard input where that was asked for and is open.
    Attached {
        terminal: bool,
        stdin: bool,
    },
    Instance {
        pid: u32,
        /// Its control group below the roots.
        group: String,
    },
}

/// Why a request failed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Fault {
    Start(StartError),
    NotRunning(String),
    Exists(String),
    Other(String),
}

impl From<StartError> for Fault {
    fn from(error: StartError) -> Fault {
        Fault::Start(error)
    }
}

impl From<Fault> for crate::Error {
    fn from(fault: Fault) -> crate::Error {
        match fault {
            Fault::Start(error) => crate::Error::Start(error),
            Fault::NotRunning(name) => crate::Error::NotRunning(name),
            Fault::Exists(name) => crate::Error::Exists(name),
            Fault::Other(text) => crate::Error::Invalid(text),
        }
    }
}
