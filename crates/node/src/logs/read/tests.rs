//! Logs as files: what comes out for which options.

use std::io::Write;

use super::*;

fn log(lines: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("0.log");
    append(&path, lines);
    (dir, path)
}

fn append(path: &Path, lines: &[&str]) {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).expect("opened");
    for (index, line) in lines.iter().enumerate() {
        writeln!(file, "2026-01-01T00:00:0{index}.000000000Z {line}").expect("written");
    }
}

fn text(reader: &mut Reader) -> String {
    let mut all = Vec::new();
    while let Some(chunk) = reader.read().expect("readable").filter(|chunk| !chunk.is_empty()) {
        all.extend(chunk);
    }
    String::from_utf8(all).expect("text")
}

fn read(path: &Path, options: Options) -> String {
    text(&mut Reader::open(path, options).expect("there"))
}

#[test]
fn options_choose_lines() {
    let (_dir, path) = log(&["stdout F one", "stderr F two", "stdout P thr", "stdout F ee"]);
    assert_eq!(read(&path, Options::default()), "one\ntwo\nthree\n");
    assert_eq!(read(&path, Options { tail_lines: Some(3), ..Options::default() }), "two\nthree\n");
    assert_eq!(read(&path, Options { tail_lines: Some(0), ..Options::default() }), "");
    assert_eq!(read(&path, Options { tail_lines: Some(99), ..Options::default() }), "one\ntwo\nthree\n");
    assert_eq!(read(&path, Options { limit_bytes: Some(6), ..Options::default() }), "one\ntw");
    let since = Some("2026-01-01T00:00:01.000000000Z".to_owned());
    assert_eq!(read(&path, Options { since, ..Options::default() }), "two\nthree\n");
    let with_times = read(&path, Options { timestamps: true, tail_lines: Some(2), ..Options::default() });
    assert_eq!(with_times, "2026-01-01T00:00:02.000000000Z three\n");
    assert_eq!(read(&path, Options { stderr_only: Some(true), ..Options::default() }), "two\n");
}

#[test]
fn half_a_line_waits_for_its_end_and_rotation_loses_nothing() {
    let (_dir, path) = log(&["stdout F one"]);
    let mut reader = Reader::open(&path, Options::default()).expect("there");
    assert_eq!(text(&mut reader), "one\n");
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).expect("opened");
    write!(file, "2026-01-01T00:00:01.000000000Z stdout F tw").expect("written");
    assert_eq!(text(&mut reader), "");
    writeln!(file, "o").expect("written");
    assert_eq!(text(&mut reader), "two\n");
    append(&path, &["stdout F three"]);
    std::fs::rename(&path, path.with_extension("log.1")).expect("rotated");
    append(&path, &["stdout F four"]);
    assert_eq!(text(&mut reader), "three\nfour\n");
}

#[test]
fn the_tail_of_a_long_log_is_found() {
    let lines: Vec<String> =
        (0..9).map(|number| format!("stdout F {}{number}", "x".repeat(20_000))).collect();
    let (_dir, path) = log(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let tail = read(&path, Options { tail_lines: Some(5), ..Options::default() });
    let numbers: String = tail.lines().filter_map(|line| line.chars().last()).collect();
    assert_eq!(numbers, "45678");
}
