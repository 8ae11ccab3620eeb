//! Writers of one object take turns. Without that, each write of many to the same object would make all others
//! compute theirs again, and who was unlucky often enough would be turned away with a conflict that is not his.

use std::hash::{BuildHasher, RandomState};
use tokio::sync::{Mutex, MutexGuard};

/// Objects that share a turn by chance only wait for each other, so this bounds how many are written at once.
const TURNS: usize = 1024;

pub(crate) struct Turns {
    turns: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Default for Turns {
    fn default() -> Self {
        Turns { turns: (0..TURNS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }
}

impl Turns {
    /// Waits, in the order of asking, until nobody else in this process revises the object under `key`.
    pub(crate) async fn take(&self, key: &str) -> MutexGuard<'_, ()> {
        let turn = self.hasher.hash_one(key) as usize % self.turns.len();
        self.turns[turn].lock().await
    }
}
