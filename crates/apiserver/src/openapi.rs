//! The OpenAPI documents: an index of the version 3 documents with their hashes, so that clients keep what they
//! have, and the version 2 document in JSON and in the protobuf form that older clients ask for.

use crate::{
    answer::{self, Reply},
    api::Api,
    call::Call,
    discovery,
};
use http::{HeaderValue, StatusCode, header};
use kinds::openapi::{self, Customs};
use object::{Kind, Status};
use serde_json::{Map, Value, json};
use std::{
    collections::HashMap,
    sync::{Mutex, OnceLock, PoisonError},
};

/// Clients ask for it with an `@`, which is not allowed in an answer.
const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// Answers a path below `/openapi`.
pub(crate) fn answer(api: &Api, call: &Call, path: &str) -> Reply {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["openapi", "v2"] => Ok(version_2(api, call)),
        ["openapi", "v3"] => Ok(answer::json_bytes(StatusCode::OK, index(api))),
        ["openapi", "v3", "api", version] => document(api, call, "", version),
        ["openapi", "v3", "apis", group, version] => document(api, call, group, version),
        _ => Err(Status::no_such_resource()),
    }
}

/// What was made at run time, as the documents need it.
struct Made {
    forms: Vec<&'static Kind>,
    definitions: Vec<Value>,
}

impl Made {
    /// For all groups, or for one.
    fn of(api: &Api, group: Option<&str>) -> Made {
        let customs = api.cache.customs();
        let wanted = |kind: &Kind| group.is_none_or(|group| kind.group == group);
        let forms = customs.forms().filter(|kind| wanted(kind)).collect();
        let shelf = api.cache.resource("apiextensions.k8s.io", "customresourcedefinitions");
        let names = customs.all().filter(|served| wanted(served.resource.storage));
        let names = names.map(|served| served.resource.storage);
        let names = names.map(|kind| object::status::qualified(kind.group, kind.plural));
        let definitions = names.filter_map(|name| Some(shelf.get("", &name)?.value())).collect();
        Made { forms, definitions }
    }

    fn customs(&self) -> Customs<'_> {
        Customs { forms: &self.forms, definitions: &self.definitions }
    }
}

fn version_2(api: &Api, call: &Call) -> http::Response<answer::Body> {
    let made = Made::of(api, None);
    let accept = call.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("proto-openapi.spec.v2@v1.0+protobuf") {
        return answer::typed(StatusCode::OK, PROTOBUF, answer::full(openapi::v2_protobuf(made.customs())));
    }
    answer::json_bytes(StatusCode::OK, openapi::v2(made.customs()))
}

fn hash(document: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, document);
    digest.as_ref()[..16].iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The documents change with what is made at run time alone, so the index is kept beside that.
fn index(api: &Api) -> String {
    let customs = api.cache.customs();
    let index = customs.openapi_index.get_or_init(|| {
        let mut paths = Map::new();
        for (group, version) in discovery::group_versions(api) {
            let path =
                if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
            let custom = customs.forms().any(|kind| kind.group == group && kind.version == version);
            let Some(hash) = (if custom { hash_of(api, group, version) } else { own_hash(group, version) })
            else {
                continue;
            };
            let url = format!("/openapi/v3/{path}?hash={hash}");
            paths.insert(path, json!({"serverRelativeURL": url}));
        }
        json!({"paths": Value::Object(paths)}).to_string()
    });
    index.clone()
}

fn hash_of(api: &Api, group: &str, version: &str) -> Option<String> {
    let made = Made::of(api, Some(group));
    openapi::v3(group, version, made.customs()).map(|document| hash(&document))
}

/// The hash of a document that never changes while the server runs.
fn own_hash(group: &'static str, version: &'static str) -> Option<String> {
    type Hashes = HashMap<(&'static str, &'static str), Option<String>>;
    static HASHES: OnceLock<Mutex<Hashes>> = OnceLock::new();
    let mut hashes = HASHES.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let make = || openapi::v3(group, version, Customs::default()).map(|document| hash(&document));
    hashes.entry((group, version)).or_insert_with(make).clone()
}

fn document(api: &Api, call: &Call, group: &str, version: &str) -> Reply {
    let made = Made::of(api, Some(group));
    let document = openapi::v3(group, version, made.customs());
    let document = document.ok_or_else(Status::no_such_resource)?;
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
