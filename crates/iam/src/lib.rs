//! IAM and STS: who calls. Roles, their policies, and policies of the account are objects of the Kubernetes API (`IamRole`,
//! `IamPolicy`), named as on AWS; every other service asks here who signed a request, and is asked nothing. The query protocol
//! of 2010-05-08.
//!
//! ```text
//!   session ─ the names of whoever signed        sts ─ temporary credentials
//!   one file for each family of IAM's operations; object ─ the objects behind them
//! ```

mod attach;
mod inline;
mod limits;
mod managed;
mod object;
mod page;
mod policy;
mod role;
pub mod session;
pub mod sts;
mod tags;
mod user;
mod version;

pub use object::{arn, find_role};

use ::policy::{Kind, Policy};
use object::id;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use serde_json::Value;
use std::sync::Arc;
use wire::query::{self, Form};
use wire::{Call, Fault, Reply};

/// Of IAM's answers.
pub const XML_NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

/// What IAM needs.
pub struct Config {
    /// The keys that sessions are made of.
    pub keys: Arc<sigv4::Keys>,
    /// Where roles and policies are written.
    pub client: client::kube::Client,
    /// Such as `000000000000`.
    pub account_id: String,
}

/// The account's roles and policies.
pub struct Iam {
    config: Config,
}

impl Iam {
    /// Makes the service.
    pub fn new(config: Config) -> Iam {
        Iam { config }
    }

    /// Makes the role of functions that nobody made one for, if it is not there.
    pub async fn make_default_role(&self) -> Result<(), client::kube::Error> {
        role::make_default(&object::roles(self)).await
    }
}

/// Answers one request to IAM.
pub async fn serve(iam: &Iam, call: &Call) -> Result<Reply, Fault> {
    let form = Form::read(call);
    let action = form.text("Action").ok_or_else(|| Fault::new(400, "MissingAction", "Missing Action"))?;
    let result = match action {
        "CreateRole" => role::create(iam, &form).await,
        "GetRole" => role::get(iam, &form).await,
        "DeleteRole" => role::delete(iam, &form).await,
        "UpdateRole" => role::update(iam, &form).await,
        "UpdateAssumeRolePolicy" => role::update_trust(iam, &form).await,
        "ListRoles" => role::list(iam, &form).await,
        "TagRole" => tags::tag(iam, &form).await,
        "UntagRole" => tags::untag(iam, &form).await,
        "ListRoleTags" => tags::list(iam, &form).await,
        "PutRolePolicy" => inline::put(iam, &form).await,
        "GetRolePolicy" => inline::get(iam, &form).await,
        "DeleteRolePolicy" => inline::delete(iam, &form).await,
        "ListRolePolicies" => inline::list(iam, &form).await,
        "AttachRolePolicy" => attach::attach(iam, &form).await,
        "DetachRolePolicy" => attach::detach(iam, &form).await,
        "ListAttachedRolePolicies" => attach::list(iam, &form).await,
        "CreatePolicy" => policy::create(iam, &form).await,
        "GetPolicy" => policy::get(iam, &form).await,
        "DeletePolicy" => policy::delete(iam, &form).await,
        "ListPolicies" => policy::list(iam, &form).await,
        "CreatePolicyVersion" => version::create(iam, &form).await,
        "GetPolicyVersion" => version::get(iam, &form).await,
        "ListPolicyVersions" => version::list(iam, &form).await,
        "SetDefaultPolicyVersion" => version::set_default(iam, &form).await,
        "DeletePolicyVersion" => version::delete(iam, &form).await,
        "GetUser" => user::get(iam, call, &form).await,
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
