//! Managed policies attached to roles.

use super::managed::{Managed, find, name_in};
use super::object::role;
use super::page::{self, page};
use super::role::{NAME_MAX, change_role};
use super::{limit_exceeded, limits, no_such_entity};
use crate::Iam;
use serde_json::{Value, json};
use wire::Fault;
use wire::query::Form;

pub(super) async fn attach(iam: &Iam, form: &Form) -> Result<Value, Fault> {
    form.only(&["RoleName", "PolicyArn"])?;
    let arn = form.required("PolicyArn")?;
    match find(iam, arn).await {
        Ok(Managed::Own(_) | Managed::Aws(_)) => {}
        Err(fault) if fault.code == "NoSuchEntity" => {
            return Err(no_such_entity(format!("Policy {arn} does not exist or is not attachable.")));
        }
        Err(fault) => return Err(fault),
    }
    change_role(iam, form, |object| {
        if !object["spec"]["attachedPolicies"].is_array() {
            object["spec"]["attachedPolicies"] = json!([]);
        }
        let Some(all) = object["spec"]["attachedPolicies"].as_array_mut() else { return Ok(()) };
        // Attaching twice is no error.
        if all.iter().any(|attached| attached == arn) {
            return Ok(());
        }
        if all.len() >= limits::ATTACHED_MAX {
            let message = format!("Cannot exceed quota for PoliciesPerRole: {}", limits::ATTACHED_MAX);
            return Err(limit_exceeded(message));
        }
        all.push(json!(arn));
        Ok(())
    })
    .await?;
    Ok(Value::Null)
}

pub(super) async fn detach(iam: &Iam, form: &Form) -> Result<Value, Fault> {
    form.only(&["RoleName", "PolicyArn"])?;
    let arn = form.required("PolicyArn")?;
    change_role(iam, form, |object| {
        let all = object["spec"]["attachedPolicies"].as_array_mut();
        let at = all.as_ref().and_then(|all| all.iter().position(|attached| attached == arn));
        match (all, at) {
            (Some(all), Some(at)) => {
                all.remove(at);
                Ok(())
            }
            _ => Err(no_such_entity(format!("Policy {arn} was not found."))),
        }
    })
    .await?;
    Ok(Value::Null)
}

pub(super) async fn list(iam: &Iam, form: &Form) -> Result<Value, Fault> {
    form.only(&[&page::MEMBERS[..], &["RoleName", "PathPrefix"]].concat())?;
    let prefix = form.text("PathPrefix").unwrap_or("/");
    let found = role(iam, limits::name(form, "RoleName", NAME_MAX)?).await?;
    let all = found["spec"]["attachedPolicies"].as_array().into_iter().flatten().filter_map(Value::as_str);
    // What follows `:policy` is path and name.
    let below = |arn: &&str| arn.split_once(":policy").is_some_and(|(_, rest)| rest.starts_with(prefix));
    let shown = all
        .filter(below)
        .map(|arn| (arn.to_owned(), json!({ "PolicyName": name_in(arn), "PolicyArn": arn })));
    let mut shown: Vec<(String, Value)> = shown.collect();
    shown.sort_by(|a, b| a.0.cmp(&b.0));
    page(form, "AttachedPolicies", shown)
}
