//! One function, or one published version of it, as its object describes it. Pure: reads the JSON of a `Function` or
//! `FunctionVersion` and refuses what makes no sense; the API server has validated it already, so a refusal here is a
//! line in the log, not an answer to a user.

use crate::NAME_ANNOTATION;
use crate::code::merged_name;
use crate::runtimes::RuntimeVersion;
use instance::Logging;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// The version that is not published.
pub(crate) const LATEST: &str = "$LATEST";

/// A function: what it is called, what its instances are made of, and how it may be called.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// The namespace of its object.
    pub namespace: String,
    /// The name of the `Function` object, also for a version of it.
    pub object: String,
    /// The uid of the `Function` object, also for a version of it: a version of a function that was deleted is none of
    /// a new function of the same name. Empty for a version without an owner.
    pub uid: String,
    /// `$LATEST`, or the number of a published version.
    pub version: String,
    /// Instances of a published version to keep ready.
    pub provisioned: u32,
    /// Its name, as AWS clients know it.
    pub name: String,
    /// What instances are made of. Another revision means other instances.
    pub revision: Revision,
    /// Invocations that it may have at the same time, and that no other function can take from it.
    pub reserved_concurrency: Option<u32>,
    /// Its URL, if it has one.
    pub url: Option<Url>,
    /// Whether its calls are traced, when the caller does not say.
    pub traced: bool,
    /// Whether it may call itself round and round.
    pub may_loop: bool,
    /// What becomes of asynchronous invocations.
    pub event_invoke: EventInvoke,
    /// The queue or topic for events that were given up.
    pub dead_letter_arn: Option<String>,
    /// Size of its code archive.
    pub code_bytes: u64,
}

/// How asynchronous invocations are retried, and who hears of their end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventInvoke {
    /// How often a function that failed is called again: 0 to 2.
    pub max_retries: u32,
    /// How old an event may become: 60 s to 6 h.
    pub max_age: Duration,
    /// The ARN that hears of successes.
    pub on_success: Option<String>,
    /// The ARN that hears of failures.
    pub on_failure: Option<String>,
}

/// All that an instance is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Such as `provided.al2023`.
    pub runtime: String,
    /// The version of the runtime that it must run on, where it was told to stay on one.
    pub pinned: Option<RuntimeVersion>,
    /// What to call, in the runtime's own words.
    pub handler: String,
    /// The ARN of the role that instances act as; may be empty.
    pub role: String,
    /// How long one invocation may take.
    pub timeout: Duration,
    /// Memory limit in MB (2^20 bytes).
    pub memory_mb: u32,
    /// Size of `/tmp` in MB.
    pub ephemeral_storage_mb: u32,
    /// Environment variables that the user set.
    pub environment: BTreeMap<String, String>,
    /// SHA-256 of the code archive, in hexadecimal; empty for a function that is an image.
    pub code_sha256: String,
    /// The image that the function is.
    pub image: Option<FunctionImage>,
    /// SHA-256 of the archives of its layers, in the order in which they are laid over each other.
    pub layers: Vec<String>,
    /// How it logs.
    pub logging: Logging,
}

/// An image as a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionImage {
    /// `sha256:` and the hexadecimal digest of its manifest.
    pub digest: String,
    /// What takes the place of the image's own settings.
    pub config: ImageConfig,
}

/// What takes the place of an image's own settings; what is empty does not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageConfig {
    /// The program and its first arguments.
    pub entry_point: Vec<String>,
    /// The arguments that follow.
    pub command: Vec<String>,
    /// Where it starts.
    pub working_directory: String,
}

/// A function URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// The first label of its host.
    pub id: String,
    /// Whether callers must sign.
    pub signed: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    runtime: String,
    #[serde(default)]
    handler: String,
    #[serde(default)]
    role: String,
    timeout_seconds: Option<u64>,
    #[serde(rename = "memoryMB")]
    memory_mb: Option<u32>,
    #[serde(rename = "ephemeralStorageMB")]
    ephemeral_storage_mb: Option<u32>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    logging: Logging,
    code: Option<CodeSpec>,
    image: Option<ImageSpec>,
    #[serde(default)]
    image_config: ImageConfig,
    #[serde(default)]
    layers: Vec<CodeSpec>,
    reserved_concurrency: Option<u32>,
    url: Option<UrlSpec>,
    function_name: Option<String>,
    version: Option<String>,
    provisioned_concurrency: Option<u32>,
    tracing: Option<String>,
    recursive_loop: Option<String>,
    #[serde(default)]
    event_invoke: EventInvokeSpec,
    dead_letter_arn: Option<String>,
    #[serde(default)]
    runtime_management: RuntimeManagementSpec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RuntimeManagementSpec {
    #[serde(default)]
    update_runtime_on: String,
    #[serde(default)]
    runtime_version_arn: String,
    image: Option<String>,
}

impl RuntimeManagementSpec {
    fn pinned(self) -> Option<RuntimeVersion> {
        let (_, id) = self.runtime_version_arn.rsplit_once(':')?;
        let pinned = RuntimeVersion { id: id.to_owned(), image: self.image };
        (self.update_runtime_on == "Manual").then_some(pinned)
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventInvokeSpec {
    maximum_retry_attempts: Option<u32>,
    maximum_event_age_in_seconds: Option<u64>,
    on_success: Option<String>,
    on_failure: Option<String>,
}

impl From<EventInvokeSpec> for EventInvoke {
    /// The defaults are AWS's.
    fn from(spec: EventInvokeSpec) -> EventInvoke {
        let arn = |arn: Option<String>| arn.filter(|arn| !arn.is_empty());
        EventInvoke {
            max_retries: spec.maximum_retry_attempts.unwrap_or(2),
            max_age: Duration::from_secs(spec.maximum_event_age_in_seconds.unwrap_or(6 * 3600)),
            on_success: arn(spec.on_success),
            on_failure: arn(spec.on_failure),
        }
    }
}

#[derive(Deserialize)]
struct ImageSpec {
    digest: String,
}

#[derive(Deserialize)]
struct CodeSpec {
    sha256: String,
    #[serde(default)]
    size: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UrlSpec {
    #[serde(default)]
    id: String,
    #[serde(default)]
    auth_type: String,
}

impl Definition {
    /// Reads a `Function` or `FunctionVersion` object. The defaults are AWS's, in case the object was not defaulted.
    pub fn read(object: &Value) -> Result<Definition, String> {
        let metadata = &object["metadata"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let object_name = text(&metadata["name"]).ok_or("it has no name")?;
        let spec = Spec::deserialize(&object["spec"]).map_err(|error| error.to_string())?;
        let (object_name, uid) = match spec.function_name {
            Some(function) => {
                (function, client::owner::controller_uid(object).unwrap_or_default().to_owned())
            }
            None => (object_name, text(&metadata["uid"]).unwrap_or_default()),
        };
        let (code_sha256, code_bytes, image) = match (spec.image, spec.code) {
            (Some(image), _) => {
                (String::new(), 0, Some(FunctionImage { digest: image.digest, config: spec.image_config }))
            }
            (None, Some(code)) => (code.sha256, code.size, None),
            (None, None) => return Err("missing field `code`".to_owned()),
        };
        Ok(Definition {
            namespace: text(&metadata["namespace"]).unwrap_or_else(|| "default".to_owned()),
            name: text(&metadata["annotations"][NAME_ANNOTATION]).unwrap_or_else(|| object_name.clone()),
            object: object_name,
            uid,
            version: spec.version.unwrap_or_else(|| LATEST.to_owned()),
            provisioned: spec.provisioned_concurrency.unwrap_or(0),
            revision: Revision {
                runtime: spec.runtime,
                pinned: spec.runtime_management.pinned(),
                handler: spec.handler,
                role: spec.role,
                timeout: Duration::from_secs(spec.timeout_seconds.unwrap_or(3)),
                memory_mb: spec.memory_mb.unwrap_or(128),
                ephemeral_storage_mb: spec.ephemeral_storage_mb.unwrap_or(512),
                environment: spec.environment,
                code_sha256,
                image,
                layers: spec.layers.into_iter().map(|layer| layer.sha256).collect(),
                logging: spec.logging,
            },
            reserved_concurrency: spec.reserved_concurrency,
            traced: spec.tracing.as_deref() == Some("Active"),
            may_loop: spec.recursive_loop.as_deref() == Some("Allow"),
            url: spec
                .url
                .filter(|url| !url.id.is_empty())
                .map(|url| Url { id: url.id, signed: url.auth_type != "NONE" }),
            event_invoke: spec.event_invoke.into(),
            dead_letter_arn: spec.dead_letter_arn.filter(|arn| !arn.is_empty()),
            code_bytes,
        })
    }
}

impl Revision {
    /// The digests of the images that it needs: the one that it is, or that of the runtime version that it stays on.
    pub(crate) fn images(&self) -> impl Iterator<Item = &String> {
        let own = self.image.as_ref().map(|image| &image.digest);
        own.into_iter().chain(self.pinned.as_ref().and_then(|pinned| pinned.image.as_ref()))
    }

    /// All that it needs from the code store.
    pub(crate) fn code(&self) -> Vec<String> {
        let merged = merged_name(&self.layers);
        let own = Some(&self.code_sha256).filter(|sha256| !sha256.is_empty());
        own.into_iter().chain(&self.layers).cloned().chain(merged).collect()
    }
}

/// The name of the Kubernetes object that holds the function which AWS clients call `name`. AWS allows capitals and
/// underscores, Kubernetes does not: such names are folded, with a hash of the real one to keep them apart. The real
/// name is in the annotation [`NAME_ANNOTATION`].
pub fn object_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let label = |label: &str| {
        !label.is_empty() && label.chars().all(plain) && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.split('.').all(label) {
        return name.to_owned();
    }
    let folded: String =
        name.chars().map(|c| c.to_ascii_lowercase()).map(|c| if plain(c) { c } else { '-' }).collect();
    let hash = sigv4::hex_sha256(name.as_bytes());
    let stem = folded.trim_matches('-');
    format!("{}{}{}", stem, if stem.is_empty() { "" } else { "-" }, &hash[..8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_a_function_with_defaults() {
        let definition = Definition::read(&json!({
            "metadata": {"name": "hello", "namespace": "team"},
            "spec": {
                "runtime": "provided.al2023", "handler": "x", "code": {"sha256": "ab", "size": 3},
                "url": {"id": "abc", "authType": "NONE"}, "reservedConcurrency": 2,
            },
        }))
        .expect("a well-formed function");
        assert_eq!(definition.name, "hello");
        assert_eq!(definition.namespace, "team");
        assert_eq!(definition.revision.timeout, Duration::from_secs(3));
        assert_eq!(definition.revision.memory_mb, 128);
        assert_eq!(definition.reserved_concurrency, Some(2));
        assert_eq!(definition.version, "$LATEST");
        assert_eq!(definition.url, Some(Url { id: "abc".to_owned(), signed: false }));
    }

    #[test]
    fn a_version_is_of_its_function() {
        let version = Definition::read(&json!({
            "metadata": {
                "name": "hello-1234.7", "annotations": {"dory.dev/function-name": "Hello"},
                "ownerReferences": [{"uid": "u", "controller": true}],
            },
            "spec": {
                "functionName": "hello-1234", "version": "7", "runtime": "provided.al2", "code": {"sha256": "ab"},
                "provisionedConcurrency": 2,
            },
        }))
        .expect("a well-formed version");
        assert_eq!((version.name.as_str(), version.object.as_str()), ("Hello", "hello-1234"));
        assert_eq!((version.version.as_str(), version.uid.as_str(), version.provisioned), ("7", "u", 2));
    }

    #[test]
    fn a_function_may_be_an_image() {
        let definition = Definition::read(&json!({
            "metadata": {"name": "app"},
            "spec": {
                "packageType": "Image", "image": {"uri": "app:1", "digest": "sha256:ab"},
                "imageConfig": {"command": ["app.handler"]},
            },
        }))
        .expect("a well-formed function");
        let config = ImageConfig { command: vec!["app.handler".to_owned()], ..ImageConfig::default() };
        assert_eq!(definition.revision.image, Some(FunctionImage { digest: "sha256:ab".to_owned(), config }));
        assert!(definition.revision.code().is_empty());
    }

    #[test]
    fn a_function_without_code_is_refused() {
        let error =
            Definition::read(&json!({"metadata": {"name": "x"}, "spec": {"runtime": "provided.al2"}}));
        assert_eq!(error.expect_err("no code"), "missing field `code`");
    }

    #[test]
    fn names_that_kubernetes_refuses_are_folded_and_stay_apart() {
        assert_eq!(object_name("user-api"), "user-api");
        assert!(object_name("MyFunction").starts_with("myfunction-"));
        assert_ne!(object_name("my_function"), object_name("My_Function"));
        assert_ne!(object_name("_"), object_name("__"));
        assert!(object_name("_").chars().next().expect("a name").is_ascii_alphanumeric());
    }
}
