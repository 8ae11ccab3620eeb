//! Queues with settings: what is sent once, received, moved and forgotten, and what a restart leaves.

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::QueueError;

/// Starts at a fixed time and goes with tokio's clock, which a test may stop and move.
struct Tokio(Instant);

impl Clock for Tokio {
    fn now_ms(&self) -> u64 {
        1_000_000_000 + u64::try_from(self.0.elapsed().as_millis()).expect("a short test")
    }
}

async fn broker() -> Arc<Broker> {
    Broker::in_memory(Arc::new(Tokio(Instant::now()))).await
}

async fn made(broker: &Arc<Broker>, name: &str, settings: Settings) -> Arc<Declared> {
    broker.create(name, settings, |_| Some("everything")).await.expect("a queue")
}

fn fifo() -> Settings {
    Settings { fifo: true, content_based_deduplication: true, ..QUEUE_DEFAULTS }
}

fn letter(body: &'static str) -> Letter {
    Letter { body: body.into(), sender: "me".to_owned(), ..Letter::default() }
}

fn in_group(group: &str, body: &'static str) -> Letter {
    Letter { group: Some(group.to_owned()), ..letter(body) }
}

async fn receive(queue: &Arc<Declared>, max: usize) -> Vec<Delivered> {
    queue.receive(&Ask { max, ..Ask::default() }).await.expect("received")
}

async fn bodies(queue: &Arc<Declared>, max: usize) -> Vec<String> {
    let text = |one: &Delivered| String::from_utf8(one.body().to_vec()).expect("text");
    receive(queue, max).await.iter().map(text).collect()
}

fn of(message: &Delivered, name: &str) -> Option<String> {
    let all = message.system(|queue| format!("arn:{queue}"));
    all.into_iter().find(|(found, _)| *found == name).map(|(_, value)| value)
}

const HALF_MINUTE: Duration = Duration::from_secs(30);

#[tokio::test(start_paused = true)]
async fn a_message_comes_back_until_it_is_deleted() {
    let queue = made(&broker().await, "q", QUEUE_DEFAULTS).await;
    let accepted = queue.send(letter("a")).await.expect("accepted");
    let first = receive(&queue, 10).await.pop().expect("a message");
    assert_eq!(
        (first.id(), of(&first, "ApproximateReceiveCount")),
        (&accepted.message_id[..], Some("1".into()))
    );
    assert!(bodies(&queue, 10).await.is_empty());
    let started = Instant::now();
    let ask = Ask { max: 1, wait: Some(Duration::from_secs(60)), ..Ask::default() };
    let second = queue.receive(&ask).await.expect("received").pop().expect("again");
    assert_eq!(started.elapsed(), HALF_MINUTE, "long polling waits for the visibility timeout");
    assert_eq!(of(&second, "ApproximateReceiveCount").as_deref(), Some("2"));
    assert_eq!(of(&second, "ApproximateFirstReceiveTimestamp"), of(&first, "SentTimestamp"));
    queue.delete(Handle(&first.handle())).await.expect("an old handle is no error");
    assert_eq!(queue.counts().await.in_flight, 1);
    queue.delete(Handle(&second.handle())).await.expect("deleted");
    queue.delete(Handle(&second.handle())).await.expect("deleted twice");
    assert_eq!(queue.counts().await, crate::Counts::default());
    assert!(matches!(queue.delete(Handle("nonsense")).await, Err(HandleError::Invalid)));
}

#[tokio::test(start_paused = true)]
async fn visibility_can_be_changed_for_twelve_hours() {
    let queue = made(&broker().await, "q", QUEUE_DEFAULTS).await;
    queue.send(letter("a")).await.expect("accepted");
    let handle = receive(&queue, 1).await.pop().expect("a message").handle();
    queue.hide(Handle(&handle), Duration::from_secs(43_200)).expect("hidden");
    tokio::time::sleep(Duration::from_secs(43_000)).await;
    let beyond = queue.hide(Handle(&handle), 7 * HALF_MINUTE);
    assert!(matches!(beyond, Err(HandleError::TooLong)), "{beyond:?}");
    queue.hide(Handle(&handle), Duration::ZERO).expect("given back");
    assert!(matches!(queue.hide(Handle(&handle), HALF_MINUTE), Err(HandleError::NotInFlight)));
    assert_eq!(bodies(&queue, 1).await, ["a"]);
    queue.purge().await.expect("purged");
    assert!(matches!(queue.hide(Handle(&handle), HALF_MINUTE), Err(HandleError::NoMessage)));
    assert!(!queue.purge().await.expect("not again within a minute"));
}

#[tokio::test(start_paused = true)]
async fn a_fifo_queue_takes_each_message_once_in_five_minutes() {
    let queue = made(&broker().await, "q.fifo", fifo()).await;
    let first = queue.send(in_group("g", "a")).await.expect("accepted");
    assert_eq!(queue.send(in_group("h", "a")).await.expect("a repetition"), first);
    let other = Letter { deduplication_id: Some("x".to_owned()), ..in_group("g", "a") };
    let second = queue.send(other).await.expect("another id");
    assert!(second.sequence > first.sequence);
    let handles = receive(&queue, 10).await;
    assert_eq!(of(&handles[0], "SequenceNumber"), first.sequence.map(sequence));
    for one in &handles {
        queue.delete(Handle(&one.handle())).await.expect("deleted");
    }
    queue.send(in_group("g", "a")).await.expect("a repetition of what is gone");
    assert!(bodies(&queue, 10).await.is_empty());
    tokio::time::sleep(10 * HALF_MINUTE).await;
    queue.send(in_group("g", "a")).await.expect("accepted");
    assert_eq!(bodies(&queue, 10).await, ["a"]);
    tokio::time::sleep(HALF_MINUTE).await;
    let lapsed = queue.delete(Handle(&handles[0].handle())).await;
    assert!(lapsed.is_ok(), "it was deleted before");
    let late = receive(&queue, 1).await.pop().expect("again").handle();
    tokio::time::sleep(HALF_MINUTE).await;
    assert!(matches!(queue.delete(Handle(&late)).await, Err(HandleError::Expired)));
}

#[tokio::test(start_paused = true)]
async fn ids_may_be_each_groups_own() {
    let settings = Settings { deduplication_per_group: true, ..fifo() };
    let queue = made(&broker().await, "q.fifo", settings).await;
    for group in ["g", "h", "g"] {
        queue.send(in_group(group, "a")).await.expect("accepted");
    }
    assert_eq!(bodies(&queue, 10).await, ["a", "a"]);
}

#[tokio::test(start_paused = true)]
async fn what_breaks_the_rules_of_a_queue_is_refused() {
    let broker = broker().await;
    let standard = made(&broker, "q", Settings { message_bytes_max: 1024, ..QUEUE_DEFAULTS }).await;
    let ordered = made(&broker, "q.fifo", Settings { fifo: true, ..QUEUE_DEFAULTS }).await;
    let large = Letter { body: vec![b'x'; 1025].into(), ..letter("") };
    assert!(matches!(standard.send(large).await, Err(LetterError::TooLarge { size: 1025, max: 1024 })));
    let id = || Some("x".to_owned());
    assert!(matches!(ordered.send(letter("a")).await, Err(LetterError::NoGroup)));
    assert!(matches!(ordered.send(in_group("g", "a")).await, Err(LetterError::NoDeduplicationId)));
    let with_id = Letter { deduplication_id: id(), ..letter("a") };
    assert!(matches!(standard.send(with_id).await, Err(LetterError::NotFifo)));
    let delayed = Letter { deduplication_id: id(), delay: Some(HALF_MINUTE), ..in_group("g", "a") };
    assert!(matches!(ordered.send(delayed).await, Err(LetterError::OwnDelay)));
    broker.delete("q").await.expect("deleted");
    assert!(matches!(standard.send(letter("a")).await, Err(LetterError::Gone)));
    assert!(matches!(broker.delete("q").await, Err(DeclareError::Gone)));
}

#[tokio::test(start_paused = true)]
async fn what_is_received_too_often_is_a_dead_letter_and_comes_back() {
    let broker = broker().await;
    let dead = made(&broker, "dead", QUEUE_DEFAULTS).await;
    let redrive = Some(Redrive { target: "dead".to_owned(), receives_max: 2 });
    let queue = made(&broker, "q", Settings { redrive, ..QUEUE_DEFAULTS }).await;
    let accepted = queue.send(letter("bad")).await.expect("accepted");
    for _ in 0..2 {
        assert_eq!(bodies(&queue, 10).await, ["bad"]);
        tokio::time::sleep(HALF_MINUTE).await;
    }
    queue.send(letter("good")).await.expect("accepted");
    assert_eq!(bodies(&queue, 10).await, ["good"]);
    let letter = receive(&dead, 10).await.pop().expect("a dead letter");
    assert_eq!(
        (letter.id(), of(&letter, "DeadLetterQueueSourceArn")),
        (&accepted.message_id[..], Some("arn:q".into()))
    );
    assert_eq!(of(&letter, "ApproximateReceiveCount").as_deref(), Some("3"), "in both queues");
    dead.hide(Handle(&letter.handle()), Duration::ZERO).expect("given back");
    let names = |all: Vec<Arc<Declared>>| all.iter().map(|one| one.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(broker.sources_of("dead")), ["q"]);
    assert!(matches!(broker.start_move(&queue, None, None), Err(MoveError::NoDeadLetters)));
    let task = broker.start_move(&dead, None, Some(500)).expect("a task");
    assert!(matches!(broker.start_move(&dead, None, None), Err(MoveError::Running)));
    while task.state() == MoveState::Running {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((task.state(), task.moved()), (MoveState::Completed, 1));
    let back = receive(&queue, 10).await.pop().expect("it is back");
    assert_eq!(&back.body()[..], b"bad");
    assert_ne!(back.id(), accepted.message_id);
    assert_eq!(
        (of(&back, "DeadLetterQueueSourceArn"), of(&back, "ApproximateReceiveCount")),
        (None, Some("1".into()))
    );
    assert!(broker.cancel_move(&task.id).is_none(), "it is over");
    assert_eq!(broker.moves_of("dead").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_kept_as_long_as_the_queue_says() {
    let broker = broker().await;
    let queue = made(&broker, "q", Settings { retention_s: 60, delay_s: 5, ..QUEUE_DEFAULTS }).await;
    queue.send(letter("a")).await.expect("accepted");
    assert_eq!(queue.counts().await.delayed, 1);
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(queue.counts().await.visible, 1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(queue.counts().await, crate::Counts::default());
}

#[tokio::test(start_paused = true)]
async fn the_same_attempt_gets_the_same_messages() {
    let queue = made(&broker().await, "q.fifo", fifo()).await;
    for body in ["a", "b"] {
        queue.send(in_group("g", body)).await.expect("accepted");
    }
    let ask = Ask { max: 1, attempt: Some("try".to_owned()), ..Ask::default() };
    let first = queue.receive(&ask).await.expect("received");
    let again = queue.receive(&ask).await.expect("received");
    assert_eq!(first[0].handle(), again[0].handle());
    queue.delete(Handle(&first[0].handle())).await.expect("deleted");
    assert_eq!(&queue.receive(&ask).await.expect("received")[0].body()[..], b"b");
}

#[tokio::test]
async fn no_more_are_in_flight_than_may_be() {
    let broker = Broker::in_memory(Arc::new(crate::Wall)).await;
    let queue = made(&broker, "q", QUEUE_DEFAULTS).await;
    let most = declared::IN_FLIGHT_MAX as usize;
    for _ in 0..most / 1000 {
        let sent = queue.send_all(vec![letter("x"); 1000]).await;
        assert!(sent.iter().all(Result::is_ok));
    }
    queue.send(letter("last")).await.expect("accepted");
    let out = receive(&queue, most + 10).await;
    assert_eq!(out.len(), most);
    let short = queue.receive(&Ask { max: 1, ..Ask::default() }).await;
    assert_eq!(short.err(), Some(ReceiveError::OverLimit));
    let long = Ask { max: 1, wait: Some(Duration::from_millis(20)), ..Ask::default() };
    assert!(queue.receive(&long).await.expect("no error").is_empty());
    queue.delete(Handle(&out[0].handle())).await.expect("deleted");
    assert_eq!(bodies(&queue, 1).await, ["last"]);
}

#[tokio::test]
async fn who_waits_is_told_of_a_message_and_of_the_end() {
    let broker = Broker::in_memory(Arc::new(crate::Wall)).await;
    let queue = made(&broker, "q", QUEUE_DEFAULTS).await;
    let wait = |queue: &Arc<Declared>| {
        let queue = queue.clone();
        let ask = Ask { max: 1, wait: Some(Duration::from_secs(20)), ..Ask::default() };
        tokio::spawn(async move { queue.receive(&ask).await })
    };
    let waiting = wait(&queue);
    tokio::task::yield_now().await;
    queue.send(letter("a")).await.expect("accepted");
    assert_eq!(waiting.await.expect("no panic").expect("received").len(), 1);
    let waiting = wait(&queue);
    tokio::task::yield_now().await;
    broker.delete("q").await.expect("deleted");
    assert_eq!(waiting.await.expect("no panic").err(), Some(ReceiveError::Gone));
}

#[tokio::test]
async fn queues_settings_messages_and_ids_survive() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("sqs.db");
    let open = async || {
        let store = store::sqlite(&path).expect("a store");
        Broker::open(store, Arc::new(crate::Wall)).await.expect("queues")
    };
    let (message_id, handle) = {
        let broker = open().await;
        let queue = made(&broker, "q.fifo", fifo()).await;
        made(&broker, "gone", QUEUE_DEFAULTS).await.send(letter("x")).await.expect("accepted");
        let first = queue.send(in_group("g", "a")).await.expect("accepted");
        queue.send(in_group("g", "b")).await.expect("accepted");
        let changed = broker.change("q.fifo", |settings| {
            settings.visibility_s = 7;
            Ok::<(), DeclareError>(())
        });
        changed.await.expect("changed");
        broker.delete("gone").await.expect("deleted");
        let received = receive(&queue, 1).await.pop().expect("a message");
        (first.message_id, received.handle())
    };
    let broker = open().await;
    assert!(broker.get("gone").is_none());
    let queue = broker.get("q.fifo").expect("the queue");
    assert_eq!(queue.settings(), Settings { visibility_s: 7, ..fifo() });
    assert_eq!(queue.send(in_group("g", "a")).await.expect("a repetition").message_id, message_id);
    queue.delete(Handle(&handle)).await.expect("the handle counts still");
    assert_eq!(bodies(&queue, 10).await, ["b"]);
    let again = broker.create("q.fifo", QUEUE_DEFAULTS, |_| None).await.expect("it is there");
    assert!(Arc::ptr_eq(&again, &queue));
    assert!(matches!(broker.create("q.fifo", fifo(), |_| Some("x")).await, Err(DeclareError::Exists("x"))));
    assert!(matches!(queue.queue().purge().await, Ok(1) | Err(QueueError::Stale)));
}
