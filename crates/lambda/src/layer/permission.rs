//! Who may use a layer version: `AddLayerVersionPermission` and its companions. There is one account, so the statements
//! decide nothing here; they are kept and shown.

use super::super::configuration::revision_id;
use super::super::object::check_revision;
use super::super::{input, policy, required, string};
use super::{LayerName, fault, find, read_number};
use crate::Lambda;
use client::{Key, is_conflict};
use serde_json::{Value, json};
use wire::{Call, Fault, Reply, reply};

/// How often a change is tried again when somebody else changed the object in between.
const TRIES: u32 = 8;

pub(crate) async fn add(
    lambda: &Lambda,
    call: &Call,
    layer: &LayerName,
    version: &str,
) -> Result<Reply, Fault> {
    let input = input(call)?;
    let number = read_number(version)?;
    let principal = match required(&input, "Principal")? {
        "*" => json!("*"),
        account if !account.starts_with("arn:") => json!({ "AWS": format!("arn:aws:iam::{account}:root") }),
        arn => json!({ "AWS": arn }),
    };
    let mut statement = json!({
        "Sid": required(&input, "StatementId")?,
        "Effect": "Allow",
        "Principal": principal,
        "Action": required(&input, "Action")?,
        "Resource": format!("{}:{number}", layer.arn(lambda)),
    });
    if let Some(organization) = string(&input, "OrganizationId")? {
        if principal != "*" {
            return Err(Fault::invalid_parameter("OrganizationId can only be given with the principal *."));
        }
        statement["Condition"] = json!({ "StringEquals": { "aws:PrincipalOrgID": organization } });
    }
    let changed = change(lambda, call, layer, number, |object| policy::add(object, &statement)).await?;
    Ok(reply::json(201, &json!({ "Statement": statement.to_string(), "RevisionId": revision_id(&changed) })))
}

pub(crate) async fn remove(
    lambda: &Lambda,
    call: &Call,
    layer: &LayerName,
    version: &str,
    id: &str,
) -> Result<Reply, Fault> {
    change(lambda, call, layer, read_number(version)?, |object| policy::remove(object, id)).await?;
    Ok(reply::nothing())
}

pub(crate) async fn get(lambda: &Lambda, layer: &LayerName, version: &str) -> Result<Reply, Fault> {
    let object = find(lambda, &layer.name, read_number(version)?).await?;
    let shown = policy::show(&object)
        .map_err(|_| Fault::not_found("No policy is associated with the given resource."))?;
    Ok(reply::json(200, &shown))
}

async fn change(
    lambda: &Lambda,
    call: &Call,
    layer: &LayerName,
    version: u64,
    change: impl Fn(&mut Value) -> Result<(), Fault>,
) -> Result<Value, Fault> {
    let revision = call.parameter("RevisionId");
    for _ in 0..TRIES {
        let mut object = find(lambda, &layer.name, version).await?;
        check_revision(&object, revision.as_deref())?;
        change(&mut object)?;
        match lambda.layers.replace(&Key::of(&object), &object).await {
            Ok(changed) => return Ok(changed),
            Err(error) if is_conflict(&error) => {}
            Err(error) => return Err(fault(&error)),
        }
    }
    Err(Fault::conflict("The policy of this layer version is being changed by others. Try again."))
}
