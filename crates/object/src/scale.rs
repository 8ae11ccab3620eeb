//! The `scale` subresource (`autoscaling/v1 Scale`) of kinds that have replicas.

use crate::custom::ScalePaths;
use crate::{Kind, Status};
use serde_json::{Value, json};

/// Where a kind of the table keeps its replicas.
const REPLICAS: &str = "replicas";

/// The number that a path leads to.
fn number(object: &Value, path: &[String]) -> Option<i64> {
    path.iter().fold(object, |value, step| &value[step.as_str()]).as_i64()
}

/// What a custom kind's definition says of its Scale.
fn custom_parts(object: &Value, paths: &ScalePaths) -> (i64, i64, Option<String>) {
    let selector = paths.selector.as_ref().map(|path| {
        let text = path.iter().fold(object, |value, step| &value[step.as_str()]);
        text.as_str().unwrap_or_default().to_owned()
    });
    (
        number(object, &paths.replicas).unwrap_or(0),
        number(object, &paths.status_replicas).unwrap_or(0),
        selector.filter(|text| !text.is_empty()),
    )
}

/// The Scale view of an object that has replicas.
pub fn of(kind: &Kind, object: &Value) -> Value {
    let meta = &object["metadata"];
    let mut metadata = serde_json::Map::new();
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = meta.get(key) {
            metadata.insert(key.into(), value.clone());
        }
    }
    let paths = kind.custom().and_then(|custom| custom.scale.clone());
    let (wanted, running, selector) = match &paths {
        Some(paths) => custom_parts(object, paths),
        None => {
            let count = |part: &str| object[part][REPLICAS].as_i64().unwrap_or(0);
            let selector = crate::selector::LabelSelector::from_json(&object["spec"]["selector"]);
            (count("spec"), count("status"), selector.ok().map(|selector| selector.to_string()))
        }
    };
    let mut spec = serde_json::Map::new();
    if wanted != 0 {
        spec.insert(REPLICAS.into(), wanted.into());
    }
    let mut status = serde_json::Map::new();
    status.insert(REPLICAS.into(), running.into());
    if let Some(selector) = selector {
        status.insert("selector".into(), selector.into());
    }
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status})
}

/// Writes the replicas that a Scale asks for into the object; the caller then runs `admit_update` as for a main update.
pub fn set(kind: &Kind, object: &mut Value, scale: &Value) -> Result<(), Status> {
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    if let Some(paths) = kind.custom().and_then(|custom| custom.scale.clone()) {
        return set_at(object, &paths.replicas, replicas);
    }
    if let Some(spec) = crate::json::child(object, "spec") {
        spec["replicas"] = replicas.into();
    }
    Ok(())
}

fn set_at(object: &mut Value, path: &[String], replicas: i64) -> Result<(), Status> {
    let misfit =
        || Status::bad_request(format!("the object has no place for replicas at .{}", path.join(".")));
    let (last, parents) = path.split_last().ok_or_else(misfit)?;
    let mut place = object;
    for step in parents {
        place = crate::json::child(place, step).ok_or_else(misfit)?;
    }
    crate::json::put(place, last, Some(replicas.into()));
    Ok(())
}
