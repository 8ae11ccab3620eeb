//! The objects behind IAM: found, changed and named. Errors of the Kubernetes API are put into IAM's words.

use super::no_such_entity;
use crate::Iam;
use client::{Key, Objects, is_conflict, is_not_found, own_resource};
use serde_json::{Value, json};
use wire::Fault;

/// How often a change is tried again when somebody else changed the object in between.
const TRIES: u32 = 8;

pub(crate) fn roles(iam: &Iam) -> Objects {
    Objects::new(iam.config.client.clone(), own_resource("IamRole", "iamroles"))
}

pub(super) fn policies(iam: &Iam) -> Objects {
    Objects::new(iam.config.client.clone(), own_resource("IamPolicy", "iampolicies"))
}

/// The key of a cluster-scoped object.
pub(super) fn key(name: &str) -> Key {
    Key::new(String::new(), name.to_owned())
}

pub(super) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// A role or policy in full, as `arn:aws:iam::000000000000:role/path/name`.
pub fn arn(iam: &Iam, kind: &str, object: &Value) -> String {
    let path = object["spec"]["path"].as_str().unwrap_or("/");
    format!("arn:aws:iam::{}:{kind}{path}{}", iam.config.account_id, name(object))
}

/// `AROA…` or `ANPA…`: the same for the life of an object, another one for the next of its name.
pub(crate) fn id(prefix: &str, object: &Value) -> String {
    ::policy::iam_id(prefix, object["metadata"]["uid"].as_str().unwrap_or_default())
}

pub(super) fn created(object: &Value) -> &str {
    object["metadata"]["creationTimestamp"].as_str().unwrap_or_default()
}

/// The role of that name, if there is one.
pub async fn find_role(iam: &Iam, name: &str) -> Result<Option<Value>, Fault> {
    match roles(iam).get(&key(name)).await {
        Ok(role) => Ok(Some(role)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(fault(&error)),
    }
}

/// The role that a request names, or IAM's complaint.
pub(super) async fn role(iam: &Iam, name: &str) -> Result<Value, Fault> {
    find_role(iam, name).await?.ok_or_else(|| missing_role(name))
}

pub(super) fn missing_role(name: &str) -> Fault {
    no_such_entity(format!("The role with name {name} cannot be found."))
}

/// Changes an object: `change` is run on its newest state, again if somebody else was faster.
pub(super) async fn change(
    objects: &Objects,
    name: &str,
    missing: impl Fn() -> Fault + Send,
    change: impl Fn(&mut Value) -> Result<(), Fault> + Send,
) -> Result<Value, Fault> {
    for _ in 0..TRIES {
        let mut object = match objects.get(&key(name)).await {
            Ok(object) => object,
            Err(error) if is_not_found(&error) => return Err(missing()),
            Err(error) => return Err(fault(&error)),
        };
        change(&mut object)?;
        match objects.replace(&key(name), &object).await {
            Ok(changed) => return Ok(changed),
            Err(error) if is_conflict(&error) => {}
            Err(error) => return Err(fault(&error)),
        }
    }
    let message = "The request was rejected because multiple requests to change this object were submitted \
                   simultaneously. Wait a few minutes and submit your request again.";
    Err(Fault::new(409, "ConcurrentModification", message))
}

/// What the API server would not take, or why it could not be asked.
pub(super) fn fault(error: &client::kube::Error) -> Fault {
    match error {
        client::kube::Error::Api(status) if (400..500).contains(&status.code) => {
            Fault::malformed_input(status.message.clone())
        }
        other => Fault { code: "ServiceFailure", ..Fault::service(other.to_string()) },
    }
}

/// Tags as answers show them, in the order of their keys.
pub(super) fn tags(object: &Value) -> Vec<(String, Value)> {
    let tags = object["spec"]["tags"].as_object().into_iter().flatten();
    tags.map(|(key, value)| (key.clone(), json!({ "Key": key, "Value": value }))).collect()
}

/// A list member of an answer, left out when there is nothing in it.
pub(super) fn shown_tags(object: &Value) -> Value {
    let all: Vec<Value> = tags(object).into_iter().map(|(_, tag)| tag).collect();
    if all.is_empty() { Value::Null } else { json!(all) }
}
