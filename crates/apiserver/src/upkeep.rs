//! What the server does unasked: Events end after an hour or when there are many, and history in the store and the cache ends
//! after some minutes.
//! Sleeps until there is something to do, so that an idle server stays idle.

use crate::{api::Api, cache::Item, definitions};
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use store::{Expect, Op};
use tokio::{sync::watch, task::JoinSet, time::Instant};

/// Which Events are kept.
const EVENTS: Keep = Keep {
    life: Duration::from_secs(3600),
    slack: Duration::from_secs(60),
    // Each takes some two kilobytes, so all of them some 20 MB: an hour in which ten pods come and go each minute makes
    // half as many. Upstream's disk can take more; here all that is stored is memory.
    max: 10_000,
};
/// How long the store remembers what was; upstream's interval of compaction.
const HISTORY: Duration = Duration::from_secs(300);

/// Changes that make a burst: some megabytes of objects that have come or gone.
const BURST: u64 = 1000;
/// How often it is looked whether a burst is over: when fewer changes than [`TRICKLE`] came meanwhile.
const QUIET: Duration = Duration::from_secs(3);
const TRICKLE: u64 = 100;
/// When it is told once more: who follows the changes on a busy machine lets go of them later, and what came after a pause in a
/// burst is too little to be another.
const AGAIN: Duration = Duration::from_secs(20);

/// How long Events are kept, and how many.
#[derive(Debug, Clone, Copy)]
struct Keep {
    /// After the last change of one; upstream's default is an hour.
    life: Duration,
    /// Those that end within this time of another are removed along with it.
    slack: Duration,
    /// When there are more, the oldest go, and a tenth of all beyond, so that most changes only look.
    max: usize,
}

/// Starts the chores; they end when the set is dropped.
pub(crate) fn start(api: &Arc<Api>) -> JoinSet<()> {
    let mut chores = JoinSet::new();
    chores.spawn(end_events(Arc::downgrade(api), EVENTS));
    chores.spawn(end_history(Arc::downgrade(api), HISTORY));
    chores.spawn(end_bursts(Arc::downgrade(api), BURST, [QUIET, AGAIN]));
    chores.spawn(definitions::run(Arc::downgrade(api)));
    chores
}

async fn end_events(api: Weak<Api>, keep: Keep) {
    let Some(mut notices) = api.upgrade().map(|api| api.cache.resource("", "events").subscribe()) else {
        return;
    };
    loop {
        notices.borrow_and_update();
        let Some(oldest) = api.upgrade().map(|api| api.cache.resource("", "events").all("")) else { return };
        let oldest = oldest.iter().map(|item| item.since).min();
        let Some(oldest) = oldest else {
            match notices.changed().await {
                Ok(()) => continue,
                Err(_) => return,
            }
        };
        let too_many = |api: Arc<Api>| api.cache.resource("", "events").read().len() > keep.max;
        let crowd = notices.wait_for(|_| api.upgrade().is_none_or(too_many));
        // The oldest only gets younger by itself, so other changes need not wake this.
        if let Ok(Err(_)) = tokio::time::timeout_at(oldest + keep.life, crowd).await {
            return;
        }
        let Some(api) = api.upgrade() else { return };
        let events = api.cache.resource("", "events").all("");
        for item in plan_ended(events, keep, Instant::now()) {
            remove_event(&api, &item).await;
        }
    }
}

/// Which Events end now.
fn plan_ended(mut events: Vec<Arc<Item>>, keep: Keep, now: Instant) -> Vec<Arc<Item>> {
    events.sort_by_key(|item| (item.since, item.revision));
    let crowd = if events.len() > keep.max { events.len() - keep.max + keep.max / 10 } else { 0 };
    let old = events.partition_point(|item| item.since + keep.life <= now + keep.slack);
    events.truncate(old.max(crowd));
    events
}

async fn remove_event(api: &Api, item: &Item) {
    let expect = Expect::Modified(item.revision);
    if let Err(why) = api.commit(Op::Delete { key: item.key.clone(), expect }).await {
        // Changed meanwhile, and so younger; or the store is closing, and this task with it.
        tracing::debug!(key = %item.key, ?why, "an Event that should end did not");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn end_history(api: Weak<Api>, keep: Duration) {
    let Some(mut revisions) = api.upgrade().map(|api| api.cache.subscribe()) else { return };
    let mut ended = 0;
    while revisions.changed().await.is_ok() {
        let revision = *revisions.borrow_and_update();
        tokio::time::sleep(keep).await;
        let Some(api) = api.upgrade() else { return };
        if let Err(error) = api.store.compact(revision).await {
            tracing::warn!(%error, revision, "the store's history could not be compacted");
        }
        api.cache.forget_old();
        if revision >= ended + BURST {
            settle(&api).await;
        }
        ended = revision;
    }
}

/// Tells when many changes have come and no more do, and again some time later, if that is not another burst.
async fn end_bursts(api: Weak<Api>, burst: u64, [quiet, again]: [Duration; 2]) {
    let Some(mut revisions) = api.upgrade().map(|api| api.cache.subscribe()) else { return };
    let mut told = *revisions.borrow_and_update();
    let mut due: Option<Instant> = None;
    loop {
        let many = revisions.wait_for(|now| *now >= told + burst);
        let ended = match due.take() {
            Some(due) => tokio::time::timeout_at(due, many).await.map(|came| came.is_err()),
            None => Ok(many.await.is_err()),
        };
        match ended {
            Ok(true) => return,
            Ok(false) => {
                told = until_quiet(&revisions, quiet).await;
                due = Some(Instant::now() + again);
            }
            // It is time to tell again.
            Err(_) => {}
        }
        let Some(api) = api.upgrade() else { return };
        settle(&api).await;
    }
}

/// Waits until few changes come; the last of them.
async fn until_quiet(revisions: &watch::Receiver<u64>, quiet: Duration) -> u64 {
    loop {
        let before = *revisions.borrow();
        tokio::time::sleep(quiet).await;
        let now = *revisions.borrow();
        if now < before + TRICKLE {
            return now;
        }
    }
}

async fn settle(api: &Api) {
    let settled = api.config.settled.clone();
    if let Err(error) = tokio::task::spawn_blocking(move || settled()).await {
        tracing::error!(%error, "what follows a burst of changes failed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ApiServer, Config, Identity, full};
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};

    async fn server() -> Arc<ApiServer> {
        let random = ring::rand::SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
        let config = Config::new(store::memory(), key.as_ref().to_vec(), "CA".to_owned());
        ApiServer::start(config).await.expect("the server starts")
    }

    /// Longer than anything takes here.
    const PATIENCE: Duration = Duration::from_secs(60);

    async fn post(server: &ApiServer, plural: &str, body: &str) {
        let request = http::Request::post(format!("/api/v1/namespaces/default/{plural}"));
        let request = request.extension(Identity::master("test")).body(full(body.to_owned()));
        let answer = server.handle(request.expect("a request")).await;
        assert_eq!(answer.status(), 201);
    }

    #[tokio::test]
    async fn events_end_and_other_objects_stay() {
        let server = server().await;
        let event = r#"{"metadata":{"name":"e"},"involvedObject":{"namespace":"default"},"reason":"r"}"#;
        let events = server.api().cache.resource("", "events").clone();
        let mut notices = events.subscribe();
        let mut chores = JoinSet::new();
        let keep = Keep { life: Duration::from_millis(20), slack: Duration::ZERO, ..EVENTS };
        chores.spawn(end_events(Arc::downgrade(server.api()), keep));
        post(&server, "events", event).await;
        post(&server, "configmaps", r#"{"metadata":{"name":"m"}}"#).await;
        let ended = notices.wait_for(|_| events.all("").is_empty());
        tokio::time::timeout(PATIENCE, ended).await.expect("in time").expect("the server runs");
        assert_eq!(server.api().cache.resource("", "configmaps").all("default").len(), 1);
    }

    #[tokio::test]
    async fn the_oldest_of_too_many_events_end() {
        let server = server().await;
        let events = server.api().cache.resource("", "events").clone();
        let mut notices = events.subscribe();
        let mut chores = JoinSet::new();
        chores.spawn(end_events(Arc::downgrade(server.api()), Keep { max: 20, ..EVENTS }));
        let event = |name: u32| {
            format!(
                r#"{{"metadata":{{"name":"e{name:02}"}},"involvedObject":{{"namespace":"default"}},"reason":"r"}}"#
            )
        };
        for name in 0..21 {
            post(&server, "events", &event(name)).await;
        }
        let ended = notices.wait_for(|_| events.read().len() == 18);
        tokio::time::timeout(PATIENCE, ended).await.expect("in time").expect("the server runs");
        let names: Vec<String> = events.all("").iter().map(|item| item.name().to_owned()).collect();
        assert_eq!((names[0].as_str(), names[17].as_str()), ("e03", "e20"), "the youngest stay");
    }

    #[tokio::test]
    async fn the_end_of_a_burst_is_told_and_told_again() {
        let random = ring::rand::SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
        let mut config = Config::new(store::memory(), key.as_ref().to_vec(), "CA".to_owned());
        let (told, mut calls) = tokio::sync::mpsc::channel(8);
        config.settled = Arc::new(move || told.try_send(()).expect("the test listens"));
        let server = ApiServer::start(config).await.expect("the server starts");
        let mut chores = JoinSet::new();
        chores.spawn(end_bursts(Arc::downgrade(server.api()), 20, [50, 100].map(Duration::from_millis)));
        for count in 0..15 {
            post(&server, "configmaps", &format!(r#"{{"metadata":{{"name":"m{count}"}}}}"#)).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(calls.try_recv().is_err(), "a few changes are no burst");
        // However slowly they come, they are one burst and less than two.
        for count in 15..35 {
            post(&server, "configmaps", &format!(r#"{{"metadata":{{"name":"m{count}"}}}}"#)).await;
        }
        for _ in 0..2 {
            tokio::time::timeout(PATIENCE, calls.recv()).await.expect("in time").expect("a call");
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(calls.try_recv().is_err(), "told twice");
    }

    #[tokio::test]
    async fn history_ends_only_behind_writes() {
        let server = server().await;
        let mut chores = JoinSet::new();
        chores.spawn(end_history(Arc::downgrade(server.api()), Duration::from_millis(5)));
        let store = &server.api().store;
        let compacted = async {
            let mut count = 0;
            while store.watch("/", 1).is_ok() {
                count += 1;
                post(&server, "configmaps", &format!(r#"{{"metadata":{{"name":"m{count}"}}}}"#)).await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, compacted).await.expect("history ends");
    }
}
