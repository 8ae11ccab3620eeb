//! Versions of objects that an answer has still to send: a long list, or what a watch begins with. They are shared, and cost
//! nothing until they are replaced; then the answer alone keeps them alive. So whoever stops reading loses what is left.

use crate::cache::Item;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Bytes of one piece of an answer, or one object: what a client that does not read holds beside its connection's buffers.
pub(crate) const PIECE_BYTES: usize = 1 << 20;

/// How long a client may read nothing while there is something for it; as long as any other request may take.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Held {
    rest: Mutex<Rest>,
}

#[derive(Debug)]
struct Rest {
    items: VecDeque<Arc<Item>>,
    read: Instant,
    given_up: bool,
}

/// The client read nothing for too long, and what was left for it is gone.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the client stopped reading")]
pub(crate) struct GivenUp;

impl Held {
    pub(crate) fn new(items: impl Into<VecDeque<Arc<Item>>>) -> Arc<Held> {
        let items: VecDeque<Arc<Item>> = items.into();
        let bytes: usize = items.iter().map(|item| item.stored.len()).sum();
        let held = Arc::new(Held { rest: Mutex::new(Rest { items, read: Instant::now(), given_up: false }) });
        if bytes > PIECE_BYTES {
            tokio::spawn(give_up(Arc::downgrade(&held)));
        }
        held
    }

    /// The next objects, as many as fit one piece and at least one; none at the end.
    pub(crate) fn take(&self, count_max: usize) -> Result<Vec<Arc<Item>>, GivenUp> {
        let mut rest = self.lock();
        if rest.given_up {
            return Err(GivenUp);
        }
        rest.read = Instant::now();
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < count_max
            && let Some(item) = rest.items.front()
            && (taken.is_empty() || bytes + item.stored.len() <= PIECE_BYTES)
        {
            bytes += item.stored.len();
            taken.extend(rest.items.pop_front());
        }
        Ok(taken)
    }

    fn lock(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends with the answer, with its last object, or when nobody has read for long.
async fn give_up(held: std::sync::Weak<Held>) {
    loop {
        let Some(read) = held.upgrade().map(|held| held.lock().read) else { return };
        tokio::time::sleep_until(read + PATIENCE).await;
        let Some(held) = held.upgrade() else { return };
        let mut rest = held.lock();
        if rest.items.is_empty() {
            return;
        }
        if rest.read == read {
            rest.given_up = true;
            rest.items = VecDeque::new();
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(number: usize, bytes: usize) -> Arc<Item> {
        let text =
            format!(r#"{{"metadata":{{"name":"m{number}"}},"data":{{"text":"{}"}}}}"#, "x".repeat(bytes));
        let kind = kinds::kind("", "v1", "configmaps").expect("a kind");
        let key = format!("/registry/core/configmaps/default/m{number}").into();
        Arc::new(Item::read(kind, 26, key, text.into(), 1).expect("an object"))
    }

    #[tokio::test(start_paused = true)]
    async fn pieces_are_small_and_given_up_when_nobody_reads() {
        let items: Vec<_> = (0..8).map(|number| item(number, PIECE_BYTES * 2 / 5)).collect();
        let watched = Arc::downgrade(&items[7]);
        let held = Held::new(items);
        assert_eq!(held.take(100).expect("a piece").len(), 2);
        assert_eq!(held.take(1).expect("a piece").len(), 1);
        // Whoever reads now and then is served on.
        for _ in 0..2 {
            tokio::time::sleep(PATIENCE * 3 / 4).await;
            assert_eq!(held.take(1).expect("a piece").len(), 1);
        }
        tokio::time::sleep(PATIENCE * 3 / 2).await;
        assert!(held.take(100).is_err());
        assert!(watched.upgrade().is_none(), "nothing keeps what nobody reads");
        // One that is larger than a piece is a piece; and what fits in one may wait for ever.
        let held = Held::new(vec![item(0, PIECE_BYTES * 2), item(1, 1)]);
        assert_eq!(
            [held.take(9), held.take(9), held.take(9)].map(|piece| piece.map(|all| all.len()).ok()),
            [Some(1), Some(1), Some(0)]
        );
        let held = Held::new(vec![item(0, 10)]);
        tokio::time::sleep(PATIENCE * 10).await;
        assert_eq!(held.take(9).expect("a piece").len(), 1);
    }
}
