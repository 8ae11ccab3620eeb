//! Inline policies: documents that belong to one role.

use super::object::role;
use super::page::{self, page};
use super::role::{NAME_MAX, change_role};
use super::{document, encoded, limit_exceeded, limits, no_such_entity};
use crate::Iam;
use ::policy::Kind;
use serde_json::{Value, json};
use wire::Fault;
use wire::query::Form;

const POLICY_NAME_MAX: usize = 128;

pub(super) async fn put(iam: &Iam, form: &Form) -> Result<Value, Fault> {
    form.only(&["RoleName", "PolicyName", "PolicyDocument"])?;
    let (role, name) = names(form)?;
    let text = document(form, "PolicyDocument", Kind::Identity)?;
    change_role(iam, form, |object| {
        if !object["spec"]["inlinePolicies"].is_object() {
            object["spec"]["inlinePolicies"] = json!({});
        }
        object["spec"]["inlinePolicies"][name] = json!(text);
        let all = object["spec"]["inlinePolicies"].as_object().into_iter().flatten();
        let size: usize = all.map(|(_, text)| limits::characters(text.as_str().unwrap_or_default())).sum();
        if size > limits::INLINE_CHARACTERS_MAX {
            let max = limits::INLINE_CHARACTERS_MAX;
            return Err(limit_exceeded(format!(
                "Maximum policy size of {max} bytes exceeded for role {role}"
            )));
        }
        Ok(())
    })
    .await?;
    Ok(Value::Null)
}

pub(super) async fn get(iam: &Iam, form: &Form) -> Result<Value, Fault> {
    form.only(&["RoleName", "PolicyName"])?;
    let (role_name, name) = names(form)?;
    let found = role(iam, role_name).await?;
    let text = &found["spec"]["inlinePolicies"][name];
    if text.is_null() {
        return Err(missing(name));
    }
    Ok(json!({ "RoleName": role_name, "PolicyName": name, "PolicyDocument": encoded(text) }))
}

pub(super) async fn delete(iam: &Iam, form: &Form) -> Result<Value, Fault> {
    form.only(&["RoleName", "PolicyName"])?;
    let (_, name) = names(form)?;
    change_role(iam, form, |object| {
        let removed = object["spec"]["inlinePolicies"].as_object_mut().and_then(|all| all.remove(name));
        removed.map(drop).ok_or_else(|| missing(name))
    })
    .await?;
    Ok(Value::Null)
}

pub(super) async fn list(iam: &Iam, form: &Form) -> Result<Value, Fault> {
    form.only(&[&page::MEMBERS[..], &["RoleName"]].concat())?;
    let found = role(iam, limits::name(form, "RoleName", NAME_MAX)?).await?;
    let names = found["spec"]["inlinePolicies"].as_object().into_iter().flatten();
    page(form, "PolicyNames", names.map(|(name, _)| (name.clone(), json!(name))).collect())
}

fn names(form: &Form) -> Result<(&str, &str), Fault> {
    Ok((limits::name(form, "RoleName", NAME_MAX)?, limits::name(form, "PolicyName", POLICY_NAME_MAX)?))
}

fn missing(name: &str) -> Fault {
    no_such_entity(format!("The role policy with name {name} cannot be found."))
}
