//! Kills a process that writes, a hundred times over one database, and looks at what is left. A program of its
//! own: with `victim PATH` it is the process that writes and gets killed, without it is the judge.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use store::{Change, Entry, Error, Expect, Op, Range, Revision, Store};

const KILLS: u32 = 100;
const WRITERS: u64 = 16;

/// Longest life of a victim after its first acknowledged write, so that kills fall on everything it does.
const LIFE_US_MAX: u64 = 60_000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [role, path] = &args[..]
        && role == "victim"
    {
        return victim(Path::new(path));
    }
    let filtered = args.iter().any(|arg| !arg.starts_with('-') && !"crash".contains(arg.as_str()));
    if filtered || args.iter().any(|arg| arg == "--list") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(judge());
}

/// Writes pairs of keys for ever, each pair in one transaction, and prints `revision writer number` as soon as
/// the store has acknowledged it. Now and then it deletes a pair and compacts.
fn victim(path: &Path) {
    let store = store::sqlite(path).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let writers: Vec<_> = (0..WRITERS).map(|writer| runtime.spawn(write(store.clone(), writer))).collect();
    for writer in writers {
        runtime.block_on(writer).unwrap();
    }
}

async fn write(store: Arc<dyn Store>, writer: u64) {
    // The number goes on where the last victim left it.
    let last = store.get(&key('a', writer)).await.unwrap();
    let mut number: u64 = last.map_or(0, |entry| parse(&entry.value));
    loop {
        number += 1;
        let ops = ['a', 'b'].map(|side| Op::Put {
            key: key(side, writer).into(),
            value: format!("{number} {}", "x".repeat(number as usize % 3000)).into(),
            expect: Expect::Any,
        });
        let revision = store.commit(ops.to_vec()).await.unwrap();
        // One write call, so that a line is whole or missing.
        let line = format!("{revision} {writer} {number}\n");
        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
        if number.is_multiple_of(64) {
            let fleeting = |side| Op::Delete { key: format!("/fleeting/{side}").into(), expect: Expect::Any };
            store.commit(vec![fleeting('a'), fleeting('b')]).await.unwrap();
        } else if number % 64 == 32 {
            let fleeting = |side: char| Op::Put {
                key: format!("/fleeting/{side}").into(),
                value: "x".into(),
                expect: Expect::Any,
            };
            store.commit(vec![fleeting('a'), fleeting('b')]).await.unwrap();
            store.compact(store.revision().saturating_sub(2_000)).await.unwrap();
        }
    }
}

fn key(side: char, writer: u64) -> String {
    format!("/pair/{side}/{writer}")
}

fn parse(value: &[u8]) -> u64 {
    let text = std::str::from_utf8(value).unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// What the judge knows from outside.
#[derive(Default)]
struct Known {
    /// By writer: the last number that was acknowledged, and its revision.
    acknowledged: BTreeMap<u64, (u64, Revision)>,
    /// The highest revision that anybody was told, or that was read.
    highest: Revision,
    /// Where the judge's own watch stands, and the state that it has pieced together from it.
    seen: Revision,
    mirror: BTreeMap<String, Vec<u8>>,
    writes: u64,
    losses_of_history: u32,
}

async fn judge() {
    let started = Instant::now();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let mut known = Known::default();
    let mut dice = 0x2545_f491_4f6c_dd1d_u64;
    for kill in 0..KILLS {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        // Every eighth is killed while it starts.
        let early = kill % 8 == 7;
        run_and_kill(&path, Duration::from_micros(dice % LIFE_US_MAX), early, &mut known);
        let store = store::sqlite(&path).unwrap_or_else(|error| panic!("after kill {kill}: {error}"));
        check_pairs(&store, &known).await;
        follow(&store, &mut known).await;
        known.highest = known.highest.max(store.revision());
    }
    assert!(known.losses_of_history < KILLS / 2, "the watch must have been able to resume");
    let Known { writes, highest, losses_of_history, .. } = known;
    println!(
        "crash: {KILLS} kills, {writes} acknowledged writes, revision {highest}, resumed watches compacted away \
         {losses_of_history}, {:.1} s",
        started.elapsed().as_secs_f32()
    );
}

/// Starts a victim and kills it `life` after its first acknowledgement, or after its start if `early`; takes note
/// of every acknowledgement.
fn run_and_kill(path: &Path, life: Duration, early: bool, known: &mut Known) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["victim".as_ref(), path.as_os_str()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    if !early {
        lines.read_line(&mut first).unwrap();
    }
    let reader = std::thread::spawn(move || {
        let rest = lines.lines().map_while(Result::ok);
        first.lines().map(str::to_owned).chain(rest).collect::<Vec<_>>()
    });
    std::thread::sleep(life);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    let before = known.highest;
    for line in reader.join().unwrap() {
        let numbers: Vec<u64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
        let [revision, writer, number] = numbers[..] else { panic!("half a line: {line:?}") };
        assert!(revision > before, "revision {revision} was given out again, {before} was known");
        known.acknowledged.insert(writer, (number, revision));
        known.highest = known.highest.max(revision);
        known.writes += 1;
    }
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(9),
        "it was to be killed, not to fail"
    );
}

/// No acknowledged write is lost, no transaction is there by half.
async fn check_pairs(store: &Arc<dyn Store>, known: &Known) {
    assert!(store.revision() >= known.highest, "{} < {}", store.revision(), known.highest);
    for (writer, (number, revision)) in &known.acknowledged {
        let a = entry(store, 'a', *writer).await;
        let b = entry(store, 'b', *writer).await;
        assert_eq!((a.modified, &a.value), (b.modified, &b.value), "half a transaction of writer {writer}");
        assert!(a.modified >= *revision && parse(&a.value) >= *number, "a write of {writer} is lost");
        assert_eq!(a.modified == *revision, parse(&a.value) == *number, "a revision with another value");
    }
    let fleeting = store.list(Range::prefix("/fleeting/")).await.unwrap().entries.len();
    assert!(fleeting == 0 || fleeting == 2, "half a transaction");
}

async fn entry(store: &Arc<dyn Store>, side: char, writer: u64) -> Entry {
    store.get(&key(side, writer)).await.unwrap().expect("it was acknowledged")
}

/// Resumes the judge's watch from the revision it saw last, plays the changes, and compares with a list.
async fn follow(store: &Arc<dyn Store>, known: &mut Known) {
    match store.watch("", known.seen) {
        Ok(mut watch) => {
            while watch.progress() < store.revision() {
                let changes = watch.next().await.unwrap().unwrap();
                assert!(changes[0].revision > known.seen);
                known.seen = changes[0].revision;
                changes.iter().for_each(|change| play(&mut known.mirror, change));
            }
        }
        Err(Error::Compacted { .. }) => {
            known.losses_of_history += 1;
            let entries = store.list(Range::default()).await.unwrap().entries;
            known.mirror = entries.into_iter().map(|e| (e.key.to_string(), e.value.to_vec())).collect();
        }
        Err(error) => panic!("{error}"),
    }
    known.seen = store.revision();
    let entries = store.list(Range::default()).await.unwrap().entries;
    assert_eq!(entries.len(), known.mirror.len());
    for entry in entries {
        assert_eq!(known.mirror.get(&*entry.key).map(Vec::as_slice), Some(&entry.value[..]), "{}", entry.key);
    }
}

fn play(mirror: &mut BTreeMap<String, Vec<u8>>, change: &Change) {
    let previous = match &change.value {
        Some(value) => mirror.insert(change.key.to_string(), value.to_vec()),
        None => mirror.remove(&*change.key),
    };
    assert_eq!(previous.as_deref(), change.previous.as_deref(), "{} before {}", change.key, change.revision);
}
