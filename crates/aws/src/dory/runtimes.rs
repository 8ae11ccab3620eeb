//! `/_dory/runtimes`: the images that runtimes are given.

use crate::Door;
use functions::AddRuntimeError;
use serde_json::{Map, Value, json};
use wire::{Call, Fault, Reply, reply};

pub(super) fn list(door: &Door) -> Reply {
    let images: Map<String, Value> = door
        .config
        .functions
        .runtime_images()
        .into_iter()
        .map(|(runtime, image)| (runtime, json!({ "image": image.image, "digest": image.digest })))
        .collect();
    reply::json(200, &json!({ "runtimes": images }))
}

/// `{"image": NAME}`
pub(super) async fn put(door: &Door, call: &Call, runtime: &str) -> Result<Reply, Fault> {
    let body: Value = serde_json::from_slice(&call.body)
        .map_err(|error| Fault::serialization(format!("Could not parse the request as JSON: {error}")))?;
    let image = body["image"].as_str().ok_or_else(|| Fault::invalid_parameter("image must be a name"))?;
    let given = door.config.functions.add_runtime(runtime, image).await.map_err(|error| match error {
        AddRuntimeError::Io(_) => Fault::service(error.to_string()),
        other => Fault::invalid_parameter(other.to_string()),
    })?;
    Ok(reply::json(200, &json!({ "runtime": runtime, "image": given.image, "digest": given.digest })))
}

pub(super) async fn delete(door: &Door, runtime: &str) -> Result<Reply, Fault> {
    let removed = door.config.functions.remove_runtime(runtime).await;
    match removed.map_err(|error| Fault::service(error.to_string()))? {
        true => Ok(reply::json(200, &json!({ "runtime": runtime }))),
        false => Err(Fault::not_found(format!("Runtime {runtime} has no image."))),
    }
}
