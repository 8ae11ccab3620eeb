//! What the API server forwards to this node: logs, exec, attach, port-forward, stats. Callers are authorized already; everything
//! else about the request is checked here.

mod attach;
mod channel;
mod exec;
mod log;
mod port_forward;
mod spdy;
mod stats;
mod upgrade;

pub(crate) use stats::Samples;

use std::sync::Arc;

use bytes::Bytes;
use client::Key;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use object::Status;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::node::Body;
use crate::pods::Pods;

/// A request taken apart.
struct Call {
    pods: Arc<Pods>,
    key: Key,
    container: String,
    query: Vec<(String, String)>,
    request: Request<Body>,
}

impl Call {
    fn all(&self, name: &str) -> Vec<String> {
        self.query.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
    }

    /// Whether one of the names (the API's or the kubelet's) is set.
    fn flag(&self, names: &[&str]) -> bool {
        let set = |value: &str| matches!(value, "1" | "true");
        self.query.iter().any(|(name, value)| names.contains(&name.as_str()) && set(value))
    }
}

/// Answers one request.
pub(crate) async fn handle(pods: &Arc<Pods>, request: Request<Body>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let parts: Vec<String> = path.trim_matches('/').split('/').map(decode).collect();
    let words: Vec<&str> = parts.iter().map(String::as_str).collect();
    let query = parse_query(request.uri().query().unwrap_or_default());
    let call = |namespace: &str, pod: &str, container: &str| Call {
        pods: pods.clone(),
        key: Key::new(namespace, pod),
        container: container.to_owned(),
        query,
        request,
    };
    let answer = match words.as_slice() {
        ["containerLogs", namespace, pod, container] => log::logs(&call(namespace, pod, container)),
        ["exec", namespace, pod, container] => exec::exec(call(namespace, pod, container)).await,
        ["attach", namespace, pod, container] => attach::attach(call(namespace, pod, container)).await,
        ["portForward", namespace, pod] => port_forward::forward(call(namespace, pod, "")),
        ["pods"] => Ok(json(StatusCode::OK, &list(pods))),
        ["stats", "summary"] => Ok(json(StatusCode::OK, &stats::summary(pods).await)),
        ["healthz"] => Ok(text("ok")),
        _ => Err(Status::failure(404, "NotFound", format!("the node serves nothing at {path}"))),
    };
    answer.unwrap_or_else(|status| {
        json(
            StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            &status.to_json(),
        )
    })
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn parse_query(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let split = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(&name.replace('+', " ")), decode(&value.replace('+', " ")))
    };
    pairs.map(split).collect()
}

/// Every pod here, as `GET /pods` of a kubelet.
fn list(pods: &Pods) -> Value {
    let items: Vec<_> = pods.all().iter().map(|view| json!(*view.pod)).collect();
    json!({ "kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items })
}

fn json(code: StatusCode, value: &Value) -> Response<Body> {
    answer(code, "application/json", value.to_string().into())
}

fn text(body: &'static str) -> Response<Body> {
    answer(StatusCode::OK, "text/plain", Bytes::from_static(body.as_bytes()))
}

fn answer(code: StatusCode, kind: &'static str, body: Bytes) -> Response<Body> {
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::parse_query;

    #[test]
    fn queries_are_decoded_in_order() {
        let query = parse_query("command=sh&command=-c&command=echo%20a+b&stdin&tty=true");
        let values: Vec<_> = query.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["sh", "-c", "echo a b", "", "true"]);
    }
}
