//! Provisioned concurrency: instances of a version or an alias that are started ahead and kept. The number is part of
//! the object that the qualifier names (`spec.provisionedConcurrency`); what is ready is asked of the instances.

use super::input;
use super::name::Name;
use super::object::annotate;
use super::{configuration, missing};
use crate::Lambda;
use jiff::Timestamp;
use serde_json::{Value, json};
use wire::{Call, Fault, NAMESPACE, Reply, reply};

/// What functions without a reservation always keep, as on AWS.
pub(crate) const UNRESERVED_MIN: u64 = 100;

/// When it was last asked for.
const MODIFIED_ANNOTATION: &str = "dory.dev/provisioned-last-modified";

pub(crate) async fn put(lambda: &Lambda, call: &Call, name: &Name) -> Result<Reply, Fault> {
    let input = input(call)?;
    let member = "ProvisionedConcurrentExecutions";
    let value = input.get(member).filter(|value| !value.is_null()).ok_or_else(|| missing(member))?;
    let wanted = value.as_u64().filter(|wanted| *wanted >= 1).ok_or_else(|| {
        Fault::validation(
            "provisionedConcurrentExecutions",
            &format!("'{value}'"),
            "Member must have value greater than or equal to 1",
        )
    })?;
    let object = qualified(lambda, name).await?;
    if object["spec"]["functionVersion"] == "$LATEST" {
        return Err(unpublished());
    }
    one_of_both(lambda, name, &object).await?;
    check_limits(lambda, name, &object, wanted).await?;
    let changed = lambda
        .change(name, None, |object| {
            object["spec"]["provisionedConcurrency"] = json!(wanted);
            annotate(object, MODIFIED_ANNOTATION, Some(now()));
            Ok(())
        })
        .await?;
    Ok(reply::json(202, &show(lambda, name, &changed)?))
}

pub(crate) async fn get(lambda: &Lambda, name: &Name) -> Result<Reply, Fault> {
    let object = qualified(lambda, name).await?;
    Ok(reply::json(200, &show(lambda, name, &object)?))
}

/// What is not there is deleted already, as on AWS.
pub(crate) async fn delete(lambda: &Lambda, name: &Name) -> Result<Reply, Fault> {
    let object = qualified(lambda, name).await?;
    if !object["spec"]["provisionedConcurrency"].is_null() {
        lambda
            .change(name, None, |object| {
                if let Some(spec) = object["spec"].as_object_mut() {
                    spec.remove("provisionedConcurrency");
                }
                annotate(object, MODIFIED_ANNOTATION, None);
                Ok(())
            })
            .await?;
    }
    Ok(reply::nothing())
}

pub(crate) async fn list(lambda: &Lambda, call: &Call, name: &Name) -> Result<Reply, Fault> {
    name.unqualified()?;
    let shown = |name: &Name, object: &Value| {
        if object["spec"]["provisionedConcurrency"].is_null() {
            return Ok(None);
        }
        let mut shown = show(lambda, name, object)?;
        shown["FunctionArn"] = json!(lambda.qualified_arn(name));
        Ok(Some(shown))
    };
    lambda.list_in_family(call, &name.plain(), "ProvisionedConcurrencyConfigs", shown).await
}

/// The version or alias: what is not published can change at any time, and has nothing to keep ready.
async fn qualified(lambda: &Lambda, name: &Name) -> Result<Value, Fault> {
    match name.qualifier.as_deref() {
        None => Err(missing("Qualifier")),
        Some("$LATEST") => Err(unpublished()),
        Some(_) => lambda.find(name).await,
    }
}

fn unpublished() -> Fault {
    Fault::invalid_parameter(
        "Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
    )
}

/// A version's instances are provisioned by itself or by an alias.
async fn one_of_both(lambda: &Lambda, name: &Name, object: &Value) -> Result<(), Fault> {
    let spec = &object["spec"];
    let provisioned = |object: &Value| !object["spec"]["provisionedConcurrency"].is_null();
    if let Some(version) = spec["version"].as_str() {
        let led_to = lambda.aliases(name).await?.into_iter().any(|alias| {
            let other = &alias["spec"];
            provisioned(&alias)
                && (other["functionVersion"] == version || other["routing"].get(version).is_some())
        });
        return match led_to {
            true => Err(Fault::invalid_parameter("Version is pointed by a Provisioned Concurrency alias")),
            false => Ok(()),
        };
    }
    let additional =
        spec["routing"].as_object().into_iter().flat_map(|routing| routing.keys().map(String::as_str));
    for version in spec["functionVersion"].as_str().into_iter().chain(additional) {
        if provisioned(&lambda.find(&name.at(version)).await?) {
            return Err(Fault::invalid_parameter(
                "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version",
            ));
        }
    }
    Ok(())
}

/// It comes out of the function's reservation, or out of what functions without one share.
async fn check_limits(lambda: &Lambda, name: &Name, object: &Value, wanted: u64) -> Result<(), Fault> {
    let function = lambda.find(&name.plain()).await?;
    let before = object["spec"]["provisionedConcurrency"].as_u64().unwrap_or(0);
    if let Some(reserved) = function["spec"]["reservedConcurrency"].as_u64() {
        let family = lambda.family(&name.plain()).await?;
        let all: u64 =
            family.iter().filter_map(|(_, object)| object["spec"]["provisionedConcurrency"].as_u64()).sum();
        return match all - before + wanted > reserved {
            true => Err(Fault::invalid_parameter(
                "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for \
                 function",
            )),
            false => Ok(()),
        };
    }
    let (limit, unreserved) = lambda.config.functions.concurrency();
    // A machine with a small limit could not provision anything at all by AWS's rule.
    let kept = UNRESERVED_MIN.min(u64::from(limit) / 10);
    if (u64::from(unreserved) + before).checked_sub(wanted).is_none_or(|left| left < kept) {
        return Err(Fault::invalid_parameter(format!(
            "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its \
             minimum value of [{kept}]."
        )));
    }
    Ok(())
}

fn show(lambda: &Lambda, name: &Name, object: &Value) -> Result<Value, Fault> {
    let wanted = object["spec"]["provisionedConcurrency"].as_u64().ok_or_else(|| Fault {
        code: "ProvisionedConcurrencyConfigNotFoundException",
        ..Fault::not_found("No Provisioned Concurrency Config found for this function")
    })?;
    let qualifier = name.qualifier.as_deref().unwrap_or_default();
    let (_, ready, failure) =
        lambda.config.functions.provisioned(NAMESPACE, &name.name, qualifier).unwrap_or_default();
    let status = match &failure {
        _ if u64::from(ready) >= wanted => "READY",
        Some(_) => "FAILED",
        None => "IN_PROGRESS",
    };
    let modified = configuration::annotation(object, MODIFIED_ANNOTATION);
    let mut shown = json!({
        "RequestedProvisionedConcurrentExecutions": wanted,
        "AvailableProvisionedConcurrentExecutions": ready,
        "AllocatedProvisionedConcurrentExecutions": ready,
        "Status": status,
        "LastModified": modified.map_or_else(now, str::to_owned),
    });
    if let (Some(reason), "FAILED") = (failure, status) {
        shown["StatusReason"] = json!(reason);
    }
    Ok(shown)
}

fn now() -> String {
    configuration::lambda_time(Timestamp::now())
}
