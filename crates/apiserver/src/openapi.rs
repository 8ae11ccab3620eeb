//! The OpenAPI documents: an index of the version 3 documents with their hashes, so that clients keep what they
//! have, and the version 2 document in JSON and in the protobuf form that older clients ask for.

use crate::{
    answer::{self, Reply},
    call::Call,
    discovery,
};
use http::{HeaderValue, StatusCode, header};
use object::{Status, schema};
use serde_json::{Map, Value, json};
use std::sync::OnceLock;

/// Clients ask for it with an `@`, which is not allowed in an answer.
const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// Answers a path below `/openapi`.
pub(crate) fn answer(call: &Call, path: &str) -> Reply {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["openapi", "v2"] => Ok(version_2(call)),
        ["openapi", "v3"] => Ok(answer::json_bytes(StatusCode::OK, index())),
        ["openapi", "v3", "api", version] => document(call, "", version),
        ["openapi", "v3", "apis", group, version] => document(call, group, version),
        _ => Err(Status::no_such_resource()),
    }
}

fn version_2(call: &Call) -> http::Response<answer::Body> {
    let accept = call.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("proto-openapi.spec.v2@v1.0+protobuf") {
        return answer::typed(StatusCode::OK, PROTOBUF, answer::full(schema::openapi_v2_protobuf()));
    }
    answer::json_bytes(StatusCode::OK, schema::openapi_v2())
}

fn hash(document: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, document);
    digest.as_ref()[..16].iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The documents never change while the server runs, so they are hashed once.
fn index() -> &'static str {
    static INDEX: OnceLock<String> = OnceLock::new();
    INDEX.get_or_init(|| {
        let mut paths = Map::new();
        for (group, version) in discovery::group_versions() {
            let path =
                if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
            let Some(document) = schema::openapi_v3(group, version) else { continue };
            let url = format!("/openapi/v3/{path}?hash={}", hash(&document));
            paths.insert(path, json!({"serverRelativeURL": url}));
        }
        json!({"paths": Value::Object(paths)}).to_string()
    })
}

fn document(call: &Call, group: &str, version: &str) -> Reply {
    let document = schema::openapi_v3(group, version).ok_or_else(Status::no_such_resource)?;
    let hash = hash(&document);
    let tag = HeaderValue::from_str(&format!("\"{hash}\"")).map_err(Status::internal)?;
    let known = call.headers.get(header::IF_NONE_MATCH).is_some_and(|value| value == tag);
    let mut response = if known {
        let mut response = answer::text(StatusCode::NOT_MODIFIED, "");
        response.headers_mut().remove(header::CONTENT_TYPE);
        response
    } else {
        answer::json_bytes(StatusCode::OK, document)
    };
    response.headers_mut().insert(header::ETAG, tag);
    if call.query.get("hash") == hash {
        let forever = HeaderValue::from_static("public, immutable");
        response.headers_mut().insert(header::CACHE_CONTROL, forever);
    }
    Ok(response)
}
