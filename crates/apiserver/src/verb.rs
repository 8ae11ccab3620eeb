//! The verbs of the Kubernetes API, one file each: from a resolved target to an answer.

pub(crate) mod create;
pub(crate) mod decode;
pub(crate) mod delete;
pub(crate) mod list;
pub(crate) mod patch;
pub(crate) mod revise;
pub(crate) mod update;
pub(crate) mod watch;
