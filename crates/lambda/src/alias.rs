//! Aliases: `CreateAlias`, `GetAlias`, `UpdateAlias`, `DeleteAlias`, `ListAliases`. An alias is an object of its own,
//! `<function>.<alias>`; when an update is answered, every call that comes after it goes where the alias leads now.

use super::configuration::{annotation, revision_id};
use super::name::Name;
use super::page::Page;
use super::{input, required, string};
use crate::Lambda;
use client::is_already_exists;
use functions::{ALIAS_ANNOTATION, NAME_ANNOTATION, Watched, object_name};
use serde_json::{Map, Value, json};
use wire::{Call, Fault, NAMESPACE, Reply, reply};

const LATEST: &str = "$LATEST";

pub(crate) async fn create(lambda: &Lambda, call: &Call, name: &Name) -> Result<Reply, Fault> {
    name.unqualified()?;
    let input = input(call)?;
    let alias = required(&input, "Name")?;
    let version = required(&input, "FunctionVersion")?;
    check_name(alias)?;
    let function = lambda.find(&name.plain()).await?;
    let mut spec =
        json!({ "functionName": object_name(&name.name), "name": alias, "functionVersion": version });
    if let Some(description) = string(&input, "Description")? {
        spec["description"] = json!(description);
    }
    if let Some(routing) = routing(&input)? {
        spec["routing"] = Value::Object(routing);
    }
    check_versions(lambda, name, &spec).await?;
    let resource = Watched::Alias.resource();
    let mut object = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": format!("{}.{}", object_name(&name.name), object_name(alias)),
            "namespace": NAMESPACE,
            "annotations": {},
            "ownerReferences": [client::owner::controller_reference(&function, &Watched::Function.resource())],
        },
        "spec": spec,
    });
    if object_name(alias) != alias {
        object["metadata"]["annotations"][ALIAS_ANNOTATION] = json!(alias);
    }
    if let Some(called) = annotation(&function, NAME_ANNOTATION) {
        object["metadata"]["annotations"][NAME_ANNOTATION] = json!(called);
    }
    let created =
        lambda.create_of(Watched::Alias, object).await.map_err(|error| match is_already_exists(&error) {
            true => Fault::conflict(format!("Alias already exists: {}:{alias}", lambda.arn(&name.name))),
            false => lambda.fault(name, &error),
        })?;
    Ok(reply::json(201, &show(lambda, name, &created)))
}

pub(crate) async fn get(lambda: &Lambda, name: &Name, alias: &str) -> Result<Reply, Fault> {
    let alias = find(lambda, name, alias).await?;
    Ok(reply::json(200, &show(lambda, name, &alias)))
}

pub(crate) async fn update(lambda: &Lambda, call: &Call, name: &Name, alias: &str) -> Result<Reply, Fault> {
    let input = input(call)?;
    let mut wanted = Map::new();
    for (member, field) in [("FunctionVersion", "functionVersion"), ("Description", "description")] {
        if let Some(text) = string(&input, member)? {
            wanted.insert(field.to_owned(), json!(text));
        }
    }
    if let Some(routing) = routing(&input)? {
        wanted.insert("routing".to_owned(), Value::Object(routing));
    }
    let before = find(lambda, name, alias).await?;
    let mut after = before["spec"].clone();
    merge(&mut after, &wanted);
    check_versions(lambda, name, &after).await?;
    let revision = string(&input, "RevisionId")?;
    let changed = lambda
        .change(&name.at(alias), revision, |object| {
            merge(&mut object["spec"], &wanted);
            Ok(())
        })
        .await?;
    Ok(reply::json(200, &show(lambda, name, &changed)))
}

fn merge(spec: &mut Value, wanted: &Map<String, Value>) {
    if let Some(spec) = spec.as_object_mut() {
        spec.extend(wanted.clone());
    }
}

/// An alias that is not there is deleted already, as on AWS.
pub(crate) async fn delete(lambda: &Lambda, name: &Name, alias: &str) -> Result<Reply, Fault> {
    lambda.find(&name.plain()).await?;
    match lambda.find(&name.at(alias)).await {
        Ok(_) => lambda.remove(&name.at(alias)).await?,
        Err(missing) if missing.status == 404 => {}
        Err(fault) => return Err(fault),
    }
    Ok(reply::nothing())
}

pub(crate) async fn list(lambda: &Lambda, call: &Call, name: &Name) -> Result<Reply, Fault> {
    name.unqualified()?;
    let page = Page::of(call)?;
    let version = call.parameter("FunctionVersion");
    lambda.find(&name.plain()).await?;
    let leads_to = |spec: &Value| {
        version.as_ref().is_none_or(|version| {
            spec["functionVersion"] == **version || spec["routing"].get(version).is_some()
        })
    };
    let aliases = lambda.aliases(name).await?;
    let shown = aliases.iter().filter(|alias| leads_to(&alias["spec"])).map(|alias| {
        (alias["spec"]["name"].as_str().unwrap_or_default().to_owned(), show(lambda, name, alias))
    });
    Ok(reply::json(200, &page.answer("Aliases", shown.collect())))
}

async fn find(lambda: &Lambda, name: &Name, alias: &str) -> Result<Value, Fault> {
    name.unqualified()?;
    check_name(alias)?;
    lambda.find(&name.plain()).await?;
    lambda.find(&name.at(alias)).await.map_err(|fault| match fault.status {
        404 => Fault::not_found(format!("Cannot find alias arn: {}:{alias}", lambda.arn(&name.name))),
        _ => fault,
    })
}

fn show(lambda: &Lambda, name: &Name, object: &Value) -> Value {
    let spec = &object["spec"];
    let alias = spec["name"].as_str().unwrap_or_default();
    let mut shown = json!({
        "AliasArn": format!("{}:{alias}", lambda.arn(&name.name)),
        "Name": alias,
        "FunctionVersion": spec["functionVersion"],
        "Description": spec["description"].as_str().unwrap_or_default(),
        "RevisionId": revision_id(object),
    });
    if let Some(routing) = spec["routing"].as_object().filter(|routing| !routing.is_empty()) {
        shown["RoutingConfig"] = json!({ "AdditionalVersionWeights": routing });
    }
    shown
}

fn check_name(alias: &str) -> Result<(), Fault> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let number = alias.bytes().all(|byte| byte.is_ascii_digit());
    if alias.is_empty() || alias.len() > 128 || number || !alias.bytes().all(plain) {
        let constraint = "Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)";
        return Err(Fault::validation("name", &format!("'{alias}'"), constraint));
    }
    Ok(())
}

/// The weights of `RoutingConfig`, if it is given; nothing in them means that one version gets everything.
fn routing(input: &Map<String, Value>) -> Result<Option<Map<String, Value>>, Fault> {
    let Some(config) = input.get("RoutingConfig").filter(|config| !config.is_null()) else { return Ok(None) };
    let weights = match &config["AdditionalVersionWeights"] {
        Value::Null => Map::new(),
        Value::Object(weights) => weights.clone(),
        _ => return Err(Fault::serialization("AdditionalVersionWeights must be an object")),
    };
    if weights.len() > 1 {
        return Err(Fault::invalid_parameter(
            "Number of items in AdditionalVersionWeights cannot be greater than 1",
        ));
    }
    for (version, weight) in &weights {
        if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_digit()) {
            let constraint =
                "Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [0-9]+]";
            let at = "routingConfig.additionalVersionWeights";
            return Err(Fault::validation(at, &format!("'{version}'"), constraint));
        }
        if !weight.as_f64().is_some_and(|weight| (0.0..=1.0).contains(&weight)) {
            let constraint =
                "Map value must satisfy constraint: [Member must have value between 0.0 and 1.0]";
            let at = "routingConfig.additionalVersionWeights";
            return Err(Fault::validation(at, &format!("'{weight}'"), constraint));
        }
    }
    Ok(Some(weights))
}

/// Both versions must be there, and be alike in who they act as and where their failed events go.
async fn check_versions(lambda: &Lambda, name: &Name, spec: &Value) -> Result<(), Fault> {
    let version = spec["functionVersion"].as_str().unwrap_or_default();
    if version != LATEST && (version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_digit())) {
        let constraint = r"Member must satisfy regular expression pattern: (\$LATEST|[0-9]+)";
        return Err(Fault::validation("functionVersion", &format!("'{version}'"), constraint));
    }
    let main = lambda.find(&name.at(version)).await?;
    let Some(other) = spec["routing"].as_object().and_then(|routing| routing.keys().next()) else {
        return Ok(());
    };
    if version == LATEST {
        return Err(Fault::invalid_parameter(
            "$LATEST is not supported for an alias pointing to more than 1 version",
        ));
    }
    if other == version {
        return Err(Fault::invalid_parameter(format!(
            "Invalid function version {other}. Function version {other} is already included in routing configuration."
        )));
    }
    let additional = lambda.find(&name.at(other)).await?;
    for (field, what) in [("role", "execution role"), ("deadLetterArn", "dead-letter queue configuration")] {
        if main["spec"][field] != additional["spec"][field] {
            return Err(Fault::invalid_parameter(format!(
                "Both versions of an alias must have the same {what}; those of {version} and {other} differ."
            )));
        }
    }
    Ok(())
}

impl Lambda {
    /// The function's aliases.
    pub(crate) async fn aliases(&self, name: &Name) -> Result<Vec<Value>, Fault> {
        self.of_function(Watched::Alias, name).await
    }
}
