//! Queues in memory and on disk: what is delivered when, what survives, what is refused.

use super::one::millis;
use super::*;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// Starts at a fixed time and goes with tokio's clock, which a test may stop and move.
struct Tokio(Instant);

impl Clock for Tokio {
    fn now_ms(&self) -> u64 {
        1_000_000 + millis(self.0.elapsed())
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(Tokio(Instant::now()))
}

async fn on_disk(path: &Path) -> Arc<Queues> {
    let store = store::sqlite(path).expect("a store");
    Queues::open(store, Arc::new(crate::Wall)).await.expect("queues")
}

const NOW: Duration = Duration::ZERO;
const MINUTE: Duration = Duration::from_secs(60);

async fn send(queue: &Arc<Queue>, body: &'static str, delay: Duration) {
    queue.send(Bytes::from_static(b"about"), body.into(), delay).await.expect("accepted");
}

async fn body(queue: &Queue) -> Option<String> {
    let message = queue.receive(MINUTE).await?;
    Some(String::from_utf8_lossy(&message.body).into_owned())
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_is_received_in_order_and_ends_when_deleted() {
    let queue = Queues::in_memory(clock()).await.queue("one");
    send(&queue, "a", NOW).await;
    send(&queue, "b", NOW).await;
    let first = queue.receive(MINUTE).await.expect("a message");
    assert_eq!((&first.body[..], &first.attributes[..], first.receive_count), (&b"a"[..], &b"about"[..], 1));
    assert_eq!(body(&queue).await.as_deref(), Some("b"));
    assert_eq!(body(&queue).await, None, "both are hidden");
    queue.delete(first.receipt).await.expect("deleted");
    assert!(matches!(queue.delete(first.receipt).await, Err(QueueError::Stale)));
    assert_eq!(queue.depth(), Depth { messages: 1, oldest_sent_ms: Some(first.sent_ms) });
}

#[tokio::test(start_paused = true)]
async fn due_sleeps_until_a_message_is_visible() {
    let queue = Queues::in_memory(clock()).await.queue("one");
    send(&queue, "later", MINUTE).await;
    assert_eq!(body(&queue).await, None);
    let started = Instant::now();
    queue.due().await;
    assert_eq!(started.elapsed(), MINUTE);
    assert_eq!(body(&queue).await.as_deref(), Some("later"));
    // Hidden for a minute, then visible again, and the old receipt is worth nothing.
    let started = Instant::now();
    queue.due().await;
    assert_eq!(started.elapsed(), MINUTE);
    assert_eq!(queue.receive(MINUTE).await.expect("again").receive_count, 2);
}

#[tokio::test]
async fn a_message_that_comes_wakes_who_waits() {
    let queue = Queues::in_memory(clock()).await.queue("one");
    send(&queue, "in an hour", 60 * MINUTE).await;
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.due().await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    send(&queue, "now", NOW).await;
    tokio::time::timeout(MINUTE, waiting).await.expect("woken").expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_lapsed_receipt_ends_nothing() {
    let queue = Queues::in_memory(clock()).await.queue("one");
    send(&queue, "a", NOW).await;
    let first = queue.receive(MINUTE).await.expect("a message");
    tokio::time::sleep(MINUTE).await;
    let second = queue.receive(MINUTE).await.expect("again");
    assert!(matches!(queue.delete(first.receipt).await, Err(QueueError::Stale)));
    assert!(matches!(queue.defer(first.receipt, NOW, Bytes::new()).await, Err(QueueError::Stale)));
    queue.release(second.receipt, NOW).expect("released");
    assert!(queue.release(second.receipt, NOW).is_err(), "given back once");
    assert_eq!(queue.receive(MINUTE).await.expect("a third time").receive_count, 3);
}

#[tokio::test]
async fn everything_survives_but_what_was_deleted() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("queues.db");
    {
        let queues = on_disk(&path).await;
        let queue = queues.queue("team/one");
        for body in ["hidden", "gone", "deferred", "waiting"] {
            send(&queue, body, NOW).await;
        }
        queue.receive(60 * MINUTE).await.expect("hidden");
        let gone = queue.receive(MINUTE).await.expect("gone");
        queue.delete(gone.receipt).await.expect("deleted");
        let deferred = queue.receive(MINUTE).await.expect("deferred");
        queue.defer(deferred.receipt, 60 * MINUTE, "second try".into()).await.expect("deferred");
        send(&queues.queue("other"), "elsewhere", NOW).await;
    }
    let queues = on_disk(&path).await;
    let mut filled: Vec<String> = queues.filled().iter().map(|(name, _)| name.to_string()).collect();
    filled.sort();
    assert_eq!(filled, ["other", "team/one"]);
    let queue = queues.queue("team/one");
    assert_eq!(body(&queue).await.as_deref(), Some("hidden"), "receiving is not written down");
    assert_eq!(body(&queue).await.as_deref(), Some("waiting"));
    assert_eq!(body(&queue).await, None, "the deferred one is not due");
    assert_eq!(queue.purge().await.expect("purged"), 3);
    assert_eq!(queue.depth(), Depth::default());
    drop((queue, queues));
    assert_eq!(on_disk(&path).await.filled().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_note_comes_back_with_the_deferred_message() {
    let queue = Queues::in_memory(clock()).await.queue("one");
    send(&queue, "a", NOW).await;
    let first = queue.receive(MINUTE).await.expect("a message");
    queue.defer(first.receipt, MINUTE, "failed once".into()).await.expect("deferred");
    queue.due().await;
    let second = queue.receive(MINUTE).await.expect("again");
    assert_eq!((&second.note[..], second.receive_count), (&b"failed once"[..], 2));
}

#[tokio::test]
async fn limits_are_kept_and_room_comes_back() {
    let queue = Queues::in_memory(clock()).await.queue("one");
    let big = Bytes::from(vec![0; MESSAGE_BYTES_MAX]);
    let refused = queue.send(Bytes::from_static(b"x"), big.clone(), NOW).await;
    assert!(matches!(refused, Err(SendError::TooLarge(_))));
    let mut accepted = 0;
    let full = loop {
        match queue.send(Bytes::new(), big.clone(), NOW).await {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(&full, SendError::Full(_)), "{full}");
    assert_eq!(accepted, (LIMITS.bytes / LIMITS.share) / (MESSAGE_BYTES_MAX as u64 + 21));
    let message = queue.receive(MINUTE).await.expect("a message");
    queue.delete(message.receipt).await.expect("deleted");
    queue.send(Bytes::new(), big, NOW).await.expect("room again");
}

async fn send_to(queue: &Arc<Queue>, group: &'static str, body: &'static str) {
    let draft = Draft { body: body.into(), group: group.into(), ..Draft::default() };
    queue.send_all(vec![draft], |_| Vec::new()).await.expect("accepted");
}

fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| std::str::from_utf8(&message.body).expect("text")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_group_is_worked_on_in_order_and_by_one_at_a_time() {
    let queue = Queues::in_memory(clock()).await.queue("one");
    for (group, body) in [("a", "a1"), ("b", "b1"), ("a", "a2"), ("a", "a3"), ("b", "b2")] {
        send_to(&queue, group, body).await;
    }
    let first = queue.receive_some(MINUTE, 2).await;
    assert_eq!(bodies(&first), ["a1", "a2"]);
    let second = queue.receive_some(2 * MINUTE, 10).await;
    assert_eq!(bodies(&second), ["b1", "b2"], "a3 waits for a1 and a2");
    queue.delete(first[0].receipt).await.expect("deleted");
    assert!(queue.receive(MINUTE).await.is_none(), "and still for a2");
    let started = Instant::now();
    queue.due().await;
    assert_eq!(started.elapsed(), MINUTE);
    let again = queue.receive_some(MINUTE, 10).await;
    assert_eq!(bodies(&again), ["a2", "a3"]);
    queue.hide(again[0].receipt, Duration::ZERO).expect("given back");
    assert!(queue.receive(MINUTE).await.is_none(), "a3 is out");
    queue.hide(again[1].receipt, Duration::ZERO).expect("given back");
    assert_eq!(bodies(&queue.receive_some(MINUTE, 1).await), ["a2"]);
    assert_eq!(queue.counts(), Counts { visible: 1, in_flight: 3, delayed: 0 });
}

#[tokio::test(start_paused = true)]
async fn several_are_received_once_also_when_they_are_not_hidden() {
    let queue = Queues::in_memory(clock()).await.queue("one");
    for body in ["a", "b", "c"] {
        send(&queue, body, NOW).await;
    }
    send(&queue, "later", MINUTE).await;
    assert_eq!(bodies(&queue.receive_some(NOW, 10).await), ["a", "b", "c"]);
    assert_eq!(bodies(&queue.receive_some(NOW, 2).await), ["a", "b"]);
    assert_eq!(queue.counts(), Counts { visible: 3, in_flight: 0, delayed: 1 });
}

#[tokio::test(start_paused = true)]
async fn a_hidden_message_keeps_its_receipt() {
    let queue = Queues::in_memory(clock()).await.queue("one");
    send(&queue, "a", NOW).await;
    let message = queue.receive(MINUTE).await.expect("a message");
    queue.hide(message.receipt, 5 * MINUTE).expect("hidden");
    tokio::time::sleep(4 * MINUTE).await;
    assert!(queue.in_flight(message.receipt).is_some());
    tokio::time::sleep(MINUTE).await;
    assert!(queue.in_flight(message.receipt).is_none() && queue.holds(message.receipt));
    queue.delete(message.receipt).await.expect("nobody else has it");
}

#[tokio::test]
async fn receipts_outlive_the_process_until_somebody_else_has_the_message() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("queues.db");
    let (first, second) = {
        let queue = on_disk(&path).await.queue("one");
        send(&queue, "a", NOW).await;
        send(&queue, "b", NOW).await;
        let received = queue.receive_some(MINUTE, 2).await;
        (received[0].receipt, received[1].receipt)
    };
    let queue = on_disk(&path).await.queue("one");
    assert!(queue.in_flight(first).is_some());
    queue.delete(first).await.expect("deleted");
    assert_eq!(bodies(&queue.receive_some(MINUTE, 2).await), ["b"]);
    assert!(matches!(queue.delete(second).await, Err(QueueError::Stale)));
}
