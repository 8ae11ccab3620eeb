//! scale: the number of replicas, in a form that is the same for every kind that has them.

use crate::{
    answer::Reply,
    api::Api,
    call::{Call, Target},
    media, shape,
    verb::{
        decode,
        revise::{Next, revise},
        update,
    },
};
use bytes::Bytes;
use http::StatusCode;
use object::{Status, apply, patch, scale};
use serde_json::Value;

/// Answers get, update and patch.
pub(super) async fn answer(api: &Api, call: &Call, target: &Target, body: &Bytes) -> Reply {
    if call.attributes.verb == "get" {
        let item = target.shelf.get(&target.namespace, &target.name).ok_or_else(|| target.not_found())?;
        return shape::value(call, StatusCode::OK, &scale::of(&item.value()));
    }
    let manager = call.manager()?;
    let author = call.author(&manager, Some("scale"));
    let revised = revise(api, target, call.query.dry_run()?, |current, _| {
        let wanted = wanted(call, target, current, body)?;
        update::check_preconditions(target, current, &wanted["metadata"])?;
        let mut new = current.clone();
        scale::set(target.kind, &mut new, &wanted)?;
        update::replace(api, call, target, None, current, &mut new)?;
        apply::track(target.kind, Some(current), &mut new, &author);
        Ok(Next::Put(new))
    })
    .await?;
    let object: Value = serde_json::from_slice(&revised.bytes).map_err(Status::internal)?;
    shape::value(call, StatusCode::OK, &scale::of(&object))
}

/// The Scale that the client wants to see.
fn wanted(call: &Call, target: &Target, current: &Value, body: &Bytes) -> Result<Value, Status> {
    if call.attributes.verb == "update" {
        let wanted = decode::plain(call, body)?;
        let kind = wanted["kind"].as_str().unwrap_or("Scale");
        if kind != "Scale" {
            return Err(Status::bad_request(format!("the body is a {kind}, not a Scale")));
        }
        return check(target, wanted);
    }
    let now = scale::of(current);
    let change = || {
        serde_json::from_slice(body)
            .map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))
    };
    let wanted = match media::content_type(&call.headers) {
        "application/json-patch+json" => patch::json(&now, body)?,
        // A Scale has no lists, so a strategic merge is a merge.
        "application/merge-patch+json" | "application/strategic-merge-patch+json" => {
            patch::merge(&now, &change()?)?
        }
        _ => {
            return Err(Status::unsupported_media_type(&[
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/strategic-merge-patch+json",
            ]));
        }
    };
    check(target, wanted)
}

fn check(target: &Target, wanted: Value) -> Result<Value, Status> {
    let replicas = &wanted["spec"]["replicas"];
    if !replicas.is_null() && replicas.as_i64().is_none_or(|count| count < 0) {
        let cause = object::status::Cause {
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {replicas}: must be greater than or equal to 0"),
            field: "spec.replicas".to_owned(),
        };
        return Err(Status::invalid("autoscaling", "Scale", &target.name, vec![cause]));
    }
    Ok(wanted)
}
