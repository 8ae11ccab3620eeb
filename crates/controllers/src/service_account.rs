//! The ServiceAccount `default` in every namespace. Called by the loop with the key of a namespace.

use std::sync::Arc;

use client::k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use client::{Cache, Caches, Key, Objects};
use futures::FutureExt;
use futures::future::BoxFuture;
use reconcile::{Loop, Outcome, Reconciler};
use serde_json::json;

use crate::pod::is_deleting;

const NAME: &str = "default";
const WORKERS: usize = 4;

struct Controller {
    namespaces: Cache,
    accounts: Cache,
    objects: Objects,
}

/// The loop of this controller.
pub(crate) fn controller(caches: &Caches) -> Loop {
    let (namespaces, accounts) = (caches.of::<Namespace>(), caches.of::<ServiceAccount>());
    let controller = Controller {
        namespaces: namespaces.clone(),
        accounts: accounts.clone(),
        objects: Objects::of::<ServiceAccount>(caches.client()),
    };
    Loop::new("serviceaccount", Arc::new(controller), WORKERS).watch_own(&namespaces).watch(
        &accounts,
        |change| {
            let lost = change.new.is_none() && change.key.name == NAME;
            if lost { vec![Key::cluster(change.key.namespace.as_str())] } else { Vec::new() }
        },
    )
}

impl Reconciler for Controller {
    fn reconcile(&self, key: Key) -> BoxFuture<'_, Outcome> {
        async move {
            let lives = self.namespaces.get(&key).is_some_and(|namespace| !is_deleting(&namespace));
            if !lives || self.accounts.get(&Key::new(key.name.as_str(), NAME)).is_some() {
                return Ok(None);
            }
            let account = json!({
                "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": NAME, "namespace": key.name },
            });
            match self.objects.create(&key.name, &account).await {
                Err(error) if !client::is_already_exists(&error) && !client::is_terminating(&error) => {
                    Err(error.into())
                }
                _ => Ok(None),
            }
        }
        .boxed()
    }
}
