//! EndpointSlice: the addresses behind every Service that selects pods. Called by the loop with the key of
//! a Service.

mod plan;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use client::k8s_openapi::api::core::v1::{Pod, Service};
use client::k8s_openapi::api::discovery::v1::EndpointSlice;
use client::{Cache, Caches, Change, Deletion, Key, Objects, Patch, kube, revision_of};
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use reconcile::{Error, Loop, Outcome, Reconciler};
use serde_json::Value;

use self::plan::{MANAGED_BY, MANAGER, SERVICE_NAME, Step, plan};
use crate::own_writes::OwnWrites;
use crate::pod::is_deleting;
use crate::service;

const WORKERS: usize = 4;
const BY_SERVICE: &str = "service";

struct Controller {
    services: Cache,
    pods: Cache,
    slices: Cache,
    service_objects: Objects,
    slice_objects: Objects,
    written: OwnWrites,
}

/// The loop of this controller.
pub(crate) fn controller(caches: &Caches) -> Loop {
    let (services, pods) = (caches.of::<Service>(), caches.of::<Pod>());
    let slices = caches.of::<EndpointSlice>();
    slices.add_index(BY_SERVICE, |slice| service_key(slice).map(|key| key.to_string()).into_iter().collect());
    let controller = Controller {
        services: services.clone(),
        pods: pods.clone(),
        slices: slices.clone(),
        service_objects: Objects::of::<Service>(caches.client()),
        slice_objects: Objects::of::<EndpointSlice>(caches.client()),
        written: OwnWrites::default(),
    };
    Loop::new("endpointslice", Arc::new(controller), WORKERS)
        .watch_own(&services)
        .watch(&pods, move |change| service::services_of_pod(&services, change))
        .watch(&slices, services_of_slice)
}

/// The Service of a slice that this controller keeps.
fn service_key(slice: &Value) -> Option<Key> {
    let labels = &slice["metadata"]["labels"];
    let name = labels[SERVICE_NAME].as_str().filter(|_| labels[MANAGED_BY] == MANAGER)?;
    Some(Key::new(Key::of(slice).namespace, name))
}

fn services_of_slice(change: &Change) -> Vec<Key> {
    let mut keys: Vec<Key> =
        [&change.old, &change.new].into_iter().flatten().filter_map(|slice| service_key(slice)).collect();
    keys.dedup();
    keys
}

impl Reconciler for Controller {
    fn reconcile(&self, key: Key) -> BoxFuture<'_, Outcome> {
        self.turn(key).boxed()
    }
}

impl Controller {
    async fn turn(&self, key: Key) -> Outcome {
        // The slices of a Service that is gone go with it, by their owner reference.
        let Some(service) = self.services.get(&key) else { return Ok(None) };
        if is_deleting(&service) || !service::has_endpoints(&service) {
            return Ok(None);
        }
        if !self.written.are_shown_by(&self.slices, &key) {
            return Ok(Some(OwnWrites::patience()));
        }
        let mut slices = self.slices.by_index(BY_SERVICE, &key.to_string());
        slices.retain(|slice| slice["addressType"] == "IPv4" && !is_deleting(slice));
        let pods = self.pods.list_in(&key.namespace);
        let steps = plan(&service, self.service_objects.resource(), pods, slices);
        let answers = join_all(steps.into_iter().map(|step| self.apply(&key, step))).await;
        let failure = answers.into_iter().find_map(|answer| match answer {
            Err(error) if !client::is_not_found(&error) && !client::is_terminating(&error) => Some(error),
            _ => None,
        });
        failure.map_or(Ok(None), |error| Err(Error::from(error)))
    }

    async fn apply(&self, key: &Key, step: Step) -> Result<(), kube::Error> {
        let answer = match step {
            Step::Create(slice) => self.slice_objects.create(&key.namespace, &slice).await?,
            Step::Update(slice, mut patch) => {
                patch["metadata"]["resourceVersion"] = slice["metadata"]["resourceVersion"].clone();
                self.slice_objects.patch(&Key::of(&slice), Patch::Merge(patch)).await?
            }
            Step::Delete(slice) => {
                self.slice_objects.delete(&Key::of(&slice), &Deletion::default()).await?;
                return Ok(());
            }
        };
        self.written.wrote(key, revision_of(&answer));
        Ok(())
    }
}
