//! The tests of `store`: the conformance suite on each implementation, and what only the durable one must do.

mod conformance;
mod disk;
mod durable;
mod model;

/// Every case of the conformance suite as a test of its own, on a fresh store.
macro_rules! conformance {
    ($($case:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::conformance::$case(store::memory()).await;
            })*
        }
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let dir = tempfile::tempdir().unwrap();
                $crate::conformance::$case(store::sqlite(&dir.path().join("state.db")).unwrap()).await;
            })*
        }
    };
}

conformance!(
    reads_follow_writes,
    a_conflict_names_the_key_and_shows_it,
    one_of_many_rivals_wins,
    a_transaction_is_whole,
    nothing_done_takes_no_revision,
    bad_transactions_are_refused,
    prefixes_and_pages,
    pages_of_one_revision_while_writes_go_on,
    watches_lose_and_reorder_nothing,
    watches_resume,
    a_watch_sees_whole_transactions_of_its_prefix,
    progress_moves_on_a_quiet_prefix,
    a_slow_watcher_is_closed,
    compaction_drops_history,
    history_is_bounded_when_nobody_compacts,
    watches_end_with_the_store,
    a_dropped_commit_still_happens,
    follows_a_naive_model,
);
