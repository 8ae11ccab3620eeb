//! The ConfigMap `kube-root-ca.crt` in every namespace, from which pods learn whom to trust. Called by the
//! loop with the key of a namespace.

use std::sync::Arc;

use client::k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use client::{Cache, Caches, Key, Objects, Patch, Selectors};
use futures::FutureExt;
use futures::future::BoxFuture;
use reconcile::{Loop, Outcome, Reconciler};
use serde_json::json;

use crate::pod::is_deleting;

const NAME: &str = "kube-root-ca.crt";
const FIELD: &str = "ca.crt";
const WORKERS: usize = 4;

struct Controller {
    namespaces: Cache,
    maps: Cache,
    objects: Objects,
    ca_pem: String,
}

/// The loop of this controller.
pub(crate) fn controller(caches: &Caches, ca_pem: String) -> Loop {
    let namespaces = caches.of::<Namespace>();
    // Other ConfigMaps may be many and large, and are not this controller's affair.
    let selectors = Selectors { fields: Some(format!("metadata.name={NAME}")), ..Selectors::default() };
    let maps = caches.get(client::resource::<ConfigMap>(), selectors);
    let controller = Controller {
        namespaces: namespaces.clone(),
        maps: maps.clone(),
        objects: Objects::of::<ConfigMap>(caches.client()),
        ca_pem,
    };
    Loop::new("rootca", Arc::new(controller), WORKERS)
        .watch_own(&namespaces)
        .watch(&maps, |change| vec![Key::cluster(change.key.namespace.as_str())])
}

impl Reconciler for Controller {
    fn reconcile(&self, key: Key) -> BoxFuture<'_, Outcome> {
        self.turn(key).boxed()
    }
}

impl Controller {
    async fn turn(&self, key: Key) -> Outcome {
        if self.namespaces.get(&key).is_none_or(|namespace| is_deleting(&namespace)) {
            return Ok(None);
        }
        let data = json!({ FIELD: self.ca_pem });
        let map = Key::new(key.name.as_str(), NAME);
        let answer = match self.maps.get(&map) {
            Some(existing) if existing["data"] == data => return Ok(None),
            Some(_) => self.objects.patch(&map, Patch::Merge(json!({ "data": data }))).await,
            None => {
                let map = json!({
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": { "name": NAME, "namespace": key.name },
                    "data": data,
                });
                self.objects.create(&key.name, &map).await
            }
        };
        match answer {
            Err(error) if !client::is_already_exists(&error) && !client::is_terminating(&error) => {
                Err(error.into())
            }
            _ => Ok(None),
        }
    }
}
