//! The ConfigMaps and Secrets that pods draw from: names collected from a pod, objects read from the API when one starts or
//! one of them changes. There may be many that no pod draws from, so none is kept. Values come out as bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine;
use client::k8s_openapi::api::core::v1 as api;
use client::{ApiResource, Caches, Follow, Key, Objects};
use serde_json::Value;

/// What kind of object keys and values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    ConfigMap,
    Secret,
}

/// A source by kind and name; the namespace is always the pod's.
pub(crate) type Name = (Kind, String);

/// The sources of one pod as they were at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gathered(BTreeMap<Name, Arc<Value>>);

impl Gathered {
    /// All keys of a source; `None` when there is no such object.
    pub(crate) fn entries(&self, kind: Kind, name: &str) -> Option<BTreeMap<String, Vec<u8>>> {
        let object = self.0.get(&(kind, name.to_owned()))?;
        let mut entries = BTreeMap::new();
        let decode = |value: &Value| base64::engine::general_purpose::STANDARD.decode(value.as_str()?).ok();
        let plain = |value: &Value| Some(value.as_str()?.as_bytes().to_vec());
        let encoded = if kind == Kind::Secret { "data" } else { "binaryData" };
        for (key, value) in object[encoded].as_object().into_iter().flatten() {
            entries.extend(decode(value).map(|value| (key.clone(), value)));
        }
        if kind == Kind::ConfigMap {
            for (key, value) in object["data"].as_object().into_iter().flatten() {
                entries.extend(plain(value).map(|value| (key.clone(), value)));
            }
        }
        Some(entries)
    }

    #[cfg(test)]
    pub(crate) fn of(objects: impl IntoIterator<Item = (Kind, &'static str, Value)>) -> Gathered {
        let named =
            objects.into_iter().map(|(kind, name, object)| ((kind, name.to_owned()), Arc::new(object)));
        Gathered(named.collect())
    }
}

impl Kind {
    fn resource(self) -> ApiResource {
        match self {
            Kind::ConfigMap => client::resource::<api::ConfigMap>(),
            Kind::Secret => client::resource::<api::Secret>(),
        }
    }
}

/// The way to them.
#[derive(Clone)]
pub(crate) struct Sources(Caches);

impl Sources {
    pub(crate) fn new(caches: &Caches) -> Sources {
        Sources(caches.clone())
    }

    /// Tells of every change.
    pub(crate) fn changes(&self, kind: Kind) -> Follow {
        self.0.follow_metadata(kind.resource())
    }

    /// Everything that `names` mention and that exists.
    pub(crate) async fn gather(&self, namespace: &str, names: &BTreeSet<Name>) -> Gathered {
        let asked = names.iter().map(|name| async move {
            let object = self.read(name.0, &Key::new(namespace, &name.1)).await?;
            Some((name.clone(), Arc::new(object)))
        });
        Gathered(futures::future::join_all(asked).await.into_iter().flatten().collect())
    }

    async fn read(&self, kind: Kind, key: &Key) -> Option<Value> {
        let objects = Objects::new(self.0.client().clone(), kind.resource());
        match objects.get(key).await {
            Ok(object) => Some(object),
            Err(error) if client::is_not_found(&error) => None,
            Err(error) => {
                tracing::warn!(%key, %error, "failed to read an object that a pod draws from");
                None
            }
        }
    }
}

/// Every ConfigMap and Secret that the pod's env and volumes mention.
pub(crate) fn names(pod: &api::Pod) -> BTreeSet<Name> {
    let mut names = BTreeSet::new();
    let Some(spec) = &pod.spec else { return names };
    for container in spec.init_containers.iter().flatten().chain(&spec.containers) {
        for from in container.env_from.iter().flatten() {
            names.extend(from.config_map_ref.iter().map(|from| (Kind::ConfigMap, from.name.clone())));
            names.extend(from.secret_ref.iter().map(|from| (Kind::Secret, from.name.clone())));
        }
        for source in container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
            names.extend(source.config_map_key_ref.iter().map(|from| (Kind::ConfigMap, from.name.clone())));
            names.extend(source.secret_key_ref.iter().map(|from| (Kind::Secret, from.name.clone())));
        }
    }
    names.extend(volume_names(spec));
    names
}

/// Those that volumes mention: their content follows the objects while the pod runs.
pub(crate) fn volume_names(spec: &api::PodSpec) -> BTreeSet<Name> {
    let mut names = BTreeSet::new();
    for volume in spec.volumes.iter().flatten() {
        names.extend(volume.config_map.iter().map(|from| (Kind::ConfigMap, from.name.clone())));
        let secret = volume.secret.as_ref().and_then(|from| from.secret_name.clone());
        names.extend(secret.map(|name| (Kind::Secret, name)));
        let projected = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
        for source in projected {
            names.extend(source.config_map.iter().map(|from| (Kind::ConfigMap, from.name.clone())));
            names.extend(source.secret.iter().map(|from| (Kind::Secret, from.name.clone())));
        }
    }
    names
}
