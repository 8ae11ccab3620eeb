//! The Lambda API: which operation a request is, and one module for each group of them.

mod account;
mod alias;
mod code;
mod concurrency;
mod configuration;
mod constraint;
mod create;
mod event_invoke;
mod family;
mod image;
mod invoke;
mod layer;
mod logging;
mod name;
mod object;
mod page;
mod permission;
mod policy;
mod provisioned;
mod read;
mod resource_policy;
mod route;
mod runtime;
mod settings;
mod source;
mod stream;
mod tags;
mod update;
mod url;
mod version;

pub(crate) use policy::text as policy_text;

use crate::door::{Call, Door};
use crate::fault::Fault;
use crate::reply::{self, Reply};
use name::Name;
use route::Route;
use serde_json::{Map, Value};

pub(crate) async fn serve(door: &Door, call: &Call) -> Result<Reply, Fault> {
    let (method, path) = (&call.parts.method, call.parts.uri.path());
    let route = route::route(method, path, call.parts.uri.query()).ok_or_else(|| {
        Fault::unknown_operation(format!(
            "There is no operation {method} {path} in the Lambda API of 2015-03-31"
        ))
    })?;
    if call.caller.region != door.config.region {
        return Err(Fault::region(&call.caller.region, &door.config.region));
    }
    constraint::check(route.operation, || route.named(), call)?;
    match route.operation {
        "Invoke" => invoke::invoke(door, call, &named(door, call, &route)?).await,
        // In a box, so that an invocation does not carry the room that the largest of them needs.
        _ => Box::pin(serve_other(door, call, &route)).await,
    }
}

/// The function that the path names, with the qualifier of the query.
fn named(door: &Door, call: &Call, route: &Route) -> Result<Name, Fault> {
    door.name(route.parameter(0), call.parameter("Qualifier"))
}

/// Every operation but `Invoke`.
async fn serve_other(door: &Door, call: &Call, route: &Route) -> Result<Reply, Fault> {
    let parameter = |index: usize| route.parameter(index);
    let name = || named(door, call, route);
    match route.operation {
        "CreateFunction" => create::create_function(door, call).await,
        "GetFunction" => read::get_function(door, &name()?).await,
        "GetFunctionConfiguration" => read::get_function_configuration(door, &name()?).await,
        "ListFunctions" => read::list_functions(door, call).await,
        "ListVersionsByFunction" => version::list_versions(door, call, &name()?).await,
        "PublishVersion" => version::publish_version(door, call, &name()?).await,
        "CreateAlias" => alias::create(door, call, &name()?).await,
        "GetAlias" => alias::get(door, &name()?, parameter(1)).await,
        "UpdateAlias" => alias::update(door, call, &name()?, parameter(1)).await,
        "DeleteAlias" => alias::delete(door, &name()?, parameter(1)).await,
        "ListAliases" => alias::list(door, call, &name()?).await,
        "PutProvisionedConcurrencyConfig" => provisioned::put(door, call, &name()?).await,
        "GetProvisionedConcurrencyConfig" => provisioned::get(door, &name()?).await,
        "ListProvisionedConcurrencyConfigs" => provisioned::list(door, call, &name()?).await,
        "DeleteProvisionedConcurrencyConfig" => provisioned::delete(door, &name()?).await,
        "GetAccountSettings" => account::get_settings(door).await,
        "UpdateFunctionCode" => update::update_function_code(door, call, &name()?).await,
        "UpdateFunctionConfiguration" => update::update_function_configuration(door, call, &name()?).await,
        "DeleteFunction" => update::delete_function(door, &name()?).await,
        "InvokeAsync" => invoke::invoke_async(door, call, &name()?).await,
        "InvokeWithResponseStream" => stream::invoke(door, call, &name()?).await,
        "CreateFunctionUrlConfig" => url::create(door, call, &name()?).await,
        "GetFunctionUrlConfig" => url::get(door, &name()?).await,
        "UpdateFunctionUrlConfig" => url::update(door, call, &name()?).await,
        "DeleteFunctionUrlConfig" => url::delete(door, &name()?).await,
        "ListFunctionUrlConfigs" => url::list(door, call, &name()?).await,
        "PutFunctionConcurrency" => concurrency::put(door, call, &name()?).await,
        "GetFunctionConcurrency" => concurrency::get(door, &name()?).await,
        "DeleteFunctionConcurrency" => concurrency::delete(door, &name()?).await,
        "AddPermission" => permission::add(door, call, &name()?).await,
        "RemovePermission" => permission::remove(door, call, &name()?, parameter(1)).await,
        "GetPolicy" => permission::get(door, &name()?).await,
        "PutFunctionEventInvokeConfig" => event_invoke::put(door, call, &name()?).await,
        "UpdateFunctionEventInvokeConfig" => event_invoke::update(door, call, &name()?).await,
        "GetFunctionEventInvokeConfig" => event_invoke::get(door, &name()?).await,
        "DeleteFunctionEventInvokeConfig" => event_invoke::delete(door, &name()?).await,
        "ListFunctionEventInvokeConfigs" => event_invoke::list(door, call, &name()?).await,
        "PutRuntimeManagementConfig" => runtime::put_management(door, call, &name()?).await,
        "GetRuntimeManagementConfig" => runtime::get_management(door, &name()?).await,
        "PutFunctionRecursionConfig" => runtime::put_recursion(door, call, &name()?).await,
        "GetFunctionRecursionConfig" => runtime::get_recursion(door, &name()?).await,
        "TagResource" => tags::tag(door, call, parameter(0)).await,
        "UntagResource" => tags::untag(door, call, parameter(0)).await,
        "ListTags" => tags::list(door, parameter(0)).await,
        "CreateEventSourceMapping" => source::create(door, call).await,
        "GetEventSourceMapping" => source::get(door, parameter(0)).await,
        "UpdateEventSourceMapping" => source::update(door, call, parameter(0)).await,
        "DeleteEventSourceMapping" => source::delete(door, parameter(0)).await,
        "ListEventSourceMappings" => source::list(door, call).await,
        "PutResourcePolicy" => resource_policy::put(door, call, parameter(0)).await,
        "GetResourcePolicy" => resource_policy::get(door, parameter(0)).await,
        "DeleteResourcePolicy" => resource_policy::delete(door, call, parameter(0)).await,
        "GetFunctionCodeSigningConfig" => read::get_code_signing(door, &name()?).await,
        "ListLayers" => layer::list_layers(door, call).await,
        "GetLayerVersionByArn" => layer::get_by_arn(door, call).await,
        layer if layer.contains("Layer") => layer::serve(door, call, route).await,
        other => Err(Fault::unsupported(&format!("The operation {other}"))),
    }
}

/// The body of a request, which must be a JSON object (or nothing).
fn input(call: &Call) -> Result<Map<String, Value>, Fault> {
    if call.body.is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(&call.body) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(Fault::serialization("Expected a JSON object")),
        Err(error) => Err(Fault::serialization(format!("Could not parse the request as JSON: {error}"))),
    }
}

fn boolean(input: &Map<String, Value>, member: &str) -> Result<bool, Fault> {
    match input.get(member) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(_) => Err(Fault::serialization(format!("{member} must be true or false"))),
    }
}

fn string<'a>(input: &'a Map<String, Value>, member: &str) -> Result<Option<&'a str>, Fault> {
    match input.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(value)) => Ok(Some(value)),
        Some(_) => Err(Fault::serialization(format!("{member} must be a string"))),
    }
}

/// A member that the model requires; `member` is spelled as errors spell it, with a small first letter.
fn required<'a>(input: &'a Map<String, Value>, member: &str) -> Result<&'a str, Fault> {
    string(input, member)?.ok_or_else(|| missing(member))
}

fn missing(member: &str) -> Fault {
    let mut letters = member.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase()).into_iter();
    let name: String = first.chain(letters).collect();
    Fault::validation(&name, "null", "Member must not be null")
}

async fn configuration_reply(door: &Door, status: u16, object: &Value) -> Reply {
    reply::json(status, &runtime::configuration(door, object).await)
}
