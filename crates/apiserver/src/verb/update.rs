//! update: a whole object replaces the stored one.

use super::{
    create, decode,
    revise::{Next, revise},
};
use crate::{
    admission,
    answer::{self, Reply},
    api::Api,
    call::{Call, Target},
    shape,
};
use bytes::Bytes;
use http::StatusCode;
use object::{Status, apply, kind::Context, status::Cause};
use serde_json::Value;
use uuid::Uuid;

/// Kinds of which a PUT may make a new object, as upstream has it; all others answer 404.
const CREATED_ON_UPDATE: &[&str] =
    &["Event", "Service", "Endpoints", "Lease", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"];

/// Kinds of which a PUT must say which version it replaces, as upstream has it: a lease is a lock.
const NEVER_UNCONDITIONAL: &[&str] = &["Lease"];

/// Answers a PUT, to the object or to a subresource that has the object's own form.
pub(crate) async fn update(
    api: &Api,
    call: &Call,
    target: &Target,
    subresource: Option<&str>,
    body: &Bytes,
) -> Reply {
    let (mut object, mut warnings) = decode::body(call, target, body)?;
    decode::settle_name(target, &mut object)?;
    let manager = call.manager()?;
    let missing = target.shelf.get(&target.namespace, &target.name).is_none();
    let unconditional = object["metadata"]["resourceVersion"].as_str().unwrap_or_default().is_empty();
    let creates = subresource.is_none() && CREATED_ON_UPDATE.contains(&target.kind.built_in());
    if missing && creates && unconditional {
        let author = call.author(&manager, None);
        let finish = |object: &mut Value| {
            apply::track(target.kind, None, object, &author);
            Ok(())
        };
        let bytes = create::insert(api, call, target, object, &mut warnings, finish).await?;
        return shape::object(call, target.kind, StatusCode::CREATED, bytes);
    }
    if unconditional && NEVER_UNCONDITIONAL.contains(&target.kind.built_in()) && !missing {
        return Err(unversioned(target));
    }
    let _addresses = admission::hold_addresses(api, target).await;
    let author = call.author(&manager, subresource);
    let revised = revise(api, target, call.query.dry_run()?, |current, _| {
        let mut new = object.clone();
        let found = replace(api, call, target, subresource, current, &mut new)?;
        warnings.extend(found);
        apply::track(target.kind, Some(current), &mut new, &author);
        Ok(Next::Put(new))
    })
    .await?;
    let mut response = shape::object(call, target.kind, StatusCode::OK, revised.bytes)?;
    warnings.dedup();
    answer::warn(&mut response, &warnings);
    Ok(response)
}

fn unversioned(target: &Target) -> Status {
    let cause = Cause {
        reason: "FieldValueInvalid",
        message: "Invalid value: 0: must be specified for an update".to_owned(),
        field: "metadata.resourceVersion".to_owned(),
    };
    Status::invalid(target.kind.group, target.kind.kind, &target.name, vec![cause])
}

/// Makes `new` ready to replace `current`: preconditions, admission, the kind's own rules.
pub(crate) fn replace(
    api: &Api,
    call: &Call,
    target: &Target,
    subresource: Option<&str>,
    current: &Value,
    new: &mut Value,
) -> Result<Vec<String>, Status> {
    check_preconditions(target, current, &new["metadata"])?;
    let namespace = target.kind.namespaced.then_some(target.namespace.as_str());
    let ctx = Context { namespace, now: call.now, uid: Uuid::nil() };
    if subresource.is_none() {
        admission::change(target, new, current);
    }
    let warnings = target.kind.admit_update(new, current, subresource, &ctx)?;
    if subresource.is_none() {
        admission::allocate(api, target, new, Some(current))?;
        admission::check(api, call, target, new, Some(current))?;
    }
    Ok(warnings)
}

/// A uid or resourceVersion that the client gives must be the current one.
pub(crate) fn check_preconditions(target: &Target, current: &Value, given: &Value) -> Result<(), Status> {
    let metadata = &current["metadata"];
    let (own, wanted) = (metadata["uid"].as_str(), given["uid"].as_str());
    if let Some(wanted) = wanted.filter(|uid| !uid.is_empty() && own != Some(uid)) {
        let own = own.unwrap_or_default();
        let why = format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {own}");
        return Err(Status::conflict(target.kind.group, target.kind.plural, &target.name, &why));
    }
    let wanted = given["resourceVersion"].as_str().unwrap_or_default();
    if !wanted.is_empty() && wanted != "0" && metadata["resourceVersion"].as_str() != Some(wanted) {
        return Err(target.modified());
    }
    Ok(())
}
