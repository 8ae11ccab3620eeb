//! `dory deploy` of manifests: server-side apply of every object in the order given, then wait for those
//! that roll out pods, and for jobs.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use client::kube;
use client::kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use client::kube::discovery::{self, ApiCapabilities, Scope};
use client::kube::runtime::wait::await_condition;
use serde_json::Value;

use crate::Platform;
use crate::args::Deploy;
use crate::job;

/// The field manager that owns what `dory deploy` applies.
const FIELD_MANAGER: &str = "dory";

/// One object of a file, and where it stands, for error messages.
struct Document {
    place: String,
    value: Value,
}

pub(crate) async fn deploy(platform: &Platform, options: &Deploy, files: &[PathBuf]) -> Result<()> {
    let documents = read(files)?;
    let client = platform.client().await?;
    let (mut workloads, mut jobs) = (Vec::new(), Vec::new());
    let began = Instant::now();
    for document in &documents {
        let applied = apply(&client, options, document).await?;
        if let Some(rollout) = Rollout::of(&applied.resource) {
            workloads.push((applied, rollout));
        } else if applied.resource.kind == "Job" {
            jobs.push(applied);
        }
    }
    if options.no_wait {
        return Ok(());
    }
    let limit = Duration::from_secs(options.wait_timeout);
    for (workload, rollout) in workloads {
        wait(workload, rollout, limit, began).await?;
    }
    for applied in jobs {
        job::wait(applied.api, &applied.name, limit, began).await?;
    }
    Ok(())
}

fn read(files: &[PathBuf]) -> Result<Vec<Document>> {
    let mut documents = Vec::new();
    for file in files {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let values: Vec<Value> =
            serde_saphyr::from_multiple(&text).with_context(|| format!("{} is not YAML", file.display()))?;
        for (at, value) in values.into_iter().enumerate() {
            let place = format!("{}, document {}", file.display(), at + 1);
            match value {
                Value::Null => {}
                Value::Object(ref list) if list.contains_key("items") => {
                    let items = list["items"].as_array().cloned().unwrap_or_default();
                    documents.extend(items.into_iter().map(|value| Document { place: place.clone(), value }));
                }
                value => documents.push(Document { place, value }),
            }
        }
    }
    if documents.is_empty() {
        bail!("there is no object to deploy in {}", files[0].display());
    }
    Ok(documents)
}

/// What was applied, and the handle to watch it by.
struct Applied {
    resource: ApiResource,
    name: String,
    api: Api<DynamicObject>,
}

async fn apply(client: &kube::Client, options: &Deploy, document: &Document) -> Result<Applied> {
    let field = |pointer: &str| document.value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let missing = |name: &str| format!("{}: {name} is missing", document.place);
    let api_version = field("/apiVersion").with_context(|| missing("apiVersion"))?;
    let kind = field("/kind").with_context(|| missing("kind"))?;
    let name = field("/metadata/name").with_context(|| missing("metadata.name"))?;
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let (resource, capabilities) = resolve(client, &GroupVersionKind::gvk(group, version, &kind))
        .await
        .with_context(|| format!("{}: this platform has no {kind} in {api_version}", document.place))?;
    let namespace = field("/metadata/namespace").unwrap_or_else(|| options.namespace.clone());
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Namespaced => Api::namespaced_with(client.clone(), &namespace, &resource),
        Scope::Cluster => Api::all_with(client.clone(), &resource),
    };
    let before = api.get_opt(&name).await?.and_then(|object| object.metadata.resource_version);
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    let parameters = parameters.validation_strict();
    let applied =
        api.patch(&name, &parameters, &Patch::Apply(&document.value)).await.map_err(|error| match error {
            kube::Error::Api(status) => anyhow::anyhow!("{}: {}", document.place, status.message),
            other => anyhow::Error::new(other).context(document.place.clone()),
        })?;
    let done = match before {
        None => "created",
        Some(before) if Some(&before) == applied.metadata.resource_version.as_ref() => "unchanged",
        Some(_) => "configured",
    };
    println!("{} {done}", display_name(&resource, &name));
    Ok(Applied { resource, name, api })
}

fn display_name(resource: &ApiResource, name: &str) -> String {
    let kind = resource.kind.to_lowercase();
    if resource.group.is_empty() {
        format!("{kind}/{name}")
    } else {
        format!("{kind}.{}/{name}", resource.group)
    }
}

async fn resolve(client: &kube::Client, kind: &GroupVersionKind) -> Result<(ApiResource, ApiCapabilities)> {
    Ok(discovery::pinned_kind(client, kind).await?)
}

/// Waits as `kubectl rollout status` does: until every pod that is to be of the new template is, and is available.
async fn wait(workload: Applied, rollout: Rollout, limit: Duration, began: Instant) -> Result<()> {
    let ready = await_condition(workload.api.clone(), &workload.name, |object: Option<&DynamicObject>| {
        object.is_some_and(|object| rollout.is_done(&object.data, object.metadata.generation))
    });
    let Applied { resource, name, .. } = &workload;
    match tokio::time::timeout(limit, ready).await {
        Ok(Ok(object)) => {
            let pods = object.map_or(0, |object| rollout.pods(&object.data));
            let (shown, took) = (display_name(resource, name), began.elapsed().as_millis());
            println!("{shown} ready: {pods} of {pods} in {took} ms");
            Ok(())
        }
        Ok(Err(error)) => {
            let kind = resource.kind.to_lowercase();
            Err(error).with_context(|| format!("the watch on the {kind} ended"))
        }
        Err(_) => bail!(
            "{} {name} is not ready after {} s; `kubectl describe pods` says why",
            resource.kind.to_lowercase(),
            limit.as_secs()
        ),
    }
}

/// How it is seen that the pods of a workload are as its manifest says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rollout {
    Deployment,
    DaemonSet,
    StatefulSet,
}

impl Rollout {
    fn of(resource: &ApiResource) -> Option<Rollout> {
        match (resource.group.as_str(), resource.kind.as_str()) {
            ("apps", "Deployment") => Some(Rollout::Deployment),
            ("apps", "DaemonSet") => Some(Rollout::DaemonSet),
            ("apps", "StatefulSet") => Some(Rollout::StatefulSet),
            _ => None,
        }
    }

    /// How many pods there are to be.
    fn pods(self, data: &Value) -> i64 {
        match self {
            Rollout::DaemonSet => data["status"]["desiredNumberScheduled"].as_i64().unwrap_or(0),
            Rollout::Deployment | Rollout::StatefulSet => data["spec"]["replicas"].as_i64().unwrap_or(1),
        }
    }

    fn is_done(self, data: &Value, generation: Option<i64>) -> bool {
        let status = |field: &str| data["status"][field].as_i64().unwrap_or(0);
        let pods = self.pods(data);
        // Pods that are replaced only when somebody deletes them are not waited for.
        let replaced = data["spec"]["updateStrategy"]["type"] != "OnDelete";
        status("observedGeneration") >= generation.unwrap_or(0)
            && match self {
                Rollout::Deployment => ["updatedReplicas", "replicas", "availableReplicas"]
                    .iter()
                    .all(|field| status(field) == pods),
                Rollout::DaemonSet => {
                    status("numberAvailable") == pods
                        && (!replaced || status("updatedNumberScheduled") == pods)
                }
                Rollout::StatefulSet => {
                    let kept = data["spec"]["updateStrategy"]["rollingUpdate"]["partition"].as_i64();
                    status("availableReplicas") == pods
                        && status("replicas") == pods
                        && (!replaced || status("updatedReplicas") >= pods - kept.unwrap_or(0))
                }
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_and_list_item_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.yaml");
        fs::write(&file, "kind: A\n---\n---\nkind: List\nitems:\n- kind: B\n- kind: C\n").unwrap();
        let kinds: Vec<_> = read(&[file])
            .unwrap()
            .iter()
            .map(|document| document.value["kind"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(kinds, ["A", "B", "C"]);
    }

    #[test]
    fn a_rollout_ends_with_the_last_old_replica() {
        let mut data = serde_json::json!({ "spec": { "replicas": 3 }, "status": {
            "observedGeneration": 2, "replicas": 4, "updatedReplicas": 3, "availableReplicas": 3 } });
        assert!(!Rollout::Deployment.is_done(&data, Some(2)));
        data["status"]["replicas"] = 3.into();
        assert!(Rollout::Deployment.is_done(&data, Some(2)));
        assert!(!Rollout::Deployment.is_done(&data, Some(3)));
    }

    #[test]
    fn a_rollout_ends_with_the_last_node() {
        let mut data = serde_json::json!({ "status": { "observedGeneration": 1, "desiredNumberScheduled": 2,
            "updatedNumberScheduled": 1, "numberAvailable": 2 } });
        assert!(!Rollout::DaemonSet.is_done(&data, Some(1)));
        data["status"]["updatedNumberScheduled"] = 2.into();
        assert!(Rollout::DaemonSet.is_done(&data, Some(1)));
        data["status"]["numberAvailable"] = 1.into();
        assert!(!Rollout::DaemonSet.is_done(&data, Some(1)));
    }

    #[test]
    fn a_rollout_ends_at_the_partition() {
        let mut data = serde_json::json!({ "spec": { "replicas": 3, "updateStrategy": { "type": "RollingUpdate",
            "rollingUpdate": { "partition": 2 } } }, "status": { "observedGeneration": 1, "replicas": 3,
            "availableReplicas": 3 } });
        assert!(!Rollout::StatefulSet.is_done(&data, Some(1)));
        data["status"]["updatedReplicas"] = 1.into();
        assert!(Rollout::StatefulSet.is_done(&data, Some(1)));
        data["spec"]["updateStrategy"] = serde_json::json!({ "type": "OnDelete" });
        data["status"]["updatedReplicas"] = 0.into();
        assert!(Rollout::StatefulSet.is_done(&data, Some(1)));
    }
}
