//! eviction: a deletion that asks first. There are no PodDisruptionBudgets here, so nobody objects.

use crate::{
    answer::{self, Reply},
    api::Api,
    call::{Call, Target},
    verb::{decode, delete},
};
use bytes::Bytes;
use http::StatusCode;
use object::schema::form;
use serde_json::json;

/// Answers a POST of an Eviction.
pub(super) async fn evict(api: &Api, call: &Call, target: &Target, body: &Bytes) -> Reply {
    let decoded = decode::form(call, form::EVICTION, body)?;
    let eviction = decoded.object;
    let options = eviction["deleteOptions"].to_string();
    let options = if eviction["deleteOptions"].is_object() { Bytes::from(options) } else { Bytes::new() };
    delete::delete(api, call, target, &options).await?;
    let done =
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    let mut response = answer::json(StatusCode::CREATED, &done);
    answer::warn(&mut response, &decoded.warnings);
    Ok(response)
}
