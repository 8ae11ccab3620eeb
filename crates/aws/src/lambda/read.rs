//! `GetFunction`, `GetFunctionConfiguration`, `ListFunctions`, `ListVersionsByFunction`.

use super::name::Name;
use super::{code, configuration, configuration_reply, tags};
use crate::door::{Call, Door, NAMESPACE};
use crate::fault::Fault;
use crate::reply::{self, Reply};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Functions on one page, as on AWS.
const PAGE_MAX: usize = 50;

pub(crate) async fn get_function(door: &Door, name: &Name) -> Result<Reply, Fault> {
    let object = door.find(name).await?;
    let config = &door.config;
    let sha256 = object["spec"]["code"]["sha256"].as_str().unwrap_or_default();
    let mut answer = json!({
        "Configuration": configuration::configuration(&object, &config.region, &config.account_id),
        "Code": { "RepositoryType": "S3", "Location": code::location(door, sha256)? },
    });
    let tags = tags::of(&object);
    if !tags.is_empty() {
        answer["Tags"] = json!(tags);
    }
    if let Some(reserved) = object["spec"]["reservedConcurrency"].as_u64() {
        answer["Concurrency"] = json!({ "ReservedConcurrentExecutions": reserved });
    }
    Ok(reply::json(200, &answer))
}

pub(crate) async fn get_function_configuration(door: &Door, name: &Name) -> Result<Reply, Fault> {
    Ok(configuration_reply(door, 200, &door.find(name).await?))
}

pub(crate) async fn list_functions(door: &Door, call: &Call) -> Result<Reply, Fault> {
    let limit = match call.parameter("MaxItems") {
        Some(text) => match text.parse::<usize>() {
            Ok(limit @ 1..=10_000) => limit.min(PAGE_MAX),
            _ => {
                let constraint = "Member must have value between 1 and 10000";
                return Err(Fault::validation("maxItems", &format!("'{text}'"), constraint));
            }
        },
        None => PAGE_MAX,
    };
    let after =
        call.parameter("Marker").filter(|marker| !marker.is_empty()).map(|marker| read_marker(&marker));
    let after = after.transpose()?;
    let objects = door.objects.list(NAMESPACE).await.map_err(|error| Fault::service(error.to_string()))?;
    let (page, more) = page(objects, after.as_deref(), limit);
    let config = &door.config;
    let mut answer = json!({
        "Functions": page
            .iter()
            .map(|object| configuration::configuration(object, &config.region, &config.account_id))
            .collect::<Vec<_>>(),
    });
    if let (true, Some(last)) = (more, page.last()) {
        answer["NextMarker"] = json!(BASE64_URL_SAFE_NO_PAD.encode(configuration::name(last)));
    }
    Ok(reply::json(200, &answer))
}

/// The functions after a name, in the order of names, and whether there are more. A function that is made or deleted
/// between two pages moves no other one.
fn page(mut objects: Vec<Value>, after: Option<&str>, limit: usize) -> (Vec<Value>, bool) {
    objects.sort_by(|a, b| configuration::name(a).cmp(configuration::name(b)));
    objects.retain(|object| after.is_none_or(|after| configuration::name(object) > after));
    let more = objects.len() > limit;
    objects.truncate(limit);
    (objects, more)
}

fn read_marker(marker: &str) -> Result<String, Fault> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(marker).ok();
    let name = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    name.ok_or_else(|| Fault::invalid_parameter("Invalid pagination token provided"))
}

/// There is one version of every function.
pub(crate) async fn list_versions(door: &Door, name: &Name) -> Result<Reply, Fault> {
    let object = door.find(name).await?;
    let config = &door.config;
    let mut version = configuration::configuration(&object, &config.region, &config.account_id);
    version["FunctionArn"] = json!(format!("{}:$LATEST", door.arn(&name.name)));
    Ok(reply::json(200, &json!({ "Versions": [version] })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_go_on_after_the_last_name() {
        let objects = || ["c", "a", "b"].map(|name| json!({"metadata": {"name": name}})).to_vec();
        let names = |(page, more): (Vec<Value>, bool)| {
            (
                page.iter()
                    .map(|object| configuration::name(object).to_owned())
                    .collect::<Vec<_>>()
                    .join(","),
                more,
            )
        };
        assert_eq!(names(page(objects(), None, 2)), ("a,b".to_owned(), true));
        assert_eq!(names(page(objects(), Some("b"), 2)), ("c".to_owned(), false));
        assert_eq!(names(page(objects(), Some("aa"), 1)), ("b".to_owned(), true));
        assert!(read_marker("%").is_err());
    }
}
