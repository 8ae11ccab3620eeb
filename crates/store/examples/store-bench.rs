//! What the store does alone: durable creates, reads, write → watch event. Prints one JSON line per figure; with
//! an argument, keeps its database there instead of in the temporary directory.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use store::{Expect, Op, Range, Store};

const CLIENTS: usize = 64;
const CREATES: usize = 64 * 500;
const VALUE_BYTES: usize = 1024;

fn main() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = std::env::args().nth(1).map_or_else(|| dir.path().join("state.db"), PathBuf::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store = store::sqlite(&path).expect("a store");
        creates(&store).await;
        reads(&store).await;
        events(&store).await;
        drop(store);
        let started = Instant::now();
        let store = store::sqlite(&path).expect("the store again");
        print("store open 32k entries", started.elapsed().as_secs_f64() * 1e3, "ms", Target::AtMost(300.0));
        drop(store);
    });
}

enum Target {
    AtLeast(f64),
    AtMost(f64),
}

fn print(name: &str, value: f64, unit: &str, target: Target) {
    let (bound, ok) = match target {
        Target::AtLeast(bound) => (bound, value >= bound),
        Target::AtMost(bound) => (bound, value <= bound),
    };
    println!(r#"{{"name":"{name}","value":{value:.1},"unit":"{unit}","target":{bound},"ok":{ok}}}"#);
}

fn put(key: String, expect: Expect) -> Vec<Op> {
    vec![Op::Put { key: key.into(), value: Bytes::from(vec![b'x'; VALUE_BYTES]), expect }]
}

async fn creates(store: &Arc<dyn Store>) {
    let started = Instant::now();
    let clients = (0..CLIENTS).map(|client| {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..CREATES / CLIENTS {
                store.commit(put(format!("/create/{client}/{n}"), Expect::Absent)).await.expect("a create");
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.expect("a client");
    }
    let rate = CREATES as f64 / started.elapsed().as_secs_f64();
    print("store durable creates 1KB 64 clients", rate, "per s", Target::AtLeast(15_000.0));
}

async fn reads(store: &Arc<dyn Store>) {
    let started = Instant::now();
    let gets = 200_000;
    for n in 0..gets {
        let key = format!("/create/{}/{}", n % CLIENTS, n % (CREATES / CLIENTS));
        store.get(&key).await.expect("a get").expect("an entry");
    }
    let rate = gets as f64 / started.elapsed().as_secs_f64();
    print("store gets", rate, "per s", Target::AtLeast(200_000.0));
    let started = Instant::now();
    let page = store.list(Range { limit: Some(500), ..Range::prefix("/create/1/") }).await.expect("a page");
    assert_eq!(page.entries.len(), 500);
    print("store list of 500", started.elapsed().as_secs_f64() * 1e6, "us", Target::AtMost(1_000.0));
}

/// From the acknowledgement of a write to its event at a watcher on another task; and from its start.
async fn events(store: &Arc<dyn Store>) {
    let mut watch = store.watch("/event/", store.revision()).expect("a watch");
    let (arrived, mut arrivals) = tokio::sync::mpsc::channel(1);
    let watcher = tokio::spawn(async move {
        while let Some(Ok(_)) = watch.next().await {
            arrived.send(Instant::now()).await.expect("the bench listens");
        }
    });
    let (mut after, mut whole) = (Vec::new(), Vec::new());
    for n in 0..500 {
        let started = Instant::now();
        store.commit(put(format!("/event/{n}"), Expect::Absent)).await.expect("a write");
        let durable = Instant::now();
        let event = arrivals.recv().await.expect("an event");
        after.push(event.saturating_duration_since(durable));
        whole.push(event.duration_since(started));
    }
    watcher.abort();
    print("store ack to watch event p50", p50_us(after), "us", Target::AtMost(200.0));
    print("store write to watch event p50", p50_us(whole), "us", Target::AtMost(2_000.0));
}

fn p50_us(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e6
}
