//! A function's resource policy: statements are kept and shown. There is one account and every caller is its owner, so
//! no statement decides anything yet: a function URL with `AuthType` `NONE` is open, one with `AWS_IAM` needs a
//! signature.

use super::configuration::{POLICY_ANNOTATION, annotation, revision_id};
use super::name::Name;
use super::object::{annotate, check_revision};
use super::{input, required, string};
use crate::door::{Call, Door};
use crate::fault::Fault;
use crate::reply::{self, Reply};
use serde_json::{Map, Value, json};

/// The largest policy, as on AWS.
const POLICY_BYTES_MAX: usize = 20 * 1024;

pub(crate) async fn add(door: &Door, call: &Call, name: &Name) -> Result<Reply, Fault> {
    let input = input(call)?;
    let statement = statement(&input, &door.arn(&name.name))?;
    let revision = string(&input, "RevisionId")?;
    door.change(name, revision, |object| {
        let mut policy = policy(object);
        if policy.iter().any(|known| known["Sid"] == statement["Sid"]) {
            return Err(Fault::conflict(format!(
                "The statement id ({}) provided already exists. Please provide a new statement id, or remove the \
                 existing statement.",
                statement["Sid"].as_str().unwrap_or_default()
            )));
        }
        policy.push(statement.clone());
        let text = document(&policy);
        if text.len() > POLICY_BYTES_MAX {
            return Err(Fault {
                code: "PolicyLengthExceededException",
                ..Fault::invalid_parameter(format!("The final policy size ({}) is bigger than the limit ({POLICY_BYTES_MAX}).", text.len()))
            });
        }
        annotate(object, POLICY_ANNOTATION, Some(text));
        Ok(())
    })
    .await?;
    Ok(reply::json(201, &json!({ "Statement": statement.to_string() })))
}

pub(crate) async fn remove(door: &Door, call: &Call, name: &Name, id: &str) -> Result<Reply, Fault> {
    let revision = call.parameter("RevisionId");
    door.change(name, revision.as_deref(), |object| {
        let mut policy = policy(object);
        let before = policy.len();
        policy.retain(|statement| statement["Sid"] != id);
        if policy.len() == before {
            return Err(Fault::not_found(format!("Statement {id} is not found in resource policy.")));
        }
        annotate(object, POLICY_ANNOTATION, (!policy.is_empty()).then(|| document(&policy)));
        Ok(())
    })
    .await?;
    Ok(reply::nothing())
}

pub(crate) async fn get(door: &Door, name: &Name) -> Result<Reply, Fault> {
    let object = door.find(name).await?;
    check_revision(&object, None)?;
    let policy = annotation(&object, POLICY_ANNOTATION);
    let policy = policy.ok_or_else(|| Fault::not_found("The resource you requested does not exist."))?;
    Ok(reply::json(200, &json!({ "Policy": policy, "RevisionId": revision_id(&object) })))
}

fn policy(object: &Value) -> Vec<Value> {
    let document =
        annotation(object, POLICY_ANNOTATION).and_then(|text| serde_json::from_str::<Value>(text).ok());
    document
        .and_then(|mut document| match document["Statement"].take() {
            Value::Array(statements) => Some(statements),
            _ => None,
        })
        .unwrap_or_default()
}

fn document(statements: &[Value]) -> String {
    json!({ "Version": "2012-10-17", "Id": "default", "Statement": statements }).to_string()
}

/// The statement of an IAM policy that the request's members mean.
fn statement(input: &Map<String, Value>, resource: &str) -> Result<Value, Fault> {
    let id = required(input, "StatementId")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if id.is_empty() || id.len() > 100 || !id.chars().all(plain) {
        let constraint = "Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+)";
        return Err(Fault::validation("statementId", &format!("'{id}'"), constraint));
    }
    let action = required(input, "Action")?;
    if action != "*" && !action.starts_with("lambda:") {
        let constraint = r"Member must satisfy regular expression pattern: (lambda:[*]|lambda:[a-zA-Z]+|[*])";
        return Err(Fault::validation("action", &format!("'{action}'"), constraint));
    }
    let principal = match required(input, "Principal")? {
        "*" => json!("*"),
        service if service.contains(".amazonaws.com") => json!({ "Service": service }),
        account if account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) => {
            json!({ "AWS": format!("arn:aws:iam::{account}:root") })
        }
        other => json!({ "AWS": other }),
    };
    let mut statement = json!({ "Sid": id, "Effect": "Allow", "Principal": principal, "Action": action, "Resource": resource });
    let conditions = [
        ("SourceArn", "ArnLike", "AWS:SourceArn"),
        ("SourceAccount", "StringEquals", "AWS:SourceAccount"),
        ("PrincipalOrgID", "StringEquals", "aws:PrincipalOrgID"),
        ("EventSourceToken", "StringEquals", "lambda:EventSourceToken"),
        ("FunctionUrlAuthType", "StringEquals", "lambda:FunctionUrlAuthType"),
    ];
    for (member, operator, key) in conditions {
        if let Some(value) = string(input, member)? {
            statement["Condition"][operator][key] = json!(value);
        }
    }
    if let Some(value) = input.get("InvokedViaFunctionUrl").and_then(Value::as_bool) {
        statement["Condition"]["Bool"]["lambda:InvokedViaFunctionUrl"] = json!(value.to_string());
    }
    Ok(statement)
}
