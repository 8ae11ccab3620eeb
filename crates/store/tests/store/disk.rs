//! A full disk: commits fail with the reason, nothing of them is seen, and the store works on when there is space.

use std::path::{Path, PathBuf};
use std::process::Command;

use futures::FutureExt;
use store::{Error, Expect, Range};

use crate::conformance::{next, put, set};

/// A small file system of its own, unmounted when dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(at: &Path, size: &str) -> Tmpfs {
        let options = format!("size={size}");
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).status();
        assert!(status.unwrap().success(), "mounting needs root");
        Tmpfs(at.into())
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_fails_writes_until_there_is_space() {
    let dir = tempfile::tempdir().unwrap();
    let mount = Tmpfs::mount(dir.path(), "4m");
    let path = mount.0.join("state.db");
    let store = store::sqlite(&path).unwrap();
    let mut watch = store.watch("/", 0).unwrap();
    let mut durable = 0;
    let value = "x".repeat(100_000);
    let pair =
        |n| ["/a", "/b"].map(|side| put(&format!("{side}/{n}"), value.clone(), Expect::Absent)).to_vec();
    let error = loop {
        match store.commit(pair(durable)).await {
            Ok(revision) => durable = revision,
            Err(error) => break error,
        }
        assert!(durable < 100, "4 MiB must fill up");
    };
    assert!(matches!(error, Error::Full { .. }), "{error:?}");
    assert!(error.to_string().contains("no space is left"), "{error}");
    assert_eq!(store.revision(), durable, "nothing of it is seen");
    for revision in 1..=durable {
        assert_eq!(next(&mut watch).await.unwrap()[0].revision, revision);
    }
    assert!(futures::StreamExt::next(&mut watch).now_or_never().is_none(), "nothing of it is published");
    assert!(store.commit(pair(durable + 1)).await.is_err(), "still full");

    let remount = Command::new("mount").args(["-o", "remount,size=16m"]).arg(&mount.0).status().unwrap();
    assert!(remount.success());
    let revived = set(&store, "/later", "1").await;
    assert!(revived > durable, "no revision is given twice");
    assert_eq!(next(&mut watch).await.unwrap()[0].revision, revived);
    let before = store.list(Range::default()).await.unwrap().entries;
    drop(store);
    let store = store::sqlite(&path).unwrap();
    assert_eq!(store.list(Range::default()).await.unwrap().entries, before);
    drop(store);
}

#[test]
fn a_disk_that_is_full_from_the_start_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let mount = Tmpfs::mount(dir.path(), "16k");
    std::fs::write(mount.0.join("fill"), vec![0; 12 << 10]).unwrap();
    let error = store::sqlite(&mount.0.join("state.db")).err().expect("there is no room");
    let mut said = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        said = format!("{said}: {cause}");
        source = cause.source();
    }
    assert!(said.contains("full"), "{said}");
}
