//! IAM, as far as functions need it: roles, their policies, and policies of the account. Each is an object of the
//! Kubernetes API (`IamRole`, `IamPolicy`), named as on AWS. The query protocol of 2010-05-08.

mod attach;
mod inline;
mod limits;
mod managed;
mod object;
mod page;
mod policy;
mod role;
mod tags;
mod user;
mod version;

pub(crate) use object::{arn, find_role, id, roles};
pub(crate) use role::make_default;

use crate::door::{Call, Door};
use crate::fault::Fault;
use crate::query::{self, Form};
use crate::reply::Reply;
use ::policy::{Kind, Policy};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use serde_json::Value;

pub(crate) const XML_NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

pub(crate) async fn serve(door: &Door, call: &Call) -> Result<Reply, Fault> {
    let form = Form::read(call);
    let action = form.text("Action").ok_or_else(|| Fault::new(400, "MissingAction", "Missing Action"))?;
    let result = match action {
        "CreateRole" => role::create(door, &form).await,
        "GetRole" => role::get(door, &form).await,
        "DeleteRole" => role::delete(door, &form).await,
        "UpdateRole" => role::update(door, &form).await,
        "UpdateAssumeRolePolicy" => role::update_trust(door, &form).await,
        "ListRoles" => role::list(door, &form).await,
        "TagRole" => tags::tag(door, &form).await,
        "UntagRole" => tags::untag(door, &form).await,
        "ListRoleTags" => tags::list(door, &form).await,
        "PutRolePolicy" => inline::put(door, &form).await,
        "GetRolePolicy" => inline::get(door, &form).await,
        "DeleteRolePolicy" => inline::delete(door, &form).await,
        "ListRolePolicies" => inline::list(door, &form).await,
        "AttachRolePolicy" => attach::attach(door, &form).await,
        "DetachRolePolicy" => attach::detach(door, &form).await,
        "ListAttachedRolePolicies" => attach::list(door, &form).await,
        "CreatePolicy" => policy::create(door, &form).await,
        "GetPolicy" => policy::get(door, &form).await,
        "DeletePolicy" => policy::delete(door, &form).await,
        "ListPolicies" => policy::list(door, &form).await,
        "CreatePolicyVersion" => version::create(door, &form).await,
        "GetPolicyVersion" => version::get(door, &form).await,
        "ListPolicyVersions" => version::list(door, &form).await,
        "SetDefaultPolicyVersion" => version::set_default(door, &form).await,
        "DeletePolicyVersion" => version::delete(door, &form).await,
        "GetUser" => user::get(door, call, &form).await,
        other => Err(Fault::new(
            400,
            "InvalidAction",
            format!("The action {other} of IAM is not supported by dory."),
        )),
    }?;
    Ok(query::answer(XML_NAMESPACE, action, &result, &call.request_id))
}

fn no_such_entity(message: impl Into<String>) -> Fault {
    Fault::new(404, "NoSuchEntity", message)
}

fn already_exists(message: impl Into<String>) -> Fault {
    Fault::new(409, "EntityAlreadyExists", message)
}

fn delete_conflict(message: impl Into<String>) -> Fault {
    Fault::new(409, "DeleteConflict", message)
}

fn limit_exceeded(message: impl Into<String>) -> Fault {
    Fault::new(409, "LimitExceeded", message)
}

/// A policy document, checked; kept as it was written.
fn document<'a>(form: &'a Form, member: &str, kind: Kind) -> Result<&'a str, Fault> {
    let text = form.required(member)?;
    if text.is_empty() {
        return Err(query::invalid(member, "''", "Member must have length greater than or equal to 1"));
    }
    if text.len() > limits::DOCUMENT_BYTES_MAX {
        let constraint =
            format!("Member must have length less than or equal to {}", limits::DOCUMENT_BYTES_MAX);
        return Err(query::invalid(member, "(too long)", &constraint));
    }
    match Policy::read(text, kind) {
        Ok(_) => Ok(text),
        Err(malformed) => Err(Fault::new(400, "MalformedPolicyDocument", malformed.to_string())),
    }
}

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Documents travel percent-encoded in answers (RFC 3986), as on AWS.
fn encoded(document: &Value) -> String {
    percent_encoding::utf8_percent_encode(document.as_str().unwrap_or_default(), RESERVED).to_string()
}
