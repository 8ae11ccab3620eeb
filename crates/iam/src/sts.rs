//! STS: who calls, and temporary credentials. The query protocol of 2011-06-15. A role's trust policy decides who may
//! assume it; session policies are refused.

use crate::Iam;
use crate::session::{self, Identity};
use jiff::Timestamp;
use policy::{Decision, Kind, Policy, Question};
use serde_json::{Value, json};
use sigv4::{Principal, Session};
use wire::query::{self, Form, invalid};
use wire::{Call, Fault, Reply};

/// Of the answers of STS.
pub const XML_NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Seconds that credentials of `AssumeRole` live unless said otherwise; also the most for a role's own sessions and for
/// the account (AWS: "role chaining", "account owners").
const HOUR: i64 = 3600;

/// Answers one request to STS.
pub async fn serve(iam: &Iam, call: &Call) -> Result<Reply, Fault> {
    let form = Form::read(call);
    let action = form.text("Action").ok_or_else(|| Fault::new(400, "MissingAction", "Missing Action"))?;
    let result = match action {
        "GetCallerIdentity" => caller_identity(iam, call).await,
        "AssumeRole" => assume_role(iam, call, &form).await,
        "GetSessionToken" => session_token(iam, call, &form),
        other => Err(Fault::new(
            400,
            "InvalidAction",
            format!("The action {other} of STS is not supported by dory."),
        )),
    }?;
    Ok(query::answer(XML_NAMESPACE, action, &result, &call.request_id))
}

async fn caller_identity(iam: &Iam, call: &Call) -> Result<Value, Fault> {
    let Identity { arn, user_id, .. } = session::identity(iam, call).await?;
    Ok(json!({ "Arn": arn, "UserId": user_id, "Account": iam.config.account_id }))
}

async fn assume_role(iam: &Iam, call: &Call, form: &Form) -> Result<Value, Fault> {
    form.only(&["RoleArn", "RoleSessionName", "DurationSeconds", "ExternalId"])?;
    let (arn, name) = (form.required("RoleArn")?, session_name(form)?);
    let seconds = form.number("DurationSeconds", 900, 43_200)?;
    let caller = session::identity(iam, call).await?;
    let denied = || {
        let message =
            format!("User: {} is not authorized to perform: sts:AssumeRole on resource: {arn}", caller.arn);
        Fault::new(403, "AccessDenied", message)
    };
    let called = policy::role_name(arn, &iam.config.account_id).ok_or_else(denied)?;
    let role = crate::find_role(iam, called).await?.filter(|role| crate::arn(iam, "role", role) == arn);
    let role = role.ok_or_else(denied)?;
    if !trusts(&role, &caller, &iam.config.account_id, form.text("ExternalId")) {
        return Err(denied());
    }
    let longest = role["spec"]["maxSessionDurationSeconds"].as_i64().unwrap_or(HOUR);
    let too_long = match seconds {
        Some(seconds) if caller.role_arn.is_some() && seconds > HOUR => Some(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        ),
        Some(seconds) if seconds > longest => {
            Some("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
        }
        _ => None,
    };
    if let Some(message) = too_long {
        return Err(Fault::new(400, "ValidationError", message));
    }
    let account = &iam.config.account_id;
    Ok(json!({
        "Credentials": credentials(iam, Some(called), name, seconds.unwrap_or(HOUR)),
        "AssumedRoleUser": {
            "Arn": format!("arn:aws:sts::{account}:assumed-role/{called}/{name}"),
            "AssumedRoleId": format!("{}:{name}", crate::id("AROA", &role)),
        },
    }))
}

fn session_token(iam: &Iam, call: &Call, form: &Form) -> Result<Value, Fault> {
    form.only(&["DurationSeconds"])?;
    let seconds = form.number("DurationSeconds", 900, 129_600)?.unwrap_or(HOUR).min(HOUR);
    if matches!(call.caller.principal, Principal::Session(_)) {
        let message = "Cannot call GetSessionToken with session credentials";
        return Err(Fault::new(403, "AccessDenied", message));
    }
    Ok(json!({ "Credentials": credentials(iam, None, "", seconds) }))
}

fn credentials(iam: &Iam, role: Option<&str>, name: &str, seconds: i64) -> Value {
    let expires = Timestamp::now().as_second().saturating_add(seconds);
    let session = Session { role: role.map(str::to_owned), name: name.to_owned(), expires, instance: None };
    let made = iam.config.keys.mint(&session);
    json!({
        "AccessKeyId": made.access_key_id,
        "SecretAccessKey": made.secret_access_key,
        "SessionToken": made.session_token,
        "Expiration": Timestamp::from_second(expires).unwrap_or(Timestamp::MAX).to_string(),
    })
}

fn session_name(form: &Form) -> Result<&str, Fault> {
    let name = form.required("RoleSessionName")?;
    let value = format!("'{name}'");
    let constraint = match name.len() {
        0 | 1 => "Member must have length greater than or equal to 2",
        2..=64 if name.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c)) => {
            return Ok(name);
        }
        2..=64 => r"Member must satisfy regular expression pattern: [\w+=,.@-]*",
        _ => "Member must have length less than or equal to 64",
    };
    Err(invalid("RoleSessionName", &value, constraint))
}

/// Whether a role lets itself be assumed by a caller of this account.
fn trusts(role: &Value, caller: &Identity, account: &str, external_id: Option<&str>) -> bool {
    let root = format!("arn:aws:iam::{account}:root");
    let mut principals = vec![("AWS", caller.arn.as_str()), ("AWS", root.as_str()), ("AWS", account)];
    principals.extend(caller.role_arn.iter().map(|arn| ("AWS", arn.as_str())));
    let mut context = vec![("aws:PrincipalAccount", account), ("aws:PrincipalArn", caller.arn.as_str())];
    context.extend(external_id.map(|id| ("sts:ExternalId", id)));
    decides(role, &principals, &context)
}

/// Whether a role lets itself be assumed by Lambda, for a function of this account.
pub fn trusts_lambda(role: &Value, function_arn: &str, account: &str) -> bool {
    let context = [("aws:SourceAccount", account), ("aws:SourceArn", function_arn)];
    decides(role, &[("Service", "lambda.amazonaws.com")], &context)
}

fn decides(role: &Value, principals: &[(&str, &str)], context: &[(&str, &str)]) -> bool {
    let text = role["spec"]["assumeRolePolicyDocument"].as_str().unwrap_or_default();
    let question = Question { principals, action: "sts:AssumeRole", resource: "", context };
    Policy::read(text, Kind::Trust).is_ok_and(|policy| policy.decide(&question) == Decision::Allowed)
}
