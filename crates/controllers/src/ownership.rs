//! Adoption and release: which objects of a selector a controller owns, takes over, or lets go.

use std::sync::Arc;

use client::{Key, Objects, Patch, kube, owner};
use futures::future::join_all;
use object::selector::LabelSelector;
use serde_json::{Value, json};

use crate::pod::is_deleting;

/// What to do with the candidates.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    pub(crate) owned: Vec<Arc<Value>>,
    pub(crate) adopt: Vec<Arc<Value>>,
    pub(crate) release: Vec<Arc<Value>>,
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
    let mut owned = claims.owned;
    let may_adopt = claims.adopt.is_empty() || is_still_there(owners, owner).await?;
    let adopt = claims.adopt.iter().filter(|_| may_adopt).map(|object| {
        let mut references = owner::references(object).to_vec();
        references.push(owner::controller_reference(owner, owners.resource()));
        write_references(objects, object, references)
    });
    for adopted in join_all(adopt).await {
        owned.extend(adopted?.map(Arc::new));
    }
    let release = claims.release.iter().map(|object| {
        let references = owner::references(object).iter();
        let others = references.filter(|reference| reference["uid"] != owner["metadata"]["uid"]);
        write_references(objects, object, others.cloned().collect())
    });
    for released in join_all(release).await {
        released?;
    }
    Ok(owned)
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
) -> Result<Option<Value>, kube::Error> {
    let version = &object["metadata"]["resourceVersion"];
    let patch = json!({ "metadata": { "ownerReferences": references, "resourceVersion": version } });
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
