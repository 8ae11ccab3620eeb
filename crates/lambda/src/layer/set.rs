//! The layers of a function: their ARNs are looked up when the function gets them, and the object then names their
//! archives, so that a version which is deleted later goes on working where it is used.

use super::{LayerName, find};
use crate::Lambda;
use functions::UNZIPPED_BYTES_MAX;
use serde_json::{Map, Value, json};
use wire::Fault;

/// Layers of one function, as on AWS.
const LAYERS_MAX: usize = 5;

/// Looks up the layers that `wanted` names by ARN, and checks that all of the function fits. `before` is the function
/// as it is now, `Null` for a new one.
pub(crate) async fn resolve(
    lambda: &Lambda,
    wanted: &mut Map<String, Value>,
    before: &Value,
) -> Result<(), Fault> {
    if let Some(Value::Array(arns)) = wanted.get("layers") {
        let arns: Vec<String> = arns.iter().filter_map(|arn| arn.as_str().map(str::to_owned)).collect();
        let layers = look_up(lambda, &arns, &before["spec"]["layers"]).await?;
        wanted.insert("layers".to_owned(), Value::Array(layers));
    }
    let new = |field: &str| wanted.get(field).unwrap_or(&before["spec"][field]);
    let sha256 = |code: &Value| code["sha256"].as_str().map(str::to_owned);
    let layers: Vec<String> = new("layers").as_array().into_iter().flatten().filter_map(sha256).collect();
    if layers.is_empty() {
        return Ok(());
    }
    let bytes = lambda.config.functions.put_layers(sha256(new("code")), layers).await;
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

async fn look_up(lambda: &Lambda, arns: &[String], kept: &Value) -> Result<Vec<Value>, Fault> {
    if arns.len() > LAYERS_MAX {
        return Err(Fault::invalid_parameter(format!(
            "Layers list has {} entries: cannot reference more than {LAYERS_MAX} layers.",
            arns.len()
        )));
    }
    let (mut names, mut layers) = (Vec::new(), Vec::new());
    for arn in arns {
        if is_web_adapter(arn) {
            layers.push(web_adapter(lambda, arn).await?);
            continue;
        }
        let (layer, version) = LayerName::with_version(lambda, arn)?;
        if names.contains(&layer.name) {
            return Err(Fault::invalid_parameter(format!(
                "Two different versions of the same layer are not allowed to be referenced in the same function. {arn} \
                 and another version of it are."
            )));
        }
        let known = kept.as_array().into_iter().flatten().find(|known| known["arn"] == *arn);
        layers.push(match (find(lambda, &layer.name, version).await, known) {
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

/// The accounts in which AWS publishes the layer of its Lambda Web Adapter: everywhere, and in China.
const WEB_ADAPTER_ACCOUNTS: [&str; 2] = ["753240598075", "041581134020"];

/// Whether this is AWS's own layer of the Lambda Web Adapter, of any region, architecture and version.
fn is_web_adapter(arn: &str) -> bool {
    let parts: Vec<&str> = arn.split(':').collect();
    match parts[..] {
        ["arn", _, "lambda", _, account, "layer", name, version] => {
            WEB_ADAPTER_ACCOUNTS.contains(&account)
                && name.starts_with("LambdaAdapterLayer")
                && version.parse::<u64>().is_ok()
        }
        _ => false,
    }
}

/// The platform does the adapter's work, and this stands in for its layer.
async fn web_adapter(lambda: &Lambda, arn: &str) -> Result<Value, Fault> {
    let broken = |error: String| Fault::service(format!("The web adapter's layer cannot be made: {error}"));
    let archive = functions::web_adapter_layer().map_err(|error| broken(error.to_string()))?;
    let code = lambda.config.functions.put_code(archive.into()).await;
    let code = code.map_err(|error| broken(error.to_string()))?;
    Ok(json!({ "arn": arn, "sha256": code.sha256, "size": code.size }))
}

#[cfg(test)]
mod tests {
    use super::is_web_adapter;

    #[test]
    fn the_adapters_layer_is_known_by_its_arn() {
        assert!(is_web_adapter("arn:aws:lambda:eu-west-1:753240598075:layer:LambdaAdapterLayerArm64:27"));
        assert!(!is_web_adapter("arn:aws:lambda:eu-west-1:753240598075:layer:Other:27"));
        assert!(!is_web_adapter("arn:aws:lambda:eu-west-1:000000000000:layer:LambdaAdapterLayerX86:27"));
    }
}
