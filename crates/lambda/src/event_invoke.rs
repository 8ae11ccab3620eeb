//! What becomes of events that nobody waits for: `Put`, `Update`, `Get`, `Delete` and `ListFunctionEventInvokeConfig`.
//! The settings are part of the function, version or alias object that the qualifier names (`spec.eventInvoke`), where
//! the queue of events reads them.

use super::name::Name;
use super::{input, string};
use crate::Lambda;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use wire::{Call, Fault, Reply, reply};

/// Replaces the whole configuration.
pub(crate) async fn put(lambda: &Lambda, call: &Call, name: &Name) -> Result<Reply, Fault> {
    write(lambda, call, name, false).await
}

/// Changes what the request names.
pub(crate) async fn update(lambda: &Lambda, call: &Call, name: &Name) -> Result<Reply, Fault> {
    write(lambda, call, name, true).await
}

async fn write(lambda: &Lambda, call: &Call, name: &Name, merge: bool) -> Result<Reply, Fault> {
    let input = input(call)?;
    let wanted = settings(lambda, &input).await?;
    let changed = lambda
        .change(name, None, |object| {
            let before = object["spec"]["eventInvoke"].as_object().cloned();
            let mut settings = match (merge, before) {
                (true, Some(before)) => before,
                (true, None) => return Err(missing(lambda, name)),
                (false, _) => Map::new(),
            };
            for (field, value) in &wanted {
                match value {
                    Value::Null => drop(settings.remove(field)),
                    value => drop(settings.insert(field.clone(), value.clone())),
                }
            }
            settings.insert("lastModified".to_owned(), json!(Timestamp::now().to_string()));
            object["spec"]["eventInvoke"] = Value::Object(settings);
            Ok(())
        })
        .await?;
    Ok(reply::json(200, &show(&lambda.qualified_arn(name), &changed["spec"]["eventInvoke"])))
}

pub(crate) async fn get(lambda: &Lambda, name: &Name) -> Result<Reply, Fault> {
    let object = lambda.find(name).await?;
    match &object["spec"]["eventInvoke"] {
        Value::Null => Err(missing(lambda, name)),
        settings => Ok(reply::json(200, &show(&lambda.qualified_arn(name), settings))),
    }
}

pub(crate) async fn delete(lambda: &Lambda, name: &Name) -> Result<Reply, Fault> {
    lambda
        .change(name, None, |object| {
            let removed = object["spec"].as_object_mut().and_then(|spec| spec.remove("eventInvoke"));
            removed.map(drop).ok_or_else(|| missing(lambda, name))
        })
        .await?;
    Ok(reply::nothing())
}

/// Those of the function and of all its versions and aliases.
pub(crate) async fn list(lambda: &Lambda, call: &Call, name: &Name) -> Result<Reply, Fault> {
    let shown = |name: &Name, object: &Value| {
        let settings = &object["spec"]["eventInvoke"];
        Ok(settings.is_object().then(|| show(&lambda.qualified_arn(name), settings)))
    };
    lambda.list_in_family(call, name, "FunctionEventInvokeConfigs", shown).await
}

/// The fields that the request sets; `Null` for a destination that it takes away.
async fn settings(lambda: &Lambda, input: &Map<String, Value>) -> Result<Map<String, Value>, Fault> {
    let mut wanted = Map::new();
    for (member, field) in [
        ("MaximumRetryAttempts", "maximumRetryAttempts"),
        ("MaximumEventAgeInSeconds", "maximumEventAgeInSeconds"),
    ] {
        if let Some(value) = input.get(member).filter(|value| !value.is_null()) {
            wanted.insert(field.to_owned(), value.clone());
        }
    }
    let destinations = input.get("DestinationConfig").and_then(Value::as_object).cloned().unwrap_or_default();
    for (member, field) in [("OnSuccess", "onSuccess"), ("OnFailure", "onFailure")] {
        let Some(one) = destinations.get(member).and_then(Value::as_object) else { continue };
        let value = match string(one, "Destination")? {
            None | Some("") => Value::Null,
            Some(arn) => {
                check_destination(lambda, arn).await?;
                json!(arn)
            }
        };
        wanted.insert(field.to_owned(), value);
    }
    Ok(wanted)
}

/// Whether results can go there; a function must exist.
async fn check_destination(lambda: &Lambda, arn: &str) -> Result<(), Fault> {
    lambda.config.functions.check_destination(arn, false).map_err(Fault::invalid_parameter)?;
    if arn.split(':').nth(2) != Some("lambda") {
        return Ok(());
    }
    let invalid = |fault: Fault| {
        Fault::invalid_parameter(format!("The destination ARN {arn} is invalid: {}", fault.message))
    };
    let name = lambda.name(arn, None).map_err(invalid)?;
    lambda.find(&name).await.map(drop).map_err(invalid)
}

fn missing(lambda: &Lambda, name: &Name) -> Fault {
    Fault::not_found(format!("The function {} doesn't have an EventInvokeConfig", lambda.qualified_arn(name)))
}

fn show(arn: &str, settings: &Value) -> Value {
    let modified = settings["lastModified"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
    let destination = |field: &str| match settings[field].as_str() {
        Some(arn) => json!({ "Destination": arn }),
        None => json!({}),
    };
    let mut shown = json!({
        "FunctionArn": arn,
        "DestinationConfig": { "OnSuccess": destination("onSuccess"), "OnFailure": destination("onFailure") },
    });
    if let Some(time) = modified {
        shown["LastModified"] = json!(time.as_millisecond() as f64 / 1000.0);
    }
    for (field, member) in [
        ("maximumRetryAttempts", "MaximumRetryAttempts"),
        ("maximumEventAgeInSeconds", "MaximumEventAgeInSeconds"),
    ] {
        if !settings[field].is_null() {
            shown[member] = settings[field].clone();
        }
    }
    shown
}
