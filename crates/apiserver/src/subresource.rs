//! What is below an object: its status in its own form, and the small doors that take another form in.

mod bind;
mod evict;
mod forward;
mod scale;
mod token;

use crate::{
    answer::{self, Body, Reply},
    api::Api,
    call::{Call, Target},
    verb::{list, patch, update},
};
use http::request::Parts;
use object::Status;

/// Answers a request for a subresource.
pub(crate) async fn answer(api: &Api, call: &Call, target: &Target, parts: Parts, body: Body) -> Reply {
    let kind = target.kind;
    let name = call.attributes.subresource.as_str();
    if let ("Pod", "proxy" | "ephemeralcontainers" | "resize") | ("Service" | "Node", "proxy") =
        (kind.built_in(), name)
    {
        return Err(refused(target, name));
    }
    let known = kind.subresource(name).ok_or_else(Status::no_such_resource)?;
    if !known.verbs.contains(&call.attributes.verb) {
        return Err(Status::method_not_allowed(
            kind.group,
            &format!("{}/{name}", kind.plural),
            call.attributes.verb,
        ));
    }
    if let ("Pod", "log" | "exec" | "attach" | "portforward") = (kind.built_in(), name) {
        return forward::forward(api, call, target, parts, body).await;
    }
    let body = answer::read(body).await?;
    match (kind.built_in(), name, call.attributes.verb) {
        (_, "scale", _) => scale::answer(api, call, target, &body).await,
        ("Pod", "binding", _) => bind::bind(api, call, target, &body).await,
        ("Pod", "eviction", _) => evict::evict(api, call, target, &body).await,
        ("ServiceAccount", "token", _) => token::make(api, call, target, &body),
        (_, _, "get") => list::get(api, call, target).await,
        (_, _, "update") => update::update(api, call, target, Some(known.name), &body).await,
        (_, _, "patch") => patch::patch(api, call, target, Some(known.name), &body).await,
        _ => Err(Status::no_such_resource()),
    }
}

fn refused(target: &Target, name: &str) -> Status {
    let why = match name {
        "proxy" => "the proxy subresource is not supported by this server: use a Service or an Ingress",
        "ephemeralcontainers" => "ephemeral containers are not supported by this server: use kubectl exec",
        _ => "resizing a running pod is not supported by this server: delete it and create it anew",
    };
    let mut status = Status::method_not_allowed(target.kind.group, target.kind.plural, name);
    status.message = why.to_owned();
    status
}
