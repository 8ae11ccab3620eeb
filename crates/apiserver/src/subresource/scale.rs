//! scale: the number of replicas, in a form that is the same for every kind that has them.

use crate::{
    answer::{self, Reply},
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
use object::{Decoded, Status, apply, patch, scale, schema::form};
use serde_json::Value;

/// Answers get, update and patch.
pub(super) async fn answer(api: &Api, call: &Call, target: &Target, body: &Bytes) -> Reply {
    if call.attributes.verb == "get" {
        let item = target.shelf.get(&target.namespace, &target.name).ok_or_else(|| target.not_found())?;
        return shape::value(call, StatusCode::OK, &scale::of(target.kind, &item.value()));
    }
    let manager = call.manager()?;
    let author = call.author(&manager, Some("scale"));
    let mut warnings = Vec::new();
    let revised = revise(api, target, call.query.dry_run()?, |current, _| {
        let decoded = wanted(call, target, current, body)?;
        let wanted = decoded.object;
        warnings = decoded.warnings;
        update::check_preconditions(target, current, &wanted["metadata"])?;
        let mut new = current.clone();
        scale::set(target.kind, &mut new, &wanted)?;
        update::replace(api, call, target, None, current, &mut new)?;
        apply::track(target.kind, Some(current), &mut new, &author);
        Ok(Next::Put(new))
    })
    .await?;
    let object: Value = serde_json::from_slice(&revised.bytes).map_err(Status::internal)?;
    let mut response = shape::value(call, StatusCode::OK, &scale::of(target.kind, &object))?;
    answer::warn(&mut response, &warnings);
    Ok(response)
}

/// The Scale that the client wants to see.
fn wanted(call: &Call, target: &Target, current: &Value, body: &Bytes) -> Result<Decoded, Status> {
    if call.attributes.verb == "update" {
        return check(target, decode::form(call, form::SCALE, body)?);
    }
    let now = scale::of(target.kind, current);
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
    check(target, form::SCALE.conform(wanted, call.query.field_validation()?)?)
}

fn check(target: &Target, wanted: Decoded) -> Result<Decoded, Status> {
    let replicas = &wanted.object["spec"]["replicas"];
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
