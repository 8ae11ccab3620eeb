//! The claims of generic ephemeral volumes: one for each, owned by its pod, so that it goes with it. Called by the loop with
//! the key of a pod.

use std::sync::Arc;

use client::k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use client::{Cache, Caches, Key, Objects, Recorder, owner};
use futures::FutureExt;
use futures::future::BoxFuture;
use object::storage;
use reconcile::{Loop, Outcome, Reconciler};
use serde_json::{Value, json};

use crate::pod::is_active;

const WORKERS: usize = 4;

struct Controller {
    pods: Cache,
    claims: Cache,
    objects: Objects,
    events: Recorder,
}

/// The loop of this controller.
pub(crate) fn controller(caches: &Caches) -> Loop {
    let (pods, claims) = (caches.of::<Pod>(), caches.of::<PersistentVolumeClaim>());
    let controller = Controller {
        pods: pods.clone(),
        claims: claims.clone(),
        objects: Objects::of::<PersistentVolumeClaim>(caches.client()),
        events: Recorder::start(caches.client(), "ephemeral-volume-controller"),
    };
    Loop::new("ephemeralvolume", Arc::new(controller), WORKERS)
        .watch(&pods, |change| {
            let wants = change.new.as_ref().is_some_and(|pod| !ephemeral(pod).is_empty());
            if wants { vec![change.key.clone()] } else { Vec::new() }
        })
        .watch(&claims, |change| {
            // One that is lost is made again.
            let owner = change.old.as_ref().filter(|_| change.new.is_none()).and_then(|claim| {
                let owner = owner::controller(claim).filter(|owner| owner["kind"] == "Pod")?;
                Some(Key::new(change.key.namespace.as_str(), owner["name"].as_str()?))
            });
            owner.into_iter().collect()
        })
}

fn ephemeral(pod: &Value) -> Vec<&Value> {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    volumes.filter(|volume| volume["ephemeral"].is_object()).collect()
}

/// The claims that a pod lacks, and those of its names that belong to somebody else.
fn plan_claims(pod: &Value, find: impl Fn(&str) -> Option<Arc<Value>>) -> (Vec<Value>, Vec<String>) {
    let (mut missing, mut foreign) = (Vec::new(), Vec::new());
    for volume in ephemeral(pod) {
        let Some(name) = storage::claim_name(pod, volume) else { continue };
        match find(&name) {
            None => missing.push(claim(pod, volume, &name)),
            Some(claim) if storage::is_claim_of(&claim, pod) => {}
            Some(_) => foreign.push(name),
        }
    }
    (missing, foreign)
}

fn claim(pod: &Value, volume: &Value, name: &str) -> Value {
    let template = &volume["ephemeral"]["volumeClaimTemplate"];
    let mut metadata = json!({
        "name": name, "namespace": pod["metadata"]["namespace"],
        "ownerReferences": [owner::controller_reference(pod, &client::resource::<Pod>())],
    });
    for field in ["labels", "annotations"] {
        if let Some(given) = template["metadata"].get(field) {
            metadata[field] = given.clone();
        }
    }
    json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template["spec"] })
}

impl Reconciler for Controller {
    fn reconcile(&self, key: Key) -> BoxFuture<'_, Outcome> {
        async move {
            let Some(pod) = self.pods.get(&key).filter(|pod| is_active(pod)) else { return Ok(None) };
            let find = |name: &str| self.claims.get(&Key::new(key.namespace.as_str(), name));
            let (missing, foreign) = plan_claims(&pod, find);
            for name in foreign {
                let message = format!(
                    "PVC \"{}/{name}\" was not created for pod \"{key}\" (pod is not owner)",
                    key.namespace
                );
                self.events.warning(&pod, "FailedBinding", message);
            }
            for claim in missing {
                match self.objects.create(&key.namespace, &claim).await {
                    Err(error) if client::is_already_exists(&error) || client::is_terminating(&error) => {}
                    Err(error) => {
                        let message = format!("ephemeral volume: create PVC: {}", client::message(&error));
                        self.events.warning(&pod, "FailedCreate", message);
                        return Err(error.into());
                    }
                    Ok(_) => {}
                }
            }
            Ok(None)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_claim_for_each_volume_that_has_none() {
        let pod = json!({ "metadata": { "name": "p", "namespace": "ns", "uid": "u" }, "spec": { "volumes": [
            { "name": "a", "ephemeral": { "volumeClaimTemplate": { "metadata": { "labels": { "l": "1" } }, "spec": { "s": 1 } } } },
            { "name": "b", "ephemeral": { "volumeClaimTemplate": {} } },
            { "name": "c", "ephemeral": { "volumeClaimTemplate": {} } },
            { "name": "d", "emptyDir": {} },
        ] } });
        let find = |name: &str| match name {
            "p-b" => Some(Arc::new(
                json!({ "metadata": { "ownerReferences": [{ "uid": "u", "controller": true }] } }),
            )),
            "p-c" => Some(Arc::new(json!({}))),
            _ => None,
        };
        let (missing, foreign) = plan_claims(&pod, find);
        assert_eq!(foreign, ["p-c"]);
        expect![[r#"[{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"labels":{"l":"1"},"name":"p-a","namespace":"ns","ownerReferences":[{"apiVersion":"v1","blockOwnerDeletion":true,"controller":true,"kind":"Pod","name":"p","uid":"u"}]},"spec":{"s":1}}]"#]]
            .assert_eq(&Value::from(missing).to_string());
    }
}
