//! What a shelf remembers, and what it forgets.

use super::*;

fn shelf() -> Shelf {
    let kind = kinds::kinds().iter().find(|kind| kind.plural == "configmaps").expect("a kind of the table");
    Shelf::new(kind)
}

/// A version of the object of this name, `bytes` long and a little more.
fn put(shelf: &Shelf, name: &str, bytes: usize, revision: Revision) {
    let text = "x".repeat(bytes);
    let metadata = format!(r#"{{"name":"{name}","namespace":"ns"}}"#);
    let stored = format!(
        r#"{{"kind":"ConfigMap","apiVersion":"v1","metadata":{metadata},"data":{{"text":"{text}"}}}}"#
    )
    .into();
    shelf.apply(&shelf.key("ns", name), Some(&stored), revision).expect("an object");
}

fn delete(shelf: &Shelf, name: &str, revision: Revision) {
    shelf.apply(&shelf.key("ns", name), None, revision).expect("a deletion");
}

/// The bytes that the ring keeps alive beside the current versions, each buffer once.
fn pinned(shelf: &Shelf) -> usize {
    let state = shelf.read();
    let current: Vec<_> = state.items.values().map(|item| item.stored.as_ptr()).collect();
    let versions = state.ring.iter().flat_map(|event| event.previous.iter().chain([&event.item]));
    let mut buffers = BTreeMap::new();
    for item in versions.filter(|item| !current.contains(&item.stored.as_ptr())) {
        buffers.insert(item.stored.as_ptr(), item.stored.len());
    }
    buffers.values().sum()
}

#[test]
fn a_version_knows_its_name_and_shares_the_bytes_of_the_store() {
    let shelf = shelf();
    put(&shelf, "a", 10, 1);
    let item = shelf.get("ns", "a").expect("it is there");
    assert_eq!((item.namespace(), item.name(), item.revision), ("ns", "a", 1));
    assert_eq!(item.value()["metadata"]["resourceVersion"], "1");
    delete(&shelf, "a", 2);
    let state = shelf.read();
    let last = state.ring.back().expect("a deletion is remembered");
    assert_eq!((last.deletion, last.item.revision), (true, 2));
    assert_eq!(last.item.stored.as_ptr(), item.stored.as_ptr(), "shared, not copied");
}

#[test]
fn big_changes_are_bounded_by_their_bytes() {
    let shelf = shelf();
    let size = 1 << 20;
    for revision in 1..=50 {
        put(&shelf, "big", size, revision);
    }
    let held = pinned(&shelf);
    assert!(held <= RING_BYTES_BIG, "{held}");
    assert!(held >= RING_BYTES_BIG - 2 * size, "as many as fit are kept: {held}");
    let everything = Selector::default();
    let since = |revision| shelf.read().since(revision, &shelf.prefix, &everything, 1000);
    assert!(since(1).is_err(), "whoever saw the first only must list again");
    assert_eq!(since(45).expect("remembered").0.len(), 5);
}

#[test]
fn many_changes_are_bounded_by_their_bytes_and_their_number() {
    let shelf = shelf();
    for revision in 1..=3000 {
        put(&shelf, "one", 10_000, revision);
    }
    let held = pinned(&shelf);
    assert!(held <= RING_BYTES_MAX && held > RING_BYTES_MAX / 2, "{held}");
    for revision in 3001..=3100 + RING_EVENTS_MAX as u64 {
        put(&shelf, "two", 1, revision);
    }
    assert_eq!(shelf.read().ring.len(), RING_EVENTS_MAX);
}

#[tokio::test(start_paused = true)]
async fn old_changes_go_also_when_nothing_follows() {
    let shelf = shelf();
    for revision in (1..=2000).step_by(2) {
        put(&shelf, "brief", 4000, revision);
        delete(&shelf, "brief", revision + 1);
    }
    shelf.forget_old();
    assert!(pinned(&shelf) > RING_BYTES_OLD);
    tokio::time::advance(RING_AGE_MAX + Duration::from_secs(1)).await;
    shelf.forget_old();
    assert!(pinned(&shelf) <= RING_BYTES_OLD);
    assert!(shelf.read().ring.capacity() < 4 * RING_EVENTS_MIN);
    let everything = Selector::default();
    let since = shelf.read().since(1990, &shelf.prefix, &everything, 1000);
    assert_eq!(since.expect("the last changes are remembered for good").0.len(), 10);
}
