//! What the heap holds and gives back, in a process of its own: both are figures of a whole process, which any other test
//! beside this one would move.
#![cfg(target_env = "gnu")]

use container::heap;

fn held_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the status of this process");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("its own memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn what_is_used_is_told_from_what_is_free_and_what_is_free_goes_back() {
    what_is_used_is_told_from_what_is_free();
    what_is_free_between_what_is_used_goes_back();
}

fn what_is_used_is_told_from_what_is_free() {
    let look = || heap::look().expect("this C library says");
    let before = look();
    let mut all: Vec<Vec<u8>> = (0..32_000).map(|_| vec![1; 1000]).collect();
    let full = look();
    assert!(full.used > before.used + 32_000_000, "{before:?} -> {full:?}");
    all.truncate(1);
    let after = look();
    assert!(after.used < full.used - 30_000_000, "{full:?} -> {after:?}");
}

fn what_is_free_between_what_is_used_goes_back() {
    heap::give_back();
    let before = held_kb();
    let mut all: Vec<Vec<u8>> = (0..64_000).map(|_| vec![1; 1000]).collect();
    let full = held_kb();
    let kept: Vec<Vec<u8>> = all.drain(..).step_by(100).collect();
    heap::give_back();
    let after = held_kb();
    assert!(full - before > 50_000, "{before} -> {full}");
    assert!(after < before + 20_000, "{before} -> {full} -> {after}, with {} kept", kept.len());
}
