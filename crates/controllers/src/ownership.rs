//! Adoption and release: which objects of a selector a controller owns, takes over, or lets go.

use std::sync::Arc;

use client::{Cache, Change, Key, Objects, Patch, kube, owner};
use futures::future::join_all;
use object::selector::LabelSelector;
use serde_json::{Value, json};

use crate::pod::is_deleting;

/// Objects by the uid of their controller.
const BY_CONTROLLER: &str = "controller";
/// Objects without a controller by namespace.
const ORPHANS: &str = "orphans";

/// Keeps what the functions below look up in a cache of dependents.
pub(crate) fn index(dependents: &Cache) {
    dependents.add_index(BY_CONTROLLER, |dependent| {
        owner::controller_uid(dependent).map(str::to_owned).into_iter().collect()
    });
    dependents.add_index(ORPHANS, |dependent| match owner::controller_uid(dependent) {
        Some(_) => Vec::new(),
        None => vec![Key::of(dependent).namespace],
    });
}

/// What an owner controls, as the cache has it.
pub(crate) fn controlled(dependents: &Cache, owner: &Value) -> Vec<Arc<Value>> {
    dependents.by_index(BY_CONTROLLER, owner["metadata"]["uid"].as_str().unwrap_or_default())
}

/// What an owner controls, and what nobody controls in its namespace.
pub(crate) fn candidates(dependents: &Cache, owner: &Value) -> Vec<Arc<Value>> {
    let mut candidates = controlled(dependents, owner);
    candidates.extend(dependents.by_index(ORPHANS, &Key::of(owner).namespace));
    candidates
}

/// The owners in a cache that a change of a dependent concerns: its controller before and after, or for an orphan all
/// that select it.
pub(crate) fn owners_of(owners: &Cache, change: &Change) -> Vec<Key> {
    let mut keys = Vec::new();
    for dependent in [&change.old, &change.new].into_iter().flatten() {
        match owner::controller(dependent) {
            Some(reference) if reference["kind"] == owners.resource().kind.as_str() => {
                let name = reference["name"].as_str().unwrap_or_default();
                keys.push(Key::new(change.key.namespace.as_str(), name));
            }
            Some(_) => {}
            None => {
                let all = owners.list_in(&change.key.namespace);
                keys.extend(all.iter().filter(|owner| selects(owner, dependent)).map(|owner| Key::of(owner)));
            }
        }
    }
    keys.dedup();
    keys
}

fn selects(owner: &Value, dependent: &Value) -> bool {
    LabelSelector::from_json(&owner["spec"]["selector"])
        .is_ok_and(|selector| !selector.is_empty() && selector.matches(&dependent["metadata"]["labels"]))
}

/// What to do with the candidates.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    pub(crate) owned: Vec<Arc<Value>>,
    pub(crate) adopt: Vec<Arc<Value>>,
    pub(crate) release: Vec<Arc<Value>>,
    /// What is taken over gets this, what is let go loses it.
    pub(crate) finalizer: Option<&'static str>,
}

/// Sorts the objects that may be the owner's: owned and matching, orphans that match, owned that no
/// longer match. An owner that is going away adopts and releases nothing.
pub(crate) fn plan_claims(owner: &Value, selector: &LabelSelector, candidates: Vec<Arc<Value>>) -> Claims {
    let mut claims = Claims::default();
    let owner_uid = owner["metadata"]["uid"].as_str();
    for candidate in candidates {
        let matches = selector.matches(&candidate["metadata"]["labels"]);
        match owner::controller_uid(&candidate) {
            Some(uid) if Some(uid) == owner_uid => {
                if matches || is_deleting(owner) {
                    claims.owned.push(candidate);
                } else {
                    claims.release.push(candidate);
                }
            }
            None if matches && !is_deleting(owner) && !is_deleting(&candidate) => {
                claims.adopt.push(candidate)
            }
            _ => {}
        }
    }
    claims
}

/// Carries the claims out; answers what the owner owns afterwards.
pub(crate) async fn apply_claims(
    objects: &Objects,
    owners: &Objects,
    owner: &Value,
    claims: Claims,
) -> Result<Vec<Arc<Value>>, kube::Error> {
    let (mut owned, finalizer) = (claims.owned, claims.finalizer);
    let may_adopt = claims.adopt.is_empty() || is_still_there(owners, owner).await?;
    let adopt = claims.adopt.iter().filter(|_| may_adopt).map(|object| {
        let mut references = owner::references(object).to_vec();
        references.push(owner::controller_reference(owner, owners.resource()));
        write_references(objects, object, references, finalizers(object, finalizer, true))
    });
    for adopted in join_all(adopt).await {
        owned.extend(adopted?.map(Arc::new));
    }
    let release = claims.release.iter().map(|object| {
        let references = owner::references(object).iter();
        let others = references.filter(|reference| reference["uid"] != owner["metadata"]["uid"]);
        write_references(objects, object, others.cloned().collect(), finalizers(object, finalizer, false))
    });
    for released in join_all(release).await {
        released?;
    }
    Ok(owned)
}

/// The finalizers of an object, with one of them or without it.
fn finalizers(object: &Value, finalizer: Option<&str>, with: bool) -> Option<Vec<Value>> {
    let finalizer = finalizer?;
    let own = object["metadata"]["finalizers"].as_array().into_iter().flatten();
    let mut list: Vec<Value> = own.filter(|other| *other != finalizer).cloned().collect();
    list.extend(with.then(|| finalizer.into()));
    Some(list)
}

/// The cache may show an owner that was deleted and made again: ask before taking anything over.
async fn is_still_there(owners: &Objects, owner: &Value) -> Result<bool, kube::Error> {
    match owners.get(&Key::of(owner)).await {
        Ok(live) => Ok(live["metadata"]["uid"] == owner["metadata"]["uid"] && !is_deleting(&live)),
        Err(error) if client::is_not_found(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// `None` when the object is gone meanwhile.
async fn write_references(
    objects: &Objects,
    object: &Value,
    references: Vec<Value>,
    finalizers: Option<Vec<Value>>,
) -> Result<Option<Value>, kube::Error> {
    let version = &object["metadata"]["resourceVersion"];
    let mut patch = json!({ "metadata": { "ownerReferences": references, "resourceVersion": version } });
    if let Some(finalizers) = finalizers {
        patch["metadata"]["finalizers"] = finalizers.into();
    }
    match objects.patch(&Key::of(object), Patch::Merge(patch)).await {
        Ok(object) => Ok(Some(object)),
        Err(error) if client::is_not_found(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, app: &str, owner: Option<&str>) -> Arc<Value> {
        let owners: Vec<Value> = owner.iter().map(|uid| json!({ "uid": uid, "controller": true })).collect();
        Arc::new(json!({ "metadata": { "name": name, "labels": { "app": app }, "ownerReferences": owners } }))
    }

    fn names(objects: &[Arc<Value>]) -> Vec<String> {
        objects.iter().map(|object| Key::of(object).name).collect()
    }

    #[test]
    fn owned_adopted_released_and_left_alone() {
        let selector = LabelSelector::from_labels(&json!({ "app": "web" }));
        let pods = || {
            vec![
                pod("mine", "web", Some("u1")),
                pod("orphan", "web", None),
                pod("relabelled", "other", Some("u1")),
                pod("foreign", "web", Some("u2")),
                pod("stranger", "other", None),
            ]
        };
        let claims = plan_claims(&json!({ "metadata": { "uid": "u1" } }), &selector, pods());
        assert_eq!(names(&claims.owned), ["mine"]);
        assert_eq!(names(&claims.adopt), ["orphan"]);
        assert_eq!(names(&claims.release), ["relabelled"]);
        let leaving = json!({ "metadata": { "uid": "u1", "deletionTimestamp": "2026-01-01T00:00:00Z" } });
        let claims = plan_claims(&leaving, &selector, pods());
        assert_eq!((claims.adopt.len(), claims.release.len(), claims.owned.len()), (0, 0, 2));
    }
}
