//! Requests for a kind in another version than the one in which it is stored: each is turned into a request for the kind
//! itself, and the answer is turned back. Nothing else knows that there are such versions.

use crate::{
    answer::{self, Body, Reply},
    api::Api,
    attributes::Attributes,
    call::{Call, Target},
    dispatch::{place, serve},
    media::{Media, Shape},
    shape,
    verb::{decode, patch::Patch},
};
use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use http::{HeaderValue, Response, header, request::Parts};
use http_body_util::BodyExt;
use object::{Edition, Status};
use serde_json::Value;

/// Collisions with other writers after which a patch gives up.
const COLLISIONS_MAX: usize = 100;

/// Answers a request for an edition.
pub(crate) async fn answer(
    api: &Api,
    call: &Call,
    edition: &'static Edition,
    parts: Parts,
    body: Body,
) -> Reply {
    check(call, edition)?;
    let shelf = api.cache.shelf(edition.kind).ok_or_else(Status::no_such_resource)?;
    let target = place(edition.kind, shelf, &stored(call, edition, call.attributes.verb))?;
    let door = Door { api, call, edition, target };
    let response = match call.attributes.verb {
        // Its body is the same in every version.
        verb if call.attributes.subresource == "scale" => door.send(verb, parts, body).await?,
        "create" | "update" => door.write(parts, &answer::read(body).await?).await?,
        "patch" => door.patch(parts, &answer::read(body).await?).await?,
        // Each version has columns of its own.
        _ if call.media.shape == Shape::Table && edition.form.is_custom() => {
            serve(api, call, &door.form(), parts, body).await?
        }
        verb => door.send(verb, parts, body).await?,
    };
    if call.media.shape == Shape::Object { door.show(response).await } else { Ok(response) }
}

fn check(call: &Call, edition: &Edition) -> Result<(), Status> {
    let Attributes { verb, subresource, .. } = &call.attributes;
    let form = &edition.form;
    let verbs = match subresource.as_str() {
        "" => form.verbs,
        name => form.subresource(name).ok_or_else(Status::no_such_resource)?.verbs,
    };
    if verbs.contains(verb) { Ok(()) } else { Err(Status::method_not_allowed(form.group, form.plural, verb)) }
}

/// What the request asks of the kind itself.
fn stored(call: &Call, edition: &Edition, verb: &'static str) -> Attributes {
    Attributes { verb, version: edition.kind.version.to_owned(), ..call.attributes.clone() }
}

/// One request on its way to the stored kind and back.
struct Door<'a> {
    api: &'a Api,
    call: &'a Call,
    edition: &'static Edition,
    target: Target,
}

impl Door<'_> {
    /// The same request for the stored kind.
    fn send(&self, verb: &'static str, parts: Parts, body: Body) -> BoxFuture<'_, Reply> {
        let mut call = Call { attributes: stored(self.call, self.edition, verb), ..self.call.clone() };
        if call.media.shape == Shape::Object {
            call.media = Media::JSON;
        }
        if matches!(verb, "create" | "update") && call.attributes.subresource != "scale" {
            call.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        async move { serve(self.api, &call, &self.target, parts, body).await }.boxed()
    }

    /// The target as this version has it.
    fn form(&self) -> Target {
        Target { kind: &self.edition.form, ..self.target.clone() }
    }

    fn current(&self) -> Option<Value> {
        self.target.shelf.get(&self.target.namespace, &self.target.name).map(|item| item.value())
    }

    async fn write(&self, parts: Parts, body: &Bytes) -> Reply {
        let (mut object, warnings) = decode::body(self.call, &self.form(), body)?;
        let current = self.current();
        self.edition.form.judge(&mut object, current.as_ref())?;
        self.edition.read(&mut object, current.as_ref());
        let body = answer::full(object.to_string());
        let mut response = self.send(self.call.attributes.verb, parts, body).await?;
        answer::warn(&mut response, &warnings);
        Ok(response)
    }

    async fn patch(&self, parts: Parts, body: &Bytes) -> Reply {
        let Some(patch) = Patch::read(self.call, &self.edition.form, body)? else {
            return self.apply(parts, body).await;
        };
        let validation = self.call.query.field_validation()?;
        let mut lost = self.target.modified();
        for _ in 0..COLLISIONS_MAX {
            let current = self.current().ok_or_else(|| self.target.not_found())?;
            let mut shown = current.clone();
            self.edition.show(&mut shown);
            let mut new = patch.run(&self.edition.form, &shown)?;
            let warnings = decode::conform(&self.form(), &mut new, validation)?;
            decode::settle_name(&self.target, &mut new)?;
            self.edition.form.judge(&mut new, Some(&shown))?;
            let version = new["metadata"]["resourceVersion"].clone();
            self.edition.read(&mut new, Some(&current));
            match self.send("update", parts.clone(), answer::full(new.to_string())).await {
                // Somebody was faster; a patch that names a version itself is refused for good.
                Err(status)
                    if status.reason == "Conflict" && version == current["metadata"]["resourceVersion"] =>
                {
                    lost = status;
                }
                Err(status) => return Err(status),
                Ok(mut response) => {
                    answer::warn(&mut response, &warnings);
                    return Ok(response);
                }
            }
        }
        Err(lost)
    }

    /// A server-side apply owns the fields of the stored kind.
    async fn apply(&self, parts: Parts, body: &Bytes) -> Reply {
        let mut decoded = self.edition.form.decode_yaml(body, self.call.query.field_validation()?)?;
        self.edition.read(&mut decoded.object, self.current().as_ref());
        let body = answer::full(decoded.object.to_string());
        let mut response = self.send("patch", parts, body).await?;
        answer::warn(&mut response, &decoded.warnings);
        Ok(response)
    }

    /// The answer in this version.
    async fn show(&self, response: Response<Body>) -> Reply {
        let (head, body) = response.into_parts();
        let edition = self.edition;
        if self.call.attributes.verb == "watch" {
            let body = body.map_frame(move |frame| frame.map_data(|lines| show_lines(edition, &lines)));
            return Ok(Response::from_parts(head, body.boxed_unsync()));
        }
        let bytes = body.collect().await.map_err(Status::internal)?.to_bytes();
        let mut value: Value = serde_json::from_slice(&bytes).map_err(Status::internal)?;
        show_value(edition, &mut value);
        let mut response = shape::send(self.call.media, head.status, value.to_string().into())?;
        for warning in head.headers.get_all(header::WARNING) {
            response.headers_mut().append(header::WARNING, warning.clone());
        }
        Ok(response)
    }
}

/// A piece of a watch: whole lines, of which each is an event.
fn show_lines(edition: &Edition, lines: &Bytes) -> Bytes {
    let mut out = Vec::with_capacity(lines.len());
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        match serde_json::from_slice::<Value>(line) {
            Ok(mut event) => {
                show_value(edition, &mut event["object"]);
                out.extend_from_slice(event.to_string().as_bytes());
                out.push(b'\n');
            }
            Err(_) => out.extend_from_slice(line),
        }
    }
    out.into()
}

/// An object or a list of the kind; what is something else, such as a Status, is left as it is.
fn show_value(edition: &Edition, value: &mut Value) {
    if value["apiVersion"] != edition.kind.api_version {
        return;
    }
    if value["kind"] == edition.kind.kind {
        edition.show(value);
    } else if value["kind"] == edition.kind.list_kind {
        value["apiVersion"] = edition.form.api_version.into();
        value["items"].as_array_mut().into_iter().flatten().for_each(|item| edition.show(item));
    }
}
