//! patch: JSON patch, merge patch, strategic merge patch, and server-side apply. Computed against the current
//! version and tried again when that changed meanwhile.

use super::{
    create, decode,
    revise::{Next, revise},
    update,
};
use crate::{
    admission,
    answer::{self, Reply},
    api::Api,
    call::{Call, Target},
    media, shape,
};
use bytes::Bytes;
use http::StatusCode;
use object::{FieldValidation, Kind, Status, apply, patch};
use serde_json::Value;

const FORMS: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// A patch as it was sent.
#[derive(Debug)]
pub(crate) enum Patch {
    /// RFC 6902.
    Json(Bytes),
    /// RFC 7386.
    Merge(Value),
    /// Kubernetes' own merge.
    Strategic(Value),
}

impl Patch {
    /// `None` is an apply.
    pub(crate) fn read(call: &Call, kind: &Kind, body: &Bytes) -> Result<Option<Patch>, Status> {
        let value = || {
            let value: Result<Value, _> = serde_json::from_slice(body);
            let value =
                value.map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?;
            if value.is_object() { Ok(value) } else { Err(Status::bad_request("the patch is not an object")) }
        };
        match media::content_type(&call.headers) {
            // Only the kinds of the table say how their lists are merged.
            "application/strategic-merge-patch+json" if kind.is_custom() => {
                Err(Status::unsupported_media_type(&[FORMS[0], FORMS[1], FORMS[3]]))
            }
            "application/json-patch+json" => Ok(Some(Patch::Json(body.clone()))),
            "application/merge-patch+json" => Ok(Some(Patch::Merge(value()?))),
            "application/strategic-merge-patch+json" => Ok(Some(Patch::Strategic(value()?))),
            "application/apply-patch+yaml" => Ok(None),
            _ => Err(Status::unsupported_media_type(FORMS)),
        }
    }

    /// What the object becomes by it.
    pub(crate) fn run(&self, kind: &Kind, current: &Value) -> Result<Value, Status> {
        match self {
            Patch::Json(body) => patch::json(current, body),
            Patch::Merge(value) => patch::merge(current, value),
            Patch::Strategic(value) => patch::strategic(kind, current, value),
        }
    }
}

/// Answers a PATCH, to the object or to a subresource that has the object's own form.
pub(crate) async fn patch(
    api: &Api,
    call: &Call,
    target: &Target,
    subresource: Option<&str>,
    body: &Bytes,
) -> Reply {
    let Some(patch) = Patch::read(call, target.kind, body)? else {
        return apply(api, call, target, subresource, body).await;
    };
    if call.query.has("force") {
        return Err(Status::bad_request("force: Forbidden: may not be specified for non-apply patch"));
    }
    let validation = call.query.field_validation()?;
    let manager = call.manager()?;
    let author = call.author(&manager, subresource);
    let mut warnings = Vec::new();
    let _addresses = admission::hold_addresses(api, target).await;
    let revised = revise(api, target, call.query.dry_run()?, |current, _| {
        let mut new = patch.run(target.kind, current)?;
        warnings = settle(target, &mut new, validation)?;
        warnings.extend(update::replace(api, call, target, subresource, current, &mut new)?);
        apply::track(target.kind, Some(current), &mut new, &author);
        Ok(Next::Put(new))
    })
    .await?;
    let mut response = shape::object(call, target.kind, StatusCode::OK, revised.bytes)?;
    answer::warn(&mut response, &warnings);
    Ok(response)
}

fn settle(target: &Target, new: &mut Value, validation: FieldValidation) -> Result<Vec<String>, Status> {
    let warnings = decode::conform(target, new, validation)?;
    decode::settle_name(target, new)?;
    Ok(warnings)
}

async fn apply(api: &Api, call: &Call, target: &Target, subresource: Option<&str>, body: &Bytes) -> Reply {
    let manager = call.query.get("fieldManager").to_owned();
    if manager.is_empty() {
        return Err(Status::bad_request("fieldManager: Required value: is required for apply patch"));
    }
    call.manager()?;
    let validation = call.query.field_validation()?;
    let mut decoded = target.kind.decode_yaml(body, validation)?;
    for key in ["apiVersion", "kind"] {
        if !decoded.object[key].is_string() {
            return Err(Status::bad_request(format!("an applied object must have a {key}")));
        }
    }
    let mut warnings = std::mem::take(&mut decoded.warnings);
    // Unknown fields were dealt with above, so this only settles type, namespace and name.
    settle(target, &mut decoded.object, FieldValidation::Ignore)?;
    let config = decoded.object;
    if !config["metadata"]["managedFields"].is_null() {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let force = call.query.flag("force");
    let author = call.author(&manager, subresource);
    let (code, bytes) = if target.shelf.get(&target.namespace, &target.name).is_none() {
        if subresource.is_some() {
            return Err(target.not_found());
        }
        let made = apply::apply(target.kind, None, &config, &author, force)?;
        let fields = made["metadata"]["managedFields"].clone();
        let bytes = create::insert(api, call, target, made, &mut warnings, |object| {
            object["metadata"]["managedFields"] = fields.clone();
            Ok(())
        })
        .await?;
        (StatusCode::CREATED, bytes)
    } else {
        let _addresses = admission::hold_addresses(api, target).await;
        let revised = revise(api, target, call.query.dry_run()?, |current, _| {
            let mut new = apply::apply(target.kind, Some(current), &config, &author, force)?;
            let found = update::replace(api, call, target, subresource, current, &mut new)?;
            warnings.extend(found);
            Ok(Next::Put(new))
        })
        .await?;
        (StatusCode::OK, revised.bytes)
    };
    let mut response = shape::object(call, target.kind, code, bytes)?;
    warnings.dedup();
    answer::warn(&mut response, &warnings);
    Ok(response)
}
