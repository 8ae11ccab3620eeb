//! What every store must do. Each case gets an empty store; `main.rs` runs all of them on each implementation.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use store::{Change, Error, Expect, OPS_MAX, Op, Range, Revision, Store, TRANSACTION_BYTES_MAX, Watch};

pub use crate::model::follows_a_naive_model;

type Subject = Arc<dyn Store>;

pub fn put(key: &str, value: impl Into<Bytes>, expect: Expect) -> Op {
    Op::Put { key: key.into(), value: value.into(), expect }
}

pub fn delete(key: &str, expect: Expect) -> Op {
    Op::Delete { key: key.into(), expect }
}

pub async fn set(store: &Subject, key: &str, value: &str) -> Revision {
    store.commit(vec![put(key, value.to_owned(), Expect::Any)]).await.unwrap()
}

pub async fn next(watch: &mut Watch) -> Result<Arc<Vec<Change>>, Error> {
    tokio::time::timeout(Duration::from_secs(60), watch.next()).await.expect("a change in time").unwrap()
}

async fn keys(store: &Subject, range: Range) -> Vec<String> {
    store.list(range).await.unwrap().entries.iter().map(|entry| entry.key.to_string()).collect()
}

pub async fn reads_follow_writes(store: Subject) {
    assert_eq!(store.revision(), 0);
    assert_eq!(store.get("/a").await.unwrap(), None);
    assert_eq!(set(&store, "/a", "1").await, 1);
    assert_eq!(set(&store, "/a", "2").await, 2);
    let entry = store.get("/a").await.unwrap().unwrap();
    assert_eq!((entry.created, entry.modified, &entry.value[..]), (1, 2, &b"2"[..]));
    assert_eq!(store.commit(vec![delete("/a", Expect::Modified(2))]).await.unwrap(), 3);
    assert_eq!(store.get("/a").await.unwrap(), None);
    assert_eq!(set(&store, "/a", "3").await, 4);
    let entry = store.get("/a").await.unwrap().unwrap();
    assert_eq!((entry.created, entry.modified), (4, 4), "a key that comes back is a new one");
    assert_eq!(store.revision(), 4);
}

pub async fn a_conflict_names_the_key_and_shows_it(store: Subject) {
    set(&store, "/a", "1").await;
    for op in [
        put("/a", "x", Expect::Absent),
        put("/a", "x", Expect::Modified(7)),
        delete("/a", Expect::Absent),
        delete("/a", Expect::Modified(0)),
    ] {
        let error = store.commit(vec![op]).await.unwrap_err();
        let Error::Conflict { key, current } = error else { panic!("{error}") };
        assert_eq!((&*key, current.unwrap().modified), ("/a", 1));
    }
    for op in [put("/b", "x", Expect::Modified(1)), delete("/b", Expect::Modified(1))] {
        let error = store.commit(vec![op]).await.unwrap_err();
        assert!(matches!(error, Error::Conflict { current: None, .. }), "{error}");
    }
    assert_eq!(store.revision(), 1);
}

/// Concurrent increments by compare and swap: every revision is somebody's success, none is lost.
pub async fn one_of_many_rivals_wins(store: Subject) {
    set(&store, "/n", "0").await;
    let rivals = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..25 {
                loop {
                    let entry = store.get("/n").await.unwrap().unwrap();
                    let n: u32 = std::str::from_utf8(&entry.value).unwrap().parse().unwrap();
                    let op = put("/n", (n + 1).to_string(), Expect::Modified(entry.modified));
                    match store.commit(vec![op]).await {
                        Ok(_) => break,
                        Err(Error::Conflict { .. }) => continue,
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        })
    });
    for rival in rivals.collect::<Vec<_>>() {
        rival.await.unwrap();
    }
    assert_eq!(&store.get("/n").await.unwrap().unwrap().value[..], b"200");
    assert_eq!(store.revision(), 201);
}

pub async fn a_transaction_is_whole(store: Subject) {
    let all =
        vec![put("/a", "1", Expect::Absent), put("/b", "1", Expect::Absent), put("/c", "1", Expect::Any)];
    assert_eq!(store.commit(all).await.unwrap(), 1);
    let half = vec![put("/a", "2", Expect::Any), delete("/b", Expect::Any), put("/c", "2", Expect::Absent)];
    assert!(store.commit(half).await.is_err());
    let page = store.list(Range::prefix("/")).await.unwrap();
    assert!(page.entries.iter().all(|entry| entry.modified == 1 && entry.value == "1"), "{page:?}");
    let mut watch = store.watch("/", 0).unwrap();
    assert_eq!(next(&mut watch).await.unwrap().len(), 3);
}

pub async fn nothing_done_takes_no_revision(store: Subject) {
    assert_eq!(store.commit(vec![]).await.unwrap(), 0);
    set(&store, "/a", "1").await;
    assert_eq!(store.commit(vec![delete("/b", Expect::Any)]).await.unwrap(), 1);
    let checked = vec![delete("/b", Expect::Absent), put("/c", "1", Expect::Absent)];
    assert_eq!(store.commit(checked).await.unwrap(), 2, "an absent key can be a condition");
}

pub async fn bad_transactions_are_refused(store: Subject) {
    let twice = vec![put("/a", "1", Expect::Any), delete("/a", Expect::Any)];
    assert!(matches!(store.commit(twice).await, Err(Error::Repeated { key }) if &*key == "/a"));
    let many = (0..=OPS_MAX).map(|n| put(&format!("/{n}"), "1", Expect::Any)).collect();
    assert!(matches!(store.commit(many).await, Err(Error::TooMany { .. })));
    let large = vec![put("/a", vec![0; TRANSACTION_BYTES_MAX], Expect::Any)];
    assert!(matches!(store.commit(large).await, Err(Error::TooLarge { .. })));
    assert_eq!(store.revision(), 0);
    let most = (0..OPS_MAX).map(|n| put(&format!("/{n}"), "1", Expect::Any)).collect();
    assert_eq!(store.commit(most).await.unwrap(), 1);
}

pub async fn prefixes_and_pages(store: Subject) {
    for key in ["/a/1", "/a/2", "/a/3", "/ab/1", "/b/1"] {
        set(&store, key, key).await;
    }
    assert_eq!(keys(&store, Range::prefix("/a/")).await, ["/a/1", "/a/2", "/a/3"]);
    assert_eq!(keys(&store, Range::prefix("/a")).await, ["/a/1", "/a/2", "/a/3", "/ab/1"]);
    assert_eq!(keys(&store, Range::default()).await.len(), 5);
    assert!(keys(&store, Range::prefix("/c/")).await.is_empty());
    let after = |key: &str| Some(key.into());
    assert_eq!(keys(&store, Range { after: after("/a/2"), ..Range::prefix("/a/") }).await, ["/a/3"]);
    assert_eq!(keys(&store, Range { after: after("/a/25"), ..Range::prefix("/a/") }).await, ["/a/3"]);
    assert_eq!(keys(&store, Range { after: after("/"), ..Range::prefix("/a/") }).await.len(), 3);
    assert!(keys(&store, Range { after: after("/z"), ..Range::prefix("/a/") }).await.is_empty());
    let page = store.list(Range { limit: Some(3), ..Range::prefix("/a/") }).await.unwrap();
    assert!(!page.more, "a limit that is just met cuts nothing");
    let page = store.list(Range { limit: Some(2), ..Range::prefix("/a/") }).await.unwrap();
    assert!(page.more && page.entries.len() == 2 && page.revision == 5);
    let page = store.list(Range { limit: Some(0), ..Range::prefix("/a/") }).await.unwrap();
    assert!(page.more && page.entries.is_empty());
    let error = store.list(Range { at: Some(6), ..Range::default() }).await.unwrap_err();
    assert!(matches!(error, Error::Future { asked: 6, current: 5 }));
    assert!(matches!(store.watch("/", 6), Err(Error::Future { .. })));
}

pub async fn pages_of_one_revision_while_writes_go_on(store: Subject) {
    for n in 0..100 {
        set(&store, &format!("/x/{n:03}"), "old").await;
    }
    let writer = {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..100 {
                let key = format!("/x/{n:03}");
                match n % 3 {
                    0 => store.commit(vec![delete(&key, Expect::Any)]).await.map(drop).unwrap(),
                    1 => drop(set(&store, &key, "new").await),
                    _ => drop(set(&store, &format!("{key}+"), "new").await),
                }
            }
        })
    };
    let mut range = Range { limit: Some(7), at: Some(100), ..Range::prefix("/x/") };
    let mut seen = Vec::new();
    loop {
        let page = store.list(range.clone()).await.unwrap();
        assert_eq!(page.revision, 100);
        assert!(page.entries.iter().all(|entry| entry.value == "old"));
        range.after = page.entries.last().map(|entry| entry.key.clone());
        seen.extend(page.entries);
        tokio::task::yield_now().await;
        if !page.more {
            break;
        }
    }
    assert_eq!(seen.len(), 100);
    writer.await.unwrap();
    assert_eq!(keys(&store, Range { at: Some(100), ..Range::prefix("/x/") }).await.len(), 100);
    assert_eq!(keys(&store, Range::prefix("/x/")).await.len(), 100 - 34 + 33);
}

const WRITERS: usize = 8;
const WRITES: usize = 150;
const ALL: Revision = (WRITERS * WRITES) as Revision;

fn write_all(store: &Subject) -> Vec<tokio::task::JoinHandle<()>> {
    let write = |writer| {
        let store = store.clone();
        async move {
            for n in 0..WRITES {
                set(&store, &format!("/{}/{writer}", writer % 2), &n.to_string()).await;
            }
        }
    };
    (0..WRITERS).map(|writer| tokio::spawn(write(writer))).collect()
}

pub async fn watches_lose_and_reorder_nothing(store: Subject) {
    let writers = write_all(&store);
    let mut readers = Vec::new();
    // Watches that start at many moments, from many revisions, each meet history and the live stream.
    for prefix in ["/", "/0/", "/1/"].repeat(8) {
        let now = store.revision();
        let from = now / 2;
        let mut watch = store.watch(prefix, from).unwrap();
        readers.push(tokio::spawn(async move {
            let mut seen = Vec::new();
            let mut last = from;
            while watch.progress() < ALL {
                let changes = next(&mut watch).await.unwrap();
                assert!(changes[0].revision > last, "{} after {last}", changes[0].revision);
                last = changes[0].revision;
                assert!(changes.iter().all(|change| change.key.starts_with(prefix)));
                seen.push(last);
            }
            (prefix, from, seen)
        }));
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    // A last word under every prefix, so that no reader waits for its end.
    let ends =
        store.commit(vec![put("/0/end", "", Expect::Any), put("/1/end", "", Expect::Any)]).await.unwrap();
    assert_eq!(ends, ALL + 1);
    let history = history(&store).await;
    for reader in readers {
        let (prefix, from, seen) = reader.await.unwrap();
        let seen: Vec<_> = seen.into_iter().filter(|revision| *revision <= ALL).collect();
        let due =
            history.iter().filter(|c| c.key.starts_with(prefix) && c.revision > from && c.revision <= ALL);
        assert_eq!(seen, due.map(|change| change.revision).collect::<Vec<_>>(), "{prefix} from {from}");
    }
}

/// Every change there ever was, by a watch from the beginning.
async fn history(store: &Subject) -> Vec<Change> {
    let mut watch = store.watch("", 0).unwrap();
    let mut changes = Vec::new();
    while watch.progress() < store.revision() {
        changes.extend(next(&mut watch).await.unwrap().iter().cloned());
    }
    changes
}

pub async fn watches_resume(store: Subject) {
    let writers = write_all(&store);
    let mut seen = Vec::new();
    let mut from = 0;
    while from < ALL {
        let mut watch = store.watch("/", from).unwrap();
        for _ in 0..37 {
            if from < ALL {
                from = next(&mut watch).await.unwrap()[0].revision;
                assert_eq!(watch.progress().min(from), from);
                seen.push(from);
            }
        }
    }
    assert_eq!(seen, (1..=ALL).collect::<Vec<_>>());
    for writer in writers {
        writer.await.unwrap();
    }
}

pub async fn a_watch_sees_whole_transactions_of_its_prefix(store: Subject) {
    let mut live = store.watch("/a/", 0).unwrap();
    let ops = ["/a/1", "/b/1", "/a/2"].map(|key| put(key, "1", Expect::Any));
    store.commit(ops.to_vec()).await.unwrap();
    store.commit(vec![delete("/a/2", Expect::Any), put("/a/1", "2", Expect::Any)]).await.unwrap();
    for mut watch in
        [store.watch("/a/", 0).unwrap(), std::mem::replace(&mut live, store.watch("/", 0).unwrap())]
    {
        let first = next(&mut watch).await.unwrap();
        assert_eq!(first.iter().map(|change| &*change.key).collect::<Vec<_>>(), ["/a/1", "/a/2"]);
        let second = next(&mut watch).await.unwrap();
        assert_eq!((&second[0].value, &second[0].previous), (&None, &Some(Bytes::from("1"))));
        assert_eq!((&second[1].value, &second[1].previous), (&Some("2".into()), &Some("1".into())));
        assert!(second.iter().all(|change| change.revision == 2));
    }
}

pub async fn progress_moves_on_a_quiet_prefix(store: Subject) {
    let watch = store.watch("/quiet/", 0).unwrap();
    let mut busy = store.watch("/busy/", 0).unwrap();
    for _ in 0..10 {
        set(&store, "/busy/a", "1").await;
    }
    while next(&mut busy).await.unwrap()[0].revision < 10 {}
    assert_eq!(watch.progress(), 10);
    let behind = store.watch("/busy/", 3).unwrap();
    assert_eq!(behind.progress(), 3, "what waits to be read is not progress");
}

pub async fn a_slow_watcher_is_closed(store: Subject) {
    let mut slow = store.watch("/", 0).unwrap();
    let mut last = 0;
    let mut quick = store.watch("/", 0).unwrap();
    while last < 17_000 {
        let batch = (0..500).map(|n| {
            let store = store.clone();
            async move { set(&store, &format!("/{n}"), "1").await }
        });
        last = futures::future::join_all(batch).await.into_iter().max().unwrap();
        while quick.progress() < last {
            next(&mut quick).await.unwrap();
        }
    }
    let mut seen = 0;
    let error = loop {
        match next(&mut slow).await {
            Ok(changes) => {
                assert_eq!(changes[0].revision, seen + 1, "it gets all before the end, in order");
                seen = changes[0].revision;
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Lagged), "{error}");
    assert!(slow.next().await.is_none());
    let mut resumed = store.watch("/", seen).unwrap();
    assert_eq!(next(&mut resumed).await.unwrap()[0].revision, seen + 1);
}

pub async fn compaction_drops_history(store: Subject) {
    for n in 0..10 {
        set(&store, "/a", &n.to_string()).await;
    }
    set(&store, "/b", "1").await;
    store.commit(vec![delete("/b", Expect::Any)]).await.unwrap();
    assert!(matches!(store.compact(13).await, Err(Error::Future { asked: 13, current: 12 })));
    store.compact(8).await.unwrap();
    store.compact(3).await.unwrap();
    let at = |at| Range { at: Some(at), ..Range::default() };
    assert!(matches!(store.list(at(7)).await, Err(Error::Compacted { oldest: 8 })));
    assert!(matches!(store.watch("/", 7), Err(Error::Compacted { oldest: 8 })));
    let page = store.list(at(8)).await.unwrap();
    assert_eq!(page.entries[0].value, "7");
    assert_eq!(keys(&store, at(11)).await, ["/a", "/b"]);
    let mut watch = store.watch("/", 8).unwrap();
    assert_eq!(next(&mut watch).await.unwrap()[0].revision, 9);
    store.compact(12).await.unwrap();
    assert_eq!(next(&mut watch).await.unwrap()[0].revision, 10, "an open watch keeps what it has");
    let page = store.list(Range::default()).await.unwrap();
    assert_eq!((page.entries.len(), page.entries[0].created, page.entries[0].modified), (1, 1, 10));
    assert_eq!(store.revision(), 12);
    assert_eq!(set(&store, "/b", "2").await, 13);
}

pub async fn history_is_bounded_when_nobody_compacts(store: Subject) {
    let value = Bytes::from(vec![b'x'; 1 << 20]);
    for _ in 0..40 {
        store.commit(vec![put("/big", value.clone(), Expect::Any)]).await.unwrap();
    }
    let error = store.watch("/", 1).err().expect("40 MiB of history is too much");
    assert!(matches!(error, Error::Compacted { oldest } if oldest > 1 && oldest < 40), "{error}");
    assert!(store.watch("/", 39).is_ok());
}

pub async fn watches_end_with_the_store(store: Subject) {
    let mut watch = store.watch("/", 0).unwrap();
    set(&store, "/a", "1").await;
    drop(store);
    assert_eq!(next(&mut watch).await.unwrap()[0].revision, 1);
    assert!(matches!(next(&mut watch).await, Err(Error::Closed)));
    assert!(watch.next().await.is_none());
}

pub async fn a_dropped_commit_still_happens(store: Subject) {
    let mut watch = store.watch("/", 0).unwrap();
    let mut commit = store.commit(vec![put("/a", "1", Expect::Any)]);
    assert!((&mut commit).now_or_never().is_none_or(|result| result.is_ok()));
    drop(commit);
    assert_eq!(next(&mut watch).await.unwrap()[0].revision, 1);
}
