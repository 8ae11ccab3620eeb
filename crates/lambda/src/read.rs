//! `GetFunction`, `GetFunctionConfiguration`, `ListFunctions`.

use super::name::Name;
use super::page::Page;
use super::{code, configuration, image, runtime, tags, version};
use crate::Lambda;
use functions::Watched;
use serde_json::{Value, json};
use wire::{Call, Fault, Reply, reply};

pub(crate) async fn get_function(lambda: &Lambda, name: &Name) -> Result<Reply, Fault> {
    let (object, configuration) = shown(lambda, name).await?;
    let sha256 = object["spec"]["code"]["sha256"].as_str().unwrap_or_default();
    let code = match image::is_image(&object) {
        true => image::location(&object["spec"]),
        false => json!({ "RepositoryType": "S3", "Location": code::location(lambda, sha256)? }),
    };
    let mut answer = json!({ "Configuration": configuration, "Code": code });
    let tags = tags::of(&object);
    if !tags.is_empty() {
        answer["Tags"] = json!(tags);
    }
    if let Some(reserved) = object["spec"]["reservedConcurrency"].as_u64() {
        answer["Concurrency"] = json!({ "ReservedConcurrentExecutions": reserved });
    }
    Ok(reply::json(200, &answer))
}

pub(crate) async fn get_function_configuration(lambda: &Lambda, name: &Name) -> Result<Reply, Fault> {
    Ok(reply::json(200, &shown(lambda, name).await?.1))
}

/// What a name leads to: the object of the function or of a version, also through an alias, and its configuration with
/// the ARN as it was asked for.
async fn shown(lambda: &Lambda, name: &Name) -> Result<(Value, Value), Fault> {
    let mut object = lambda.find(name).await?;
    if let Some(version) = object["spec"]["functionVersion"].as_str() {
        object = lambda.find(&name.at(version)).await?;
    }
    let mut configuration = runtime::configuration(lambda, &object).await;
    if let Some(qualifier) = &name.qualifier {
        configuration["FunctionArn"] = json!(format!("{}:{qualifier}", lambda.arn(&name.name)));
    }
    Ok((object, configuration))
}

/// No function has a code signing configuration: there are none. Deployment tools ask before they go on.
pub(crate) async fn get_code_signing(lambda: &Lambda, name: &Name) -> Result<Reply, Fault> {
    lambda.find(name).await?;
    Ok(reply::json(200, &json!({ "FunctionName": name.name, "CodeSigningConfigArn": "" })))
}

/// The newest of every function, or with `FunctionVersion=ALL` every version of it too.
pub(crate) async fn list_functions(lambda: &Lambda, call: &Call) -> Result<Reply, Fault> {
    let page = Page::of(call)?;
    let mut objects = lambda.all_of(Watched::Function).await?;
    match call.parameter("FunctionVersion").as_deref() {
        None => {
            let config = &lambda.config;
            let items = objects.iter().map(|object| {
                let shown = configuration::configuration(object, &config.region, &config.account_id);
                (configuration::name(object).to_owned(), shown)
            });
            Ok(reply::json(200, &page.answer("Functions", items.collect())))
        }
        Some("ALL") => {
            objects.extend(lambda.all_of(Watched::Version).await?);
            let items = objects.iter().map(|object| version::item(lambda, object)).collect();
            Ok(reply::json(200, &page.answer("Functions", items)))
        }
        Some(other) => {
            let constraint = "Member must satisfy enum value set: [ALL]";
            Err(Fault::validation("functionVersion", &format!("'{other}'"), constraint))
        }
    }
}
