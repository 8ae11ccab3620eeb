//! Policies of the account: created, shown, deleted; AWS's own are shown where their documents are known.

use super::managed::{KNOWN, Managed, find, name_in, own};
use super::object::{arn, created, fault, id, key, name, policies, roles, shown_tags};
use super::page::{self, page};
use super::{already_exists, delete_conflict, document, limit_exceeded, limits, no_such_entity};
use crate::Iam;
use ::policy::Kind;
use client::{Deletion, is_already_exists, is_not_found};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use wire::Fault;
use wire::query::{Form, invalid};

const NAME_MAX: usize = 128;

pub(super) async fn create(iam: &Iam, form: &Form) -> Result<Value, Fault> {
    form.only(&["PolicyName", "Path", "PolicyDocument", "Description", "Tags"])?;
    let name = limits::name(form, "PolicyName", NAME_MAX)?;
    let text = managed_document(form)?;
    let tags: Map<String, Value> =
        limits::tags(form)?.into_iter().map(|(key, value)| (key, json!(value))).collect();
    if tags.len() > limits::TAGS_MAX {
        return Err(limit_exceeded(format!(
            "The number of tags has reached the maximum limit of {}.",
            limits::TAGS_MAX
        )));
    }
    let mut spec = json!({
        "path": limits::path(form)?,
        "defaultVersion": "v1",
        "versions": [{ "id": "v1", "document": text, "created": now() }],
        "tags": tags,
    });
    if let Some(description) = limits::description(form)? {
        spec["description"] = json!(description);
    }
    let taken =
        || already_exists(format!("A policy called {name} already exists. Duplicate names are not allowed."));
    let all = policies(iam).list("").await.map_err(|error| fault(&error))?;
    if all.iter().any(|policy| super::object::name(policy).eq_ignore_ascii_case(name)) {
        return Err(taken());
    }
    if all.len() >= limits::POLICIES_MAX {
        return Err(limit_exceeded(format!(
            "Cannot exceed quota for PoliciesPerAccount: {}",
            limits::POLICIES_MAX
        )));
    }
    let object = json!({ "apiVersion": "dory.dev/v1", "kind": "IamPolicy", "metadata": { "name": name }, "spec": spec });
    let made = policies(iam).create("", &object).await;
    let made = made.map_err(|error| if is_already_exists(&error) { taken() } else { fault(&error) })?;
    Ok(json!({ "Policy": show(iam, &made, 0, true) }))
}

pub(super) async fn get(iam: &Iam, form: &Form) -> Result<Value, Fault> {
    form.only(&["PolicyArn"])?;
    let asked = form.required("PolicyArn")?;
    let attached = attachments(iam).await?;
    let count = attached.iter().filter(|arn| *arn == asked).count();
    let shown = match find(iam, asked).await? {
        Managed::Own(policy) => show(iam, &policy, count, true),
        Managed::Aws(rest) => {
            let known = KNOWN.iter().find(|(path, _, _)| *path == rest).ok_or_else(|| unknown(asked))?;
            show_aws(known.0, Some(known.1), count)
        }
    };
    Ok(json!({ "Policy": shown }))
}

pub(super) async fn delete(iam: &Iam, form: &Form) -> Result<Value, Fault> {
    form.only(&["PolicyArn"])?;
    let asked = form.required("PolicyArn")?;
    let policy = own(iam, asked).await?;
    if attachments(iam).await?.iter().any(|arn| arn == asked) {
        return Err(delete_conflict("Cannot delete a policy attached to entities."));
    }
    if policy["spec"]["versions"].as_array().is_some_and(|all| all.len() > 1) {
        return Err(delete_conflict(
            "This policy has more than one version. Before you delete a policy, you must delete \
                                    the policy's versions. The default version is deleted with the policy.",
        ));
    }
    match policies(iam).delete(&key(name(&policy)), &Deletion::default()).await {
        Ok(_) => Ok(Value::Null),
        Err(error) if is_not_found(&error) => Err(unknown(asked)),
        Err(error) => Err(fault(&error)),
    }
}

pub(super) async fn list(iam: &Iam, form: &Form) -> Result<Value, Fault> {
    form.only(&[&page::MEMBERS[..], &["Scope", "OnlyAttached", "PathPrefix"]].concat())?;
    let scope = form.text("Scope").unwrap_or("All");
    if !["All", "AWS", "Local"].contains(&scope) {
        let constraint = "Member must satisfy enum value set: [All, AWS, Local]";
        return Err(invalid("Scope", &format!("'{scope}'"), constraint));
    }
    let (prefix, only_attached) = (form.text("PathPrefix").unwrap_or("/"), form.boolean("OnlyAttached")?);
    let attached = attachments(iam).await?;
    let count = |asked: &str| attached.iter().filter(|arn| *arn == asked).count();
    let mut all = Vec::new();
    if scope != "AWS" {
        for policy in policies(iam).list("").await.map_err(|error| fault(&error))? {
            let arn = arn(iam, "policy", &policy);
            all.push((arn.clone(), show(iam, &policy, count(&arn), false)));
        }
    }
    if scope != "Local" {
        let known = KNOWN.iter().map(|(path, _, _)| (*path).to_owned());
        let others = attached.iter().filter_map(|arn| super::managed::of_aws(arn)).map(str::to_owned);
        let mut paths: Vec<String> = known.chain(others).collect();
        paths.sort();
        paths.dedup();
        for path in paths {
            let arn = format!("arn:aws:iam::aws:policy{path}");
            all.push((arn.clone(), show_aws(&path, None, count(&arn))));
        }
    }
    all.retain(|(_, shown)| {
        shown["Path"].as_str().unwrap_or("/").starts_with(prefix)
            && (!only_attached || shown["AttachmentCount"] != 0)
    });
    all.sort_by(|a, b| a.0.cmp(&b.0));
    page(form, "Policies", all)
}

/// The ARNs that roles have attached, one for each attachment.
async fn attachments(iam: &Iam) -> Result<Vec<String>, Fault> {
    let all = roles(iam).list("").await.map_err(|error| fault(&error))?;
    let arns = all.iter().flat_map(|role| role["spec"]["attachedPolicies"].as_array().into_iter().flatten());
    Ok(arns.filter_map(Value::as_str).map(str::to_owned).collect())
}

pub(super) fn managed_document(form: &Form) -> Result<&str, Fault> {
    let text = document(form, "PolicyDocument", Kind::Identity)?;
    if limits::characters(text) > limits::MANAGED_CHARACTERS_MAX {
        let max = limits::MANAGED_CHARACTERS_MAX;
        return Err(limit_exceeded(format!("Cannot exceed quota for PolicySize: {max}")));
    }
    Ok(text)
}

/// IAM's form of a time.
pub(super) fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn unknown(arn: &str) -> Fault {
    no_such_entity(format!("Policy {arn} was not found."))
}

fn show(iam: &Iam, policy: &Value, attachments: usize, in_full: bool) -> Value {
    let spec = &policy["spec"];
    let versions = spec["versions"].as_array().into_iter().flatten();
    let updated = versions.filter_map(|version| version["created"].as_str()).max();
    json!({
        "PolicyName": name(policy),
        "PolicyId": id("ANPA", policy),
        "Arn": arn(iam, "policy", policy),
        "Path": spec["path"].as_str().unwrap_or("/"),
        "DefaultVersionId": spec["defaultVersion"],
        "AttachmentCount": attachments,
        "PermissionsBoundaryUsageCount": 0,
        "IsAttachable": true,
        "Description": if in_full { spec["description"].clone() } else { Value::Null },
        "CreateDate": created(policy),
        "UpdateDate": updated.unwrap_or_else(|| created(policy)),
        "Tags": if in_full { shown_tags(policy) } else { Value::Null },
    })
}

fn show_aws(rest: &str, description: Option<&str>, attachments: usize) -> Value {
    let path = rest.rsplit_once('/').map_or("/".to_owned(), |(path, _)| format!("{path}/"));
    json!({
        "PolicyName": name_in(rest),
        "Arn": format!("arn:aws:iam::aws:policy{rest}"),
        "Path": path,
        "DefaultVersionId": "v1",
        "AttachmentCount": attachments,
        "PermissionsBoundaryUsageCount": 0,
        "IsAttachable": true,
        "Description": description,
    })
}
