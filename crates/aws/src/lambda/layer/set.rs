//! The layers of a function: their ARNs are looked up when the function gets them, and the object then names their
//! archives, so that a version which is deleted later goes on working where it is used.

use super::{LayerName, find};
use crate::door::Door;
use crate::fault::Fault;
use functions::UNZIPPED_BYTES_MAX;
use serde_json::{Map, Value, json};

/// Layers of one function, as on AWS.
const LAYERS_MAX: usize = 5;

/// Looks up the layers that `wanted` names by ARN, and checks that all of the function fits. `before` is the function
/// as it is now, `Null` for a new one.
pub(crate) async fn resolve(
    door: &Door,
    wanted: &mut Map<String, Value>,
    before: &Value,
) -> Result<(), Fault> {
    if let Some(Value::Array(arns)) = wanted.get("layers") {
        let arns: Vec<String> = arns.iter().filter_map(|arn| arn.as_str().map(str::to_owned)).collect();
        let layers = look_up(door, &arns, &before["spec"]["layers"]).await?;
        wanted.insert("layers".to_owned(), Value::Array(layers));
    }
    let new = |field: &str| wanted.get(field).unwrap_or(&before["spec"][field]);
    let sha256 = |code: &Value| code["sha256"].as_str().map(str::to_owned);
    let layers: Vec<String> = new("layers").as_array().into_iter().flatten().filter_map(sha256).collect();
    if layers.is_empty() {
        return Ok(());
    }
    let bytes = door.config.functions.put_layers(sha256(new("code")), layers).await;
    let bytes =
        bytes.map_err(|error| Fault::service(format!("The layers could not be put together: {error}")))?;
    if bytes > UNZIPPED_BYTES_MAX {
        return Err(Fault::invalid_parameter(format!(
            "Function code combined with layers exceeds the maximum allowed size of {UNZIPPED_BYTES_MAX} bytes. The \
             actual size is {bytes} bytes."
        )));
    }
    Ok(())
}

async fn look_up(door: &Door, arns: &[String], kept: &Value) -> Result<Vec<Value>, Fault> {
    if arns.len() > LAYERS_MAX {
        return Err(Fault::invalid_parameter(format!(
            "Layers list has {} entries: cannot reference more than {LAYERS_MAX} layers.",
            arns.len()
        )));
    }
    let (mut names, mut layers) = (Vec::new(), Vec::new());
    for arn in arns {
        let (layer, version) = LayerName::with_version(door, arn)?;
        if names.contains(&layer.name) {
            return Err(Fault::invalid_parameter(format!(
                "Two different versions of the same layer are not allowed to be referenced in the same function. {arn} \
                 and another version of it are."
            )));
        }
        let known = kept.as_array().into_iter().flatten().find(|known| known["arn"] == *arn);
        layers.push(match (find(door, &layer.name, version).await, known) {
            (Ok(object), _) => {
                let code = &object["spec"]["code"];
                json!({ "arn": arn, "sha256": code["sha256"], "size": code["size"] })
            }
            // Deleted, and in use here already.
            (Err(_), Some(known)) => known.clone(),
            (Err(fault), None) if fault.status == 404 => {
                return Err(Fault::invalid_parameter(format!("Layer version {arn} does not exist.")));
            }
            (Err(fault), None) => return Err(fault),
        });
        names.push(layer.name);
    }
    Ok(layers)
}
