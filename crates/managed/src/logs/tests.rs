//! Logs are complete, in order, and followed across a rotation.

use super::*;
use futures::StreamExt;

fn logs() -> (tempfile::TempDir, Logs) {
    let dir = tempfile::tempdir().expect("a directory");
    let logs = Logs::open(dir.path().to_owned()).expect("logs");
    (dir, logs)
}

async fn all(log: &Arc<Log>, lines: Option<usize>) -> String {
    let chunks: Vec<_> = log.read(LogQuery { lines, follow: false }, None).collect().await;
    chunks
        .into_iter()
        .map(|chunk| String::from_utf8(chunk.expect("a chunk").to_vec()).expect("text"))
        .collect()
}

fn text(log: &str) -> Vec<&str> {
    log.lines().map(|line| line.split_once("] ").expect("a stream").1).collect()
}

#[tokio::test]
async fn what_is_appended_is_read_back_in_order() {
    let (_dir, logs) = logs();
    let log = logs.of("default", "/aws/lambda/hello");
    for number in 0..100 {
        log.append("a1", [format!("line {number}").as_bytes()]);
    }
    let read = all(&log, None).await;
    assert_eq!(text(&read).len(), 100);
    assert_eq!(text(&read)[99], "line 99");
    assert!(read.lines().next().expect("a line").ends_with("Z [a1] line 0"), "{read}");
    assert_eq!(text(&all(&log, Some(2)).await), ["line 98", "line 99"]);
    assert!(logs.exists("default", "/aws/lambda/hello"));
    assert!(!logs.exists("default", "/aws/lambda/other"));
}

#[tokio::test]
async fn followers_miss_nothing_when_the_file_is_set_aside() {
    let (_dir, logs) = logs();
    let log = logs.of("default", "hello");
    log.append("a1", [&b"before"[..]]);
    let mut follow = Box::pin(log.read(LogQuery { lines: None, follow: true }, None));
    let first = follow.next().await.expect("a chunk").expect("the first lines");
    assert!(first.ends_with(b"before\n"));

    let long = vec![b'x'; 200 * 1024];
    let writer = log.clone();
    let lines = (FILE_BYTES_MAX as usize / long.len()) * 2 + 7;
    let writing = tokio::spawn(async move {
        for _ in 0..lines {
            writer.ready().await;
            writer.append("a1", [&long[..]]);
        }
        writer.append("a1", [&b"the end"[..]]);
    });
    let mut seen = 0;
    let mut tail = Vec::new();
    while !tail.ends_with(b"the end\n") {
        let chunk = follow.next().await.expect("more").expect("a chunk");
        seen += chunk.iter().filter(|&&byte| byte == b'\n').count();
        tail = chunk[chunk.len().saturating_sub(64)..].to_vec();
    }
    writing.await.expect("the writer");
    assert_eq!(seen, lines + 1);
}

fn put(logs: &Logs, events: &[(i64, &str)]) {
    let events: Vec<(i64, String)> = events.iter().map(|(at, text)| (*at, (*text).to_owned())).collect();
    logs.put("default", "team", "mine", &events).expect("put");
}

fn messages(logs: &Logs, query: &EventQuery) -> (Vec<String>, bool) {
    let log = logs.group("default", "team").expect("the group");
    let page = log.events(query, &|text| !text.contains("secret")).expect("a page");
    (page.events.into_iter().map(|event| event.message).collect(), page.more)
}

#[test]
fn groups_and_streams_are_made_once_and_read_by_time() {
    let (_dir, logs) = logs();
    assert!(matches!(logs.group("default", "team"), Err(GroupError::NoGroup)));
    logs.create_group("default", "team").expect("a group");
    assert!(matches!(logs.create_group("default", "team"), Err(GroupError::Exists(_))));
    assert!(matches!(logs.put("default", "team", "mine", &[]), Err(GroupError::NoStream)));
    logs.create_stream("default", "team", "mine").expect("a stream");
    assert!(matches!(logs.create_stream("default", "team", "mine"), Err(GroupError::Exists(_))));
    let now = Timestamp::now().as_millisecond();
    put(&logs, &[(now, "two\nlines"), (now, "three"), (now + 5, "secret"), (now + 9, "five")]);
    put(&logs, &[(now - 1000, "one")]);
    let query = EventQuery { limit: 2, ..EventQuery::default() };
    assert_eq!(messages(&logs, &query), (vec!["one".to_owned(), "two\nlines".to_owned()], true));
    let after = LogPosition { time_ms: now, place: 0 };
    let rest = EventQuery { start: Start::After(after), ..query.clone() };
    assert_eq!(messages(&logs, &rest), (vec!["three".to_owned(), "five".to_owned()], false));
    let tail = EventQuery { start: Start::Tail, ..query.clone() };
    assert_eq!(messages(&logs, &tail), (vec!["three".to_owned(), "five".to_owned()], true));
    let before = EventQuery { start: Start::Before(after), ..query.clone() };
    assert_eq!(messages(&logs, &before), (vec!["one".to_owned()], false));
    let window = EventQuery { from_ms: Some(now), before_ms: Some(now + 9), limit: 9, ..query.clone() };
    assert_eq!(messages(&logs, &window).0, ["two\nlines", "three"]);
    let other = EventQuery { streams: Streams::Prefix("x".to_owned()), ..query };
    assert_eq!(messages(&logs, &other), (Vec::new(), false));
    let stream = &logs.of("default", "team").streams().expect("streams")[0];
    assert_eq!((stream.first_ms, stream.last_ms), (Some(now - 1000), Some(now + 9)));
}

#[test]
fn groups_are_found_again_retained_and_deleted() {
    let (dir, logs) = logs();
    logs.of("default", "/aws/lambda/My_Function").append("2026/11/21/[$LATEST]x", [&b"hello"[..]]);
    logs.create_group("default", "team/a").expect("a group");
    let old_day = Timestamp::now().as_millisecond() - 3 * 24 * 3600 * 1000;
    logs.create_stream("default", "team/a", "s").expect("a stream");
    logs.put("default", "team/a", "s", &[(old_day, "old".to_owned())]).expect("put");
    drop(logs);
    let logs = Logs::open(dir.path().to_owned()).expect("the same again");
    let names: Vec<String> =
        logs.groups("default").expect("groups").into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["/aws/lambda/My_Function", "team/a"]);
    let count = |logs: &Logs| {
        let query = EventQuery { limit: 10, ..EventQuery::default() };
        logs.of("default", "team/a").events(&query, &|_| true).expect("a page").events.len()
    };
    assert_eq!(count(&logs), 1);
    logs.retain("default", "team/a", Some(1)).expect("a policy");
    assert_eq!(count(&logs), 0, "older than a day");
    logs.retain("default", "team/a", None).expect("none");
    assert_eq!(count(&logs), 1);
    logs.delete_group("default", "team/a").expect("deleted");
    assert!(matches!(logs.delete_group("default", "team/a"), Err(GroupError::NoGroup)));
    assert_eq!(logs.groups("default").expect("groups").len(), 1);
}

#[test]
fn logs_that_nobody_uses_are_closed() {
    let dir = tempfile::tempdir().expect("a directory");
    let logs = Logs::open(dir.path().to_owned()).expect("logs");
    let used = logs.of("default", "/aws/lambda/used");
    let began = std::time::Instant::now();
    for number in 0.. {
        logs.of("default", &format!("/aws/lambda/f{number}")).append("stream", [b"a line".as_slice()]);
        if number > 500 && lock(&logs.open).len() < 500 {
            break;
        }
        // The writer holds those that it has not come to.
        std::thread::sleep(Duration::from_millis(1));
        assert!(began.elapsed() < Duration::from_secs(60), "{} are open", lock(&logs.open).len());
    }
    assert!(Arc::ptr_eq(&used, &logs.of("default", "/aws/lambda/used")));
    logs.flush();
    assert!(logs.exists("default", "/aws/lambda/f0"));
    let file = dir.path().join(group::file("default", "/aws/lambda/f0"));
    let text = fs::read_to_string(file).expect("the log of the first");
    assert!(text.ends_with("a line\n"), "{text}");
}
