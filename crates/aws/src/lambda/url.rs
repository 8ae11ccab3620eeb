//! Function URLs: the address is part of the function object, and the gateway serves it.

use super::configuration::{URL_CREATED_ANNOTATION, URL_MODIFIED_ANNOTATION, annotation};
use super::name::Name;
use super::object::annotate;
use super::{input, required, string};
use crate::door::{Call, Door};
use crate::fault::Fault;
use crate::reply::{self, Reply};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub(crate) async fn create(door: &Door, call: &Call, name: &Name) -> Result<Reply, Fault> {
    let input = input(call)?;
    let auth_type = auth_type(required(&input, "AuthType")?)?;
    check(&input)?;
    let id = new_id();
    let changed = door
        .change(name, None, |object| {
            if object["spec"]["url"].is_object() {
                return Err(Fault::conflict(format!(
                    "Failed to create function url config for [functionArn = {}]. Error message:  \
                     FunctionUrlConfig exists for this Lambda function",
                    door.arn(&name.name)
                )));
            }
            object["spec"]["url"] = json!({ "id": id, "authType": auth_type, "invokeMode": "BUFFERED" });
            let now = now();
            annotate(object, URL_CREATED_ANNOTATION, Some(now.clone()));
            annotate(object, URL_MODIFIED_ANNOTATION, Some(now));
            Ok(())
        })
        .await?;
    Ok(reply::json(201, &show(door, name, &changed)?))
}

pub(crate) async fn get(door: &Door, name: &Name) -> Result<Reply, Fault> {
    Ok(reply::json(200, &show(door, name, &door.find(name).await?)?))
}

pub(crate) async fn update(door: &Door, call: &Call, name: &Name) -> Result<Reply, Fault> {
    let input = input(call)?;
    check(&input)?;
    let auth_type = string(&input, "AuthType")?.map(auth_type).transpose()?;
    let changed = door
        .change(name, None, |object| {
            if !object["spec"]["url"].is_object() {
                return Err(no_url());
            }
            if let Some(auth_type) = auth_type {
                object["spec"]["url"]["authType"] = json!(auth_type);
            }
            annotate(object, URL_MODIFIED_ANNOTATION, Some(now()));
            Ok(())
        })
        .await?;
    Ok(reply::json(200, &show(door, name, &changed)?))
}

pub(crate) async fn delete(door: &Door, name: &Name) -> Result<Reply, Fault> {
    door.change(name, None, |object| {
        let spec = object["spec"].as_object_mut();
        spec.and_then(|spec| spec.remove("url")).ok_or_else(no_url)?;
        annotate(object, URL_CREATED_ANNOTATION, None);
        annotate(object, URL_MODIFIED_ANNOTATION, None);
        Ok(())
    })
    .await?;
    Ok(reply::nothing())
}

pub(crate) async fn list(door: &Door, name: &Name) -> Result<Reply, Fault> {
    let object = door.find(name).await?;
    let all: Vec<Value> = show(door, name, &object).into_iter().collect();
    Ok(reply::json(200, &json!({ "FunctionUrlConfigs": all })))
}

fn show(door: &Door, name: &Name, object: &Value) -> Result<Value, Fault> {
    let url = &object["spec"]["url"];
    let id = url["id"].as_str().ok_or_else(no_url)?;
    let config = &door.config;
    let created =
        annotation(object, URL_CREATED_ANNOTATION).or(object["metadata"]["creationTimestamp"].as_str());
    Ok(json!({
        "FunctionUrl": format!("http://{id}.lambda-url.{}.{}/", config.region, config.url_base),
        "FunctionArn": door.arn(&name.name),
        "AuthType": url["authType"].as_str().unwrap_or("AWS_IAM"),
        "CreationTime": created,
        "LastModifiedTime": annotation(object, URL_MODIFIED_ANNOTATION).or(created),
        "InvokeMode": "BUFFERED",
    }))
}

fn no_url() -> Fault {
    Fault::not_found("The resource you requested does not exist.")
}

fn auth_type(text: &str) -> Result<&'static str, Fault> {
    match text {
        "NONE" => Ok("NONE"),
        "AWS_IAM" => Ok("AWS_IAM"),
        other => Err(Fault::validation(
            "authType",
            &format!("'{other}'"),
            "Member must satisfy enum value set: [NONE, AWS_IAM]",
        )),
    }
}

/// What the gateway cannot do yet.
fn check(input: &Map<String, Value>) -> Result<(), Fault> {
    if input.get("Cors").is_some_and(|cors| cors.as_object().is_none_or(|cors| !cors.is_empty())) {
        return Err(Fault::unsupported("Cors"));
    }
    if string(input, "InvokeMode")?.is_some_and(|mode| mode != "BUFFERED") {
        return Err(Fault::unsupported("InvokeMode RESPONSE_STREAM"));
    }
    match input
        .keys()
        .find(|member| !["AuthType", "Cors", "InvokeMode", "FunctionName"].contains(&member.as_str()))
    {
        Some(member) => Err(Fault::unsupported(member)),
        None => Ok(()),
    }
}

/// 32 letters and digits, as on AWS: nobody finds a function by guessing.
fn new_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}
