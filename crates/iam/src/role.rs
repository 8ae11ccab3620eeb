//! Roles: created, shown, changed, deleted.

use super::object::{arn, change, created, fault, id, key, missing_role, name, role, roles, shown_tags};
use super::page::{self, page};
use super::{already_exists, delete_conflict, document, encoded, limit_exceeded, limits};
use crate::Iam;
use ::policy::Kind;
use client::{Deletion, is_already_exists, is_not_found};
use serde_json::{Map, Value, json};
use wire::Fault;
use wire::query::Form;

pub(super) const NAME_MAX: usize = 64;

/// The trust policy of the default role: Lambda for functions, the account for people who try things out.
const DEFAULT_TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com","AWS":"*"},"Action":"sts:AssumeRole"}]}"#;

/// Makes the role that functions have when nobody made one for them.
pub(crate) async fn make_default(objects: &client::Objects) -> Result<(), client::kube::Error> {
    let object = json!({
        "apiVersion": "dory.dev/v1",
        "kind": "IamRole",
        "metadata": { "name": ::policy::DEFAULT_ROLE },
        "spec": {
            "path": "/",
            "assumeRolePolicyDocument": DEFAULT_TRUST,
            "description": "The role of functions that nobody made one for.",
            "attachedPolicies": ["arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"],
        },
    });
    match objects.create("", &object).await {
        Err(error) if !is_already_exists(&error) => Err(error),
        _ => Ok(()),
    }
}

pub(super) async fn create(iam: &Iam, form: &Form) -> Result<Value, Fault> {
    form.only(&[
        "Path",
        "RoleName",
        "AssumeRolePolicyDocument",
        "Description",
        "MaxSessionDuration",
        "Tags",
    ])?;
    let name = limits::name(form, "RoleName", NAME_MAX)?;
    let trust = trust(form, "AssumeRolePolicyDocument")?;
    let tags = limits::tags(form)?;
    if tags.len() > limits::TAGS_MAX {
        return Err(limit_exceeded(format!(
            "The number of tags has reached the maximum limit of {}.",
            limits::TAGS_MAX
        )));
    }
    let tags: Map<String, Value> = tags.into_iter().map(|(key, value)| (key, json!(value))).collect();
    let mut spec = json!({
        "path": limits::path(form)?,
        "assumeRolePolicyDocument": trust,
        "maxSessionDurationSeconds": duration(form)?.unwrap_or(3600),
        "tags": tags,
    });
    if let Some(description) = limits::description(form)? {
        spec["description"] = json!(description);
    }
    let taken = || already_exists(format!("Role with name {name} already exists."));
    let all = roles(iam).list("").await.map_err(|error| fault(&error))?;
    // Names differ in more than their case.
    if all.iter().any(|role| super::object::name(role).eq_ignore_ascii_case(name)) {
        return Err(taken());
    }
    if all.len() >= limits::ROLES_MAX {
        let message = format!("Cannot exceed quota for RolesPerAccount: {}", limits::ROLES_MAX);
        return Err(limit_exceeded(message));
    }
    let object =
        json!({ "apiVersion": "dory.dev/v1", "kind": "IamRole", "metadata": { "name": name }, "spec": spec });
    let made = roles(iam).create("", &object).await;
    let made = made.map_err(|error| if is_already_exists(&error) { taken() } else { fault(&error) })?;
    Ok(json!({ "Role": show(iam, &made, true) }))
}

pub(super) async fn get(iam: &Iam, form: &Form) -> Result<Value, Fault> {
    form.only(&["RoleName"])?;
    let found = role(iam, limits::name(form, "RoleName", NAME_MAX)?).await?;
    Ok(json!({ "Role": show(iam, &found, true) }))
}

pub(super) async fn delete(iam: &Iam, form: &Form) -> Result<Value, Fault> {
    form.only(&["RoleName"])?;
    let name = limits::name(form, "RoleName", NAME_MAX)?;
    let found = role(iam, name).await?;
    if found["spec"]["attachedPolicies"].as_array().is_some_and(|all| !all.is_empty()) {
        return Err(delete_conflict("Cannot delete entity, must detach all policies first."));
    }
    if found["spec"]["inlinePolicies"].as_object().is_some_and(|all| !all.is_empty()) {
        return Err(delete_conflict("Cannot delete entity, must delete policies first."));
    }
    match roles(iam).delete(&key(name), &Deletion::default()).await {
        Ok(_) => Ok(Value::Null),
        Err(error) if is_not_found(&error) => Err(missing_role(name)),
        Err(error) => Err(fault(&error)),
    }
}

pub(super) async fn update(iam: &Iam, form: &Form) -> Result<Value, Fault> {
    form.only(&["RoleName", "Description", "MaxSessionDuration"])?;
    let (description, duration) = (limits::description(form)?, duration(form)?);
    change_role(iam, form, |object| {
        if let Some(description) = description {
            object["spec"]["description"] = json!(description);
        }
        if let Some(duration) = duration {
            object["spec"]["maxSessionDurationSeconds"] = json!(duration);
        }
        Ok(())
    })
    .await?;
    Ok(json!({}))
}

pub(super) async fn update_trust(iam: &Iam, form: &Form) -> Result<Value, Fault> {
    form.only(&["RoleName", "PolicyDocument"])?;
    let trust = trust(form, "PolicyDocument")?;
    change_role(iam, form, |object| {
        object["spec"]["assumeRolePolicyDocument"] = json!(trust);
        Ok(())
    })
    .await?;
    Ok(Value::Null)
}

pub(super) async fn list(iam: &Iam, form: &Form) -> Result<Value, Fault> {
    form.only(&[&page::MEMBERS[..], &["PathPrefix"]].concat())?;
    let prefix = form.text("PathPrefix").unwrap_or("/");
    let mut all = roles(iam).list("").await.map_err(|error| fault(&error))?;
    all.retain(|role| role["spec"]["path"].as_str().unwrap_or("/").starts_with(prefix));
    all.sort_by(|a, b| name(a).cmp(name(b)));
    let shown = all.iter().map(|role| (name(role).to_owned(), show(iam, role, false)));
    page(form, "Roles", shown.collect())
}

/// Changes the role that the form names.
pub(super) async fn change_role(
    iam: &Iam,
    form: &Form,
    edit: impl Fn(&mut Value) -> Result<(), Fault> + Send,
) -> Result<Value, Fault> {
    let name = limits::name(form, "RoleName", NAME_MAX)?;
    change(&roles(iam), name, || missing_role(name), edit).await
}

fn trust<'a>(form: &'a Form, member: &str) -> Result<&'a str, Fault> {
    let text = document(form, member, Kind::Trust)?;
    if limits::characters(text) > limits::TRUST_CHARACTERS_MAX {
        let max = limits::TRUST_CHARACTERS_MAX;
        return Err(limit_exceeded(format!("Cannot exceed quota for ACLSizePerRole: {max}")));
    }
    Ok(text)
}

fn duration(form: &Form) -> Result<Option<i64>, Fault> {
    form.number("MaxSessionDuration", 3600, 43_200)
}

/// `in_full` is what `GetRole` shows and lists leave out.
fn show(iam: &Iam, role: &Value, in_full: bool) -> Value {
    let spec = &role["spec"];
    json!({
        "Path": spec["path"].as_str().unwrap_or("/"),
        "RoleName": name(role),
        "RoleId": id("AROA", role),
        "Arn": arn(iam, "role", role),
        "CreateDate": created(role),
        "AssumeRolePolicyDocument": encoded(&spec["assumeRolePolicyDocument"]),
        "Description": spec["description"],
        "MaxSessionDuration": spec["maxSessionDurationSeconds"].as_i64().unwrap_or(3600),
        "Tags": if in_full { shown_tags(role) } else { Value::Null },
        "RoleLastUsed": if in_full { json!({}) } else { Value::Null },
    })
}
