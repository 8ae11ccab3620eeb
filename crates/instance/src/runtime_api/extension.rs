//! The Extensions API, version 2020-01-01, as extensions inside a sandbox call it: `register`, `event/next`, `init/error`
//! and `exit/error`; and the subscriptions of the Telemetry API (2022-07-01) and the Logs API (2020-08-15). Owns the wire
//! only.

use super::{accepted, json, refuse};
use crate::extensions::Refused;
use crate::instance::{Instance, Unsubscribed};
use crate::telemetry::Api;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use serde::Deserialize;
use std::sync::Arc;

const VERSION: &str = "/2020-01-01/extension/";

/// What one call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Register,
    Next,
    InitError,
    ExitError,
    Subscribe(Api),
}

/// The call of this method and path, if it is one of the Extensions API.
pub(super) fn read_call(method: &Method, path: &str) -> Option<Call> {
    match (method, path.trim_end_matches('/')) {
        (&Method::PUT, "/2022-07-01/telemetry") => return Some(Call::Subscribe(Api::Telemetry)),
        (&Method::PUT, "/2020-08-15/logs") => return Some(Call::Subscribe(Api::Logs)),
        _ => {}
    }
    let path = path.strip_prefix(VERSION)?.trim_end_matches('/');
    match (method, path) {
        (&Method::POST, "register") => Some(Call::Register),
        (&Method::GET, "event/next") => Some(Call::Next),
        (&Method::POST, "init/error") => Some(Call::InitError),
        (&Method::POST, "exit/error") => Some(Call::ExitError),
        _ => None,
    }
}

/// The body of `register`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Registration {
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    configuration_keys: Vec<String>,
}

/// Who calls, by the identifier that `register` gave.
pub(super) fn identifier(headers: &HeaderMap) -> &str {
    text(headers, "lambda-extension-identifier")
}

pub(super) async fn answer(
    instance: &Arc<Instance>,
    call: Call,
    headers: &HeaderMap,
    body: &Bytes,
) -> Response<Bytes> {
    let answered = match call {
        Call::Register => register(instance, headers, body),
        Call::Next => instance.extension_next(identifier(headers)).await.map(event),
        Call::InitError => failed(instance, headers, true),
        Call::ExitError => failed(instance, headers, false),
        Call::Subscribe(api) => subscribe(instance, api, headers, body),
    };
    answered.unwrap_or_else(forbidden)
}

fn register(instance: &Arc<Instance>, headers: &HeaderMap, body: &Bytes) -> Result<Response<Bytes>, Refused> {
    let unfit = |message: String| Refused { kind: "InvalidRequestFormat", message };
    let asked: Registration =
        serde_json::from_slice(body).map_err(|error| unfit(format!("The body cannot be read: {error}")))?;
    if !asked.configuration_keys.is_empty() {
        return Err(unfit("configurationKeys are not supported: use environment variables".to_owned()));
    }
    let features = text(headers, "lambda-extension-accept-feature");
    let account = features.split(',').any(|feature| feature.trim() == "accountId");
    let name = text(headers, "lambda-extension-name");
    let (id, document) = instance.extensions.register(name, &asked.events, account)?;
    let mut response = json(StatusCode::OK, document.to_string());
    // An identifier is hexadecimal.
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("lambda-extension-identifier", id);
    }
    Ok(response)
}

fn event(text: String) -> Response<Bytes> {
    let mut response = json(StatusCode::OK, text);
    if let Ok(id) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()) {
        response.headers_mut().insert("lambda-extension-event-identifier", id);
    }
    response
}

fn failed(instance: &Arc<Instance>, headers: &HeaderMap, init: bool) -> Result<Response<Bytes>, Refused> {
    const ERROR_TYPE: &str = "Lambda-Extension-Function-Error-Type";
    let error_type = text(headers, "lambda-extension-function-error-type");
    if error_type.is_empty() {
        return Err(Refused { kind: "Extension.MissingHeader", message: format!("{ERROR_TYPE} not found") });
    }
    instance.extension_failed(identifier(headers), error_type, init)?;
    Ok(accepted(Ok(())))
}

fn subscribe(
    instance: &Arc<Instance>,
    api: Api,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Response<Bytes>, Refused> {
    match instance.subscribe(api, identifier(headers), body) {
        Ok(()) => {
            let mut response = Response::new(Bytes::from_static(br#""OK""#));
            response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
            Ok(response)
        }
        Err(Unsubscribed::Forbidden(refused)) => Err(refused),
        Err(Unsubscribed::Invalid(status, reason)) => Ok(refuse(status, "ValidationError", &reason)),
    }
}

pub(super) fn forbidden(refused: Refused) -> Response<Bytes> {
    refuse(StatusCode::FORBIDDEN, refused.kind, &refused.message)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
