//! What the durable store keeps across a restart, and what it says about files that it cannot use.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use store::{Error, Expect, OpenError, Range, Store};

use crate::conformance::{delete, next, put, set};

fn open(path: &Path) -> Arc<dyn Store> {
    store::sqlite(path).unwrap()
}

fn refused(path: &Path) -> OpenError {
    store::sqlite(path).err().expect("the file cannot be a store")
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let store = open(&path);
    for n in 0..20 {
        set(&store, &format!("/{}", n % 4), &n.to_string()).await;
    }
    store.commit(vec![delete("/0", Expect::Any), put("/9", "x", Expect::Absent)]).await.unwrap();
    store.compact(15).await.unwrap();
    let before = store.list(Range::default()).await.unwrap();
    let middle = store.list(Range { at: Some(17), ..Range::default() }).await.unwrap();
    drop(store);

    let store = open(&path);
    assert_eq!(store.revision(), 21);
    assert_eq!(store.list(Range::default()).await.unwrap().entries, before.entries);
    let again = store.list(Range { at: Some(17), ..Range::default() }).await.unwrap();
    assert_eq!(again.entries, middle.entries);
    assert!(matches!(store.watch("/", 14), Err(Error::Compacted { oldest: 15 })));
    let mut watch = store.watch("/", 15).unwrap();
    for revision in 16..=21 {
        assert_eq!(next(&mut watch).await.unwrap()[0].revision, revision);
    }
    assert_eq!(set(&store, "/a", "1").await, 22);
}

#[tokio::test]
async fn revisions_survive_the_compaction_of_everything() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let store = open(&path);
    set(&store, "/a", "1").await;
    store.commit(vec![delete("/a", Expect::Any)]).await.unwrap();
    store.compact(2).await.unwrap();
    drop(store);
    // Twice: the second start finds the rows dropped.
    for revision in [2, 2, 2] {
        let store = open(&path);
        assert_eq!(store.revision(), revision);
        assert!(store.list(Range::default()).await.unwrap().entries.is_empty());
        assert!(matches!(store.watch("/", 1), Err(Error::Compacted { oldest: 2 })));
    }
    assert_eq!(set(&open(&path), "/a", "1").await, 3);
}

#[tokio::test]
async fn compaction_gives_the_space_back_to_later_writes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let store = open(&path);
    for _ in 0..3 {
        for _ in 0..600 {
            set(&store, "/a", &"x".repeat(10_000)).await;
        }
        store.compact(store.revision()).await.unwrap();
    }
    drop(store);
    let size = fs::metadata(&path).unwrap().len();
    assert!(size < 12_000_000, "18 MB went through it and {size} bytes are left");
    assert_eq!(open(&path).list(Range::default()).await.unwrap().entries.len(), 1);
}

#[tokio::test]
async fn the_file_is_private_and_synced_through_a_wal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let store = open(&path);
    set(&store, "/a", "secret").await;
    for name in ["state.db", "state.db-wal"] {
        let mode = fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_store_belongs_to_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let first = open(&path);
    let error = refused(&path);
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    assert!(error.to_string().contains("in use by another process"), "{error}");
    set(&first, "/a", "1").await;
    drop(first);
    assert_eq!(open(&path).revision(), 1);
}

#[test]
fn unusable_paths_are_explained() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().join("missing/state.db"), dir.path().to_path_buf()] {
        let error = refused(&path);
        assert!(matches!(error, OpenError::Unreadable { .. }), "{error:?}");
        assert!(error.to_string().contains("check that its directory exists"), "{error}");
    }
    let other = dir.path().join("other.db");
    fs::write(&other, "this is a letter, not a database; ".repeat(100)).unwrap();
    assert!(matches!(refused(&other), OpenError::Corrupt { .. }), "{:?}", refused(&other));
    assert!(fs::read_to_string(&other).unwrap().starts_with("this is a letter"), "it is left as it was");
}

#[test]
fn databases_of_others_and_of_the_future_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let foreign = dir.path().join("foreign.db");
    let connection = rusqlite::Connection::open(&foreign).unwrap();
    connection.execute_batch("CREATE TABLE photos (name TEXT)").unwrap();
    drop(connection);
    assert!(matches!(refused(&foreign), OpenError::Corrupt { .. }));

    let newer = dir.path().join("newer.db");
    drop(open(&newer));
    let connection = rusqlite::Connection::open(&newer).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    assert!(matches!(refused(&newer), OpenError::Newer { found: 99, .. }));
}

#[tokio::test]
async fn a_damaged_file_is_not_taken_for_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let store = open(&path);
    for n in 0..500 {
        set(&store, &format!("/{n}"), &"x".repeat(500)).await;
    }
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 8192 * 4096;
    bytes[middle..middle + 8192].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let error = refused(&path);
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains("restore it from a copy"), "{error}");
}
