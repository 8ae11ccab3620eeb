//! Function URLs: a request becomes an event, the function's answer becomes a response (AWS Lambda developer guide,
//! "Invoking Lambda function URLs"). Requests are buffered, and answers too unless `InvokeMode: RESPONSE_STREAM` says
//! otherwise.

pub(crate) mod access;
mod cors;
mod event;
mod response;
mod stream;

use std::sync::Arc;

use ::functions::{Invocation, InvocationKind, InvokeError};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;

use crate::Invoke;
use crate::answer::{self, Body};
use crate::limits::FUNCTION_BODY_MAX;
use crate::peer::Peer;
use crate::table::Function;

use event::Event;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");

/// What serving function URLs takes.
pub(crate) struct Door {
    pub(crate) functions: Arc<dyn Invoke>,
    pub(crate) region: String,
    pub(crate) account_id: String,
    pub(crate) keys: Arc<sigv4::Keys>,
    pub(crate) roles: client::Objects,
}

impl Door {
    /// Answers one request to a function.
    pub(crate) async fn serve(
        &self,
        function: &Function,
        path: &str,
        peer: Peer,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let Some(cors) = &function.cors else { return self.answer(function, path, peer, &parts, body).await };
        if cors::is_preflight(&parts.method, &parts.headers) {
            return cors::preflight(cors, &parts.headers);
        }
        let mut response = self.answer(function, path, peer, &parts, body).await;
        cors::mark(cors, &parts.headers, response.headers_mut());
        response
    }

    async fn answer(
        &self,
        function: &Function,
        path: &str,
        peer: Peer,
        parts: &Parts,
        body: Incoming,
    ) -> Response<Body> {
        let Some(route) = function.route(parts.method.as_str(), path) else {
            return answer::json(StatusCode::NOT_FOUND, "message", "Not Found");
        };
        let body = match Limited::new(body, FUNCTION_BODY_MAX).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return answer::json(StatusCode::PAYLOAD_TOO_LARGE, "Message", "Request body is over 6 MB");
            }
            Err(_) => return answer::json(StatusCode::BAD_REQUEST, "Message", "The request body broke off"),
        };
        let caller = match self.admit(function, parts, &body).await {
            Ok(caller) => caller,
            Err(refusal) => return *refusal,
        };
        let id = uuid::Uuid::new_v4().to_string();
        let event = Event {
            function,
            route: &route,
            path,
            peer,
            caller: caller.as_ref(),
            region: &self.region,
            account_id: &self.account_id,
            request_id: &id,
            now: Timestamp::now(),
        };
        let payload = Bytes::from(event.build(parts, &body).to_string());
        let trace_id = parts.headers.get(TRACE_ID).and_then(|value| value.to_str().ok()).map(str::to_owned);
        self.invoke(function, payload, trace_id).await
    }

    async fn invoke(&self, function: &Function, payload: Bytes, trace_id: Option<String>) -> Response<Body> {
        let invocation = Invocation {
            request_id: functions::new_request_id(),
            namespace: function.namespace.clone(),
            name: function.name.clone(),
            qualifier: function.qualifier.clone(),
            kind: InvocationKind::RequestResponse,
            payload,
            client_context: None,
            trace_id,
            log_tail: false,
        };
        if function.streams {
            return match self.functions.clone().invoke_streaming(invocation).await {
                Ok(outcome) => stream::respond(&function.name, outcome).await,
                Err(error) => refused(&error),
            };
        }
        let outcome = match self.functions.clone().invoke(invocation).await {
            Ok(outcome) => outcome,
            Err(error) => return refused(&error),
        };
        // What the function did wrong stands in its log; the caller learns only that it did, as on AWS.
        let mut response = match outcome.error {
            None => response::read(&outcome.payload, outcome.content_type.as_deref())
                .unwrap_or_else(|problem| unfit(&function.name, &problem)),
            Some(_) => bad_gateway(),
        };
        name_request(&mut response, &outcome.request_id);
        response
    }
}

fn name_request(response: &mut Response<Body>, request_id: &str) {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
}

fn unfit(function: &str, problem: &str) -> Response<Body> {
    tracing::info!(function, problem, "a function's answer is no HTTP response");
    bad_gateway()
}

fn bad_gateway() -> Response<Body> {
    let mut response = Response::new(answer::full("Internal Server Error"));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn refused(error: &InvokeError) -> Response<Body> {
    let status = match error {
        InvokeError::NotFound(_) => StatusCode::NOT_FOUND,
        InvokeError::TooManyRequests(_) => StatusCode::TOO_MANY_REQUESTS,
        InvokeError::PayloadTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        InvokeError::Recursive => StatusCode::LOOP_DETECTED,
        _ => StatusCode::BAD_GATEWAY,
    };
    let mut response = answer::json(status, "Message", &error.to_string());
    if let InvokeError::TooManyRequests(throttle) = error {
        response.headers_mut().insert(http::header::RETRY_AFTER, throttle.retry_after_s.into());
    }
    response
}
