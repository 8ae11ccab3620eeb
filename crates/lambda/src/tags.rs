//! Tags of functions: `TagResource`, `UntagResource`, `ListTags`, and the tags a function is created with.

use super::input;
use super::name::Name;
use crate::Lambda;
use serde_json::{Map, Value, json};
use wire::{Call, Fault, Reply, parameters, reply};

/// Tags of one resource, as on AWS.
const TAGS_MAX: usize = 50;

/// What AWS keeps for itself.
const RESERVED_PREFIX: &str = "aws:";

pub(crate) async fn tag(lambda: &Lambda, call: &Call, resource: &str) -> Result<Reply, Fault> {
    let name = function(lambda, resource)?;
    let input = input(call)?;
    let wanted = input.get("Tags").and_then(Value::as_object).cloned().unwrap_or_default();
    check(&wanted)?;
    lambda
        .change(&name, None, |object| {
            let mut tags = of(object);
            tags.extend(wanted.clone());
            check(&tags)?;
            object["spec"]["tags"] = Value::Object(tags);
            Ok(())
        })
        .await?;
    Ok(reply::nothing())
}

pub(crate) async fn untag(lambda: &Lambda, call: &Call, resource: &str) -> Result<Reply, Fault> {
    let name = function(lambda, resource)?;
    let query = parameters(call.parts.uri.query().unwrap_or_default());
    let keys: Vec<String> =
        query.into_iter().filter(|(name, _)| name == "tagKeys").map(|(_, key)| key).collect();
    lambda
        .change(&name, None, |object| {
            let mut tags = of(object);
            tags.retain(|key, _| !keys.contains(key));
            object["spec"]["tags"] = Value::Object(tags);
            Ok(())
        })
        .await?;
    Ok(reply::nothing())
}

pub(crate) async fn list(lambda: &Lambda, resource: &str) -> Result<Reply, Fault> {
    let object = lambda.find(&function(lambda, resource)?).await?;
    Ok(reply::json(200, &json!({ "Tags": of(&object) })))
}

/// The tags of a function object.
pub(crate) fn of(object: &Value) -> Map<String, Value> {
    object["spec"]["tags"].as_object().cloned().unwrap_or_default()
}

/// The rules that the table of constraints has no words for.
pub(crate) fn check(tags: &Map<String, Value>) -> Result<(), Fault> {
    if let Some(key) = tags.keys().find(|key| key.to_ascii_lowercase().starts_with(RESERVED_PREFIX)) {
        return Err(Fault::invalid_parameter(format!(
            "Tag key {key} cannot be used: keys that begin with {RESERVED_PREFIX} are reserved for system use."
        )));
    }
    if tags.len() > TAGS_MAX {
        return Err(Fault::invalid_parameter(format!(
            "Number of tags exceeds resource tag limit of {TAGS_MAX}: there would be {}.",
            tags.len()
        )));
    }
    Ok(())
}

fn function(lambda: &Lambda, resource: &str) -> Result<Name, Fault> {
    if !resource.contains(":function:") {
        return Err(Fault::unsupported(&format!("Tagging anything but functions, such as {resource},")));
    }
    let name = lambda.name(resource, None)?;
    match name.qualifier {
        None => Ok(name),
        Some(_) => Err(Fault::invalid_parameter(
            "Tags on function aliases and versions are not supported. Please specify either a function name or an \
             unqualified function ARN.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_their_limits() {
        let many = |count: usize| (0..count).map(|i| (format!("key{i}"), json!("x"))).collect::<Map<_, _>>();
        assert_eq!(check(&many(TAGS_MAX)), Ok(()));
        assert!(check(&many(TAGS_MAX + 1)).is_err());
        let reserved = Map::from_iter([("AWS:mine".to_owned(), json!("x"))]);
        assert_eq!(check(&reserved).expect_err("reserved").code, "InvalidParameterValueException");
    }
}
