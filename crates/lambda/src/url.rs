//! Function URLs: the address is part of the function's object, or of the alias's when a qualifier names one, and the
//! gateway serves it.

mod cors;

use super::configuration::{URL_CREATED_ANNOTATION, URL_MODIFIED_ANNOTATION, annotation};
use super::name::Name;
use super::object::annotate;
use super::{input, required, string};
use crate::Lambda;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use wire::{Call, Fault, Reply, reply};

/// Members that the operations read.
const KNOWN: &[&str] = &["AuthType", "Cors", "InvokeMode", "FunctionName"];

pub(crate) async fn create(lambda: &Lambda, call: &Call, name: &Name) -> Result<Reply, Fault> {
    let input = input(call)?;
    refuse_unknown(&input)?;
    let mut url = json!({
        "id": new_id(),
        "authType": required(&input, "AuthType")?,
        "invokeMode": string(&input, "InvokeMode")?.unwrap_or("BUFFERED"),
    });
    if let Some(cors) = cors::read(&input)?.filter(|cors| !cors.is_empty()) {
        url["cors"] = Value::Object(cors);
    }
    let changed = lambda
        .change(name, None, |object| {
            if object["spec"]["url"].is_object() {
                return Err(Fault::conflict(format!(
                    "Failed to create function url config for [functionArn = {}]. Error message:  FunctionUrlConfig \
                     exists for this Lambda function",
                    arn(lambda, name)
                )));
            }
            object["spec"]["url"] = url.clone();
            let now = now();
            annotate(object, URL_CREATED_ANNOTATION, Some(now.clone()));
            annotate(object, URL_MODIFIED_ANNOTATION, Some(now));
            Ok(())
        })
        .await?;
    let mut shown = show(lambda, name, &changed)?;
    if let Some(members) = shown.as_object_mut() {
        members.remove("LastModifiedTime");
    }
    Ok(reply::json(201, &shown))
}

pub(crate) async fn get(lambda: &Lambda, name: &Name) -> Result<Reply, Fault> {
    Ok(reply::json(200, &show(lambda, name, &lambda.find(name).await?)?))
}

pub(crate) async fn update(lambda: &Lambda, call: &Call, name: &Name) -> Result<Reply, Fault> {
    let input = input(call)?;
    refuse_unknown(&input)?;
    let (auth_type, invoke_mode) = (string(&input, "AuthType")?, string(&input, "InvokeMode")?);
    let cors = cors::read(&input)?;
    let changed = lambda
        .change(name, None, |object| {
            let Some(url) = object["spec"]["url"].as_object_mut() else { return Err(no_url()) };
            for (field, value) in [("authType", auth_type), ("invokeMode", invoke_mode)] {
                if let Some(value) = value {
                    url.insert(field.to_owned(), json!(value));
                }
            }
            match &cors {
                None => {}
                Some(cors) if cors.is_empty() => drop(url.remove("cors")),
                Some(cors) => drop(url.insert("cors".to_owned(), Value::Object(cors.clone()))),
            }
            annotate(object, URL_MODIFIED_ANNOTATION, Some(now()));
            Ok(())
        })
        .await?;
    Ok(reply::json(200, &show(lambda, name, &changed)?))
}

pub(crate) async fn delete(lambda: &Lambda, name: &Name) -> Result<Reply, Fault> {
    lambda
        .change(name, None, |object| {
            let spec = object["spec"].as_object_mut();
            spec.and_then(|spec| spec.remove("url")).ok_or_else(no_url)?;
            annotate(object, URL_CREATED_ANNOTATION, None);
            annotate(object, URL_MODIFIED_ANNOTATION, None);
            Ok(())
        })
        .await?;
    Ok(reply::nothing())
}

/// The URLs of the function and of its aliases.
pub(crate) async fn list(lambda: &Lambda, call: &Call, name: &Name) -> Result<Reply, Fault> {
    let shown = |name: &Name, object: &Value| match object["spec"]["url"].is_object() {
        true => show(lambda, name, object).map(Some),
        false => Ok(None),
    };
    lambda.list_in_family(call, name, "FunctionUrlConfigs", shown).await
}

fn show(lambda: &Lambda, name: &Name, object: &Value) -> Result<Value, Fault> {
    let url = &object["spec"]["url"];
    let id = url["id"].as_str().ok_or_else(no_url)?;
    let config = &lambda.config;
    let created =
        annotation(object, URL_CREATED_ANNOTATION).or(object["metadata"]["creationTimestamp"].as_str());
    let mut shown = json!({
        "FunctionUrl": format!("http://{id}.lambda-url.{}.{}/", config.region, config.url_base),
        "FunctionArn": arn(lambda, name),
        "AuthType": url["authType"].as_str().unwrap_or("AWS_IAM"),
        "CreationTime": created,
        "LastModifiedTime": annotation(object, URL_MODIFIED_ANNOTATION).or(created),
        "InvokeMode": url["invokeMode"].as_str().unwrap_or("BUFFERED"),
    });
    if let Some(cors) = url["cors"].as_object() {
        shown["Cors"] = cors::show(cors);
    }
    Ok(shown)
}

/// Without a qualifier where there is none: `$LATEST` is not part of it.
fn arn(lambda: &Lambda, name: &Name) -> String {
    match name.qualifier {
        Some(_) => lambda.qualified_arn(name),
        None => lambda.arn(&name.name),
    }
}

fn no_url() -> Fault {
    Fault::not_found("The resource you requested does not exist.")
}

fn refuse_unknown(input: &Map<String, Value>) -> Result<(), Fault> {
    match input.keys().find(|member| !KNOWN.contains(&member.as_str())) {
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
