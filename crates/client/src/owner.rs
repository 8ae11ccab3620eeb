//! Owner references: making them and reading them. Never decides what they lead to; that is the
//! garbage collector's.

use kube::api::ApiResource;
use serde_json::{Value, json};

/// The reference that makes `owner` the one controller of a dependent.
#[must_use]
pub fn controller_reference(owner: &Value, resource: &ApiResource) -> Value {
    json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// All owners of an object.
#[must_use]
pub fn references(object: &Value) -> &[Value] {
    object["metadata"]["ownerReferences"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The owner that controls an object, if any.
#[must_use]
pub fn controller(object: &Value) -> Option<&Value> {
    references(object).iter().find(|reference| reference["controller"] == true)
}

/// The uid of the owner that controls an object, if any.
#[must_use]
pub fn controller_uid(object: &Value) -> Option<&str> {
    controller(object).and_then(|reference| reference["uid"].as_str())
}
