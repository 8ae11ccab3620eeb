//! `RuntimeManagementConfig` and `FunctionRecursionConfig`. A runtime has one version here: the interpreter of the machine, or
//! the image that it was given. Functions take a new one when there is one, unless they are to stay on theirs: an image is
//! kept for them, an interpreter that has gone is an error of their calls.

use super::configuration::configuration as shown_configuration;
use super::image::is_image;
use super::name::Name;
use super::{input, required, string};
use crate::Lambda;
use serde_json::{Map, Value, json};
use wire::{Call, Fault, Reply, reply};

pub(crate) async fn put_management(lambda: &Lambda, call: &Call, name: &Name) -> Result<Reply, Fault> {
    let input = input(call)?;
    let update = required(&input, "UpdateRuntimeOn")?.to_owned();
    let arn = string(&input, "RuntimeVersionArn")?;
    let wanted = match (update.as_str(), arn) {
        ("Manual", None) => {
            return Err(Fault::invalid_parameter(
                "RuntimeVersionArn is required when UpdateRuntimeOn is Manual.",
            ));
        }
        ("Manual", Some(arn)) => pinned(lambda, &lambda.find(name).await?, arn).await?,
        (_, Some(_)) => {
            return Err(Fault::invalid_parameter(
                "RuntimeVersionArn can only be given when UpdateRuntimeOn is Manual.",
            ));
        }
        _ => json!({ "updateRuntimeOn": update }),
    };
    let changed = lambda
        .change(name, None, |object| {
            object["spec"]["runtimeManagement"] = wanted.clone();
            Ok(())
        })
        .await?;
    Ok(reply::json(200, &show(lambda, name, &changed)))
}

pub(crate) async fn get_management(lambda: &Lambda, name: &Name) -> Result<Reply, Fault> {
    Ok(reply::json(200, &show(lambda, name, &lambda.find(name).await?)))
}

fn show(lambda: &Lambda, name: &Name, object: &Value) -> Value {
    let management = &object["spec"]["runtimeManagement"];
    let update = management["updateRuntimeOn"].as_str().unwrap_or("Auto");
    let mut shown = json!({ "UpdateRuntimeOn": update, "FunctionArn": lambda.qualified_arn(name) });
    if let Some(arn) = management["runtimeVersionArn"].as_str() {
        shown["RuntimeVersionArn"] = json!(arn);
    }
    shown
}

/// What a function that stays on this version has in its `spec`: it must be the one of its runtime that there is, or the
/// one that it is on already.
async fn pinned(lambda: &Lambda, object: &Value, arn: &str) -> Result<Value, Fault> {
    if is_image(object) {
        return Err(Fault::invalid_parameter(
            "UpdateRuntimeOn Manual is not for functions with PackageType Image: they bring their runtime.",
        ));
    }
    let management = &object["spec"]["runtimeManagement"];
    if management["runtimeVersionArn"] == arn {
        return Ok(management.clone());
    }
    let runtime = object["spec"]["runtime"].as_str().unwrap_or_default();
    let version = lambda.config.functions.runtime_version(runtime).await;
    let version = version.map_err(|error| Fault::invalid_parameter(error.to_string()))?;
    let there_is = version_arn(lambda, &version.id);
    if there_is != arn {
        return Err(Fault::invalid_parameter(format!(
            "The runtime version {arn} is not supported: this machine has {there_is} of {runtime}."
        )));
    }
    let mut wanted = json!({ "updateRuntimeOn": "Manual", "runtimeVersionArn": arn });
    if let Some(digest) = version.image {
        wanted["image"] = json!(digest);
    }
    Ok(wanted)
}

/// Another runtime does not have the version that a function is to stay on.
pub(crate) fn check_change(before: &Value, wanted: &Map<String, Value>) -> Result<(), Fault> {
    let spec = &before["spec"];
    let stays = spec["runtimeManagement"]["updateRuntimeOn"] == "Manual";
    match wanted.get("runtime").filter(|runtime| stays && **runtime != spec["runtime"]) {
        None => Ok(()),
        Some(runtime) => Err(Fault::invalid_parameter(format!(
            "Runtime cannot become {runtime} while UpdateRuntimeOn is Manual, which keeps the function on a version of {}: \
             use PutRuntimeManagementConfig with Auto first.",
            spec["runtime"]
        ))),
    }
}

/// A function's configuration with the version of its runtime, which lists of functions do not have.
pub(crate) async fn configuration(lambda: &Lambda, object: &Value) -> Value {
    let mut shown = shown_configuration(object, &lambda.config.region, &lambda.config.account_id);
    let spec = &object["spec"];
    if let Some(arn) = spec["runtimeManagement"]["runtimeVersionArn"].as_str() {
        shown["RuntimeVersionConfig"] = json!({ "RuntimeVersionArn": arn });
    } else if let Some(runtime) = spec["runtime"].as_str().filter(|_| !is_image(object)) {
        shown["RuntimeVersionConfig"] = match lambda.config.functions.runtime_version(runtime).await {
            Ok(version) => json!({ "RuntimeVersionArn": version_arn(lambda, &version.id) }),
            Err(error) => {
                json!({ "Error": { "ErrorCode": "InvalidRuntimeException", "Message": error.to_string() } })
            }
        };
    }
    shown
}

/// As AWS writes it: of no account.
fn version_arn(lambda: &Lambda, id: &str) -> String {
    format!("arn:aws:lambda:{}::runtime:{id}", lambda.config.region)
}

pub(crate) async fn put_recursion(lambda: &Lambda, call: &Call, name: &Name) -> Result<Reply, Fault> {
    let input = input(call)?;
    let wanted = required(&input, "RecursiveLoop")?.to_owned();
    lambda
        .change(name, None, |object| {
            object["spec"]["recursiveLoop"] = json!(wanted);
            Ok(())
        })
        .await?;
    Ok(reply::json(200, &json!({ "RecursiveLoop": wanted })))
}

pub(crate) async fn get_recursion(lambda: &Lambda, name: &Name) -> Result<Reply, Fault> {
    let object = lambda.find(name).await?;
    let set = object["spec"]["recursiveLoop"].as_str().unwrap_or("Terminate");
    Ok(reply::json(200, &json!({ "RecursiveLoop": set })))
}
