//! Layers: `PublishLayerVersion`, `GetLayerVersion` by number and by ARN, `DeleteLayerVersion` and the two lists. A
//! version is an object of its own (`LayerVersion`), its files are in the code store.

mod list;
mod name;
mod permission;
mod set;

pub(crate) use list::list_layers;
use list::list_versions;
use name::LayerName;
pub(crate) use set::resolve;

use super::configuration::{base64_of_hex, lambda_time};
use super::route::Route;
use super::{boolean, code, input, missing};
use crate::Lambda;
use client::{Deletion, Key, is_already_exists, is_not_found};
use functions::object_name;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use wire::{Call, Fault, NAMESPACE, Reply, reply};

/// Holds the name of a layer whose objects had to be named differently.
const NAME_ANNOTATION: &str = "dory.dev/layer-name";

/// How often a publication is tried again when another one took its number.
const TRIES: u32 = 8;

/// The operations that name a layer in their path.
pub(crate) async fn serve(lambda: &Lambda, call: &Call, route: &Route) -> Result<Reply, Fault> {
    let parameter = |index: usize| route.parameter(index);
    let (layer, version) = (LayerName::read(lambda, parameter(0))?, parameter(1));
    match route.operation {
        "PublishLayerVersion" => publish(lambda, call, &layer).await,
        "GetLayerVersion" => get(lambda, &layer, version).await,
        "DeleteLayerVersion" => delete(lambda, &layer, version).await,
        "ListLayerVersions" => list_versions(lambda, call, &layer).await,
        "AddLayerVersionPermission" => permission::add(lambda, call, &layer, version).await,
        "RemoveLayerVersionPermission" => {
            permission::remove(lambda, call, &layer, version, parameter(2)).await
        }
        "GetLayerVersionPolicy" => permission::get(lambda, &layer, version).await,
        other => Err(Fault::unsupported(&format!("The operation {other}"))),
    }
}

async fn publish(lambda: &Lambda, call: &Call, layer: &LayerName) -> Result<Reply, Fault> {
    let input = input(call)?;
    let content = input.get("Content").and_then(Value::as_object).ok_or_else(|| missing("Content"))?;
    let code = code::store(lambda, content).await?;
    for _ in 0..TRIES {
        let before = versions(lambda, &layer.name).await?;
        let version = before.iter().map(number).max().unwrap_or(0) + 1;
        let object = object(layer, version, &code, &input);
        match lambda.layers.create(NAMESPACE, &object).await {
            Ok(created) => {
                // A deleted version whose number was the highest has kept it until now.
                for old in before.iter().filter(|old| is_deleted(old)) {
                    let deleted = lambda.layers.delete(&Key::of(old), &Deletion::default()).await;
                    deleted
                        .map(drop)
                        .or_else(|error| if is_not_found(&error) { Ok(()) } else { Err(fault(&error)) })?;
                }
                return Ok(reply::json(201, &show(lambda, layer, &created)?));
            }
            Err(error) if is_already_exists(&error) => {}
            Err(error) => return Err(fault(&error)),
        }
    }
    Err(Fault::service("Too many versions of this layer are published at the same time. Try again."))
}

fn object(layer: &LayerName, version: u64, code: &Value, input: &Map<String, Value>) -> Value {
    let mut spec = json!({ "layerName": layer.name, "version": version, "code": code });
    for (member, field) in [
        ("Description", "description"),
        ("LicenseInfo", "licenseInfo"),
        ("CompatibleRuntimes", "compatibleRuntimes"),
        ("CompatibleArchitectures", "compatibleArchitectures"),
    ] {
        if let Some(value) = input.get(member).filter(|value| !value.is_null()) {
            spec[field] = value.clone();
        }
    }
    let mut metadata = json!({ "name": object_of(&layer.name, version), "namespace": NAMESPACE });
    if object_name(&layer.name) != layer.name {
        metadata["annotations"] = json!({ NAME_ANNOTATION: layer.name });
    }
    json!({ "apiVersion": "dory.dev/v1", "kind": "LayerVersion", "metadata": metadata, "spec": spec })
}

fn object_of(layer: &str, version: u64) -> String {
    format!("{}.{version}", object_name(layer))
}

async fn get(lambda: &Lambda, layer: &LayerName, version: &str) -> Result<Reply, Fault> {
    let object = find(lambda, &layer.name, read_number(version)?).await?;
    Ok(reply::json(200, &show(lambda, layer, &object)?))
}

pub(crate) async fn get_by_arn(lambda: &Lambda, call: &Call) -> Result<Reply, Fault> {
    let arn = call.parameter("Arn").ok_or_else(|| missing("Arn"))?;
    let (layer, version) = LayerName::with_version(lambda, &arn)?;
    let object = find(lambda, &layer.name, version).await?;
    Ok(reply::json(200, &show(lambda, &layer, &object)?))
}

/// Deleting what is not there is no error, as on AWS. Functions keep what they use: they name the archive itself.
async fn delete(lambda: &Lambda, layer: &LayerName, version: &str) -> Result<Reply, Fault> {
    let version = read_number(version)?;
    let all = versions(lambda, &layer.name).await?;
    let Some(object) = all.iter().find(|object| number(object) == version && !is_deleted(object)) else {
        return Ok(reply::nothing());
    };
    let done = match all.iter().map(number).max() {
        // Numbers are never given twice: the highest one stays until there is a higher one.
        Some(highest) if highest == version => {
            let mut kept = object.clone();
            kept["spec"] = json!({ "layerName": layer.name, "version": version, "deleted": true });
            lambda.layers.replace(&Key::of(object), &kept).await
        }
        _ => lambda.layers.delete(&Key::of(object), &Deletion::default()).await,
    };
    match done {
        Err(error) if !is_not_found(&error) => Err(fault(&error)),
        _ => Ok(reply::nothing()),
    }
}

/// One version of a layer that was not deleted.
async fn find(lambda: &Lambda, layer: &str, version: u64) -> Result<Value, Fault> {
    let missing = || Fault::not_found("The resource you requested does not exist.");
    let key = Key::new(NAMESPACE, object_of(layer, version));
    match lambda.layers.get(&key).await {
        Ok(object) if is_deleted(&object) => Err(missing()),
        Ok(object) => Ok(object),
        Err(error) if is_not_found(&error) => Err(missing()),
        Err(error) => Err(fault(&error)),
    }
}

/// All versions of a layer, deleted ones too.
async fn versions(lambda: &Lambda, layer: &str) -> Result<Vec<Value>, Fault> {
    let all = lambda.layers.list(NAMESPACE).await.map_err(|error| fault(&error))?;
    Ok(all.into_iter().filter(|object| object["spec"]["layerName"] == layer).collect())
}

fn number(object: &Value) -> u64 {
    object["spec"]["version"].as_u64().unwrap_or(0)
}

fn is_deleted(object: &Value) -> bool {
    object["spec"].as_object().is_some_and(|spec| boolean(spec, "deleted").unwrap_or(false))
}

fn read_number(text: &str) -> Result<u64, Fault> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| {
        Fault::invalid_parameter(format!("Layer version {text} is not valid: versions are numbered from 1."))
    })
}

fn fault(error: &client::kube::Error) -> Fault {
    match error {
        client::kube::Error::Api(status) if (400..500).contains(&status.code) => {
            Fault::invalid_parameter(status.message.clone())
        }
        other => Fault::service(other.to_string()),
    }
}

fn show(lambda: &Lambda, layer: &LayerName, object: &Value) -> Result<Value, Fault> {
    let code = &object["spec"]["code"];
    let sha256 = code["sha256"].as_str().unwrap_or_default();
    let mut shown = summary(lambda, layer, object);
    shown["LayerArn"] = json!(layer.arn(lambda));
    shown["Content"] = json!({
        "Location": code::location(lambda, sha256)?,
        "CodeSha256": base64_of_hex(sha256),
        "CodeSize": code["size"],
    });
    Ok(shown)
}

/// What lists show of a version.
fn summary(lambda: &Lambda, layer: &LayerName, object: &Value) -> Value {
    let spec = &object["spec"];
    let created = object["metadata"]["creationTimestamp"].as_str().and_then(|time| time.parse().ok());
    let mut shown = json!({
        "LayerVersionArn": format!("{}:{}", layer.arn(lambda), number(object)),
        "Version": number(object),
        "Description": spec["description"].as_str().unwrap_or_default(),
        "CreatedDate": lambda_time(created.unwrap_or(Timestamp::UNIX_EPOCH)),
    });
    for (field, member) in [
        ("licenseInfo", "LicenseInfo"),
        ("compatibleRuntimes", "CompatibleRuntimes"),
        ("compatibleArchitectures", "CompatibleArchitectures"),
    ] {
        if !spec[field].is_null() {
            shown[member] = spec[field].clone();
        }
    }
    shown
}
