//! The ready endpoints of one port of one Service, and whose turn it is.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where the requests of a route go.
#[derive(Debug)]
pub(crate) struct Backend {
    /// `namespace/service:port`, for people.
    pub(crate) name: String,
    /// The ready endpoints.
    pub(crate) endpoints: Vec<SocketAddr>,
    /// What is wrong with the reference itself, if something is.
    pub(crate) problem: Option<String>,
    turn: AtomicUsize,
}

impl Backend {
    pub(crate) fn new(name: String, endpoints: Vec<SocketAddr>) -> Backend {
        // Tables are replaced often; always to begin with the first would load it more than the others.
        let first = RandomState::new().hash_one(()) as usize;
        Backend { name, endpoints, problem: None, turn: AtomicUsize::new(first) }
    }

    pub(crate) fn broken(name: String, problem: String) -> Backend {
        Backend { name, endpoints: Vec::new(), problem: Some(problem), turn: AtomicUsize::new(0) }
    }

    /// The next endpoint in turn, and one to try if that cannot be reached.
    pub(crate) fn pick(&self) -> Option<(SocketAddr, Option<SocketAddr>)> {
        let count = self.endpoints.len();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let first = *self.endpoints.get(turn.checked_rem(count)?)?;
        let second = (count > 1).then(|| self.endpoints[turn.wrapping_add(1) % count]);
        Some((first, second))
    }

    /// Why no endpoint can be picked.
    pub(crate) fn why_none(&self) -> String {
        match &self.problem {
            Some(problem) => problem.clone(),
            None => format!("no endpoint of {} is ready", self.name),
        }
    }
}
