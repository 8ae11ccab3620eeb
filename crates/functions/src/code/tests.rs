//! Archives as people make them, and as they should not be.

use super::*;
use std::io::{Cursor, Write};
use std::os::unix::fs::PermissionsExt;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn archive(build: impl FnOnce(&mut ZipWriter<Cursor<Vec<u8>>>)) -> Bytes {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    build(&mut writer);
    writer.finish().expect("an archive").into_inner().into()
}

fn file(writer: &mut ZipWriter<Cursor<Vec<u8>>>, name: &str, mode: u32, content: &[u8]) {
    writer.start_file(name, SimpleFileOptions::default().unix_permissions(mode)).expect("a file");
    writer.write_all(content).expect("its content");
}

fn link(writer: &mut ZipWriter<Cursor<Vec<u8>>>, name: &str, target: &str) {
    writer.add_symlink(name, target, SimpleFileOptions::default()).expect("a link");
}

fn store() -> (tempfile::TempDir, Codes) {
    let dir = tempfile::tempdir().expect("a directory");
    let codes = Codes::open(dir.path().join("code")).expect("a store");
    (dir, codes)
}

#[test]
fn unpacks_once_with_the_bits_that_matter() {
    let (_dir, codes) = store();
    let zip = archive(|writer| {
        file(writer, "bootstrap", 0o700, b"#!/bin/sh\n");
        file(writer, "lib/index.js", 0o600, b"x");
        link(writer, "lib/latest", "../bootstrap");
    });
    let code = codes.put(&zip).expect("a good archive");
    assert_eq!(code, codes.put(&zip).expect("the same again"));
    assert_eq!(code.size, zip.len() as u64);
    let task = codes.task(&code.sha256).expect("its files");
    let mode = |name: &str| fs::metadata(task.join(name)).expect(name).permissions().mode() & 0o777;
    assert_eq!(mode("bootstrap"), 0o755);
    assert_eq!(mode("lib/index.js"), 0o644);
    assert_eq!(fs::read(task.join("lib/latest")).expect("the link"), b"#!/bin/sh\n");
    assert_eq!(fs::read(codes.archive(&code.sha256).expect("the archive")).expect("its bytes"), zip);
}

#[test]
fn refuses_what_leads_outside() {
    let (dir, codes) = store();
    let refuse = |zip: Bytes| codes.put(&zip).expect_err("refused").to_string();
    let slip = refuse(archive(|writer| file(writer, "../../slip", 0o644, b"x")));
    assert!(slip.contains("leads outside"), "{slip}");
    assert!(refuse(archive(|writer| file(writer, "/slip", 0o644, b"x"))).contains("leads outside"));
    assert!(refuse(archive(|writer| link(writer, "a", "/etc/passwd"))).contains("leads outside"));
    assert!(refuse(archive(|writer| link(writer, "a/b", "../../c"))).contains("leads outside"));
    assert!(refuse(archive(|writer| link(writer, "a", "b/../../c"))).contains("leads outside"));
    // A link and then a file below it: the directory is made first, so the link cannot be.
    let through = refuse(archive(|writer| {
        link(writer, "a", "b");
        file(writer, "a/c", 0o644, b"x");
    }));
    assert!(through.contains("the link a"), "{through}");
    assert!(!dir.path().join("slip").exists());
    assert_eq!(
        fs::read_dir(dir.path().join("code")).expect("the store").count(),
        0,
        "nothing half unpacked is left"
    );
}

#[test]
fn refuses_what_is_no_archive_or_grows_without_end() {
    let (_dir, codes) = store();
    let error = codes.put(&Bytes::from_static(b"not a zip")).expect_err("refused");
    assert!(matches!(error, CodeError::NotZip(_)));
    let bomb = archive(|writer| {
        writer.start_file("zeros", SimpleFileOptions::default()).expect("a file");
        let zeros = vec![0u8; 1 << 20];
        for _ in 0..251 {
            writer.write_all(&zeros).expect("zeros");
        }
    });
    assert!(bomb.len() < 1 << 20);
    assert_eq!(
        codes.put(&bomb).expect_err("refused").to_string(),
        "Unzipped size must be smaller than 262144000 bytes"
    );
}

#[test]
fn sweeps_what_nobody_names() {
    let (_dir, codes) = store();
    let kept = codes.put(&archive(|writer| file(writer, "a", 0o644, b"1"))).expect("an archive");
    let lost = codes.put(&archive(|writer| file(writer, "a", 0o644, b"2"))).expect("an archive");
    assert_eq!(codes.sweep(&HashSet::from([kept.sha256.clone()])).expect("a sweep"), 1);
    assert!(codes.task(&kept.sha256).is_some());
    assert!(codes.task(&lost.sha256).is_none());
    assert!(codes.task("../../etc").is_none());
}

#[test]
fn layers_are_laid_over_each_other_once() {
    let (_dir, codes) = store();
    let put = |zip: Bytes| codes.put(&zip).expect("a layer").sha256;
    let lower = put(archive(|writer| {
        file(writer, "bin/tool", 0o755, b"old");
        file(writer, "bin/kept", 0o644, b"kept");
        file(writer, "thing", 0o644, b"a file");
    }));
    let upper = put(archive(|writer| {
        file(writer, "bin/tool", 0o755, b"newer");
        file(writer, "thing/inside", 0o644, b"a directory now");
        link(writer, "bin/link", "tool");
    }));
    let layers = [lower.clone(), upper.clone()];
    codes.merge(&layers).expect("one tree");
    codes.merge(&layers).expect("the same again");
    let name = merged_name(&layers).expect("a name");
    let read = |path: &str| fs::read_to_string(codes.task(&name).expect("the tree").join(path)).expect(path);
    assert_eq!(read("bin/tool"), "newer");
    assert_eq!(read("bin/link"), "newer");
    assert_eq!(read("bin/kept"), "kept");
    assert_eq!(read("thing/inside"), "a directory now");
    assert_eq!(codes.unzipped_bytes(&lower).expect("a size"), 3 + 4 + 6);
    assert_ne!(merged_name(&layers), merged_name(&[upper.clone(), lower.clone()]));
    assert_eq!(merged_name(&layers[..1]), Some(lower.clone()));
    let kept = HashSet::from([lower.clone(), name.clone()]);
    assert_eq!(codes.sweep(&kept).expect("a sweep"), 1);
    assert!(codes.task(&name).is_some_and(|tree| tree.join("bin/tool").is_file()));
    assert!(codes.merge(&[lower, upper]).is_ok(), "the tree is there already");
    assert!(codes.merge(&["0".repeat(64), "1".repeat(64)]).is_err());
}
