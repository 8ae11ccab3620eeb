//! The three kinds of patch that are not apply: JSON patch, merge patch, strategic merge patch.
//!
//! Each takes the current object and gives the next one; the caller then runs [`Kind::conform`] and `admit_update`.

mod strategic;

use crate::{Kind, Status};
use json_patch::{Patch, PatchOperation};
use serde_json::Value;

/// More operations than this in one JSON patch are refused, as upstream does.
const OPERATIONS_MAX: usize = 10_000;
/// What the `copy` operations of one patch may add in all: a short patch can double a document again and again.
const COPIED_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Deeper than any object of any kind, and shallow enough for the stack.
const DEPTH_MAX: usize = 256;

/// `application/json-patch+json`: a failing operation is a 422, an unreadable patch a 400.
pub fn json(target: &Value, patch: &[u8]) -> Result<Value, Status> {
    let Patch(operations) = serde_json::from_slice(patch)
        .map_err(|e| Status::bad_request(format!("error decoding patch: {e}")))?;
    if operations.len() > OPERATIONS_MAX {
        return Err(Status::too_large(format!(
            "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
            operations.len()
        )));
    }
    let mut out = target.clone();
    let mut limits = Limits { copied: 0, depth: depth(&out) };
    for operation in operations {
        limits.admit(&operation, &out)?;
        json_patch::patch(&mut out, std::slice::from_ref(&operation))
            .map_err(|e| unprocessable(&e.to_string()))?;
    }
    Ok(out)
}

/// What a patch may build: a short one could nest or double a document until memory or the stack is gone.
struct Limits {
    copied: usize,
    /// The document is at most this deep.
    depth: usize,
}

impl Limits {
    fn admit(&mut self, operation: &PatchOperation, document: &Value) -> Result<(), Status> {
        let path = operation.path().tokens().count();
        let below = match operation {
            PatchOperation::Add(add) => depth(&add.value),
            PatchOperation::Replace(replace) => depth(&replace.value),
            PatchOperation::Copy(copy) => {
                self.copied += copy.from.resolve(document).map_or(0, |v| v.to_string().len());
                self.depth
            }
            PatchOperation::Move(_) => self.depth,
            PatchOperation::Remove(_) | PatchOperation::Test(_) => return Ok(()),
        };
        if self.depth.max(path + below) > DEPTH_MAX {
            // The bound grows with every move; how deep it is really is worth a look before refusing.
            self.depth = depth(document);
        }
        let moved = matches!(operation, PatchOperation::Copy(_) | PatchOperation::Move(_));
        self.depth = self.depth.max(path + if moved { self.depth } else { below });
        if self.copied > COPIED_BYTES_MAX || self.depth > DEPTH_MAX {
            return Err(unprocessable("the patch builds a document that is too large or too deep"));
        }
        Ok(())
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn unprocessable(why: &str) -> Status {
    let message = format!("the server rejected our request due to an error in our request: {why}");
    Status { details: Some(Box::default()), ..Status::failure(422, "Invalid", message) }
}

/// `application/merge-patch+json` (RFC 7386).
pub fn merge(target: &Value, patch: &Value) -> Result<Value, Status> {
    if !patch.is_object() {
        return Err(Status::bad_request("error decoding patch: a merge patch is an object"));
    }
    let mut out = target.clone();
    json_patch::merge(&mut out, patch);
    Ok(out)
}

/// `application/strategic-merge-patch+json`, with the merge keys of the kind's schema.
pub fn strategic(kind: &Kind, target: &Value, patch: &Value) -> Result<Value, Status> {
    strategic::apply(&kind.definition(), target, patch)
}
