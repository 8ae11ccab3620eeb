//! The loop without a cluster: keys come from the queue alone.

use super::*;

struct Flaky(AtomicU64);

impl Reconciler for Flaky {
    fn reconcile(&self, key: Key) -> BoxFuture<'_, Outcome> {
        let turn = self.0.fetch_add(1, Ordering::SeqCst);
        async move {
            match (key.name.as_str(), turn) {
                ("error", 0) => Err(Error::new("not yet")),
                ("panic", 0) => panic!("a bug"),
                ("again", 0) => Ok(Some(Duration::from_secs(7))),
                _ => Ok(None),
            }
        }
        .boxed()
    }
}

async fn two_turns(name: &str) -> (u64, u64, u128) {
    let flaky = Arc::new(Flaky(AtomicU64::new(0)));
    let work = Loop::new("test", flaky.clone(), 1);
    let (queue, stats, shutdown) = (work.queue(), work.stats(), CancellationToken::new());
    let start = tokio::time::Instant::now();
    let running = tokio::spawn(work.run(shutdown.clone()));
    queue.add(Key::cluster(name));
    while flaky.0.load(Ordering::SeqCst) < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let took = start.elapsed().as_millis();
    shutdown.cancel();
    running.await.expect("the loop ends when told to");
    (stats.errors.load(Ordering::Relaxed), stats.panics.load(Ordering::Relaxed), took)
}

#[tokio::test(start_paused = true)]
async fn an_error_is_counted_and_retried() {
    let (errors, panics, took) = two_turns("error").await;
    assert_eq!((errors, panics), (1, 0));
    assert!((5..20).contains(&took), "retried after {took} ms");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_counted_and_retried() {
    let (errors, panics, took) = two_turns("panic").await;
    assert_eq!((errors, panics), (0, 1));
    assert!((5..20).contains(&took), "retried after {took} ms");
}

#[tokio::test(start_paused = true)]
async fn another_turn_comes_when_asked_for() {
    let (errors, panics, took) = two_turns("again").await;
    assert_eq!((errors, panics), (0, 0));
    assert!((7000..7100).contains(&took), "came again after {took} ms");
}
