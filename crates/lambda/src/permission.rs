//! A function's resource policy, statement by statement: `AddPermission`, `RemovePermission`, `GetPolicy`. With a
//! qualifier it is the policy of that version or alias.

use super::name::Name;
use super::{input, policy, required, string};
use crate::Lambda;
use serde_json::{Map, Value, json};
use wire::{Call, Fault, Reply, reply};

pub(crate) async fn add(lambda: &Lambda, call: &Call, name: &Name) -> Result<Reply, Fault> {
    refuse_latest(name)?;
    let input = input(call)?;
    let arn = match name.qualifier {
        Some(_) => lambda.qualified_arn(name),
        None => lambda.arn(&name.name),
    };
    let statement = statement(&input, &arn)?;
    let revision = string(&input, "RevisionId")?;
    lambda.change(name, revision, |object| policy::add(object, &statement)).await?;
    Ok(reply::json(201, &json!({ "Statement": statement.to_string() })))
}

pub(crate) async fn remove(lambda: &Lambda, call: &Call, name: &Name, id: &str) -> Result<Reply, Fault> {
    refuse_latest(name)?;
    let revision = call.parameter("RevisionId");
    lambda.change(name, revision.as_deref(), |object| policy::remove(object, id)).await?;
    Ok(reply::nothing())
}

pub(crate) async fn get(lambda: &Lambda, name: &Name) -> Result<Reply, Fault> {
    Ok(reply::json(200, &policy::show(&lambda.find(name).await?)?))
}

fn refuse_latest(name: &Name) -> Result<(), Fault> {
    match name.qualifier.as_deref() {
        Some("$LATEST") => {
            Err(Fault::invalid_parameter("We currently do not support adding policies for $LATEST."))
        }
        _ => Ok(()),
    }
}

/// The statement of an IAM policy that the request's members mean.
fn statement(input: &Map<String, Value>, resource: &str) -> Result<Value, Fault> {
    let action = required(input, "Action")?;
    let mut statement = json!({
        "Sid": required(input, "StatementId")?,
        "Effect": "Allow",
        "Principal": principal(required(input, "Principal")?)?,
        "Action": action,
        "Resource": resource,
    });
    let conditions = [
        ("SourceArn", "ArnLike", "AWS:SourceArn"),
        ("SourceAccount", "StringEquals", "AWS:SourceAccount"),
        ("PrincipalOrgID", "StringEquals", "aws:PrincipalOrgID"),
        ("EventSourceToken", "StringEquals", "lambda:EventSourceToken"),
        ("FunctionUrlAuthType", "StringEquals", "lambda:FunctionUrlAuthType"),
    ];
    for (member, operator, key) in conditions {
        let Some(value) = string(input, member)? else { continue };
        if member == "FunctionUrlAuthType" && action != "lambda:InvokeFunctionUrl" {
            return Err(Fault::invalid_parameter(
                "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action",
            ));
        }
        statement["Condition"][operator][key] = json!(value);
    }
    if let Some(value) = input.get("InvokedViaFunctionUrl").and_then(Value::as_bool) {
        statement["Condition"]["Bool"]["lambda:InvokedViaFunctionUrl"] = json!(value.to_string());
    }
    Ok(statement)
}

/// Everybody, a service, an account or somebody of an account.
fn principal(text: &str) -> Result<Value, Fault> {
    let is_account = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    let of_account = |arn: &str| {
        let parts: Vec<&str> = arn.split(':').collect();
        matches!(parts[..], ["arn", _, "iam" | "sts", "", account, _] if is_account(account))
    };
    match text {
        "*" => Ok(json!("*")),
        service if service.ends_with(".amazonaws.com") || service.ends_with(".amazonaws.com.cn") => {
            Ok(json!({ "Service": service }))
        }
        service if service.ends_with(".amazon.com") || service.ends_with(".alexa.com") => {
            Ok(json!({ "Service": service }))
        }
        account if is_account(account) => Ok(json!({ "AWS": format!("arn:aws:iam::{account}:root") })),
        arn if of_account(arn) => Ok(json!({ "AWS": arn })),
        _ => Err(Fault::invalid_parameter(
            "The provided principal was invalid. Please check the principal and try again.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_become_a_statement() {
        let input = json!({
            "StatementId": "url", "Action": "lambda:InvokeFunctionUrl", "Principal": "*", "FunctionUrlAuthType": "NONE",
            "SourceAccount": "111111111111", "InvokedViaFunctionUrl": true,
        });
        let made = statement(input.as_object().expect("an object"), "arn").expect("a statement");
        assert_eq!(
            made,
            json!({
                "Sid": "url", "Effect": "Allow", "Principal": "*", "Action": "lambda:InvokeFunctionUrl", "Resource": "arn",
                "Condition": {
                    "StringEquals": { "lambda:FunctionUrlAuthType": "NONE", "AWS:SourceAccount": "111111111111" },
                    "Bool": { "lambda:InvokedViaFunctionUrl": "true" },
                },
            })
        );
    }

    #[test]
    fn principals_are_read() {
        assert_eq!(principal("s3.amazonaws.com"), Ok(json!({ "Service": "s3.amazonaws.com" })));
        assert_eq!(principal("111111111111"), Ok(json!({ "AWS": "arn:aws:iam::111111111111:root" })));
        let role = "arn:aws:iam::111111111111:role/a";
        assert_eq!(principal(role), Ok(json!({ "AWS": role })));
        assert!(principal("nobody").is_err());
        assert!(principal("arn:aws:iam::1:role/a").is_err());
    }
}
