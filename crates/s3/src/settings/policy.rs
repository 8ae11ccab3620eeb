//! `PutBucketPolicy`: read, held against what is never public, and kept as it came.

use super::access::blocks_public;
use super::change;
use crate::ask::Ask;
use crate::refused::Refused;
use policy::{Kind, Policy};
use serde_json::{Value, json};

/// The longest policy, as on AWS.
const POLICY_BYTES_MAX: usize = 20 * 1024;

fn malformed(message: impl Into<String>) -> Refused {
    Refused::new(400, "MalformedPolicy", message)
}

pub(super) async fn put(ask: &Ask<'_>, document: &str) -> Result<(), Refused> {
    if document.len() > POLICY_BYTES_MAX {
        return Err(malformed(format!("Policies must not have more than {POLICY_BYTES_MAX} bytes.")));
    }
    Policy::read(document, Kind::Resource).map_err(|error| malformed(error.to_string()))?;
    check_resources(document, &ask.name)?;
    let public = is_public(document);
    let (name, value) = ("policy".to_owned(), json!(document));
    change(ask, |settings| {
        if public && blocks_public(settings, "BlockPublicPolicy") {
            return Err(Refused::new(
                403,
                "AccessDenied",
                "The policy is public, and public policies are prevented by the BlockPublicPolicy setting in S3 Block \
                 Public Access.",
            ));
        }
        settings.kept.insert(name, value);
        Ok(())
    })
    .await
}

fn statements(document: &str) -> Vec<Value> {
    let policy: Value = serde_json::from_str(document).unwrap_or_default();
    match &policy["Statement"] {
        Value::Array(all) => all.clone(),
        one => vec![one.clone()],
    }
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    }
}

/// A policy speaks of its own bucket only.
fn check_resources(document: &str, bucket: &str) -> Result<(), Refused> {
    let own = format!("arn:aws:s3:::{bucket}");
    let below = format!("{own}/");
    for statement in statements(document) {
        for resource in texts(&statement["Resource"]) {
            if resource != own
                && !resource.starts_with(&below)
                && resource != "*"
                && resource != format!("{own}*")
            {
                return Err(malformed("Policy has invalid resource"));
            }
        }
    }
    Ok(())
}

/// Whether somebody who is not named may do something: an allowance for everybody without a condition.
pub(super) fn is_public(document: &str) -> bool {
    let everybody = |statement: &Value| {
        let principal = &statement["Principal"];
        principal == "*" || texts(&principal["AWS"]).contains(&"*")
    };
    let open = |statement: &Value| {
        statement["Effect"] == "Allow" && everybody(statement) && statement["Condition"].is_null()
    };
    statements(document).iter().any(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_public() {
        let of = |effect: &str, principal: Value, condition: Value| {
            let statement = json!({"Effect": effect, "Principal": principal, "Condition": condition});
            is_public(&json!({ "Statement": [statement] }).to_string())
        };
        assert!(of("Allow", json!("*"), Value::Null) && of("Allow", json!({"AWS": ["*"]}), Value::Null));
        assert!(!of("Deny", json!("*"), Value::Null) && !of("Allow", json!({"AWS": "1"}), Value::Null));
        assert!(!of("Allow", json!("*"), json!({"Bool": {}})));
    }

    #[test]
    fn of_its_own_bucket() {
        let of = |resource: &str| {
            check_resources(&json!({"Statement": {"Resource": resource}}).to_string(), "b").is_ok()
        };
        assert!(
            of("arn:aws:s3:::b")
                && of("arn:aws:s3:::b/*")
                && !of("arn:aws:s3:::bc")
                && !of("arn:aws:s3:::c/*")
        );
    }
}
