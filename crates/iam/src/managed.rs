//! Managed policies by their ARN: those of the account are objects, those of AWS (`arn:aws:iam::aws:policy/…`) are names
//! that roles may carry. What is in AWS's own is not known here, except for those that functions have most often.

use super::no_such_entity;
use super::object::{name, policies};
use crate::Iam;
use client::is_not_found;
use serde_json::Value;
use wire::Fault;
use wire::query::invalid;

/// AWS's policies whose documents are kept here: path and name, description, document.
pub(super) const KNOWN: &[(&str, &str, &str)] = &[
    (
        "/AdministratorAccess",
        "Provides full access to AWS services and resources.",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
    ),
    (
        "/service-role/AWSLambdaBasicExecutionRole",
        "Provides write permissions to CloudWatch Logs.",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}"#,
    ),
    (
        "/service-role/AWSLambdaRole",
        "Default policy for AWS Lambda service role.",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["lambda:InvokeFunction"],"Resource":["*"]}]}"#,
    ),
];

/// What an ARN of a managed policy leads to.
pub(super) enum Managed {
    /// A policy of this account.
    Own(Value),
    /// One of AWS's: its path and name.
    Aws(String),
}

/// Path and name of AWS's policy with that ARN.
pub(super) fn of_aws(arn: &str) -> Option<&str> {
    let rest = arn.strip_prefix("arn:aws:iam::aws:policy")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-/".contains(c);
    (rest.starts_with('/') && !rest.ends_with('/') && rest.chars().all(plain)).then_some(rest)
}

/// The last part of an ARN.
pub(super) fn name_in(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// Finds the policy that an ARN names.
pub(super) async fn find(iam: &Iam, arn: &str) -> Result<Managed, Fault> {
    if arn.len() < 20 {
        let value = format!("'{arn}'");
        return Err(invalid("PolicyArn", &value, "Member must have length greater than or equal to 20"));
    }
    if let Some(rest) = of_aws(arn) {
        return Ok(Managed::Aws(rest.to_owned()));
    }
    if !arn.starts_with("arn:aws:iam::") || !arn.contains(":policy/") {
        return Err(Fault::malformed_input(format!("ARN {arn} is not valid.")));
    }
    own(iam, arn).await.map(Managed::Own)
}

/// The account's own policy with that ARN.
pub(super) async fn own(iam: &Iam, arn: &str) -> Result<Value, Fault> {
    let missing = || no_such_entity(format!("Policy {arn} was not found."));
    if of_aws(arn).is_some() {
        let message = "Policies of AWS cannot be changed.";
        return Err(Fault::new(400, "InvalidInput", message));
    }
    let called = name_in(arn);
    if called.is_empty() || called == "." || called == ".." {
        return Err(missing());
    }
    match policies(iam).get(&super::object::key(called)).await {
        // The same name under another path is another policy.
        Ok(policy) if super::object::arn(iam, "policy", &policy) == arn => Ok(policy),
        Ok(policy) => {
            tracing::debug!(asked = arn, found = name(&policy), "a policy of that name has another path");
            Err(missing())
        }
        Err(error) if is_not_found(&error) => Err(missing()),
        Err(error) => Err(super::object::fault(&error)),
    }
}
