//! From an authorized request to the code that answers it: paths, reviews, objects, and what is below objects.

use crate::{
    answer::{self, Body, Reply},
    api::Api,
    attributes::Attributes,
    cache::{Found, Shelf},
    call::{Call, Target},
    discovery, edition, health, metrics, openapi, review, subresource, usage,
    verb::{create, delete, list, patch, update, watch},
};
use http::{StatusCode, request::Parts};
use object::{Kind, Status};
use std::sync::Arc;

/// Whether the request is a stream to a container or proxied: no time limit, no negotiation.
pub(crate) fn is_stream(attributes: &Attributes) -> bool {
    attributes.resource == "pods"
        && matches!(attributes.subresource.as_str(), "log" | "exec" | "attach" | "portforward" | "proxy")
}

/// Answers an authorized request.
pub(crate) async fn dispatch(api: &Api, call: &Call, parts: Parts, body: Body) -> Reply {
    if !call.attributes.is_resource() {
        return path(api, call);
    }
    if let Some(review) = review::find(&call.attributes) {
        let body = answer::read(body).await?;
        return review::answer(api, call, review, &body);
    }
    if call.attributes.group == usage::GROUP {
        return usage::answer(api, call).await;
    }
    let Attributes { group, version, resource, .. } = &call.attributes;
    if let Some(edition) = kinds::edition(group, version, resource) {
        return edition::answer(api, call, edition, parts, body).await;
    }
    if kinds::kind(group, version, resource).is_none()
        && let Some(Found::Edition(edition)) = api.cache.customs().find(group, version, resource)
    {
        return warned(&edition.form, edition::answer(api, call, edition, parts, body).await);
    }
    let target = target(api, &call.attributes)?;
    warned(target.kind, serve(api, call, &target, parts, body).await)
}

/// Tells that the version is deprecated, where it is.
fn warned(kind: &Kind, reply: Reply) -> Reply {
    let mut reply = reply?;
    if let Some(warning) = kind.warning() {
        answer::warn(&mut reply, &[warning]);
    }
    Ok(reply)
}

/// Answers a request for objects in the version in which they are stored.
pub(crate) async fn serve(api: &Api, call: &Call, target: &Target, parts: Parts, body: Body) -> Reply {
    if !call.attributes.subresource.is_empty() {
        return subresource::answer(api, call, target, parts, body).await;
    }
    let unsupported =
        || Status::method_not_allowed(target.kind.group, target.kind.plural, call.attributes.verb);
    let verb = call.attributes.verb;
    // A PUT or PATCH is for one object, a POST for none.
    let misplaced = match verb {
        "update" | "patch" => target.name.is_empty(),
        "create" => !target.name.is_empty(),
        _ => false,
    };
    if misplaced || !target.kind.verbs.contains(&verb) {
        return Err(unsupported());
    }
    match verb {
        "get" => list::get(api, call, target).await,
        "list" => list::list(api, call, target).await,
        "watch" => watch::watch(api, call, target).await,
        verb => {
            check_scope(target)?;
            let body = answer::read(body).await?;
            match verb {
                "create" => create::create(api, call, target, &body).await,
                "update" => update::update(api, call, target, None, &body).await,
                "patch" => patch::patch(api, call, target, None, &body).await,
                "delete" => delete::delete(api, call, target, &body).await,
                "deletecollection" => delete::collection(api, call, target, &body).await,
                _ => Err(unsupported()),
            }
        }
    }
}

/// An object with a namespace is written in its namespace.
fn check_scope(target: &Target) -> Result<(), Status> {
    if target.kind.namespaced && target.namespace.is_empty() {
        return Err(Status::method_not_allowed(
            target.kind.group,
            target.kind.plural,
            "a write without namespace",
        ));
    }
    Ok(())
}

/// The resource that a request is for.
pub(crate) fn target(api: &Api, attributes: &Attributes) -> Result<Target, Status> {
    let Attributes { group, version, resource, .. } = attributes;
    let (kind, shelf) = match kinds::kind(group, version, resource) {
        Some(kind) => (kind, api.cache.shelf(kind).ok_or_else(Status::no_such_resource)?),
        None => match api.cache.customs().find(group, version, resource) {
            Some(Found::Kind(kind, shelf)) => (kind, shelf),
            _ => return Err(Status::no_such_resource()),
        },
    };
    place(kind, shelf, attributes)
}

/// The object or objects of a kind that a request is for.
pub(crate) fn place(
    kind: &'static Kind,
    shelf: Arc<Shelf>,
    attributes: &Attributes,
) -> Result<Target, Status> {
    let Attributes { namespace, name, .. } = attributes;
    // An escaped slash would reach into another namespace's keys.
    if [namespace, name].iter().any(|part| part.contains('/')) {
        return Err(Status::no_such_resource());
    }
    // For authorization a namespace is in itself; as an object it is in none.
    let namespace = if kind.namespaced { namespace.clone() } else { String::new() };
    if !kind.namespaced && !attributes.namespace.is_empty() && kind.built_in() != "Namespace" {
        return Err(Status::no_such_resource());
    }
    Ok(Target { kind, shelf, namespace, name: name.clone() })
}

fn path(api: &Api, call: &Call) -> Reply {
    let path = call.attributes.path.as_str();
    if !matches!(call.attributes.verb, "get" | "head") {
        return Err(Status::method_not_allowed("", path, call.attributes.verb));
    }
    if let Some(reply) = health::answer(api, call, path) {
        return reply;
    }
    if let Some(reply) = discovery::answer(api, call, path) {
        return reply;
    }
    match path.trim_matches('/') {
        "metrics" => Ok(metrics::answer(api)),
        "" => {
            let paths = [
                "/api",
                "/apis",
                "/healthz",
                "/livez",
                "/metrics",
                "/openapi/v2",
                "/openapi/v3",
                "/readyz",
                "/version",
            ];
            crate::shape::value(call, StatusCode::OK, &serde_json::json!({"paths": paths}))
        }
        below if below.starts_with("openapi/") => openapi::answer(api, call, path),
        _ => Err(Status::no_such_resource()),
    }
}
