//! How images come, stay and go: builds that repeat, names, removal, what is in use, several users at once.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

fn tree(dir: &Path) -> PathBuf {
    let root = dir.join("root");
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::write(root.join("bin/app"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(root.join("bin/app"), PermissionsExt::from_mode(0o4755)).unwrap();
    fs::hard_link(root.join("bin/app"), root.join("bin/alias")).unwrap();
    symlink("/bin/app", root.join("link")).unwrap();
    let long = root.join("a".repeat(120)).join("b".repeat(120));
    fs::create_dir_all(&long).unwrap();
    fs::write(long.join("file"), "deep").unwrap();
    root
}

fn files(dir: &Path) -> BTreeSet<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_directory_becomes_an_image() {
    let (dir, store) = store();
    let root = tree(dir.path());
    let config = Config { cmd: vec!["/bin/app".into()], user: "1000".into(), ..Config::default() };
    let image = store.build(&root, "my-registry/api-service:1.0.0", config.clone()).unwrap();
    let layer = &image.layers[0];
    assert_eq!(read(layer, "bin/app"), "#!/bin/sh\n");
    assert_eq!(fs::metadata(layer.join("bin/app")).unwrap().mode() & 0o7777, 0o4755);
    assert_eq!(fs::metadata(layer.join("bin/app")).unwrap().nlink(), 2);
    assert_eq!(fs::read_link(layer.join("link")).unwrap(), Path::new("/bin/app"));
    assert_eq!(read(layer, &format!("{}/{}/file", "a".repeat(120), "b".repeat(120))), "deep");
    assert_eq!((image.config.cmd.clone(), image.config.user.as_str()), (config.cmd.clone(), "1000"));
    assert!(image.config.env[0].starts_with("PATH="));
    assert_eq!(store.resolve("docker.io/my-registry/api-service:1.0.0").unwrap().digest, image.digest);

    // The same files at another time, in another place, in another store, are the same image.
    let (other_dir, other) = super::store();
    let copy = tree(other_dir.path());
    let when = fs::FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
    fs::File::open(copy.join("bin/app")).unwrap().set_times(when).unwrap();
    let again = other.build(&copy, "x", config).unwrap();
    assert_eq!((again.id, again.digest), (image.id, image.digest));
    fs::write(copy.join("bin/app"), "#!/bin/bash\n").unwrap();
    assert_ne!(other.build(&copy, "x", Config::default()).unwrap().layers, again.layers);
}

#[test]
fn a_program_becomes_an_image() {
    let (dir, store) = store();
    let path = dir.path().join("api-service");
    fs::write(&path, program()).unwrap();
    let image = store.build(&path, "api", Config::default()).unwrap();
    assert_eq!(image.config.entrypoint, ["/app/api-service"]);
    let layer = &image.layers[0];
    let mode = |path: &str| fs::metadata(layer.join(path)).unwrap().mode() & 0o7777;
    assert_eq!((mode("app/api-service"), mode("tmp"), mode("etc/passwd")), (0o755, 0o1777, 0o644));
    assert!(read(layer, "etc/passwd").starts_with("root:x:0:0:"));
    assert_eq!(store.build(&path, "again", Config::default()).unwrap().digest, image.digest);
    let own = Config { entrypoint: vec!["/app/api-service".into(), "-v".into()], ..Config::default() };
    assert_eq!(store.build(&path, "own", own.clone()).unwrap().config.entrypoint, own.entrypoint);
}

#[test]
fn what_cannot_be_built_is_explained() {
    let (dir, store) = store();
    let build = |path: &Path| store.build(path, "x", Config::default()).unwrap_err().to_string();
    let script = dir.path().join("run.sh");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    assert!(build(&script).contains("it is not a Linux program"));
    assert!(build(Path::new("/bin/sh")).contains("link it statically"));
    assert!(build(Path::new("/nowhere")).contains("/nowhere"));
    assert!(build(Path::new("/dev/null")).contains("neither a directory nor a file"));
    assert!(build(dir.path()).contains("it holds the image store itself"));
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    let status = Command::new("mkfifo").arg(root.join("pipe")).status().unwrap();
    assert!(status.success());
    assert!(build(&root).contains("device, socket or pipe"));
    fs::remove_file(root.join("pipe")).unwrap();
    fs::write(root.join(".wh.x"), "").unwrap();
    assert!(build(&root).contains("start with .wh."));
    fs::remove_file(root.join(".wh.x")).unwrap();
    fs::write(root.join("Dockerfile"), "FROM scratch").unwrap();
    assert!(build(&root).contains("Dockerfile, which is not run here"));
    assert!(store.build(&script, "Upper", Config::default()).unwrap_err().to_string().contains("lower case"));
    let digest = format!("a@sha256:{}", "0".repeat(64));
    assert!(store.build(&script, &digest, Config::default()).unwrap_err().to_string().contains("give a tag"));
    assert!(store.list().unwrap().is_empty());
    assert!(files(&dir.path().join("images/blobs/sha256")).is_empty());
}

#[test]
fn root_file_systems_are_imported() {
    let (_dir, store) = store();
    let tar = Tar::default().dir("etc").file("etc/os-release", "ID=test").end();
    let plain = import(&store, tar.clone(), "plain").unwrap();
    for packed in [gzip(&tar), zstd(&tar)] {
        let image = import(&store, packed, "packed").unwrap();
        assert_eq!(image.layers, plain.layers, "a layer is what it is unpacked");
        assert_ne!(image.digest, plain.digest);
    }
    assert_eq!(read(&plain.layers[0], "etc/os-release"), "ID=test");
    assert!(import(&store, Vec::new(), "empty").unwrap_err().to_string().contains("it is empty"));
    assert!(import(&store, vec![b'x'; 5000], "text").is_err());
    assert!(store.resolve("text").is_err());
}

#[test]
fn names_move_and_what_is_left_is_collected() {
    let (dir, store) = store();
    let images = dir.path().join("images");
    let first = import(&store, Tar::default().file("a", "1").end(), "app").unwrap();
    import(&store, Tar::default().file("a", "1").end(), "same").unwrap();
    let second = import(&store, Tar::default().file("a", "2").end(), "app").unwrap();
    assert_eq!(store.resolve("app").unwrap().digest, second.digest);
    assert!(first.layers[0].exists(), "another name needs it");
    assert_eq!(files(&images.join("layers")).len(), 2);
    let removed = store.remove("same").unwrap();
    assert_eq!((removed.names, removed.blobs.len()), (vec!["same:latest".to_owned()], 3));
    assert!(removed.size_bytes > 2048 && !first.layers[0].exists());
    import(&store, Tar::default().file("a", "3").end(), "app").unwrap();
    assert!(!second.layers[0].exists(), "nothing stands for it any more");
    store.remove("app:latest").unwrap();
    for folder in ["layers", "blobs/sha256"] {
        assert!(files(&images.join(folder)).is_empty(), "{folder}");
    }
    store.write_then_clear();
    assert!(files(&images.join("tmp")).is_empty());
}

impl Store {
    /// Whoever writes next clears what the last one has discarded.
    fn write_then_clear(&self) {
        drop(self.layout.write().unwrap());
    }
}

#[test]
fn ids_and_missing_names_are_explained() {
    let (_dir, store) = store();
    let image = import(&store, Tar::default().file("a", "1").end(), "one").unwrap();
    import(&store, Tar::default().file("a", "1").end(), "two").unwrap();
    let short = &image.id.hex()[..12];
    assert_eq!(store.resolve(short).unwrap().digest, image.digest);
    let said = store.remove(short).unwrap_err().to_string();
    assert!(said.contains("several names") && said.contains("one:latest, two:latest"), "{said}");
    store.remove("two").unwrap();
    assert_eq!(store.remove(short).unwrap().names, ["one:latest"]);
    for text in ["one", "nope:1", "sha256:00", &"0".repeat(64), &format!("x@{}", image.digest)] {
        let error = store.resolve(text).unwrap_err();
        assert!(matches!(error, Error::NotFound { .. } | Error::BadName(_)), "{text}: {error}");
        assert!(store.remove(text).is_err());
    }
    let said = store.resolve("nope").unwrap_err().to_string();
    assert!(said.starts_with("no image nope here") && said.contains("dory image load"), "{said}");
    assert!(matches!(store.resolve("Bad Name"), Err(Error::BadName(_))));
}

/// An overlay of an image's layers, unmounted when dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(dir: &Path, image: &Image) -> Mounted {
        let at = dir.join("mnt");
        fs::create_dir(&at).unwrap();
        let lower: Vec<&str> = image.layers.iter().rev().map(|layer| layer.to_str().unwrap()).collect();
        for folder in ["upper", "work"] {
            fs::create_dir(dir.join(folder)).unwrap();
        }
        let d = dir.display();
        let options = format!("lowerdir={},upperdir={d}/upper,workdir={d}/work", lower.join(":"));
        let status =
            Command::new("mount").args(["-t", "overlay", "overlay", "-o", &options]).arg(&at).status();
        assert!(status.unwrap().success());
        Mounted(at)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Processes that other tests start have a copy of every mount until they make room for their own.
fn remove_when_free(store: &Store, name: &str) {
    for _ in 0..1000 {
        match store.remove(name) {
            Err(Error::InUse { .. }) => std::thread::sleep(std::time::Duration::from_millis(10)),
            other => return drop(other.unwrap()),
        }
    }
    panic!("{name} stays in use");
}

#[test]
fn layers_are_lower_directories_and_stay_while_mounted() {
    let (dir, store) = store();
    let below = Tar::default().file("keep", "1").file("gone", "1").file("d/old", "1").end();
    let above = Tar::default().file(".wh.gone", "").file("d/.wh..wh..opq", "").file("d/new", "2").end();
    let base = import(&store, below, "base").unwrap();
    let top = import(&store, above, "top").unwrap();
    let both = Image { layers: vec![base.layers[0].clone(), top.layers[0].clone()], ..base.clone() };
    let mounted = Mounted::new(dir.path(), &both);
    assert_eq!(files(&mounted.0), ["d", "keep"].map(String::from).into());
    assert_eq!(files(&mounted.0.join("d")), ["new".to_owned()].into());
    let said = store.remove("base").unwrap_err().to_string();
    assert!(said.contains("image base:latest is in use by process"), "{said}");
    assert!(store.resolve("base").is_ok(), "it is as it was");
    import(&store, Tar::default().file("x", "").end(), "top").unwrap();
    assert!(top.layers[0].exists(), "a moved name leaves a mounted layer");
    drop(mounted);
    remove_when_free(&store, "base");
    assert!(!base.layers[0].exists() && !top.layers[0].exists());
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let status =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(dir.path()).status();
    assert!(status.unwrap().success());
    let mounted = Mounted(dir.path().to_path_buf());
    let store = Store::open(&dir.path().join("images")).unwrap();
    import(&store, Tar::default().file("a", "1").end(), "small").unwrap();
    let big = Tar::default().file("a", &"x".repeat(600_000)).end();
    let error = import(&store, big, "big").unwrap_err();
    let Error::Io { source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull, "{error}");
    let names: Vec<String> = store.list().unwrap().into_iter().map(|summary| summary.name).collect();
    assert_eq!(names, ["small:latest"]);
    import(&store, Tar::default().file("a", &"y".repeat(300_000)).end(), "fits").unwrap();
    drop(mounted);
}

#[test]
fn damage_is_found_and_can_be_removed() {
    let (dir, store) = store();
    let image = import(&store, Tar::default().file("a", "1").end(), "app").unwrap();
    import(&store, Tar::default().file("b", "1").end(), "other").unwrap();
    let blob = dir.path().join("images/blobs/sha256").join(image.id.hex());
    let text = fs::read_to_string(&blob).unwrap();
    fs::write(&blob, text.replace("PATH", "PATS")).unwrap();
    let error = store.resolve("app").unwrap_err();
    assert!(matches!(error, Error::Digest { .. }), "{error}");
    let list = store.list().unwrap();
    assert!(list[0].problem.is_some() && list[1].problem.is_none());
    assert!(store.resolve("other").is_ok());
    store.remove("app").unwrap();
    assert_eq!(store.list().unwrap().len(), 1);
    import(&store, Tar::default().file("a", "1").end(), "app").unwrap();
    fs::remove_dir_all(&image.layers[0]).unwrap();
    assert!(store.resolve("app").unwrap_err().to_string().contains("finding the layer"));
    fs::write(dir.path().join("images/index.json"), "{").unwrap();
    assert!(matches!(store.list(), Err(Error::Corrupt { .. })));
}

#[test]
fn what_a_killed_writer_left_is_cleared() {
    let (dir, store) = store();
    let tmp = dir.path().join("images/tmp");
    fs::create_dir_all(tmp.join("7/deep")).unwrap();
    fs::write(tmp.join("8"), "half a blob").unwrap();
    import(&store, Tar::default().file("a", "1").end(), "app").unwrap();
    assert!(files(&tmp).is_empty());
    assert_eq!(fs::metadata(dir.path().join("images")).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn several_may_write_and_read_at_once() {
    let (dir, _store) = store();
    let images = dir.path().join("images");
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let images = &images;
            scope.spawn(move || {
                // As another process would: the lock belongs to an open file, not to a process.
                let store = Store::open(images).unwrap();
                for n in 0..8 {
                    let tar = Tar::default().file("same", "").file("who", &format!("{writer} {n}")).end();
                    let image = import(&store, tar, &format!("app-{writer}")).unwrap();
                    assert_eq!(read(&image.layers[0], "who"), format!("{writer} {n}"));
                    assert!(store.list().unwrap().iter().all(|summary| summary.problem.is_none()));
                }
            });
        }
    });
    let store = Store::open(&images).unwrap();
    let names: Vec<String> = store.list().unwrap().into_iter().map(|summary| summary.name).collect();
    assert_eq!(names, ["app-0:latest", "app-1:latest", "app-2:latest", "app-3:latest"]);
    assert_eq!(files(&images.join("layers")).len(), 4);
}

#[test]
fn what_is_kept_outlives_its_name() {
    let (dir, store) = store();
    let root = tree(dir.path());
    let image = store.build(&root, "app:1", Config::default()).unwrap();
    let digest = image.digest.to_string();
    assert_eq!(store.keep("app:1").unwrap().digest, image.digest);
    assert_eq!(store.list().unwrap().len(), 1);
    // The name moves on, and the image stays.
    fs::write(root.join("bin/app"), "another").unwrap();
    store.build(&root, "app:1", Config::default()).unwrap();
    assert_eq!(store.resolve(&digest).unwrap().layers, image.layers);
    let names: Vec<String> = store.list().unwrap().into_iter().map(|summary| summary.name).collect();
    assert_eq!(names, ["", "app:1"]);
    assert!(matches!(store.remove(&digest), Err(Error::Kept { .. })));
    let removed = store.remove("app:1").unwrap();
    assert!(!removed.kept && !removed.blobs.is_empty());
    // A name for it again, and away: what goes is the name alone.
    fs::write(root.join("bin/app"), "#!/bin/sh\n").unwrap();
    store.build(&root, "app:2", Config::default()).unwrap();
    let removed = store.remove("app:2").unwrap();
    assert!(removed.kept && removed.blobs.is_empty());
    store.keep_only(&BTreeSet::from([image.digest.clone()])).unwrap();
    assert!(store.resolve(&digest).is_ok());
    store.keep_only(&BTreeSet::new()).unwrap();
    assert!(store.resolve(&digest).is_err());
    assert!(
        files(&store.dir().join("layers")).is_empty() && files(&store.dir().join("blobs/sha256")).is_empty()
    );
}
