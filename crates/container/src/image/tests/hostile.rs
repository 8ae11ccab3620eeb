//! Layers made to escape, to confuse or to exhaust: each is refused with a reason, or unpacked inside its directory.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use super::*;
use crate::image::unpack::unpack;

/// Stingy limits, so that tests stay small.
const SMALL: Limits = Limits {
    unpacked_bytes: 1 << 20,
    ratio: 20,
    any_ratio_bytes: 1 << 16,
    entries: 1000,
    directory_name_bytes: 1000,
    header_bytes: 4096,
    json_bytes: 4096,
};

/// The layer directory is `layer` in the temporary directory; anything beside it is an escape.
fn attempt(tar: Tar) -> (TempDir, Result<(), Error>) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("layer")).unwrap();
    fs::write(dir.path().join("victim"), "untouched").unwrap();
    let bytes = tar.end();
    let result = compression::open(&bytes[..], &SMALL)
        .and_then(|(mut tar, _)| unpack(&mut tar, &dir.path().join("layer"), &SMALL));
    assert_eq!(fs::read_to_string(dir.path().join("victim")).unwrap(), "untouched");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "something appeared beside the layer");
    (dir, result)
}

fn refused(tar: Tar, says: &str) {
    let (_dir, result) = attempt(tar);
    let said = result.expect_err(says).to_string();
    assert!(said.contains(says), "{said}");
}

fn unpacked(tar: Tar) -> (TempDir, std::path::PathBuf) {
    let (dir, result) = attempt(tar);
    result.unwrap();
    let layer = dir.path().join("layer");
    (dir, layer)
}

#[test]
fn paths_stay_inside() {
    refused(Tar::default().file("../victim", "x"), "leads out with '..'");
    refused(Tar::default().file("a/../../victim", "x"), "leads out");
    refused(Tar::default().dir("a/.."), "leads out");
    refused(Tar::default().hardlink("a", "../victim"), "the target of its link");
    refused(Tar::default().symlink("a", ""), "no target");
    refused(Tar::default().file("", "x"), "only a directory can be the root");
    refused(Tar::default().file("/", "x").file("./.", "x"), "only a directory can be the root");
    let (_dir, layer) = unpacked(Tar::default().file("/etc/passwd", "inside").file("//x//./y", "z"));
    assert_eq!(read(&layer, "etc/passwd"), "inside");
    assert_eq!(read(&layer, "x/y"), "z");
}

#[test]
fn symlinks_lead_nowhere_outside() {
    let host = tempfile::tempdir().unwrap();
    let host = host.path().to_str().unwrap();
    // An absolute link means the layer's own root, where nothing of that name is.
    refused(Tar::default().symlink("a", host).file("a/passwd", "x"), "a symlink to nowhere");
    refused(Tar::default().symlink("a", "../..").symlink("b", host).file("a/b/c", "x"), "symlink to nowhere");
    assert_eq!(fs::read_dir(host).unwrap().count(), 0);
    // Up from the root is the root.
    let (_dir, layer) = unpacked(Tar::default().symlink("up", "../../..").file("up/victim", "inside"));
    assert_eq!(read(&layer, "victim"), "inside");
    // Links to what the layer has are followed, as in any root file system.
    let (_dir, layer) = unpacked(Tar::default().dir("etc").symlink("a", "/etc").file("a/passwd", "inside"));
    assert_eq!(read(&layer, "etc/passwd"), "inside");
    // The last component is replaced, not followed.
    let (dir, layer) = unpacked(Tar::default().symlink("a", "../victim").file("a", "inside"));
    assert_eq!(read(&layer, "a"), "inside");
    assert_eq!(read(dir.path(), "victim"), "untouched");
    refused(Tar::default().symlink("a", "a").file("a/b", "x"), "");
    refused(Tar::default().symlink("a", "/proc/self/root").file("a/x", "x"), "symlink to nowhere");
}

#[test]
fn hard_links_stay_inside() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    let outside = secret.path().to_str().unwrap();
    refused(Tar::default().hardlink("a", outside), "not in this layer");
    // A symlink is linked itself, not what it points to.
    let (_dir, layer) = unpacked(Tar::default().symlink("s", outside).hardlink("a", "s"));
    assert!(fs::symlink_metadata(layer.join("a")).unwrap().is_symlink());
    assert_eq!(fs::metadata(secret.path()).unwrap().nlink(), 1);
    refused(Tar::default().dir("d").hardlink("a", "d"), "hard link to a directory");
    refused(Tar::default().file("a", "x").hardlink("a", "a"), "link to itself");
    refused(Tar::default().hardlink("a", "/"), "link to the root");
    refused(
        Tar::default().file("x", "1").put(EntryType::Regular, ".wh.y", "", 0, b"").hardlink("z", ".wh.y"),
        "link to a whiteout",
    );
    let (_dir, layer) = unpacked(Tar::default().file("d/a", "same").hardlink("e/b", "d/a"));
    assert_eq!(
        fs::metadata(layer.join("e/b")).unwrap().ino(),
        fs::metadata(layer.join("d/a")).unwrap().ino()
    );
}

#[test]
fn devices_of_the_host_are_refused() {
    refused(Tar::default().device(EntryType::Block, "disk", 8, 0), "device of the host");
    refused(Tar::default().device(EntryType::Char, "mem", 1, 1), "device of the host");
    refused(Tar::default().device(EntryType::Block, "devil/disk", 8, 0), "device of the host");
    let tar =
        Tar::default().device(EntryType::Block, "dev/sda", 8, 0).device(EntryType::Char, "x/null", 1, 3);
    let (_dir, layer) = unpacked(tar.put(EntryType::Fifo, "pipe", "", 0o600, b""));
    assert!(!layer.join("dev/sda").exists(), "containers have a /dev of their own");
    assert!(fs::metadata(layer.join("x/null")).unwrap().file_type().is_char_device());
    assert!(fs::metadata(layer.join("pipe")).unwrap().file_type().is_fifo());
}

#[test]
fn modes_owners_times_and_attributes_are_kept() {
    let capability = b"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    let tar = Tar::default()
        .put(EntryType::Regular, "su", "", 0o4755, b"x")
        .put(EntryType::Directory, "tmp", "", 0o1777, b"")
        .symlink("link", "su")
        .pax(&[
            ("SCHILY.xattr.security.capability", capability),
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
        ])
        .file("tmp/ping", "x")
        .pax(&[("uid", b"70000"), ("mtime", b"1500000000.5"), ("path", "ä/long".as_bytes())])
        .file("short", "x");
    let (_dir, layer) = unpacked(tar);
    let meta = |path: &str| fs::symlink_metadata(layer.join(path)).unwrap();
    assert_eq!((meta("su").mode() & 0o7777, meta("su").uid(), meta("su").gid()), (0o4755, 7, 8));
    assert_eq!((meta("tmp").mode() & 0o7777, meta("tmp").mtime()), (0o1777, 1_000_000_000));
    assert_eq!((meta("link").uid(), meta("link").mtime()), (7, 1_000_000_000));
    assert_eq!((meta("ä/long").uid(), meta("ä/long").mtime()), (70_000, 1_500_000_000));
    assert_eq!(meta("ä").mode() & 0o7777, 0o755);
    let mut value = [0; 64];
    let path = layer.join("tmp/ping");
    let n = rustix::fs::lgetxattr(&path, "security.capability", &mut value[..]).unwrap();
    assert_eq!(&value[..n], capability);
    assert!(rustix::fs::lgetxattr(&path, "trusted.overlay.redirect", &mut value[..]).is_err());
}

#[test]
fn whiteouts_take_the_form_of_overlayfs() {
    let hidden = |path: &std::path::Path| {
        fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_char_device() && meta.rdev() == 0)
    };
    let opaque = |path: &std::path::Path| {
        let mut value = [0; 8];
        rustix::fs::lgetxattr(path, "trusted.overlay.opaque", &mut value[..])
            .is_ok_and(|n| value[..n] == *b"y")
    };
    let tar = Tar::default()
        .file("a/.wh.gone", "")
        .file("b/.wh..wh..opq", "")
        .file("b/new", "x")
        .file(".wh.replaced", "")
        .file("replaced/inner", "x")
        .dir("late")
        .file(".wh.late", "")
        .file("stays", "x")
        .file(".wh.stays", "")
        .file(".wh.again", "")
        .file("again", "x")
        .file(".wh..wh.plnk", "")
        .device(EntryType::Char, "native", 0, 0);
    let (_dir, layer) = unpacked(tar);
    assert!(hidden(&layer.join("a/gone")) && hidden(&layer.join("native")));
    assert!(opaque(&layer.join("b")) && layer.join("b/new").exists());
    assert!(opaque(&layer.join("replaced")), "a directory that comes back must not show what was there");
    assert!(opaque(&layer.join("late")));
    assert_eq!(read(&layer, "stays"), "x");
    assert_eq!(read(&layer, "again"), "x");
    assert!(!layer.join(".wh..wh.plnk").exists());
    let (_dir, layer) = unpacked(Tar::default().file(".wh..wh..opq", ""));
    assert!(opaque(&layer));
    refused(Tar::default().file(".wh.", ""), "whiteout of nothing");
    refused(Tar::default().file("a/.wh...", ""), "whiteout of nothing");
    refused(Tar::default().file(".wh..", ""), "whiteout of nothing");
}

#[test]
fn the_last_of_several_entries_wins() {
    let tar = Tar::default()
        .file("a", "first")
        .file("a", "second")
        .dir("d")
        .file("d/inner", "x")
        .file("d", "now a file")
        .symlink("l", "a")
        .dir("l")
        .dir("kept")
        .file("kept/inner", "x")
        .put(EntryType::Directory, "kept/", "", 0o700, b"");
    let (_dir, layer) = unpacked(tar);
    assert_eq!((read(&layer, "a").as_str(), read(&layer, "d").as_str()), ("second", "now a file"));
    assert!(fs::symlink_metadata(layer.join("l")).unwrap().is_dir());
    assert_eq!(fs::metadata(layer.join("kept")).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(read(&layer, "kept/inner"), "x");
    refused(Tar::default().file("a", "x").file("a/b", "x"), "a file stands where its directory should be");
}

#[test]
fn sizes_and_numbers_are_bounded() {
    let mut header = Header::new_gnu();
    header.set_path("huge").unwrap();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    for size in [1 << 30, 1 << 60, u64::MAX] {
        header.set_size(size);
        let (_dir, result) = attempt(Tar::default().raw(&mut header, b"x"));
        assert!(result.is_err(), "{size}");
    }
    let many = (0..1001).fold(Tar::default(), |tar, n| tar.file(&n.to_string(), ""));
    refused(many, "the number of entries exceeds the limit of 1000 entries");
    let names = (0..60).fold(Tar::default(), |tar, n| tar.dir(&format!("a-directory-with-a-name/{n}")));
    refused(names, "the names of directories");
    refused(
        Tar::default().put(EntryType::GNULongName, "@LongLink", "", 0, &[b'a'; 5000]),
        "an extended header",
    );
    refused(Tar::default().pax(&[("comment", &[b'a'; 5000])]), "an extended header");
    let long = "x".repeat(256);
    refused(Tar::default().pax(&[("path", long.as_bytes())]).file("a", ""), "longer than 255");
    let deep = "x/".repeat(2040);
    refused(Tar::default().pax(&[("path", deep.as_bytes())]).file("a", "").pax(&[]), "");
    refused(Tar::default().pax(&[("path", b"a\0b")]).file("a", ""), "zero byte");
    let fits = "x/".repeat(150);
    let (_dir, layer) = unpacked(Tar::default().pax(&[("path", fits.as_bytes())]).dir("a"));
    assert!(layer.join(fits).is_dir());
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    refused(Tar::default().pax(&[("size", b"512")]).file("a", ""), "two sizes");
    refused(Tar::default().pax(&[("uid", b"-1")]).file("a", ""), "uid is not a number");
    refused(Tar::default().pax(&[("uid", b"4294967296")]).file("a", ""), "not a user or group id");
    refused(Tar::default().pax(&[("GNU.sparse.major", b"1")]).file("a", ""), "sparse");
    refused(Tar::default().put(EntryType::GNUSparse, "a", "", 0, b""), "sparse");
    refused(Tar::default().put(EntryType::new(b'Q'), "a", "", 0, b""), "unknown type 'Q'");
    refused(Tar::default().put(EntryType::XHeader, "pax", "", 0, b"9999 a=b\n"), "malformed");
    refused(Tar::default().put(EntryType::XHeader, "pax", "", 0, b"0 a=b\n"), "malformed");
    let mut broken = Tar::default().file("a", "x");
    broken.0[0] = b'b';
    refused(broken, "checksum");
}

#[test]
fn cut_off_archives_are_refused() {
    let whole = Tar::default().file("a", &"x".repeat(2000)).end();
    let dir = tempfile::tempdir().unwrap();
    for (cut, packed) in
        [(900, whole[..900].to_vec()), (0, gzip(&whole)[..40].to_vec()), (1, zstd(&whole)[..20].to_vec())]
    {
        let result = compression::open(&packed[..], &SMALL)
            .and_then(|(mut tar, _)| unpack(&mut tar, dir.path(), &SMALL));
        assert!(result.is_err(), "{cut}");
    }
}

#[test]
fn archives_that_swell_are_stopped() {
    let zeros = Tar::default().file("a", &"\0".repeat(800_000)).end();
    let dir = tempfile::tempdir().unwrap();
    for packed in [gzip(&zeros), zstd(&zeros)] {
        let result = compression::open(&packed[..], &SMALL)
            .and_then(|(mut tar, _)| unpack(&mut tar, dir.path(), &SMALL));
        let said = result.unwrap_err().to_string();
        assert_eq!(said, "the compression of the archive exceeds the limit of 20 to one");
    }
    let (mut plain, _) = compression::open(std::io::repeat(b'x'), &SMALL).unwrap();
    let error = std::io::copy(&mut plain, &mut std::io::sink()).unwrap_err();
    assert_eq!(read_error(error).to_string(), "the unpacked archive exceeds the limit of 1048576 bytes");
}

use crate::image::compression::read_error;

#[test]
fn compressed_streams_are_whole() {
    let text: Vec<u8> = (0..300_000u32).flat_map(|n| n.to_le_bytes()).collect();
    let limits = Limits { unpacked_bytes: 1 << 30, ..SMALL };
    let (first, second) = text.split_at(500_000);
    let skipped = [&0x184d_2a53_u32.to_le_bytes()[..], &5_u32.to_le_bytes(), b"hello"].concat();
    for (name, packed) in [
        ("plain", text.clone()),
        ("gzip", gzip(&text)),
        ("gzip in two members", [gzip(first), gzip(second)].concat()),
        ("zstd", zstd(&text)),
        ("zstd in two frames", [zstd(first), skipped.clone(), zstd(second), skipped.clone()].concat()),
        ("zstd after a skipped frame", [skipped, zstd(&text)].concat()),
    ] {
        let mut found = Vec::new();
        compression::open(&packed[..], &limits).unwrap().0.read_to_end(&mut found).unwrap();
        assert!(found == text, "{name}: {} bytes of {}", found.len(), text.len());
    }
    for (packed, says) in [(&b"BZh91AY"[..], "bzip2"), (b"\xfd7zXZ\0", "xz")] {
        let said = compression::open(packed, &limits).err().unwrap().to_string();
        assert!(said.contains(says) && said.contains("unpack it first"), "{said}");
    }
}
