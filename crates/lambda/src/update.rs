//! `UpdateFunctionCode`, `UpdateFunctionConfiguration`, `DeleteFunction`.

use super::create::{check_dead_letter, check_role, check_runtime, check_web_server};
use super::name::Name;
use super::object::check_revision;
use super::version::{self, Wanted};
use super::{boolean, code, configuration_reply, image, input, layer, runtime, settings, string};
use crate::Lambda;
use serde_json::{Map, Value};
use wire::{Call, Fault, Reply, reply};

const CODE_MEMBERS: &[&str] = &[
    "FunctionName",
    "ZipFile",
    "S3Bucket",
    "S3Key",
    "S3ObjectVersion",
    "ImageUri",
    "SourceKMSKeyArn",
    "Publish",
    "DryRun",
    "RevisionId",
];

pub(crate) async fn update_function_code(lambda: &Lambda, call: &Call, name: &Name) -> Result<Reply, Fault> {
    let input = input(call)?;
    name.unqualified()?;
    let publish = boolean(&input, "Publish")?;
    let revision = string(&input, "RevisionId")?;
    let before = lambda.find(name).await?;
    check_revision(&before, revision)?;
    let mut wanted = Map::new();
    settings::apply(&input, CODE_MEMBERS, &mut wanted)?;
    let is_image = image::is_image(&before);
    image::check_update(is_image, &input)?;
    match is_image {
        true => wanted.insert("image".to_owned(), image::store(lambda, &input).await?),
        false => wanted.insert("code".to_owned(), code::store(lambda, &input).await?),
    };
    layer::resolve(lambda, &mut wanted, &before).await?;
    if is_image {
        check_web_server(lambda, &before["spec"], &wanted)?;
    }
    if boolean(&input, "DryRun")? {
        let mut shown = before;
        merge(&mut shown, &wanted);
        return Ok(configuration_reply(lambda, 200, &shown).await);
    }
    let changed = lambda
        .change(&name.plain(), revision, |object| {
            merge(object, &wanted);
            Ok(())
        })
        .await?;
    if publish {
        let published = version::publish(lambda, name, &Wanted::default()).await?;
        return Ok(configuration_reply(lambda, 200, &published).await);
    }
    Ok(configuration_reply(lambda, 200, &changed).await)
}

pub(crate) async fn update_function_configuration(
    lambda: &Lambda,
    call: &Call,
    name: &Name,
) -> Result<Reply, Fault> {
    let input = input(call)?;
    name.unqualified()?;
    let revision = string(&input, "RevisionId")?;
    let mut wanted = Map::new();
    settings::apply(&input, &["FunctionName", "RevisionId"], &mut wanted)?;
    let before = lambda.find(name).await?;
    check_revision(&before, revision)?;
    image::check_settings(image::is_image(&before), &wanted)?;
    runtime::check_change(&before, &wanted)?;
    check_runtime(lambda, &wanted).await?;
    check_role(lambda, &wanted, &name.name).await?;
    layer::resolve(lambda, &mut wanted, &before).await?;
    check_dead_letter(lambda, &wanted)?;
    check_web_server(lambda, &before["spec"], &wanted)?;
    let changed = lambda
        .change(name, revision, |object| {
            merge(object, &wanted);
            Ok(())
        })
        .await?;
    Ok(configuration_reply(lambda, 200, &changed).await)
}

pub(crate) async fn delete_function(lambda: &Lambda, name: &Name) -> Result<Reply, Fault> {
    match name.qualifier.as_deref() {
        None => {}
        Some("$LATEST") => {
            return Err(Fault::invalid_parameter(
                "$LATEST version cannot be deleted without deleting the function.",
            ));
        }
        Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            version::delete_version(lambda, name, number).await?;
            return Ok(reply::nothing());
        }
        Some(_) => {
            return Err(Fault::invalid_parameter(
                "Deletion of aliases is not currently supported by DeleteFunction: use DeleteAlias.",
            ));
        }
    }
    lambda.remove(name).await?;
    Ok(reply::nothing())
}

/// Each setting replaces the old one whole: an environment is not merged with the one before.
fn merge(object: &mut Value, wanted: &Map<String, Value>) {
    if let Some(spec) = object["spec"].as_object_mut() {
        spec.extend(wanted.clone());
    }
}
