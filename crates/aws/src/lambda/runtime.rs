//! `RuntimeManagementConfig` and `FunctionRecursionConfig`. A runtime here is the interpreter of the machine: dory never
//! changes it by itself, so that functions take a new one when the machine has it, and none can be pinned to an old one.

use super::name::Name;
use super::{input, required};
use crate::door::{Call, Door};
use crate::fault::Fault;
use crate::reply::{self, Reply};
use serde_json::{Value, json};

pub(crate) async fn put_management(door: &Door, call: &Call, name: &Name) -> Result<Reply, Fault> {
    let input = input(call)?;
    let update = required(&input, "UpdateRuntimeOn")?.to_owned();
    let version = input.get("RuntimeVersionArn").filter(|value| !value.is_null());
    match (update.as_str(), version) {
        ("Manual", None) => {
            return Err(Fault::invalid_parameter(
                "RuntimeVersionArn is required when UpdateRuntimeOn is Manual.",
            ));
        }
        ("Manual", Some(_)) => {
            return Err(Fault::invalid_parameter(
                "UpdateRuntimeOn Manual is not supported by dory: runtimes are the interpreters of this machine, and it \
                 has one of each. Use Auto or FunctionUpdate.",
            ));
        }
        (_, Some(_)) => {
            return Err(Fault::invalid_parameter(
                "RuntimeVersionArn can only be given when UpdateRuntimeOn is Manual.",
            ));
        }
        _ => {}
    }
    let changed = door
        .change(name, None, |object| {
            object["spec"]["runtimeManagement"] = json!({ "updateRuntimeOn": update });
            Ok(())
        })
        .await?;
    Ok(reply::json(200, &show(door, name, &changed)))
}

pub(crate) async fn get_management(door: &Door, name: &Name) -> Result<Reply, Fault> {
    Ok(reply::json(200, &show(door, name, &door.find(name).await?)))
}

fn show(door: &Door, name: &Name, object: &Value) -> Value {
    let update = object["spec"]["runtimeManagement"]["updateRuntimeOn"].as_str().unwrap_or("Auto");
    json!({ "UpdateRuntimeOn": update, "FunctionArn": door.qualified_arn(name) })
}

pub(crate) async fn put_recursion(door: &Door, call: &Call, name: &Name) -> Result<Reply, Fault> {
    let input = input(call)?;
    let wanted = required(&input, "RecursiveLoop")?.to_owned();
    door.change(name, None, |object| {
        object["spec"]["recursiveLoop"] = json!(wanted);
        Ok(())
    })
    .await?;
    Ok(reply::json(200, &json!({ "RecursiveLoop": wanted })))
}

pub(crate) async fn get_recursion(door: &Door, name: &Name) -> Result<Reply, Fault> {
    let object = door.find(name).await?;
    let set = object["spec"]["recursiveLoop"].as_str().unwrap_or("Terminate");
    Ok(reply::json(200, &json!({ "RecursiveLoop": set })))
}
