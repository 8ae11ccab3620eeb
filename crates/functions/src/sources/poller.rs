//! The poller of one mapping: collects a batch, runs it, and at the same time as many as the function has room for.

use super::batch::{Ended, run};
use super::collect::collect;
use super::mapping::Mapping;
use crate::Functions;
use client::Key;
use managed::Declared;
use std::sync::{Arc, Weak};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinSet};

/// Batches that run at the same time in the beginning, as on AWS.
const BATCHES_FIRST: usize = 5;

/// Batches of one mapping that run at the same time for each processor, unless the mapping names a `MaximumConcurrency`.
/// Without a bound a full queue would fill the machine with instances.
const BATCHES_PER_CPU: usize = 16;

/// Runs until `stopped`, and then until the batches under way have ended.
pub(super) async fn poll(
    functions: Weak<Functions>,
    mapping: Arc<Mapping>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut batches = JoinSet::new();
    let mut pace = Pace::new(&mapping);
    while let Some(queue) = tokio::select! {
        _ = &mut stopped => None,
        queue = source(&functions, &mapping) => queue,
    } {
        if feed(&functions, &mapping, &queue, &mut batches, &mut pace, &mut stopped).await {
            break;
        }
    }
    while let Some(ended) = batches.join_next().await {
        pace.ended(ended);
    }
}

/// The queue, when there is one and a function that can take what is in it. Nothing when the platform ends.
async fn source(functions: &Weak<Functions>, mapping: &Mapping) -> Option<Arc<Declared>> {
    loop {
        let (broker, mut seen, name) = {
            let house = functions.upgrade()?;
            let name = house.queue_name(&mapping.source_arn)?.to_owned();
            (house.broker().clone(), house.watch_objects(), name)
        };
        let queue = broker.until_made(&name).await;
        let ready = functions.upgrade()?.can_take(mapping);
        if ready {
            return Some(queue);
        }
        // Its function is not there, or has no concurrency: until that changes nothing is received in vain.
        seen.changed().await.ok()?;
    }
}

/// Feeds the function from a queue. True when the mapping is stopped; false when something about the queue or the function
/// has changed that must be looked at first.
async fn feed(
    functions: &Weak<Functions>,
    mapping: &Arc<Mapping>,
    queue: &Arc<Declared>,
    batches: &mut JoinSet<Ended>,
    pace: &mut Pace,
    stopped: &mut oneshot::Receiver<()>,
) -> bool {
    let mut collecting = Box::pin(collect(queue.clone(), mapping.clone()));
    loop {
        let free = batches.len() < pace.allowed;
        tokio::select! {
            _ = &mut *stopped => return true,
            Some(ended) = batches.join_next(), if !batches.is_empty() => pace.ended(ended),
            collected = &mut collecting, if free => {
                let (Some(batch), Some(house)) = (collected, functions.upgrade()) else { return false };
                let able = house.can_take(mapping);
                batches.spawn(run(house, queue.clone(), mapping.clone(), batch));
                if !able {
                    return false;
                }
                collecting = Box::pin(collect(queue.clone(), mapping.clone()));
            }
        }
    }
}

/// How many batches run at the same time: a few at first, one more with each that ends well, half as many when the function
/// has no room.
struct Pace {
    allowed: usize,
    max: usize,
}

impl Pace {
    fn new(mapping: &Mapping) -> Pace {
        let all = std::thread::available_parallelism().map_or(2, usize::from) * BATCHES_PER_CPU;
        let max = mapping.concurrency.unwrap_or(all);
        Pace { allowed: BATCHES_FIRST.min(max), max }
    }

    fn ended(&mut self, ended: Result<Ended, JoinError>) {
        self.allowed = match ended {
            Ok(Ended::Done) => (self.allowed + 1).min(self.max),
            Ok(Ended::Throttled) => (self.allowed / 2).max(1),
            Err(error) => {
                tracing::error!(%error, "a batch failed; its messages come back later");
                self.allowed
            }
        };
    }
}

impl Functions {
    /// Whether there is a function for the messages of a mapping, with any concurrency at all.
    fn can_take(&self, mapping: &Mapping) -> bool {
        let key = Key::new(mapping.namespace.clone(), mapping.function.clone());
        let rules = self.catalog.event_rules(&key, mapping.qualifier.as_deref());
        rules.is_some_and(|rules| rules.reserved_concurrency != Some(0))
    }
}
