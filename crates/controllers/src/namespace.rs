//! Namespace: when one is deleted, all that is in it goes first: pods before the rest (KEP-5080), so that
//! nothing they rest on is taken from under them. Called by the loop with the key of a namespace.

mod plan;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use client::k8s_openapi::api::core::v1::Namespace;
use client::{Cache, Caches, Deletion, Key, Objects, kube};
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use object::time::Timestamp;
use reconcile::{Loop, Outcome, Reconciler};
use serde_json::{Value, json};

use self::plan::{Remainder, again_after, plan_conditions};
use crate::conditions;
use crate::discovery::{Resource, discover};
use crate::pod::is_deleting;
use crate::replica_set::write_status;

const WORKERS: usize = 4;
/// Our mark on every namespace; it goes when the content is gone.
const FINALIZER: &str = "kubernetes";

struct Controller {
    client: kube::Client,
    namespaces: Cache,
    objects: Objects,
}

/// The loop of this controller.
pub(crate) fn controller(caches: &Caches) -> Loop {
    let namespaces = caches.of::<Namespace>();
    let controller = Controller {
        client: caches.client().clone(),
        namespaces: namespaces.clone(),
        objects: Objects::of::<Namespace>(caches.client()),
    };
    Loop::new("namespace", Arc::new(controller), WORKERS).watch(&namespaces, |change| {
        let leaving = change.new.as_ref().is_some_and(|namespace| is_deleting(namespace));
        if leaving { vec![change.key.clone()] } else { Vec::new() }
    })
}

impl Reconciler for Controller {
    fn reconcile(&self, key: Key) -> BoxFuture<'_, Outcome> {
        self.turn(key).boxed()
    }
}

impl Controller {
    async fn turn(&self, key: Key) -> Outcome {
        let Some(namespace) = self.namespaces.get(&key).filter(|namespace| is_deleting(namespace)) else {
            return Ok(None);
        };
        let held = namespace["spec"]["finalizers"].as_array();
        if !held.is_some_and(|finalizers| finalizers.iter().any(|finalizer| finalizer == FINALIZER)) {
            return Ok(None);
        }
        let mut resources = discover(&self.client).await?;
        resources.retain(|resource| resource.namespaced);
        let (pods, others): (Vec<_>, Vec<_>) = resources
            .into_iter()
            .partition(|resource| resource.api.group.is_empty() && resource.api.kind == "Pod");
        let (mut failures, mut remainders) = self.empty(&key.name, &pods).await;
        if failures.is_empty() && remainders.is_empty() {
            (failures, remainders) = self.empty(&key.name, &others).await;
        }
        if failures.is_empty() && remainders.is_empty() {
            return self.release(&key).await;
        }
        let list = plan_conditions(&namespace, &failures, &remainders, Timestamp::now());
        if list != conditions::of(&namespace) {
            write_status(&self.objects, &key, json!({ "conditions": list })).await?;
        }
        Ok(Some(again_after(&namespace, Timestamp::now())))
    }

    /// Deletes all objects of some resources; answers what could not be deleted and what is still there.
    async fn empty(&self, namespace: &str, resources: &[Resource]) -> (Vec<String>, Vec<Remainder>) {
        let answers = join_all(resources.iter().map(|resource| self.empty_one(namespace, resource))).await;
        let (mut failures, mut remainders) = (Vec::new(), Vec::new());
        for answer in answers {
            match answer {
                Ok(remainder) => remainders.extend(remainder),
                Err(error) => failures.push(client::message(&error)),
            }
        }
        (failures, remainders)
    }

    async fn empty_one(
        &self,
        namespace: &str,
        resource: &Resource,
    ) -> Result<Option<Remainder>, kube::Error> {
        let objects = Objects::new(self.client.clone(), resource.api.clone());
        let mut left = Left::of(&objects, namespace).await?;
        if left.staying {
            objects.delete_all(namespace, &Deletion::default()).await?;
            left = Left::of(&objects, namespace).await?;
        }
        Ok(left.remainder(resource))
    }

    /// Takes our finalizer off, which lets the API server remove the namespace.
    async fn release(&self, key: &Key) -> Outcome {
        let mut live = match self.objects.get(key).await {
            Ok(live) => live,
            Err(error) if client::is_not_found(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if let Some(finalizers) = live["spec"]["finalizers"].as_array_mut() {
            finalizers.retain(|finalizer| finalizer != FINALIZER);
        }
        match self.objects.replace_sub(key, "finalize", &live).await {
            Err(error) if !client::is_not_found(&error) => Err(error.into()),
            _ => Ok(None),
        }
    }
}

/// What there still is of a resource.
#[derive(Default)]
struct Left {
    count: usize,
    /// Whether nobody has deleted some of it.
    staying: bool,
    /// How many objects each finalizer holds.
    finalizers: BTreeMap<String, usize>,
}

impl Left {
    async fn of(objects: &Objects, namespace: &str) -> Result<Left, kube::Error> {
        let mut left = Left::default();
        objects.each_metadata(namespace, |object| left.see(object)).await?;
        Ok(left)
    }

    fn see(&mut self, object: &Value) {
        self.count += 1;
        self.staying |= !is_deleting(object);
        for name in
            object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str)
        {
            *self.finalizers.entry(name.to_owned()).or_default() += 1;
        }
    }

    fn remainder(self, resource: &Resource) -> Option<Remainder> {
        let api = &resource.api;
        // Upstream writes the core group as a trailing dot.
        let name = format!("{}.{}", api.plural, api.group);
        let Left { count, finalizers, .. } = self;
        (count > 0).then_some(Remainder { resource: name, count, finalizers })
    }
}
