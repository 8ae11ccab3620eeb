//! A function's resource policy as a whole: `PutResourcePolicy`, `GetResourcePolicy`, `DeleteResourcePolicy`. It is the
//! same document that `AddPermission` adds to.

use super::configuration::revision_id;
use super::name::Name;
use super::{input, policy, required, string};
use crate::Lambda;
use serde_json::{Value, json};
use wire::{Call, Fault, Reply, reply};

pub(crate) async fn put(lambda: &Lambda, call: &Call, resource: &str) -> Result<Reply, Fault> {
    let name = function(lambda, resource)?;
    let input = input(call)?;
    let document = required(&input, "Policy")?.to_owned();
    check(&document)?;
    let revision = string(&input, "RevisionId")?;
    let changed =
        lambda.change(&name, revision, |object| policy::put(object, Some(document.clone()))).await?;
    Ok(reply::json(200, &json!({ "Policy": document, "RevisionId": revision_id(&changed) })))
}

pub(crate) async fn get(lambda: &Lambda, resource: &str) -> Result<Reply, Fault> {
    let object = lambda.find(&function(lambda, resource)?).await?;
    Ok(reply::json(200, &policy::show(&object)?))
}

pub(crate) async fn delete(lambda: &Lambda, call: &Call, resource: &str) -> Result<Reply, Fault> {
    let name = function(lambda, resource)?;
    let revision = call.parameter("RevisionId");
    lambda
        .change(&name, revision.as_deref(), |object| {
            policy::text(object).ok_or_else(policy::none)?;
            policy::put(object, None)
        })
        .await?;
    Ok(reply::nothing())
}

fn function(lambda: &Lambda, resource: &str) -> Result<Name, Fault> {
    if !resource.contains(":function:") {
        return Err(Fault::unsupported(&format!(
            "A resource policy of anything but functions, such as {resource},"
        )));
    }
    lambda.name(resource, None)
}

/// Whether it reads as a policy: an object with statements, each of which allows or denies somebody something.
fn check(document: &str) -> Result<(), Fault> {
    let refuse = |why: &str| Fault::invalid_parameter(format!("The provided policy is invalid: {why}"));
    let policy: Value =
        serde_json::from_str(document).map_err(|error| refuse(&format!("it is not JSON ({error}).")))?;
    if !policy.is_object() {
        return Err(refuse("it must be a JSON object."));
    }
    if !matches!(policy["Version"].as_str(), None | Some("2012-10-17" | "2008-10-17")) {
        return Err(refuse("Version must be 2012-10-17 or 2008-10-17."));
    }
    let statements = match &policy["Statement"] {
        Value::Array(all) if !all.is_empty() => all.as_slice(),
        one @ Value::Object(_) => std::slice::from_ref(one),
        _ => return Err(refuse("it must have a Statement.")),
    };
    for statement in statements {
        if !matches!(statement["Effect"].as_str(), Some("Allow" | "Deny")) {
            return Err(refuse("the Effect of a statement must be Allow or Deny."));
        }
        for (element, opposite) in
            [("Principal", "NotPrincipal"), ("Action", "NotAction"), ("Resource", "NotResource")]
        {
            if statement[element].is_null() == statement[opposite].is_null() {
                return Err(refuse(&format!("a statement must have one {element} (or {opposite}).")));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_must_read_as_one() {
        let good = json!({
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Principal": "*", "Action": "lambda:InvokeFunction", "Resource": "*" }],
        });
        assert_eq!(check(&good.to_string()), Ok(()));
        for (change, why) in [
            (json!({ "Version": "2020-01-01" }), "Version"),
            (json!({ "Statement": [] }), "Statement"),
            (json!({ "Statement": [{ "Effect": "Maybe" }] }), "Effect"),
            (json!({ "Statement": { "Effect": "Deny", "Principal": "*", "Action": "*" } }), "Resource"),
        ] {
            let mut bad = good.clone();
            bad.as_object_mut().expect("an object").extend(change.as_object().expect("members").clone());
            let fault = check(&bad.to_string()).expect_err("refused");
            assert!(fault.message.contains(why), "{}", fault.message);
        }
        assert!(check("{").is_err() && check("[]").is_err());
    }
}
