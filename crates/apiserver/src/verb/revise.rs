//! The one way in which a stored object changes: read the current version, compute the next, write it on the
//! condition that nothing came between, and start again if something did. Writers of this process take turns; what
//! comes between is from elsewhere.

use crate::{
    api::{Api, Lost},
    cache::{Item, encode},
    call::Target,
};
use bytes::Bytes;
use object::Status;
use serde_json::Value;
use store::{Expect, Op};

/// Collisions after which a write gives up: under heavy contention somebody must be told.
const COLLISIONS_MAX: usize = 100;

/// What the computation of the next version decides.
#[derive(Debug)]
pub(crate) enum Next {
    /// Write this; when nothing about it is new, write nothing.
    Put(Value),
    /// Remove the object.
    Remove,
    /// Leave everything as it is.
    Keep,
}

/// What became of the object.
#[derive(Debug)]
pub(crate) struct Revised {
    /// Its served bytes; for a removed object, those of its last version.
    pub(crate) bytes: Bytes,
    pub(crate) removed: bool,
}

/// Revises the target with `next`, which sees the current version and may run more than once.
pub(crate) async fn revise(
    api: &Api,
    target: &Target,
    dry_run: bool,
    mut next: impl FnMut(&Value, &Item) -> Result<Next, Status> + Send,
) -> Result<Revised, Status> {
    let _turn = api.turns.take(&target.shelf.key(&target.namespace, &target.name)).await;
    for _ in 0..COLLISIONS_MAX {
        let item = target.shelf.get(&target.namespace, &target.name).ok_or_else(|| target.not_found())?;
        let current = item.value();
        let (op, bytes, removed) = match plan(&current, next(&current, &item)?) {
            Next::Keep => return Ok(Revised { bytes: item.served(), removed: false }),
            Next::Remove => {
                let expect = Expect::Modified(item.revision);
                (Op::Delete { key: item.key.clone(), expect }, item.stored.clone(), true)
            }
            Next::Put(object) => {
                let value = encode::encode(&object);
                crate::admission::check_size(target, &target.name, &value)?;
                let expect = Expect::Modified(item.revision);
                (Op::Put { key: item.key.clone(), value: value.clone(), expect }, value, false)
            }
        };
        let revised = |revision| Revised { bytes: encode::with_revision(&bytes, revision), removed };
        if dry_run {
            return Ok(revised(item.revision));
        }
        match api.commit(op).await {
            Ok(revision) => return Ok(revised(revision)),
            Err(Lost::Conflict { current }) => api.catch_up(current).await?,
            Err(lost) => return Err(lost.into_status(target)),
        }
    }
    Err(target.modified())
}

/// An object that is being deleted goes with its last finalizer; a version that says nothing new is not written.
fn plan(current: &Value, next: Next) -> Next {
    match next {
        Next::Put(object) if is_released(&object) => Next::Remove,
        Next::Put(object) if is_same(current, &object) => Next::Keep,
        next => next,
    }
}

/// Whether nothing holds a deleted object any more.
pub(crate) fn is_released(object: &Value) -> bool {
    let metadata = &object["metadata"];
    let grace = metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    metadata["deletionTimestamp"].is_string() && grace == 0 && is_free(object)
}

/// Whether an object has no finalizer, neither of its own nor, for a Namespace, of its content.
pub(crate) fn is_free(object: &Value) -> bool {
    let none = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
    let namespace = object["kind"] == "Namespace" && object["apiVersion"] == "v1";
    let content = namespace && !none(&object["spec"]["finalizers"]);
    none(&object["metadata"]["finalizers"]) && !content
}

/// Equal but for resourceVersion and the times in managedFields.
fn is_same(old: &Value, new: &Value) -> bool {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return old == new };
    let differs = |key: &String| match key.as_str() {
        "metadata" => !is_same_metadata(&old["metadata"], &new["metadata"]),
        key => old.get(key) != new.get(key),
    };
    !old.keys().chain(new.keys()).any(differs)
}

fn is_same_metadata(old: &Value, new: &Value) -> bool {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return old == new };
    let differs = |key: &String| match key.as_str() {
        "resourceVersion" => false,
        "managedFields" => !is_same_fields(old.get("managedFields"), new.get("managedFields")),
        key => old.get(key) != new.get(key),
    };
    !old.keys().chain(new.keys()).any(differs)
}

fn is_same_fields(old: Option<&Value>, new: Option<&Value>) -> bool {
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let (old, new) = (list(old), list(new));
    let timeless = |entry: &Value| {
        let mut entry = entry.clone();
        if let Some(entry) = entry.as_object_mut() {
            entry.remove("time");
        }
        entry
    };
    old.len() == new.len() && old.iter().zip(&new).all(|(a, b)| timeless(a) == timeless(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_of_managers_are_not_news() {
        let entry = |time: &str| json!({"manager": "a", "time": time});
        let object = |time: &str, data: &str| json!({"metadata": {"name": "x", "managedFields": [entry(time)]}, "data": {"a": data}});
        assert!(is_same(&object("1", "b"), &object("2", "b")));
        assert!(!is_same(&object("1", "b"), &object("1", "c")));
        assert!(!is_same(&object("1", "b"), &json!({"metadata": {"name": "x"}, "data": {"a": "b"}})));
    }

    #[test]
    fn a_namespace_waits_for_its_content() {
        let mut object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"deletionTimestamp": "t"},
            "spec": {"finalizers": ["kubernetes"]}});
        assert!(!is_released(&object));
        object["spec"]["finalizers"] = json!([]);
        assert!(is_released(&object));
    }
}
