//! `CreateFunction`.

use super::version::{self, Wanted};
use super::{
    boolean, code, configuration_reply, image, input, layer, missing, required, settings, string, tags,
};
use crate::Lambda;
use serde_json::{Map, Value, json};
use wire::{Call, Fault, Reply};

/// Members that this operation reads beside the settings.
const KNOWN: &[&str] = &["FunctionName", "Code", "Publish", "PackageType", "Tags"];

pub(crate) async fn create_function(lambda: &Lambda, call: &Call) -> Result<Reply, Fault> {
    let input = input(call)?;
    let name = lambda.name(required(&input, "FunctionName")?, None)?;
    if name.qualifier.is_some() {
        return Err(Fault::invalid_parameter("A new function cannot have a qualifier."));
    }
    required(&input, "Role")?;
    let members = input.get("Code").and_then(Value::as_object).ok_or_else(|| missing("Code"))?;
    let publish = boolean(&input, "Publish")?;
    let is_image = string(&input, "PackageType")? == Some("Image");
    let mut spec = Map::new();
    settings::apply(&input, KNOWN, &mut spec)?;
    image::check_settings(is_image, &spec)?;
    image::check_new(is_image, members)?;
    for (member, field) in [("Runtime", "runtime"), ("Handler", "handler")] {
        if !is_image && !spec.contains_key(field) {
            return Err(Fault::invalid_parameter(format!(
                "Runtime and Handler are mandatory parameters for functions created with deployment packages. \
                 {member} is missing."
            )));
        }
    }
    check_runtime(lambda, &spec).await?;
    check_role(lambda, &spec, &name.name).await?;
    check_dead_letter(lambda, &spec)?;
    if is_image {
        spec.insert("packageType".to_owned(), json!("Image"));
        spec.insert("image".to_owned(), image::store(lambda, members).await?);
    } else {
        spec.insert("packageType".to_owned(), json!("Zip"));
        spec.insert("code".to_owned(), code::store(lambda, members).await?);
    }
    layer::resolve(lambda, &mut spec, &Value::Null).await?;
    check_web_server(lambda, &Value::Null, &spec)?;
    if let Some(wanted) = input.get("Tags").and_then(Value::as_object).filter(|tags| !tags.is_empty()) {
        tags::check(wanted)?;
        spec.insert("tags".to_owned(), Value::Object(wanted.clone()));
    }
    let created = lambda.create(&name, Value::Object(spec), &[]).await?;
    if publish {
        let published = version::publish(lambda, &name, &Wanted::default()).await?;
        return Ok(configuration_reply(lambda, 201, &published).await);
    }
    Ok(configuration_reply(lambda, 201, &created).await)
}

/// Whether the runtime's interpreter is on this machine; better said now than at the first call.
pub(crate) async fn check_runtime(lambda: &Lambda, spec: &Map<String, Value>) -> Result<(), Fault> {
    match spec.get("runtime").and_then(Value::as_str) {
        Some(runtime) => {
            let found = lambda.config.functions.runtime_version(runtime).await;
            found.map(drop).map_err(|error| Fault::invalid_parameter(error.to_string()))
        }
        None => Ok(()),
    }
}

/// Whether there is anything that takes dead letters at this target.
pub(crate) fn check_dead_letter(lambda: &Lambda, spec: &Map<String, Value>) -> Result<(), Fault> {
    match spec.get("deadLetterArn").and_then(Value::as_str) {
        None | Some("") => Ok(()),
        Some(arn) => lambda.config.functions.check_destination(arn, true).map_err(Fault::invalid_parameter),
    }
}

/// Whether the platform can speak for the web server that the function may be; better said now than when it starts. What
/// is not `wanted` stays as it is in the spec `before`.
pub(crate) fn check_web_server(
    lambda: &Lambda,
    before: &Value,
    wanted: &Map<String, Value>,
) -> Result<(), Fault> {
    let mut spec = before.as_object().cloned().unwrap_or_default();
    spec.extend(wanted.clone());
    lambda.config.functions.check_web_server(&Value::Object(spec)).map_err(Fault::invalid_parameter)
}

/// A role of this account must exist and let Lambda assume it. Those of other accounts are not known here; functions
/// with such a role act as the default one.
pub(crate) async fn check_role(
    lambda: &Lambda,
    spec: &Map<String, Value>,
    function: &str,
) -> Result<(), Fault> {
    let account = &lambda.config.account_id;
    let Some(arn) = spec.get("role").and_then(Value::as_str) else { return Ok(()) };
    let Some(name) = policy::role_name(arn, account) else { return Ok(()) };
    let role = iam::find_role(&lambda.config.iam, name).await?;
    let fits = role.is_some_and(|role| {
        iam::arn(&lambda.config.iam, "role", &role) == arn
            && iam::sts::trusts_lambda(&role, &lambda.arn(function), account)
    });
    match fits {
        true => Ok(()),
        false => {
            Err(Fault::invalid_parameter("The role defined for the function cannot be assumed by Lambda."))
        }
    }
}
