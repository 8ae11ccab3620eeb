//! A role's tags.

use super::object::{role, tags};
use super::page::{self, page};
use super::role::{NAME_MAX, change_role};
use super::{limit_exceeded, limits};
use crate::Iam;
use serde_json::{Value, json};
use wire::Fault;
use wire::query::Form;

pub(super) async fn tag(iam: &Iam, form: &Form) -> Result<Value, Fault> {
    form.only(&["RoleName", "Tags"])?;
    let tags = limits::tags(form)?;
    change_role(iam, form, |object| {
        if !object["spec"]["tags"].is_object() {
            object["spec"]["tags"] = json!({});
        }
        let Some(kept) = object["spec"]["tags"].as_object_mut() else { return Ok(()) };
        for (key, value) in &tags {
            // Keys differ in more than their case; the newest spelling stays.
            kept.retain(|known, _| !known.eq_ignore_ascii_case(key));
            kept.insert(key.clone(), json!(value));
        }
        if kept.len() > limits::TAGS_MAX {
            let message =
                format!("The number of tags has reached the maximum limit of {}.", limits::TAGS_MAX);
            return Err(limit_exceeded(message));
        }
        Ok(())
    })
    .await?;
    Ok(Value::Null)
}

pub(super) async fn untag(iam: &Iam, form: &Form) -> Result<Value, Fault> {
    form.only(&["RoleName", "TagKeys"])?;
    let keys = form.strings("TagKeys");
    change_role(iam, form, |object| {
        if let Some(kept) = object["spec"]["tags"].as_object_mut() {
            kept.retain(|known, _| !keys.iter().any(|key| known.eq_ignore_ascii_case(key)));
        }
        Ok(())
    })
    .await?;
    Ok(Value::Null)
}

pub(super) async fn list(iam: &Iam, form: &Form) -> Result<Value, Fault> {
    form.only(&[&page::MEMBERS[..], &["RoleName"]].concat())?;
    let found = role(iam, limits::name(form, "RoleName", NAME_MAX)?).await?;
    page(form, "Tags", tags(&found))
}
