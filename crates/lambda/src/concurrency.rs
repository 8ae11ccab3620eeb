//! Reserved concurrency: `PutFunctionConcurrency` and its companions.

use super::input;
use super::missing;
use super::name::Name;
use crate::Lambda;
use serde_json::{Value, json};
use wire::{Call, Fault, Reply, reply};

/// What functions without a reservation always keep, as on AWS.
const UNRESERVED_MIN: u64 = 100;

pub(crate) async fn put(lambda: &Lambda, call: &Call, name: &Name) -> Result<Reply, Fault> {
    let input = input(call)?;
    name.unqualified()?;
    let member = "ReservedConcurrentExecutions";
    let value = input.get(member).filter(|value| !value.is_null()).ok_or_else(|| missing(member))?;
    let reserved = value.as_u64().ok_or_else(|| {
        Fault::validation(
            "reservedConcurrentExecutions",
            &format!("'{value}'"),
            "Member must have value greater than or equal to 0",
        )
    })?;
    let (limit, unreserved) = lambda.config.functions.concurrency();
    let before = lambda.find(name).await?["spec"]["reservedConcurrency"].as_u64().unwrap_or(0);
    let left = (u64::from(unreserved) + before).checked_sub(reserved);
    // A machine with a small limit could not reserve anything at all by AWS's rule.
    let kept = UNRESERVED_MIN.min(u64::from(limit) / 10);
    if reserved > 0 && left.is_none_or(|left| left < kept) {
        return Err(Fault::invalid_parameter(format!(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution \
             below its minimum value of [{kept}]."
        )));
    }
    lambda
        .change(name, None, |object| {
            object["spec"]["reservedConcurrency"] = json!(reserved);
            Ok(())
        })
        .await?;
    Ok(reply::json(200, &json!({ member: reserved })))
}

pub(crate) async fn get(lambda: &Lambda, name: &Name) -> Result<Reply, Fault> {
    name.unqualified()?;
    let answer = match &lambda.find(name).await?["spec"]["reservedConcurrency"] {
        Value::Null => json!({}),
        reserved => json!({ "ReservedConcurrentExecutions": reserved }),
    };
    Ok(reply::json(200, &answer))
}

pub(crate) async fn delete(lambda: &Lambda, name: &Name) -> Result<Reply, Fault> {
    name.unqualified()?;
    lambda
        .change(name, None, |object| {
            if let Some(spec) = object["spec"].as_object_mut() {
                spec.remove("reservedConcurrency");
            }
            Ok(())
        })
        .await?;
    Ok(reply::nothing())
}
