//! Versions of a managed policy: up to five, one of them in force.

use super::managed::{KNOWN, Managed, find, own};
use super::object::{change, created, name, policies};
use super::page::{self, page};
use super::policy::{managed_document, now};
use super::{delete_conflict, encoded, limit_exceeded, limits, no_such_entity};
use crate::Iam;
use serde_json::{Value, json};
use wire::Fault;
use wire::query::Form;

pub(super) async fn create(iam: &Iam, form: &Form) -> Result<Value, Fault> {
    form.only(&["PolicyArn", "PolicyDocument", "SetAsDefault"])?;
    let (text, default) = (managed_document(form)?, form.boolean("SetAsDefault")?);
    let changed = edit(iam, form, |policy| {
        let Some(versions) = policy["spec"]["versions"].as_array_mut() else { return Ok(()) };
        if versions.len() >= limits::VERSIONS_MAX {
            return Err(limit_exceeded(format!(
                "A managed policy can have up to {} versions. Before you create a new version, you must delete an \
                 existing version.",
                limits::VERSIONS_MAX
            )));
        }
        let id = format!("v{}", versions.iter().map(number).max().unwrap_or(0) + 1);
        versions.push(json!({ "id": id, "document": text, "created": now() }));
        if default {
            policy["spec"]["defaultVersion"] = json!(id);
        }
        Ok(())
    })
    .await?;
    let made = changed["spec"]["versions"]
        .as_array()
        .and_then(|all| all.iter().max_by_key(|version| number(version)));
    let made = made.map(|version| show(&changed, version, false));
    Ok(json!({ "PolicyVersion": made }))
}

pub(super) async fn get(iam: &Iam, form: &Form) -> Result<Value, Fault> {
    form.only(&["PolicyArn", "VersionId"])?;
    let (arn, id) = (form.required("PolicyArn")?, form.required("VersionId")?);
    let policy = readable(iam, arn).await?;
    let all = policy["spec"]["versions"].as_array().into_iter().flatten();
    let found = all.clone().find(|version| version["id"] == id).ok_or_else(|| missing(arn, id))?;
    Ok(json!({ "PolicyVersion": show(&policy, found, true) }))
}

pub(super) async fn list(iam: &Iam, form: &Form) -> Result<Value, Fault> {
    form.only(&[&page::MEMBERS[..], &["PolicyArn"]].concat())?;
    let policy = readable(iam, form.required("PolicyArn")?).await?;
    let mut all: Vec<&Value> = policy["spec"]["versions"].as_array().into_iter().flatten().collect();
    // The newest first.
    all.sort_by_key(|version| std::cmp::Reverse(number(version)));
    let shown = all.iter().enumerate().map(|(i, version)| (format!("{i:03}"), show(&policy, version, false)));
    page(form, "Versions", shown.collect())
}

pub(super) async fn set_default(iam: &Iam, form: &Form) -> Result<Value, Fault> {
    form.only(&["PolicyArn", "VersionId"])?;
    let (arn, id) = (form.required("PolicyArn")?, form.required("VersionId")?);
    edit(iam, form, |policy| {
        let all = policy["spec"]["versions"].as_array();
        if !all.is_some_and(|all| all.iter().any(|version| version["id"] == id)) {
            return Err(missing(arn, id));
        }
        policy["spec"]["defaultVersion"] = json!(id);
        Ok(())
    })
    .await?;
    Ok(Value::Null)
}

pub(super) async fn delete(iam: &Iam, form: &Form) -> Result<Value, Fault> {
    form.only(&["PolicyArn", "VersionId"])?;
    let (arn, id) = (form.required("PolicyArn")?, form.required("VersionId")?);
    edit(iam, form, |policy| {
        if policy["spec"]["defaultVersion"] == id {
            return Err(delete_conflict("Cannot delete the default version of a policy."));
        }
        let Some(versions) = policy["spec"]["versions"].as_array_mut() else { return Err(missing(arn, id)) };
        let before = versions.len();
        versions.retain(|version| version["id"] != id);
        if versions.len() == before { Err(missing(arn, id)) } else { Ok(()) }
    })
    .await?;
    Ok(Value::Null)
}

async fn edit(
    iam: &Iam,
    form: &Form,
    edit: impl Fn(&mut Value) -> Result<(), Fault> + Send,
) -> Result<Value, Fault> {
    let arn = form.required("PolicyArn")?;
    let found = own(iam, arn).await?;
    let missing = || no_such_entity(format!("Policy {arn} was not found."));
    change(&policies(iam), name(&found), missing, edit).await
}

/// A policy as an object, also where it is one of AWS's.
async fn readable(iam: &Iam, arn: &str) -> Result<Value, Fault> {
    match find(iam, arn).await? {
        Managed::Own(policy) => Ok(policy),
        Managed::Aws(rest) => {
            let known = KNOWN.iter().find(|(path, _, _)| *path == rest);
            let (_, _, text) = known.ok_or_else(|| no_such_entity(format!("Policy {arn} was not found.")))?;
            let versions = json!([{ "id": "v1", "document": text }]);
            Ok(json!({ "metadata": {}, "spec": { "defaultVersion": "v1", "versions": versions } }))
        }
    }
}

fn number(version: &Value) -> u32 {
    let id = version["id"].as_str().unwrap_or_default();
    id.strip_prefix('v').and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn missing(arn: &str, id: &str) -> Fault {
    no_such_entity(format!("Policy {arn} version {id} does not exist or is not attachable."))
}

fn show(policy: &Value, version: &Value, in_full: bool) -> Value {
    let date = version["created"].as_str().unwrap_or_else(|| created(policy));
    json!({
        "VersionId": version["id"],
        "IsDefaultVersion": version["id"] == policy["spec"]["defaultVersion"],
        "CreateDate": if date.is_empty() { Value::Null } else { json!(date) },
        "Document": if in_full { json!(encoded(&version["document"])) } else { Value::Null },
    })
}
