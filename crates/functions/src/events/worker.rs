//! One worker for each function that has events waiting: takes what is due, runs as much at a time as the function may,
//! and ends when its queue is empty.

use super::callee::function_of;
use super::deliver::{Delivered, deliver};
use crate::Functions;
use managed::Queue;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Events of one function that run at the same time, for each processor, unless it has reserved less. Callers who wait
/// slow themselves down; events do not, and without a bound a burst of them would fill the machine with instances.
const DELIVERIES_PER_CPU: usize = 16;

/// How long an event is out of sight while it is worked on: longer than the longest invocation (15 minutes) and any wait
/// for an instance. Only an event whose worker was lost comes back by this.
const HIDDEN: Duration = Duration::from_secs(3600);

impl Functions {
    /// Makes sure that somebody delivers from this queue.
    pub(super) fn work_on(self: &Arc<Self>, name: &Arc<str>) {
        let mut workers = self.events.lock();
        if workers.contains_key(name) {
            return;
        }
        let queue = self.events.config.queues.queue(name);
        let worker = tokio::spawn(work(Arc::downgrade(self), name.clone(), queue));
        workers.insert(name.clone(), worker.abort_handle());
    }

    /// Ends the worker of an empty queue. Senders look for a worker after they have sent, under the same lock.
    fn leave(&self, name: &Arc<str>, queue: &Queue) -> bool {
        let mut workers = self.events.lock();
        let empty = queue.depth().messages == 0;
        if empty {
            workers.remove(name);
        }
        empty
    }

    fn deliveries_max(&self, name: &str) -> usize {
        let all = std::thread::available_parallelism().map_or(2, usize::from) * DELIVERIES_PER_CPU;
        let reserved = function_of(name).and_then(|(namespace, object, _)| self.reserved(namespace, object));
        match reserved {
            // With nothing reserved nothing runs, and events only pass through.
            None | Some(0) => all,
            Some(reserved) => all.min(reserved as usize),
        }
    }
}

async fn work(functions: Weak<Functions>, name: Arc<str>, queue: Arc<Queue>) {
    let mut deliveries = JoinSet::new();
    let mut paused_until: Option<Instant> = None;
    loop {
        let Some(house) = functions.upgrade() else { return };
        if deliveries.is_empty() && house.leave(&name, &queue) {
            return;
        }
        let free = deliveries.len() < house.deliveries_max(&name);
        let pause = house.events.config.retries.refused_first;
        // Nothing is held while waiting: a worker that waits for hours must not keep a closed platform alive.
        drop(house);
        tokio::select! {
            Some(ended) = deliveries.join_next(), if !deliveries.is_empty() => match ended {
                // The function has no room now: to ask for each event that is due would only be noise.
                Ok(Delivered::Refused) => paused_until = Some(Instant::now() + pause),
                Ok(Delivered::Settled) => {}
                Err(error) if error.is_cancelled() => {}
                Err(error) => tracing::error!(%error, queue = %name, "a delivery failed; its event comes back later"),
            },
            () = ready(&queue, paused_until), if free => {
                paused_until = None;
                let Some(house) = functions.upgrade() else { return };
                if let Some(message) = queue.receive(HIDDEN).await {
                    deliveries.spawn(deliver(house, queue.clone(), message));
                }
            }
        }
    }
}

async fn ready(queue: &Queue, paused_until: Option<Instant>) {
    if let Some(until) = paused_until {
        tokio::time::sleep_until(until).await;
    }
    queue.due().await;
}
