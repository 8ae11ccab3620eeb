//! Containers' logs: written by the pods' supervisors, read here.

pub(crate) mod line;
pub(crate) mod options;
pub(crate) mod read;
