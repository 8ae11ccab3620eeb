//! The Lambda API (2015-03-31 and the dates after it): which operation a request is, and one module for each group of them.
//! Functions are objects behind `client`; their code and instances are behind `functions`. Keeps no state of its own.
//!
//! ```text
//!  route ─ which operation     constraint ─ what its input must satisfy     object ─ the objects behind the API
//!  one file for each operation or small family of them     told ─ what other services tell functions
//! ```

mod account;
mod alias;
mod bucket;
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
pub mod told;
mod update;
mod url;
mod version;

use client::Objects;
use name::Name;
use route::Route;
use serde_json::{Map, Value};
use std::sync::Arc;
use wire::{Call, Fault, Reply, reply};

/// What the API needs.
pub struct Config {
    /// Instances, code and logs.
    pub functions: Arc<functions::Functions>,
    /// Roles, which functions have.
    pub iam: Arc<iam::Iam>,
    /// Objects, which code may lie in.
    pub buckets: Arc<managed::Buckets>,
    /// The keys that addresses of code are signed with.
    pub keys: Arc<sigv4::Keys>,
    /// Where function objects are written.
    pub client: client::kube::Client,
    /// Such as `us-east-1`.
    pub region: String,
    /// Such as `000000000000`.
    pub account_id: String,
    /// Where clients reach the door, such as `http://127.0.0.1:4566`: code downloads point there.
    pub endpoint: String,
    /// Host and port of the gateway, such as `localhost:8080`: function URLs are served on
    /// `<id>.lambda-url.<region>.<url_base>`.
    pub url_base: String,
}

/// The Lambda API of one account.
pub struct Lambda {
    config: Config,
    objects: Objects,
    layers: Objects,
}

impl Lambda {
    /// Makes the service.
    pub fn new(config: Config) -> Lambda {
        let objects = Objects::new(config.client.clone(), functions::resource());
        let layers = Objects::new(config.client.clone(), functions::layer_resource());
        Lambda { config, objects, layers }
    }
}

/// Answers one request.
pub async fn serve(lambda: &Lambda, call: &Call) -> Result<Reply, Fault> {
    let (method, path) = (&call.parts.method, call.parts.uri.path());
    let route = route::route(method, path, call.parts.uri.query()).ok_or_else(|| {
        Fault::unknown_operation(format!(
            "There is no operation {method} {path} in the Lambda API of 2015-03-31"
        ))
    })?;
    if call.caller.region != lambda.config.region {
        return Err(Fault::region(&call.caller.region, &lambda.config.region));
    }
    constraint::check(route.operation, || route.named(), call)?;
    match route.operation {
        "Invoke" => invoke::invoke(lambda, call, &named(lambda, call, &route)?).await,
        // In a box, so that an invocation does not carry the room that the largest of them needs.
        _ => Box::pin(serve_other(lambda, call, &route)).await,
    }
}

/// The function that the path names, with the qualifier of the query.
fn named(lambda: &Lambda, call: &Call, route: &Route) -> Result<Name, Fault> {
    lambda.name(route.parameter(0), call.parameter("Qualifier"))
}

/// Every operation but `Invoke`.
async fn serve_other(lambda: &Lambda, call: &Call, route: &Route) -> Result<Reply, Fault> {
    let parameter = |index: usize| route.parameter(index);
    let name = || named(lambda, call, route);
    match route.operation {
        "CreateFunction" => create::create_function(lambda, call).await,
        "GetFunction" => read::get_function(lambda, &name()?).await,
        "GetFunctionConfiguration" => read::get_function_configuration(lambda, &name()?).await,
        "ListFunctions" => read::list_functions(lambda, call).await,
        "ListVersionsByFunction" => version::list_versions(lambda, call, &name()?).await,
        "PublishVersion" => version::publish_version(lambda, call, &name()?).await,
        "CreateAlias" => alias::create(lambda, call, &name()?).await,
        "GetAlias" => alias::get(lambda, &name()?, parameter(1)).await,
        "UpdateAlias" => alias::update(lambda, call, &name()?, parameter(1)).await,
        "DeleteAlias" => alias::delete(lambda, &name()?, parameter(1)).await,
        "ListAliases" => alias::list(lambda, call, &name()?).await,
        "PutProvisionedConcurrencyConfig" => provisioned::put(lambda, call, &name()?).await,
        "GetProvisionedConcurrencyConfig" => provisioned::get(lambda, &name()?).await,
        "ListProvisionedConcurrencyConfigs" => provisioned::list(lambda, call, &name()?).await,
        "DeleteProvisionedConcurrencyConfig" => provisioned::delete(lambda, &name()?).await,
        "GetAccountSettings" => account::get_settings(lambda).await,
        "UpdateFunctionCode" => update::update_function_code(lambda, call, &name()?).await,
        "UpdateFunctionConfiguration" => update::update_function_configuration(lambda, call, &name()?).await,
        "DeleteFunction" => update::delete_function(lambda, &name()?).await,
        "InvokeAsync" => invoke::invoke_async(lambda, call, &name()?).await,
        "InvokeWithResponseStream" => stream::invoke(lambda, call, &name()?).await,
        "CreateFunctionUrlConfig" => url::create(lambda, call, &name()?).await,
        "GetFunctionUrlConfig" => url::get(lambda, &name()?).await,
        "UpdateFunctionUrlConfig" => url::update(lambda, call, &name()?).await,
        "DeleteFunctionUrlConfig" => url::delete(lambda, &name()?).await,
        "ListFunctionUrlConfigs" => url::list(lambda, call, &name()?).await,
        "PutFunctionConcurrency" => concurrency::put(lambda, call, &name()?).await,
        "GetFunctionConcurrency" => concurrency::get(lambda, &name()?).await,
        "DeleteFunctionConcurrency" => concurrency::delete(lambda, &name()?).await,
        "AddPermission" => permission::add(lambda, call, &name()?).await,
        "RemovePermission" => permission::remove(lambda, call, &name()?, parameter(1)).await,
        "GetPolicy" => permission::get(lambda, &name()?).await,
        "PutFunctionEventInvokeConfig" => event_invoke::put(lambda, call, &name()?).await,
        "UpdateFunctionEventInvokeConfig" => event_invoke::update(lambda, call, &name()?).await,
        "GetFunctionEventInvokeConfig" => event_invoke::get(lambda, &name()?).await,
        "DeleteFunctionEventInvokeConfig" => event_invoke::delete(lambda, &name()?).await,
        "ListFunctionEventInvokeConfigs" => event_invoke::list(lambda, call, &name()?).await,
        "PutRuntimeManagementConfig" => runtime::put_management(lambda, call, &name()?).await,
        "GetRuntimeManagementConfig" => runtime::get_management(lambda, &name()?).await,
        "PutFunctionRecursionConfig" => runtime::put_recursion(lambda, call, &name()?).await,
        "GetFunctionRecursionConfig" => runtime::get_recursion(lambda, &name()?).await,
        "TagResource" => tags::tag(lambda, call, parameter(0)).await,
        "UntagResource" => tags::untag(lambda, call, parameter(0)).await,
        "ListTags" => tags::list(lambda, parameter(0)).await,
        "CreateEventSourceMapping" => source::create(lambda, call).await,
        "GetEventSourceMapping" => source::get(lambda, parameter(0)).await,
        "UpdateEventSourceMapping" => source::update(lambda, call, parameter(0)).await,
        "DeleteEventSourceMapping" => source::delete(lambda, parameter(0)).await,
        "ListEventSourceMappings" => source::list(lambda, call).await,
        "PutResourcePolicy" => resource_policy::put(lambda, call, parameter(0)).await,
        "GetResourcePolicy" => resource_policy::get(lambda, parameter(0)).await,
        "DeleteResourcePolicy" => resource_policy::delete(lambda, call, parameter(0)).await,
        "GetFunctionCodeSigningConfig" => read::get_code_signing(lambda, &name()?).await,
        "ListLayers" => layer::list_layers(lambda, call).await,
        "GetLayerVersionByArn" => layer::get_by_arn(lambda, call).await,
        layer if layer.contains("Layer") => layer::serve(lambda, call, route).await,
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

async fn configuration_reply(lambda: &Lambda, status: u16, object: &Value) -> Reply {
    reply::json(status, &runtime::configuration(lambda, object).await)
}
