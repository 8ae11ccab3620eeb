//! Topics, who subscribes to them, and what is still to be delivered to each of those: with names and rules of Amazon SNS, and
//! without its wire format. Topics and subscriptions are durable when a call returns, and so is what waits in the queue of a
//! subscription. Who delivers it, and how, is not known here.
//!
//! ```text
//!  Topics ─ all topics of one store, by name
//!    └─ Topic ─ TopicSettings, and its subscriptions by their ids
//!         └─ Subscription ─ where to, which messages (Pattern); a Queue
//! ```

mod subscription;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use store::{Expect, OPS_MAX, Op, Range, Store};

use crate::{Clock, Limits, Queue, QueueError, Queues};

pub use subscription::{Matter, Subscription};

/// Where topics are in the store, by name.
const TOPICS: &str = "topic/";
/// Where subscriptions are, by topic and id.
const SUBSCRIPTIONS: &str = "subscription/";

/// What may wait for all subscriptions together: only what could not be delivered at once does.
const LIMITS: Limits = Limits { messages: 100_000, bytes: 128 << 20, share: 4 };

/// Topics of one store.
const TOPICS_MAX: usize = 10_000;
/// Subscriptions of all topics. Each costs a kilobyte or two.
const SUBSCRIPTIONS_MAX: usize = 20_000;
/// How long a subscription may wait to be confirmed: two days, as on AWS.
const PENDING_MAX_MS: u64 = 2 * 24 * 3600 * 1000;

/// Why a topic or a subscription was not made or changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TopicError {
    /// There is one already, and it differs.
    #[error("it already exists with a different {0}")]
    Exists(&'static str),
    /// There is no such topic.
    #[error("the topic does not exist")]
    Gone,
    /// There is no such subscription.
    #[error("the subscription does not exist")]
    NoSubscription,
    /// There are as many topics as may be.
    #[error("there are {TOPICS_MAX} topics, which is as many as may be")]
    TooMany,
    /// There are as many subscriptions as may be.
    #[error("there are {SUBSCRIPTIONS_MAX} subscriptions, which is as many as may be")]
    TooManySubscriptions,
    /// It could not be made durable.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// What a topic is like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicSettings {
    /// What people are shown.
    pub display_name: String,
    /// Who else may publish, as a policy document.
    pub policy: Option<String>,
    /// Whatever its owner wrote on it.
    pub tags: BTreeMap<String, String>,
}

/// A topic, and who subscribes to it.
#[derive(Debug, Clone, Default)]
pub struct Topic {
    /// What it is like.
    pub settings: Arc<TopicSettings>,
    /// Who subscribes, by id.
    pub subscriptions: BTreeMap<String, Arc<Subscription>>,
    /// Subscriptions that ended since the platform was started.
    pub ended: u64,
}

/// All topics of one store.
pub struct Topics {
    queues: Arc<Queues>,
    topics: Mutex<BTreeMap<String, Topic>>,
    /// Held while something is written, so that what is kept is what was written last.
    writing: tokio::sync::Mutex<()>,
}

impl Topics {
    /// Reads what the store holds. The store must be for this alone.
    pub async fn open(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Arc<Topics>, store::Error> {
        let queues = Queues::open_with(store.clone(), clock, LIMITS).await?;
        let mut topics: BTreeMap<String, Topic> = BTreeMap::new();
        for entry in store.list(Range::prefix(TOPICS)).await?.entries {
            let name = entry.key.strip_prefix(TOPICS).unwrap_or_default();
            match serde_json::from_slice(&entry.value) {
                Ok(settings) => {
                    topics
                        .insert(name.to_owned(), Topic { settings: Arc::new(settings), ..Topic::default() });
                }
                Err(error) => tracing::error!(name, %error, "a topic in the store cannot be read"),
            }
        }
        // What a crash left of topics that were being deleted.
        let mut left = Vec::new();
        for entry in store.list(Range::prefix(SUBSCRIPTIONS)).await?.entries {
            let place = entry.key.strip_prefix(SUBSCRIPTIONS).unwrap_or_default();
            let topic = place.split('/').next().and_then(|topic| topics.get_mut(topic));
            match (topic, Subscription::read(&entry.value)) {
                (Some(topic), Some(one)) => drop(topic.subscriptions.insert(one.id.clone(), Arc::new(one))),
                (None, _) => left.push(Op::Delete { key: entry.key.clone(), expect: Expect::Any }),
                (_, None) => tracing::error!(place, "a subscription in the store cannot be read"),
            }
        }
        commit(&*store, left).await?;
        let topics =
            Arc::new(Topics { queues, topics: Mutex::new(topics), writing: tokio::sync::Mutex::default() });
        for (name, queue) in topics.queues.filled() {
            if topics.subscriber(&name).is_none() {
                purge(queue).await;
            }
        }
        Ok(topics)
    }

    /// Topics that are gone when they are dropped, for tests.
    pub async fn in_memory(clock: Arc<dyn Clock>) -> Arc<Topics> {
        Topics::open(store::memory(), clock).await.expect("an empty store has nothing to fail on")
    }

    /// What time it is here, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.queues.now_ms()
    }

    /// The topic of this name, as it is now.
    pub fn get(&self, name: &str) -> Option<Topic> {
        self.lock().get(name).cloned()
    }

    /// The names of topics after one of them, in their order.
    pub fn names(&self, after: &str, max: usize) -> Vec<String> {
        self.lock().keys().filter(|name| name.as_str() > after).take(max).cloned().collect()
    }

    /// Subscriptions after one of them, each with the name of its topic, in the order of `topic/id`; of one topic, if it is named.
    pub fn subscriptions(
        &self,
        of: Option<&str>,
        after: &str,
        max: usize,
    ) -> Vec<(String, Arc<Subscription>)> {
        let topics = self.lock();
        let wanted = topics.iter().filter(|(name, _)| of.is_none_or(|of| of == name.as_str()));
        let all = wanted.flat_map(|(name, topic)| topic.subscriptions.values().map(move |one| (name, one)));
        let later = all.filter(|(name, one)| after.is_empty() || *place(name, &one.id) > *after);
        later.take(max).map(|(name, one)| (name.clone(), one.clone())).collect()
    }

    /// Makes a topic. `asked` is told of one that is there already, and says which setting differs from what was asked for.
    pub async fn create(
        &self,
        name: &str,
        settings: TopicSettings,
        asked: &(dyn Fn(&TopicSettings) -> Option<&'static str> + Sync),
    ) -> Result<(), TopicError> {
        let _writing = self.writing.lock().await;
        if let Some(found) = self.get(name) {
            return asked(&found.settings).map_or(Ok(()), |differs| Err(TopicError::Exists(differs)));
        }
        if self.lock().len() >= TOPICS_MAX {
            return Err(TopicError::TooMany);
        }
        self.put(format!("{TOPICS}{name}"), json(&settings)).await?;
        let topic = Topic { settings: Arc::new(settings), ..Topic::default() };
        self.lock().insert(name.to_owned(), topic);
        Ok(())
    }

    /// Changes the settings of a topic; what fails to change them leaves them as they are.
    pub async fn change<E: From<TopicError>>(
        &self,
        name: &str,
        change: &(dyn Fn(&mut TopicSettings) -> Result<(), E> + Sync),
    ) -> Result<(), E> {
        let _writing = self.writing.lock().await;
        let mut settings = (*self.get(name).ok_or(TopicError::Gone)?.settings).clone();
        change(&mut settings)?;
        self.put(format!("{TOPICS}{name}"), json(&settings)).await?;
        if let Some(topic) = self.lock().get_mut(name) {
            topic.settings = Arc::new(settings);
        }
        Ok(())
    }

    /// Deletes a topic with its subscriptions, and what waits for them. One that is not there is deleted already.
    pub async fn delete(&self, name: &str) -> Result<(), TopicError> {
        let _writing = self.writing.lock().await;
        let Some(topic) = self.get(name) else { return Ok(()) };
        let delete = |key: String| Op::Delete { key: key.into(), expect: Expect::Any };
        // First the topic: what a crash leaves of its subscriptions goes when the store is opened again.
        let mut ops = vec![delete(format!("{TOPICS}{name}"))];
        ops.extend(
            topic.subscriptions.keys().map(|id| delete(format!("{SUBSCRIPTIONS}{}", place(name, id)))),
        );
        commit(&**self.queues.store(), ops).await?;
        self.lock().remove(name);
        for id in topic.subscriptions.keys() {
            purge(self.queue(name, id)).await;
        }
        Ok(())
    }

    /// Adds a subscription; gives the one of the same protocol and endpoint if there is one that is like it in all else.
    pub async fn subscribe(
        &self,
        topic: &str,
        wanted: Subscription,
    ) -> Result<Arc<Subscription>, TopicError> {
        self.forget_unconfirmed(topic).await?;
        let _writing = self.writing.lock().await;
        let found = self.get(topic).ok_or(TopicError::Gone)?;
        let same =
            |one: &&Arc<Subscription>| one.protocol == wanted.protocol && one.endpoint == wanted.endpoint;
        if let Some(one) = found.subscriptions.values().find(same) {
            let alike = one.settings() == wanted.settings();
            return if alike { Ok(one.clone()) } else { Err(TopicError::Exists("value of an attribute")) };
        }
        if self.lock().values().map(|topic| topic.subscriptions.len()).sum::<usize>() >= SUBSCRIPTIONS_MAX {
            return Err(TopicError::TooManySubscriptions);
        }
        self.keep(topic, wanted).await
    }

    /// Changes a subscription; what fails to change it leaves it as it is.
    pub async fn change_subscription<E: From<TopicError>>(
        &self,
        topic: &str,
        id: &str,
        change: &(dyn Fn(&mut Subscription) -> Result<(), E> + Sync),
    ) -> Result<(), E> {
        let _writing = self.writing.lock().await;
        let found = self.get(topic).and_then(|topic| topic.subscriptions.get(id).cloned());
        let mut one = (*found.ok_or(TopicError::NoSubscription)?).clone();
        change(&mut one)?;
        self.keep(topic, one).await?;
        Ok(())
    }

    async fn keep(&self, topic: &str, mut one: Subscription) -> Result<Arc<Subscription>, TopicError> {
        one.compile();
        self.put(format!("{SUBSCRIPTIONS}{}", place(topic, &one.id)), json(&one)).await?;
        let one = Arc::new(one);
        if let Some(topic) = self.lock().get_mut(topic) {
            topic.subscriptions.insert(one.id.clone(), one.clone());
        }
        Ok(one)
    }

    /// Ends a subscription, and what waits for it. One that is not there has ended already.
    pub async fn unsubscribe(&self, topic: &str, id: &str) -> Result<(), TopicError> {
        let _writing = self.writing.lock().await;
        let key = format!("{SUBSCRIPTIONS}{}", place(topic, id)).into();
        self.queues.store().commit(vec![Op::Delete { key, expect: Expect::Any }]).await?;
        if let Some(topic) = self.lock().get_mut(topic) {
            topic.ended += u64::from(topic.subscriptions.remove(id).is_some());
        }
        purge(self.queue(topic, id)).await;
        Ok(())
    }

    /// Subscriptions that nobody confirmed in time end.
    async fn forget_unconfirmed(&self, topic: &str) -> Result<(), TopicError> {
        let before = self.now_ms().saturating_sub(PENDING_MAX_MS);
        let stale = |one: &&Arc<Subscription>| one.token.is_some() && one.created_ms < before;
        let found = self.get(topic).unwrap_or_default().subscriptions;
        for one in found.values().filter(stale) {
            self.unsubscribe(topic, &one.id).await?;
        }
        Ok(())
    }

    /// What waits for a subscription.
    pub fn queue(&self, topic: &str, id: &str) -> Arc<Queue> {
        self.queues.queue(&place(topic, id))
    }

    /// The queues in which something waits.
    pub fn filled(&self) -> Vec<Arc<Queue>> {
        self.queues.filled().into_iter().map(|(_, queue)| queue).collect()
    }

    /// The topic and the subscription that a queue is of, by the queue's name.
    pub fn subscriber(&self, queue: &str) -> Option<(String, Arc<Subscription>)> {
        let (topic, id) = queue.split_once('/')?;
        let one = self.lock().get(topic)?.subscriptions.get(id)?.clone();
        Some((topic.to_owned(), one))
    }

    async fn put(&self, key: String, value: Bytes) -> Result<(), TopicError> {
        let op = Op::Put { key: key.into(), value, expect: Expect::Any };
        self.queues.store().commit(vec![op]).await?;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Topic>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Neither has a slash in it.
fn place(topic: &str, id: &str) -> String {
    format!("{topic}/{id}")
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("settings are JSON").into()
}

async fn commit(store: &dyn Store, ops: Vec<Op>) -> Result<(), store::Error> {
    let mut ops = ops.into_iter().peekable();
    while ops.peek().is_some() {
        store.commit(ops.by_ref().take(OPS_MAX).collect()).await?;
    }
    Ok(())
}

/// What cannot be removed now is when the store is opened again.
async fn purge(queue: Arc<Queue>) {
    if let Err(error @ QueueError::Store(_)) = queue.purge().await {
        tracing::warn!(queue = queue.name(), %error, "messages of a subscription that ended are not removed yet");
    }
}

#[cfg(test)]
mod tests;
