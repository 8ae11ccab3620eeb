//! Keeps claims that pods use and volumes that claims have: a deleted one goes only when its last user is gone. Called by
//! the loop with the key of a claim, or of a volume (which has no namespace). The finalizers are put on when an object is
//! made; here they are taken off.

use std::sync::Arc;

use client::k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use client::{Cache, Caches, Key, Objects, Patch};
use futures::FutureExt;
use futures::future::BoxFuture;
use object::storage::{self, CLAIM_PROTECTION, VOLUME_PROTECTION};
use reconcile::{Error, Loop, Outcome, Reconciler};
use serde_json::{Value, json};

use crate::pod::{self, is_deleting};
use crate::volume_binding::{index_users, used_by, users};

const WORKERS: usize = 2;

struct Controller {
    claims: Cache,
    volumes: Cache,
    pods: Cache,
    claim_objects: Objects,
    volume_objects: Objects,
    pod_objects: Objects,
}

/// The loop of this controller.
pub(crate) fn controller(caches: &Caches) -> Loop {
    let (claims, volumes) = (caches.of::<PersistentVolumeClaim>(), caches.of::<PersistentVolume>());
    let pods = caches.of::<Pod>();
    index_users(&pods);
    let controller = Controller {
        claims: claims.clone(),
        volumes: volumes.clone(),
        pods: pods.clone(),
        claim_objects: Objects::of::<PersistentVolumeClaim>(caches.client()),
        volume_objects: Objects::of::<PersistentVolume>(caches.client()),
        pod_objects: Objects::of::<Pod>(caches.client()),
    };
    let leaving = |object: &Option<Arc<Value>>| object.as_deref().is_some_and(is_deleting);
    let of_pod = claims.clone();
    Loop::new("pvcprotection", Arc::new(controller), WORKERS)
        .watch(&claims, move |change| leaving(&change.new).then(|| change.key.clone()).into_iter().collect())
        .watch(&volumes, move |change| leaving(&change.new).then(|| change.key.clone()).into_iter().collect())
        .watch(&pods, move |change| {
            let used = used_by(change.object()).into_iter();
            used.filter(|key| leaving(&of_pod.get(key))).collect()
        })
}

impl Reconciler for Controller {
    fn reconcile(&self, key: Key) -> BoxFuture<'_, Outcome> {
        async move {
            if key.namespace.is_empty() {
                if let Some(volume) = self.volumes.get(&key).filter(|volume| is_deleting(volume))
                    && volume["status"]["phase"] != "Bound"
                {
                    release(&self.volume_objects, &key, &volume, VOLUME_PROTECTION).await?;
                }
            } else if let Some(claim) = self.claims.get(&key).filter(|claim| is_deleting(claim))
                && !self.is_used(&key, &claim).await?
            {
                release(&self.claim_objects, &key, &claim, CLAIM_PROTECTION).await?;
            }
            Ok(None)
        }
        .boxed()
    }
}

impl Controller {
    /// Asks the cache, and before it says no the API itself: a pod may have come just now.
    async fn is_used(&self, key: &Key, claim: &Value) -> Result<bool, Error> {
        if users(&self.pods, key).iter().any(|pod| uses(pod, claim)) {
            return Ok(true);
        }
        Ok(self.pod_objects.list(&key.namespace).await?.iter().any(|pod| uses(pod, claim)))
    }
}

/// Whether a pod on a node has this claim mounted, or may have: also one that ended, until it is deleted.
fn uses(pod: &Value, claim: &Value) -> bool {
    let name = claim["metadata"]["name"].as_str().unwrap_or_default();
    let over = is_deleting(pod) && pod["metadata"]["deletionGracePeriodSeconds"] == 0;
    pod::node(pod).is_some()
        && storage::claims(pod)
            .iter()
            .any(|(used, own)| used == name && (!own || (!over && storage::is_claim_of(claim, pod))))
}

/// Takes one finalizer off.
async fn release(objects: &Objects, key: &Key, object: &Value, finalizer: &str) -> Result<(), Error> {
    let list = object["metadata"]["finalizers"].as_array().into_iter().flatten();
    let left: Vec<&Value> = list.clone().filter(|own| *own != finalizer).collect();
    if left.len() == list.count() {
        return Ok(());
    }
    let version = &object["metadata"]["resourceVersion"];
    let patch = json!({ "metadata": { "resourceVersion": version, "finalizers": left } });
    match objects.patch(key, Patch::Merge(patch)).await {
        Err(error) if !client::is_not_found(&error) => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_uses_a_claim() {
        let claim =
            json!({ "metadata": { "name": "p-w", "ownerReferences": [{ "uid": "1", "controller": true }] } });
        let pod = |uid: &str, node: &str, volume: Value| {
            json!({ "metadata": { "name": "p", "uid": uid }, "spec": { "nodeName": node, "volumes": [volume] },
                "status": { "phase": "Succeeded" } })
        };
        let named = || json!({ "name": "x", "persistentVolumeClaim": { "claimName": "p-w" } });
        let own = || json!({ "name": "w", "ephemeral": {} });
        assert!(uses(&pod("9", "n", named()), &claim), "also when it has ended");
        assert!(!uses(&pod("9", "", named()), &claim), "not without a node");
        assert!(uses(&pod("1", "n", own()), &claim));
        assert!(!uses(&pod("2", "n", own()), &claim), "another pod of the name");
        let mut over = pod("1", "n", own());
        over["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        over["metadata"]["deletionGracePeriodSeconds"] = 0.into();
        assert!(!uses(&over, &claim));
    }
}
