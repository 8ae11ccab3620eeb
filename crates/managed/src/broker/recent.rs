//! What was sent to a FIFO queue within the last five minutes, so that what is sent again is not delivered again. Pure: the
//! queue writes down what it is told to.

use std::collections::{HashMap, VecDeque};

use super::record::Known;

/// How long a deduplication id is remembered, as on AWS.
pub(super) const REMEMBERED_MS: u64 = 5 * 60 * 1000;

/// Ids that one queue remembers: some 600 messages each second, and 60 MB. More are refused as a queue that is full is.
pub(super) const KNOWN_MAX: usize = 200_000;

/// Ids that are forgotten in the same transaction in which a message is written.
const FORGOTTEN_AT_ONCE: usize = 64;

/// The ids, oldest first.
#[derive(Default)]
pub(super) struct Recent {
    by_key: HashMap<String, (u64, Known)>,
    order: VecDeque<(u64, String)>,
}

impl Recent {
    /// Takes in what the store holds, or will hold when a transaction is committed; numbers grow.
    pub(super) fn remember(&mut self, number: u64, known: Known) {
        self.order.push_back((number, known.key.clone()));
        self.by_key.insert(known.key.clone(), (number, known));
    }

    /// The message that this one repeats, with its number.
    pub(super) fn find(&self, key: &str, now_ms: u64) -> Option<&(u64, Known)> {
        self.by_key.get(key).filter(|(_, known)| known.at_ms + REMEMBERED_MS > now_ms)
    }

    pub(super) fn is_full(&self) -> bool {
        self.order.len() >= KNOWN_MAX
    }

    /// Forgets some of those whose time is over; gives their numbers.
    pub(super) fn forget(&mut self, now_ms: u64) -> Vec<u64> {
        let mut forgotten = Vec::new();
        while forgotten.len() < FORGOTTEN_AT_ONCE {
            let Some((number, key)) = self.order.front() else { break };
            match self.by_key.get(key) {
                Some((at, known)) if at == number && known.at_ms + REMEMBERED_MS > now_ms => break,
                Some((at, _)) if at == number => drop(self.by_key.remove(key)),
                // It was sent again after its time, and that one is remembered.
                _ => {}
            }
            forgotten.push(*number);
            self.order.pop_front();
        }
        forgotten
    }

    /// The numbers of all.
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.order.iter().map(|(number, _)| *number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(key: &str, at_ms: u64) -> Known {
        Known { key: key.to_owned(), message_id: format!("m-{key}"), at_ms }
    }

    #[test]
    fn ids_are_remembered_for_five_minutes() {
        let mut recent = Recent::default();
        recent.remember(1, known("a", 0));
        recent.remember(2, known("b", 1000));
        assert_eq!(recent.find("a", REMEMBERED_MS - 1).map(|(number, _)| *number), Some(1));
        assert!(recent.find("a", REMEMBERED_MS).is_none() && recent.find("c", 0).is_none());
        assert_eq!(recent.forget(REMEMBERED_MS), [1]);
        recent.remember(3, known("b", REMEMBERED_MS + 1000));
        assert_eq!(recent.forget(REMEMBERED_MS + 1000), [2], "the newer one stays");
        assert_eq!(recent.find("b", REMEMBERED_MS + 1000).map(|(number, _)| *number), Some(3));
        assert_eq!(recent.numbers(), [3]);
    }
}
