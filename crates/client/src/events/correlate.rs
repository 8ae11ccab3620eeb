//! Whether an event is new, a repeat, or one too many: pure, and bounded in what it remembers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;

use super::{Happening, Reference};

/// How many different events are remembered for counting; the oldest is forgotten first.
const REMEMBERED_MAX: usize = 1024;
/// An object may have this many events at once (client-go's burst) …
const BURST: f64 = 25.0;
/// … and earns another one in this many seconds (client-go's refill).
const REFILL_SECONDS: f64 = 300.0;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Create { name: String },
    Count { name: String, count: u64 },
    Drop,
}

/// What makes two events the same.
type Identity = (Reference, bool, String, String);

struct Budget {
    left: f64,
    at: Timestamp,
}

#[derive(Default)]
pub(super) struct Correlator {
    seen: HashMap<Arc<Identity>, (String, u64)>,
    order: VecDeque<Arc<Identity>>,
    budgets: HashMap<String, Budget>,
    named: i128,
}

impl Correlator {
    pub(super) fn decide(&mut self, happening: &Happening, now: Timestamp) -> Decision {
        if !self.spend(&happening.object.uid, now) {
            return Decision::Drop;
        }
        let identity = identity(happening);
        if let Some((name, count)) = self.seen.get_mut(&identity) {
            *count += 1;
            return Decision::Count { name: name.clone(), count: *count };
        }
        // Two events in one nanosecond still get two names.
        self.named = now.as_nanosecond().max(self.named + 1);
        let name = format!("{}.{:x}", happening.object.name, self.named);
        if self.order.len() >= REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        let identity = Arc::new(identity);
        self.order.push_back(identity.clone());
        self.seen.insert(identity, (name.clone(), 1));
        Decision::Create { name }
    }

    pub(super) fn forget(&mut self, happening: &Happening) {
        let identity = identity(happening);
        self.seen.remove(&identity);
        self.order.retain(|known| **known != identity);
    }

    fn spend(&mut self, uid: &str, now: Timestamp) -> bool {
        if self.budgets.len() >= REMEMBERED_MAX {
            self.budgets.retain(|_, budget| budget.at_most(now) < BURST);
            if self.budgets.len() >= REMEMBERED_MAX {
                // More objects than this at once in trouble: start over rather than grow.
                self.budgets.clear();
            }
        }
        let budget = self.budgets.entry(uid.to_owned()).or_insert(Budget { left: BURST, at: now });
        budget.left = budget.at_most(now);
        budget.at = now;
        if budget.left < 1.0 {
            return false;
        }
        budget.left -= 1.0;
        true
    }
}

impl Budget {
    fn at_most(&self, now: Timestamp) -> f64 {
        let seconds = now.duration_since(self.at).as_secs_f64().max(0.0);
        (self.left + seconds / REFILL_SECONDS).min(BURST)
    }
}

fn identity(happening: &Happening) -> Identity {
    let Happening { object, warning, reason, message } = happening.clone();
    (object, warning, reason, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn happening(message: &str) -> Happening {
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web", "namespace": "ns", "uid": "u" } });
        Happening {
            object: Reference::of(&pod, None),
            warning: true,
            reason: "Failed".into(),
            message: message.into(),
        }
    }

    #[test]
    fn repeats_count_up_and_others_are_new() {
        let mut correlator = Correlator::default();
        let now = Timestamp::from_second(1_000_000).expect("in range");
        let Decision::Create { name } = correlator.decide(&happening("a"), now) else { panic!("new") };
        assert_eq!(correlator.decide(&happening("a"), now), Decision::Count { name: name.clone(), count: 2 });
        let Decision::Create { name: other } = correlator.decide(&happening("b"), now) else { panic!("new") };
        assert_ne!(name, other);
    }

    #[test]
    fn an_object_has_a_budget_that_refills() {
        let mut correlator = Correlator::default();
        let start = Timestamp::from_second(1_000_000).expect("in range");
        let kept = (0..100).filter(|_| correlator.decide(&happening("a"), start) != Decision::Drop).count();
        assert_eq!(kept, 25);
        let later = Timestamp::from_second(1_000_301).expect("in range");
        assert_ne!(correlator.decide(&happening("a"), later), Decision::Drop);
        assert_eq!(correlator.decide(&happening("a"), later), Decision::Drop);
    }

    #[test]
    fn memory_is_bounded() {
        let mut correlator = Correlator::default();
        for n in 0..3000_i64 {
            let now = Timestamp::from_second(1_000_000 + n * 400).expect("in range");
            correlator.decide(&happening(&n.to_string()), now);
        }
        assert!(correlator.seen.len() <= REMEMBERED_MAX && correlator.order.len() <= REMEMBERED_MAX);
    }
}
