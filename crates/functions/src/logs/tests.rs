//! Logs are complete, in order, and followed across a rotation.

use super::*;
use futures::StreamExt;

fn logs() -> (tempfile::TempDir, Logs) {
    let dir = tempfile::tempdir().expect("a directory");
    let logs = Logs::open(dir.path().to_owned()).expect("logs");
    (dir, logs)
}

async fn all(log: &Arc<Log>, lines: Option<usize>) -> String {
    let chunks: Vec<_> = log.read(LogQuery { lines, follow: false }).collect().await;
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
    let log = logs.of("default", "hello");
    for number in 0..100 {
        log.append("a1", [format!("line {number}").as_bytes()]);
    }
    let read = all(&log, None).await;
    assert_eq!(text(&read).len(), 100);
    assert_eq!(text(&read)[99], "line 99");
    assert!(read.lines().next().expect("a line").ends_with("Z [a1] line 0"), "{read}");
    assert_eq!(text(&all(&log, Some(2)).await), ["line 98", "line 99"]);
    assert!(logs.exists("default", "hello"));
    assert!(!logs.exists("default", "other"));
}

#[tokio::test]
async fn followers_miss_nothing_when_the_file_is_set_aside() {
    let (_dir, logs) = logs();
    let log = logs.of("default", "hello");
    log.append("a1", [&b"before"[..]]);
    let mut follow = Box::pin(log.read(LogQuery { lines: None, follow: true }));
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

#[test]
fn lines_are_cut_where_they_end() {
    let mut lines = Lines::default();
    let mut out: Vec<String> = Vec::new();
    let mut keep = |line: &[u8]| out.push(String::from_utf8(line.to_vec()).expect("text"));
    lines.push(b"one\ntw", &mut keep);
    lines.push(b"o\n\nthree", &mut keep);
    lines.finish(&mut keep);
    lines.finish(&mut keep);
    assert_eq!(out, ["one", "two", "", "three"]);
}
