//! ControllerRevisions: which template a DaemonSet or StatefulSet has now, which it had before, and for how long the old
//! ones are kept. Never looks at pods.

use std::collections::BTreeSet;
use std::sync::Arc;

use client::k8s_openapi::api::apps::v1::ControllerRevision;
use client::{ApiResource, Cache, Caches, Deletion, Key, Objects, Patch, kube, owner};
use object::selector::LabelSelector;
use reconcile::Error;
use serde_json::{Value, json};

use crate::deployment::{same_template, template_hash};
use crate::ownership::{apply_claims, plan_claims};
use crate::replica_set::write_status;

/// On pods, and on the revisions of a DaemonSet: of which template they are.
pub(crate) const REVISION_HASH: &str = "controller-revision-hash";

/// The revisions of the objects of one kind.
pub(crate) struct Revisions {
    cache: Cache,
    objects: Objects,
    owners: Objects,
    /// The label of a revision that has the hash of its template.
    label: &'static str,
}

/// The revisions of one object.
#[derive(Debug)]
pub(crate) struct History {
    /// The one with the template that the object has now.
    pub(crate) current: Arc<Value>,
    /// The others, oldest first.
    pub(crate) old: Vec<Arc<Value>>,
}

/// What to do so that there is a newest revision with the current template.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    Keep(Arc<Value>),
    /// The template of an old revision came back.
    Renumber(Arc<Value>, i64),
    Create(Value),
}

/// The number of a revision.
pub(crate) fn number(revision: &Value) -> i64 {
    revision["revision"].as_i64().unwrap_or_default()
}

/// The template that a revision keeps.
pub(crate) fn template(revision: &Value) -> Value {
    let mut template = revision["data"]["spec"]["template"].clone();
    // It is kept as a patch, which `kubectl rollout undo` sends back as it is.
    template.as_object_mut().map(|template| template.remove("$patch"));
    template
}

/// How the owner comes to its current revision.
pub(crate) fn plan_revision(
    owner: &Value,
    resource: &ApiResource,
    label: &str,
    revisions: &[Arc<Value>],
) -> Step {
    let wanted = &owner["spec"]["template"];
    let (same, others): (Vec<&Arc<Value>>, Vec<&Arc<Value>>) =
        revisions.iter().partition(|revision| same_template(&template(revision), wanted));
    let next = others.iter().map(|revision| number(revision)).max().unwrap_or_default() + 1;
    match same.into_iter().max_by_key(|revision| number(revision)) {
        Some(current) if number(current) >= next => Step::Keep(current.clone()),
        Some(current) => Step::Renumber(current.clone(), next),
        None => Step::Create(new_revision(owner, resource, label, next)),
    }
}

fn new_revision(owner: &Value, resource: &ApiResource, label: &str, number: i64) -> Value {
    let mut template = owner["spec"]["template"].clone();
    let hash = template_hash(&template, owner["status"]["collisionCount"].as_i64());
    let mut labels = template["metadata"]["labels"].clone();
    labels[label] = hash.as_str().into();
    template["$patch"] = "replace".into();
    let Key { namespace, name } = Key::of(owner);
    let mut metadata = json!({
        "name": format!("{name}-{hash}"), "namespace": namespace, "labels": labels,
        "ownerReferences": [owner::controller_reference(owner, resource)],
    });
    // `kubectl rollout history` tells the reason of a change from them.
    if let Some(annotations) = owner["metadata"].get("annotations") {
        metadata["annotations"] = annotations.clone();
    }
    json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata, "revision": number,
        "data": { "spec": { "template": template } },
    })
}

/// The oldest revisions beyond `limit` that no pod is of.
pub(crate) fn plan_forgotten(
    old: &[Arc<Value>],
    limit: i64,
    is_live: impl Fn(&Value) -> bool,
) -> Vec<Arc<Value>> {
    let surplus = old.len().saturating_sub(usize::try_from(limit).unwrap_or_default());
    old.iter().filter(|revision| !is_live(revision)).take(surplus).cloned().collect()
}

impl Revisions {
    /// The revisions of the objects of `K`, which have the hash of their template in `label`.
    pub(crate) fn of<K: kube::Resource<DynamicType = ()>>(caches: &Caches, label: &'static str) -> Revisions {
        Revisions {
            cache: caches.of::<ControllerRevision>(),
            objects: Objects::of::<ControllerRevision>(caches.client()),
            owners: Objects::of::<K>(caches.client()),
            label,
        }
    }

    /// The cache of all revisions.
    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Makes sure that the current template is the newest revision. A cache that lags does no harm: the name of a revision
    /// follows from its template.
    pub(crate) async fn settle(&self, key: &Key, owner: &Value) -> Result<History, Error> {
        let selector = LabelSelector::from_json(&owner["spec"]["selector"]).map_err(Error::new)?;
        let claims = plan_claims(owner, &selector, self.cache.list_in(&key.namespace));
        let mut owned = apply_claims(&self.objects, &self.owners, owner, claims).await?;
        let current = match plan_revision(owner, self.owners.resource(), self.label, &owned) {
            Step::Keep(revision) => revision,
            Step::Renumber(revision, number) => {
                let patch = Patch::Merge(json!({ "revision": number }));
                Arc::new(self.objects.patch(&Key::of(&revision), patch).await?)
            }
            Step::Create(revision) => Arc::new(self.create(key, owner, &revision).await?),
        };
        owned.retain(|revision| revision["metadata"]["name"] != current["metadata"]["name"]);
        owned.sort_by_key(|revision| number(revision));
        Ok(History { current, old: owned })
    }

    async fn create(&self, key: &Key, owner: &Value, revision: &Value) -> Result<Value, Error> {
        let taken = match self.objects.create(&key.namespace, revision).await {
            Ok(made) => return Ok(made),
            Err(error) if client::is_already_exists(&error) => error,
            Err(error) => return Err(error.into()),
        };
        let live = self.objects.get(&Key::of(revision)).await?;
        let ours = owner::controller_uid(&live) == owner["metadata"]["uid"].as_str();
        if ours && same_template(&template(&live), &owner["spec"]["template"]) {
            return Ok(live);
        }
        // Another template has the same hash: with the count of collisions it becomes another hash.
        let collisions = owner["status"]["collisionCount"].as_i64().unwrap_or_default() + 1;
        write_status(&self.owners, key, json!({ "collisionCount": collisions })).await?;
        Err(taken.into())
    }

    /// Deletes what [`plan_forgotten`] names.
    pub(crate) async fn forget(&self, revisions: &[Arc<Value>]) -> Result<(), Error> {
        for revision in revisions {
            let uid = revision["metadata"]["uid"].as_str().map(str::to_owned);
            let deletion = Deletion { uid, ..Deletion::default() };
            match self.objects.delete(&Key::of(revision), &deletion).await {
                Err(error) if !client::is_not_found(&error) => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The words of a label on some pods.
pub(crate) fn words<'a>(pods: &'a [Arc<Value>], label: &str) -> BTreeSet<&'a str> {
    pods.iter().filter_map(|pod| pod["metadata"]["labels"][label].as_str()).collect()
}

#[cfg(test)]
mod tests;
