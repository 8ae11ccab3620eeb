//! `GetUser`, for the caller alone: there are no users, only the account and the sessions of its roles.

use super::no_such_entity;
use super::object::{created, fault};
use crate::Iam;
use crate::session;
use client::{ApiResource, Key, Objects};
use serde_json::{Value, json};
use wire::query::Form;
use wire::{Call, Fault, NAMESPACE};

pub(super) async fn get(iam: &Iam, call: &Call, form: &Form) -> Result<Value, Fault> {
    form.only(&["UserName"])?;
    if let Some(name) = form.text("UserName") {
        return Err(no_such_entity(format!("The user with name {name} cannot be found.")));
    }
    let caller = session::identity(iam, call).await?;
    if caller.role_arn.is_some() {
        let message = "Must specify userName when calling with non-User credentials";
        return Err(Fault::new(400, "ValidationError", message));
    }
    let since = account_since(iam).await?;
    Ok(json!({ "User": { "UserId": caller.user_id, "Arn": caller.arn, "CreateDate": since } }))
}

/// The account is as old as the namespace that its functions live in.
async fn account_since(iam: &Iam) -> Result<String, Fault> {
    let namespaces = ApiResource {
        group: String::new(),
        version: "v1".to_owned(),
        api_version: "v1".to_owned(),
        kind: "Namespace".to_owned(),
        plural: "namespaces".to_owned(),
    };
    let key = Key::new(String::new(), NAMESPACE.to_owned());
    let found = Objects::new(iam.config.client.clone(), namespaces).get(&key).await;
    found.map(|namespace| created(&namespace).to_owned()).map_err(|error| fault(&error))
}
