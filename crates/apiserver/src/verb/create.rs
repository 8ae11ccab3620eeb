//! create: a body becomes a stored object.

use super::decode;
use crate::{
    admission,
    answer::{self, Reply},
    api::{Api, Lost},
    cache::encode,
    call::{Call, Target},
    shape,
};
use bytes::Bytes;
use http::StatusCode;
use object::{Status, apply, kind::Context};
use serde_json::Value;
use store::{Expect, Op};
use uuid::Uuid;

/// Names that are tried for a generateName before the collision is the client's, as upstream does.
const GENERATED_NAMES_MAX: usize = 8;

/// Answers a POST.
pub(crate) async fn create(api: &Api, call: &Call, target: &Target, body: &Bytes) -> Reply {
    let (object, mut warnings) = decode::body(call, target, body)?;
    let manager = call.manager()?;
    let bytes = insert(api, call, target, object, &mut warnings, |object| {
        apply::track(target.kind, None, object, &call.author(&manager, None));
        Ok(())
    })
    .await?;
    let mut response = shape::object(call, target.kind, StatusCode::CREATED, bytes)?;
    answer::warn(&mut response, &warnings);
    Ok(response)
}

/// Stores a new object; `finish` has the last word on it (its managed fields). Gives its served bytes.
pub(crate) async fn insert(
    api: &Api,
    call: &Call,
    target: &Target,
    mut object: Value,
    warnings: &mut Vec<String>,
    finish: impl Fn(&mut Value) -> Result<(), Status> + Send,
) -> Result<Bytes, Status> {
    if !object["metadata"]["resourceVersion"].as_str().unwrap_or_default().is_empty() {
        return Err(Status::bad_request("resourceVersion should not be set on objects to be created"));
    }
    let dry_run = call.query.dry_run()?;
    let generated = object["metadata"]["name"].as_str().unwrap_or_default().is_empty();
    admission::await_service_account(api, target, &object).await;
    let _addresses = admission::hold_addresses(api, target).await;
    let mut tries = if generated { GENERATED_NAMES_MAX } else { 1 };
    loop {
        tries -= 1;
        let mut object = if tries == 0 { object.take() } else { object.clone() };
        let found = prepare(api, call, target, &mut object)?;
        finish(&mut object)?;
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let taken = || Status::already_exists(target.kind.group, target.kind.plural, &name);
        if dry_run {
            if target.shelf.get(&target.namespace, &name).is_some() {
                return Err(taken());
            }
            warnings.extend(found);
            return Ok(encode::encode(&object));
        }
        let value = encode::encode(&object);
        admission::check_size(target, &name, &value)?;
        let key = target.shelf.key(&target.namespace, &name);
        match api.commit(Op::Put { key, value: value.clone(), expect: Expect::Absent }).await {
            Ok(revision) => {
                warnings.extend(found);
                return Ok(encode::with_revision(&value, revision));
            }
            Err(Lost::Conflict { .. }) if tries == 0 => return Err(taken()),
            Err(Lost::Conflict { .. }) => {}
            Err(Lost::Failed(status)) => return Err(status),
        }
    }
}

/// Admission and the kind's own rules, in upstream's order: change, default and validate, allocate, check.
fn prepare(api: &Api, call: &Call, target: &Target, object: &mut Value) -> Result<Vec<String>, Status> {
    admission::change_new(api, target, object)?;
    let namespace = target.kind.namespaced.then_some(target.namespace.as_str());
    let ctx = Context { namespace, now: call.now, uid: Uuid::new_v4() };
    let warnings = target.kind.admit_create(object, &ctx)?;
    admission::allocate(api, target, object, None)?;
    admission::check(api, call, target, object, None)?;
    Ok(warnings)
}
