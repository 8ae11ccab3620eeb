//! Disk that a pod may use: its limits, what it uses, and upstream's words when that is too much (the kubelet's local
//! storage eviction). Only pods that state a limit are measured; a memory volume's limit is its file system's own size.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use client::k8s_openapi::api::core::v1 as api;

use crate::resources::value;

/// Between two measurements; upstream measures every 10 s.
const EVERY_MIN: Duration = Duration::from_secs(1);
const EVERY_MAX: Duration = Duration::from_secs(10);
/// A measurement may take one part in so many of the time: large trees are measured less often.
const SHARE: u32 = 100;
/// The resource's name in requests and limits.
const RESOURCE: &str = "ephemeral-storage";

/// An amount and how its owner wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Limit {
    bytes: u64,
    text: String,
}

/// What the specification allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    volumes: BTreeMap<String, Limit>,
    containers: BTreeMap<String, Limit>,
    /// The containers' limits together.
    pod: Option<Limit>,
}

/// Where a pod's files lie.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// Its volumes and logs, in directories of these names.
    pub(crate) dir: PathBuf,
    /// Writable layers by container.
    pub(crate) layers: Vec<(String, PathBuf)>,
}

fn limit(quantity: &client::k8s_openapi::apimachinery::pkg::api::resource::Quantity) -> Option<Limit> {
    let bytes = u64::try_from(value(quantity)).ok().filter(|bytes| *bytes > 0)?;
    Some(Limit { bytes, text: quantity.0.clone() })
}

impl Limits {
    /// The limits of a pod, if it has any.
    pub(crate) fn of(spec: &api::PodSpec) -> Option<Limits> {
        let sized = spec.volumes.iter().flatten().filter_map(|volume| {
            let empty =
                volume.empty_dir.as_ref().filter(|empty| empty.medium.as_deref() != Some("Memory"))?;
            Some((volume.name.clone(), limit(empty.size_limit.as_ref()?)?))
        });
        let own = |container: &api::Container| {
            let limits = container.resources.as_ref()?.limits.as_ref()?;
            Some((container.name.clone(), limit(limits.get(RESOURCE)?)?))
        };
        let main: BTreeMap<String, Limit> = spec.containers.iter().filter_map(own).collect();
        let init = spec.init_containers.iter().flatten().filter_map(own);
        let total = main.values().map(|limit| limit.bytes).sum::<u64>();
        let pod = (!main.is_empty()).then(|| Limit {
            bytes: total,
            // One limit is said as it was written, a sum in bytes.
            text: match main.values().next() {
                Some(only) if main.len() == 1 => only.text.clone(),
                _ => total.to_string(),
            },
        });
        let limits = Limits { volumes: sized.collect(), containers: init.chain(main.clone()).collect(), pod };
        (limits != Limits::default()).then_some(limits)
    }

    /// Why the pod has to go, if it uses too much. Reads the disk.
    fn exceeded(&self, places: &Places) -> Option<String> {
        let volumes = places.dir.join("volumes");
        for (name, limit) in &self.volumes {
            if used(&volumes.join(name)) > limit.bytes {
                return Some(format!(
                    "Usage of EmptyDir volume {name:?} exceeds the limit {:?}. ",
                    limit.text
                ));
            }
        }
        if self.containers.is_empty() {
            return None;
        }
        let logs = places.dir.join("logs");
        let layers = places.layers.iter().map(|(name, layer)| {
            let both = used(layer) + used(&logs.join(name));
            (name, both)
        });
        let containers: Vec<_> = layers.collect();
        let total = used(&volumes) + containers.iter().map(|(_, bytes)| bytes).sum::<u64>();
        if let Some(limit) = self.pod.as_ref().filter(|limit| total > limit.bytes) {
            return Some(format!(
                "Pod ephemeral local storage usage exceeds the total limit of containers {}. ",
                limit.text
            ));
        }
        let over = containers.iter().find_map(|(name, bytes)| {
            let limit = self.containers.get(*name).filter(|limit| *bytes > limit.bytes)?;
            Some((name, limit))
        });
        let (name, limit) = over?;
        Some(format!("Container {name} exceeded its local ephemeral storage limit {:?}. ", limit.text))
    }

    /// Measures again and again until the pod uses too much; says what.
    pub(crate) async fn guard(self, places: impl Fn() -> Places + Send + 'static) -> String {
        let mut limits = self;
        loop {
            let here = places();
            let begun = Instant::now();
            let measured = tokio::task::spawn_blocking(move || {
                let message = limits.exceeded(&here);
                (limits, message)
            });
            let message;
            (limits, message) = match measured.await {
                Ok(result) => result,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            };
            if let Some(message) = message {
                return message;
            }
            tokio::time::sleep((begun.elapsed() * SHARE).clamp(EVERY_MIN, EVERY_MAX)).await;
        }
    }
}

/// Bytes on the disk below a directory, on its own file system alone. What vanishes meanwhile counts as nothing, and a
/// file with several names once.
fn used(dir: &Path) -> u64 {
    /// Bytes of a block in `stat`, whatever the file system's own blocks are.
    const BLOCK: u64 = 512;
    let Ok(top) = fs::symlink_metadata(dir) else { return 0 };
    let mut linked = std::collections::BTreeSet::new();
    let (mut total, mut todo) = (top.blocks() * BLOCK, vec![dir.to_owned()]);
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            let seen = meta.nlink() > 1 && !meta.is_dir() && !linked.insert(meta.ino());
            if meta.dev() != top.dev() || seen {
                continue;
            }
            total += meta.blocks() * BLOCK;
            if meta.is_dir() {
                todo.push(entry.path());
            }
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn limits(spec: serde_json::Value) -> Option<Limits> {
        Limits::of(&serde_json::from_value(spec).expect("a pod spec"))
    }

    fn container(name: &str, limit: &str) -> serde_json::Value {
        json!({ "name": name, "resources": { "limits": { "ephemeral-storage": limit } } })
    }

    #[test]
    fn only_what_is_limited_is_measured() {
        assert_eq!(limits(json!({ "containers": [{ "name": "a" }] })), None);
        let memory = json!([{ "name": "m", "emptyDir": { "medium": "Memory", "sizeLimit": "1Mi" } }]);
        assert_eq!(limits(json!({ "containers": [], "volumes": memory })), None);
    }

    #[test]
    fn too_much_in_each_place() {
        let dir = tempfile::tempdir().expect("a directory");
        let layer = dir.path().join("layer");
        for place in ["volumes/v", "logs/a", "layer"] {
            fs::create_dir_all(dir.path().join(place)).expect("made");
        }
        let places = Places { dir: dir.path().to_owned(), layers: vec![("a".into(), layer.clone())] };
        let volume = json!([{ "name": "v", "emptyDir": { "sizeLimit": "100Ki" } }]);
        let sized = limits(json!({ "containers": [], "volumes": volume })).expect("limited");
        let alone = limits(json!({ "containers": [container("a", "150Ki")] })).expect("limited");
        let two = json!({ "containers": [container("a", "150Ki"), container("b", "1Mi")] });
        let two = limits(two).expect("limited");
        assert_eq!((sized.exceeded(&places), alone.exceeded(&places)), (None, None));
        fs::write(dir.path().join("volumes/v/file"), vec![1; 120 << 10]).expect("written");
        let said = sized.exceeded(&places).expect("too much");
        assert_eq!(said, "Usage of EmptyDir volume \"v\" exceeds the limit \"100Ki\". ");
        fs::hard_link(dir.path().join("volumes/v/file"), dir.path().join("volumes/v/again")).expect("linked");
        assert_eq!(alone.exceeded(&places), None, "a second name costs nothing");
        fs::write(layer.join("file"), vec![1; 100 << 10]).expect("written");
        fs::write(dir.path().join("logs/a/0.log"), vec![1; 60 << 10]).expect("written");
        let said = alone.exceeded(&places).expect("too much");
        assert_eq!(said, "Pod ephemeral local storage usage exceeds the total limit of containers 150Ki. ");
        let said = two.exceeded(&places).expect("too much");
        assert_eq!(said, "Container a exceeded its local ephemeral storage limit \"150Ki\". ");
    }
}
