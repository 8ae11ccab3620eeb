//! Published versions: `PublishVersion`, `ListVersionsByFunction`, and the deletion of one. A version is an object of its
//! own, `<function>.<number>`, which belongs to the function's object and goes with it.

use super::configuration::{self, annotation, code_sha256, configuration};
use super::name::Name;
use super::object::{annotate, check_revision, version_key};
use super::page::Page;
use super::{input, string};
use crate::Lambda;
use client::{Key, is_already_exists, is_conflict};
use functions::{NAME_ANNOTATION, Watched, object_name};
use serde_json::{Map, Value, json};
use sigv4::hex_sha256;
use wire::{Call, Fault, NAMESPACE, Reply, reply};

/// The highest number that a version of the function ever had, so that none is used twice.
const LAST_VERSION_ANNOTATION: &str = "dory.dev/last-version";
/// On a version: a digest of what it was published from.
const PUBLISHED_ANNOTATION: &str = "dory.dev/published-from";

/// What belongs to a function as a whole and is not part of its versions.
const NOT_PUBLISHED: &[&str] = &[
    "eventInvoke",
    "policy",
    "provisionedConcurrency",
    "recursiveLoop",
    "reservedConcurrency",
    "tags",
    "url",
];

/// How often publishing is tried again when somebody else changed the function in between.
const TRIES: u32 = 8;

pub(crate) async fn publish_version(lambda: &Lambda, call: &Call, name: &Name) -> Result<Reply, Fault> {
    name.unqualified()?;
    let input = input(call)?;
    let wanted = Wanted {
        description: string(&input, "Description")?,
        code_sha256: string(&input, "CodeSha256")?.filter(|sha| !sha.is_empty()),
        revision: string(&input, "RevisionId")?,
    };
    let published = publish(lambda, name, &wanted).await?;
    Ok(super::configuration_reply(lambda, 201, &published).await)
}

/// What a publisher asks for beside the function as it is.
#[derive(Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) description: Option<&'a str>,
    pub(crate) code_sha256: Option<&'a str>,
    pub(crate) revision: Option<&'a str>,
}

/// Publishes the function as it is now. The version published last is the answer when nothing has changed since.
pub(crate) async fn publish(lambda: &Lambda, name: &Name, wanted: &Wanted<'_>) -> Result<Value, Fault> {
    let name = name.plain();
    for _ in 0..TRIES {
        let mut function = lambda.find(&name).await?;
        check_revision(&function, wanted.revision)?;
        check_code(&function, wanted.code_sha256)?;
        let spec = published_spec(&function);
        let digest = digest(&spec);
        let versions = lambda.versions(&name).await?;
        let last = versions.last();
        if let Some(last) =
            last.filter(|last| annotation(last, PUBLISHED_ANNOTATION) == Some(digest.as_str()))
        {
            return Ok(last.clone());
        }
        let counted = annotation(&function, LAST_VERSION_ANNOTATION).and_then(|text| text.parse().ok());
        let number = last.map_or(0, number).max(counted.unwrap_or(0)) + 1;
        // The number is taken first: whoever publishes at the same time then takes another.
        annotate(&mut function, LAST_VERSION_ANNOTATION, Some(number.to_string()));
        match lambda.objects.replace(&function_key(&name), &function).await {
            Ok(changed) => function = changed,
            Err(error) if is_conflict(&error) => continue,
            Err(error) => return Err(lambda.fault(&name, &error)),
        }
        let object = version_object(&name, &function, spec, number, &digest, wanted.description);
        match lambda.create_of(Watched::Version, object).await {
            Ok(created) => return Ok(created),
            Err(error) if is_already_exists(&error) => {}
            Err(error) => return Err(lambda.fault(&name, &error)),
        }
    }
    Err(lambda.busy(&name))
}

fn function_key(name: &Name) -> Key {
    Key::new(NAMESPACE, object_name(&name.name))
}

fn check_code(function: &Value, wanted: Option<&str>) -> Result<(), Fault> {
    let current = code_sha256(function);
    match wanted {
        Some(wanted) if wanted != current => Err(Fault::invalid_parameter(format!(
            "CodeSHA256 ({wanted}) is different from current CodeSHA256 in $LATEST ({current}). Please try again with \
             the CodeSHA256 in $LATEST."
        ))),
        _ => Ok(()),
    }
}

fn published_spec(function: &Value) -> Map<String, Value> {
    let mut spec = function["spec"].as_object().cloned().unwrap_or_default();
    spec.retain(|field, _| !NOT_PUBLISHED.contains(&field.as_str()));
    spec
}

fn digest(spec: &Map<String, Value>) -> String {
    let text = json!(spec).to_string();
    let mut digest = hex_sha256(text.as_bytes());
    digest.truncate(32);
    digest
}

fn version_object(
    name: &Name,
    function: &Value,
    mut spec: Map<String, Value>,
    number: u64,
    digest: &str,
    description: Option<&str>,
) -> Value {
    spec.insert("functionName".to_owned(), json!(object_name(&name.name)));
    spec.insert("version".to_owned(), json!(number.to_string()));
    if let Some(description) = description {
        spec.insert("description".to_owned(), json!(description));
    }
    let resource = Watched::Version.resource();
    let mut object = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": version_key(name, &number.to_string()).name,
            "namespace": NAMESPACE,
            "ownerReferences": [client::owner::controller_reference(function, &Watched::Function.resource())],
        },
        "spec": spec,
    });
    annotate(&mut object, PUBLISHED_ANNOTATION, Some(digest.to_owned()));
    annotate(&mut object, NAME_ANNOTATION, annotation(function, NAME_ANNOTATION).map(str::to_owned));
    object
}

/// The number of a version's object.
pub(crate) fn number(version: &Value) -> u64 {
    version["spec"]["version"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

pub(crate) async fn list_versions(lambda: &Lambda, call: &Call, name: &Name) -> Result<Reply, Fault> {
    name.unqualified()?;
    let page = Page::of(call)?;
    let function = lambda.find(&name.plain()).await?;
    let versions = lambda.versions(name).await?;
    let all = std::iter::once(function).chain(versions).map(|object| item(lambda, &object)).collect();
    Ok(reply::json(200, &page.answer("Versions", all)))
}

/// As lists of versions show it, where `$LATEST` is written out; with a key that puts them in order.
pub(crate) fn item(lambda: &Lambda, object: &Value) -> (String, Value) {
    let mut shown = configuration(object, &lambda.config.region, &lambda.config.account_id);
    let name = configuration::name(object).to_owned();
    if shown["Version"] == "$LATEST" {
        shown["FunctionArn"] = json!(format!("{}:$LATEST", lambda.arn(&name)));
    }
    (format!("{name}:{:020}", number(object)), shown)
}

/// Deletes one version, unless an alias leads to it.
pub(crate) async fn delete_version(lambda: &Lambda, name: &Name, version: &str) -> Result<(), Fault> {
    lambda.find(name).await?;
    let aliases = lambda.aliases(name).await?;
    let pointing = aliases
        .iter()
        .map(|alias| &alias["spec"])
        .filter(|spec| spec["functionVersion"] == version || spec["routing"].get(version).is_some());
    let pointing: Vec<&str> = pointing.filter_map(|spec| spec["name"].as_str()).collect();
    if !pointing.is_empty() {
        return Err(Fault::conflict(format!(
            "Version {version} of the function cannot be deleted: these aliases lead to it: {}. Delete them or let them \
             lead to another version first.",
            pointing.join(", ")
        )));
    }
    lambda.remove(name).await
}

impl Lambda {
    /// The function's published versions, the oldest first.
    pub(crate) async fn versions(&self, name: &Name) -> Result<Vec<Value>, Fault> {
        let mut versions = self.of_function(Watched::Version, name).await?;
        versions.sort_by_key(number);
        Ok(versions)
    }
}
