//! What `docker save` and OCI layout tars mean, and that their contents are what their digests say.

use super::*;
use serde_json::{Value, json};

fn layer(n: u32) -> Vec<u8> {
    Tar::default().file(&format!("file-{n}"), &n.to_string()).end()
}

fn config(layers: &[Vec<u8>], architecture: &str) -> Vec<u8> {
    let diff_ids: Vec<String> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
    serde_json::to_vec(&json!({
        "architecture": architecture, "os": "linux", "created": "2024-05-06T07:08:09.123456789Z",
        "config": {"Entrypoint": ["/bin/app"], "Cmd": null, "Env": ["A=b"], "WorkingDir": "/srv",
                   "ExposedPorts": {"8080/tcp": {}}, "StopSignal": "SIGINT", "Labels": {"x": "y"}},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created_by": "test"}],
    }))
    .unwrap()
}

fn here() -> &'static str {
    oci::host_architecture()
}

/// As Docker before version 25 wrote it; the second layer is a link to the first layer's folder.
fn docker(tags: Value, layers: &[Vec<u8>]) -> Tar {
    let config = config(layers, here());
    let paths: Vec<String> = (0..layers.len()).map(|n| format!("{n}/layer.tar")).collect();
    let manifest = json!([{"Config": "abc.json", "RepoTags": tags, "Layers": paths}]).to_string();
    let tar = Tar::default().put(EntryType::Regular, "abc.json", "", 0o644, &config);
    let tar = layers.iter().zip(&paths).enumerate().fold(tar, |tar, (n, (bytes, path))| {
        match layers[..n].iter().position(|other| other == bytes) {
            Some(same) => tar.symlink(path, &format!("../{same}/layer.tar")),
            None => tar.put(EntryType::Regular, path, "", 0o644, bytes),
        }
    });
    tar.file("manifest.json", &manifest)
}

struct Oci(Tar);

impl Oci {
    fn blob(&mut self, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        let path = format!("blobs/sha256/{}", digest.hex());
        self.0 = std::mem::take(&mut self.0).put(EntryType::Regular, &path, "", 0o644, bytes);
        json!({"digest": digest.to_string(), "size": bytes.len(), "mediaType": "application/octet-stream"})
    }

    fn image(&mut self, layers: &[Vec<u8>], architecture: &str, pack: fn(&[u8]) -> Vec<u8>) -> Value {
        let config = self.blob(&config(layers, architecture));
        let layers: Vec<Value> = layers.iter().map(|layer| self.blob(&pack(layer))).collect();
        let manifest =
            json!({"schemaVersion": 2, "mediaType": oci::MANIFEST, "config": config, "layers": layers});
        let mut descriptor = self.blob(manifest.to_string().as_bytes());
        descriptor["mediaType"] = oci::MANIFEST.into();
        descriptor["platform"] = json!({"os": "linux", "architecture": architecture});
        descriptor
    }

    fn index(self, manifests: &[Value]) -> Vec<u8> {
        let index = json!({"schemaVersion": 2, "manifests": manifests}).to_string();
        self.0.file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#).file("index.json", &index).end()
    }
}

fn named(mut descriptor: Value, key: &str, name: &str) -> Value {
    descriptor["annotations"] = json!({key: name});
    descriptor
}

fn failure(store: &Store, tar: &[u8], name: Option<&str>) -> String {
    let said = store.load(&mut &tar[..], name).expect_err("it is not sound").to_string();
    assert!(store.list().unwrap().is_empty(), "nothing of it has a name");
    said
}

#[test]
fn docker_archives_are_loaded() {
    let (_dir, store) = store();
    let layers = [layer(1), layer(2), layer(1)];
    let tar = docker(json!(["team/app:1", "other:2"]), &layers).end();
    for packed in [tar.clone(), gzip(&tar), zstd(&tar)] {
        let loaded = store.load(&mut &packed[..], None).unwrap();
        assert_eq!(loaded.iter().map(|image| &*image.name).collect::<Vec<_>>(), ["other:2", "team/app:1"]);
    }
    let image = store.resolve("team/app:1").unwrap();
    assert_eq!(image.id, Digest::of(&config(&layers, here())));
    assert_eq!(
        image.config,
        Config {
            entrypoint: vec!["/bin/app".into()],
            env: vec!["A=b".into()],
            working_dir: "/srv".into(),
            exposed_ports: vec!["8080/tcp".into()],
            stop_signal: Some("SIGINT".into()),
            ..Config::default()
        }
    );
    assert_eq!(image.layers.len(), 2, "overlayfs takes a directory once");
    assert_eq!(read(&image.layers[0], "file-2"), "2");
    assert_eq!(read(&image.layers[1], "file-1"), "1");
    let summary = &store.list().unwrap()[0];
    let created: jiff::Timestamp = summary.created.try_into().unwrap();
    assert_eq!(created.to_string(), "2024-05-06T07:08:09.123456789Z");
}

#[test]
fn oci_layouts_are_loaded() {
    for pack in [<[u8]>::to_vec as fn(&[u8]) -> Vec<u8>, gzip, zstd] {
        let (_dir, store) = store();
        let mut oci = Oci(Tar::default());
        let image = oci.image(&[layer(1), layer(2)], here(), pack);
        let digest = image["digest"].as_str().unwrap().to_owned();
        let tar = oci.index(&[named(image, oci::CONTAINERD_NAME, "ghcr.io/team/app:3")]);
        assert_eq!(store.load(&mut &tar[..], None).unwrap()[0].name, "ghcr.io/team/app:3");
        let image = store.resolve("ghcr.io/team/app:3").unwrap();
        assert_eq!(image.digest.to_string(), digest, "the manifest is kept as it came");
        assert_eq!(read(&image.layers[1], "file-2"), "2");
        for text in
            [format!("ghcr.io/team/app@{digest}"), digest, image.id.to_string(), image.id.hex()[..12].into()]
        {
            assert_eq!(store.resolve(&text).unwrap().id, image.id, "{text}");
        }
    }
}

#[test]
fn the_image_for_this_machine_is_chosen() {
    let (_dir, store) = store();
    let mut oci = Oci(Tar::default());
    let other = oci.image(&[layer(1)], "s390x", <[u8]>::to_vec);
    let ours = oci.image(&[layer(2)], here(), <[u8]>::to_vec);
    let mut index = oci.blob(json!({"schemaVersion": 2, "manifests": [other, ours]}).to_string().as_bytes());
    index["mediaType"] = oci::INDEX.into();
    let tar = oci.index(&[named(index, oci::REF_NAME, "team/app:1")]);
    store.load(&mut &tar[..], None).unwrap();
    assert_eq!(read(&store.resolve("team/app:1").unwrap().layers[0], "file-2"), "2");

    let (_dir, store) = super::store();
    let mut oci = Oci(Tar::default());
    let only = oci.image(&[layer(1)], "s390x", <[u8]>::to_vec);
    let said = failure(&store, &oci.index(&[named(only, oci::REF_NAME, "team/app:1")]), None);
    assert!(said.contains("for linux/s390x, this machine is linux/"), "{said}");
}

#[test]
fn images_without_a_name_get_the_given_one() {
    let (_dir, store) = store();
    let tar = docker(json!(null), &[layer(1)]).end();
    assert!(failure(&store, &tar, None).contains("--name"));
    assert_eq!(store.load(&mut &tar[..], Some("mine")).unwrap()[0].name, "mine:latest");
    let (_dir, store) = super::store();
    let mut oci = Oci(Tar::default());
    let image = oci.image(&[layer(1)], here(), <[u8]>::to_vec);
    // What `skopeo copy … oci-archive:file:1.0` writes: a tag, not a name.
    let tar = oci.index(&[named(image, oci::REF_NAME, "1.0")]);
    assert!(failure(&store, &tar, None).contains("--name"));
    assert_eq!(store.load(&mut &tar[..], Some("mine:2")).unwrap()[0].name, "mine:2");
    assert!(matches!(store.load(&mut &tar[..], Some("Mine")), Err(Error::BadName(_))));
}

#[test]
fn contents_must_be_what_their_digests_say() {
    let (_dir, store) = store();
    let forge = |tar: &[u8], from: &str, to: &str| {
        let text: Vec<u8> = tar.to_vec();
        let at = text.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        let mut text = text;
        text[at..at + to.len()].copy_from_slice(to.as_bytes());
        text
    };
    let mut oci = Oci(Tar::default());
    let image = oci.image(&[layer(1)], here(), <[u8]>::to_vec);
    let tar = oci.index(&[named(image, oci::REF_NAME, "team/app:1")]);
    // A layer whose blob has another content; a configuration with another entrypoint.
    let inner = forge(&tar, "file-1", "file-9");
    assert!(failure(&store, &inner, None).contains("the content of blobs/sha256/"));
    assert!(failure(&store, &forge(&tar, "/bin/app", "/bin/bad"), None).contains("the archive is damaged"));
    // docker save: only the configuration says what a layer is.
    let mut bytes = docker(json!(["app:1"]), &[layer(1)]);
    let place = bytes.0.windows(6).position(|window| window == b"file-1").unwrap();
    bytes.0[place + 512] ^= 1;
    assert!(failure(&store, &bytes.end(), None).contains("the content of a layer"));
    // Also when that layer is there already.
    let good = docker(json!(["app:1"]), &[layer(1)]);
    store.load(&mut &good.clone().end()[..], None).unwrap();
    let mut bad = good;
    let place = bad.0.windows(6).position(|window| window == b"file-1").unwrap();
    bad.0[place + 512] ^= 1;
    assert!(matches!(store.load(&mut &bad.end()[..], None), Err(Error::Digest { .. })));
}

#[test]
fn what_is_not_an_image_is_refused() {
    let (_dir, store) = store();
    let missing = json!([{"Config": "abc.json", "RepoTags": ["a:1"], "Layers": ["nope.tar"]}]).to_string();
    let few = json!([{"Config": "abc.json", "RepoTags": ["a:1"], "Layers": []}]).to_string();
    let config = String::from_utf8(config(&[layer(1)], here())).unwrap();
    let around = Tar::default().symlink("a.json", "b.json").symlink("b.json", "a.json");
    let around = around.file("manifest.json", &missing.replace("abc", "a"));
    for (tar, says) in [
        (Tar::default().file("a", "x"), "neither a manifest.json"),
        (Tar::default(), "neither a manifest.json"),
        (Tar::default().file("manifest.json", "{"), "manifest.json is malformed"),
        (Tar::default().file("manifest.json", "[]"), "holds no image"),
        (Tar::default().file("manifest.json", &missing), "abc.json is missing"),
        (Tar::default().file("manifest.json", &missing).file("abc.json", &config), "nope.tar is missing"),
        (Tar::default().file("manifest.json", &few).file("abc.json", &config), "another number of layers"),
        (Tar::default().file("index.json", r#"{"schemaVersion":2,"manifests":[]}"#), "holds no image"),
        (around, "is missing"),
    ] {
        let said = failure(&store, &tar.end(), None);
        assert!(said.contains(says), "{said}");
    }
    let said = failure(&store, b"hello, this is a text file and no archive at all", None);
    assert!(said.contains("the archive is not an image"), "{said}");
    let endless: Vec<u8> = serde_json::to_vec(&vec!["x"; 1 << 20]).unwrap();
    let tar = Tar::default().put(EntryType::Regular, "manifest.json", "", 0o644, &endless);
    assert!(failure(&store, &tar.end(), None).contains("exceeds the limit"));
}
