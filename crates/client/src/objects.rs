//! Reading and writing the objects of one resource as JSON, without typed structs in between: what a
//! typed struct does not know, it drops. Never retries and never caches.

use kube::api::{ApiResource, ListParams, PatchParams, PostParams};
use kube::core::Request;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::key::Key;

/// A change to an object, in one of the forms the API takes.
#[derive(Clone, Debug)]
pub enum Patch {
    /// RFC 7386.
    Merge(Value),
    /// RFC 6902: an array of operations.
    Json(Value),
    /// Kubernetes' own merge, which knows the keys of lists.
    Strategic(Value),
    /// Server-side apply by this manager, with or without force.
    Apply {
        /// The object as the manager wants it.
        config: Value,
        /// Who wants it.
        manager: String,
        /// Whether to take over fields of others.
        force: bool,
    },
}

/// What happens to the objects that name the deleted one as their owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Deleted afterwards.
    Background,
    /// Deleted first.
    Foreground,
    /// Kept, without that owner.
    Orphan,
}

/// How to delete.
#[derive(Clone, Debug, Default)]
pub struct Deletion {
    /// Only the object with this uid.
    pub uid: Option<String>,
    /// Only this version of the object.
    pub resource_version: Option<String>,
    /// Seconds that a pod gets to end; 0 is at once.
    pub grace_seconds: Option<u32>,
    /// What happens to dependents; the kind's default when `None`.
    pub propagation: Option<Propagation>,
}

/// The objects of one resource.
#[derive(Clone)]
pub struct Objects {
    client: kube::Client,
    resource: ApiResource,
}

/// Objects of which so many may exist that all of them at once would fill the memory are taken this many at a time.
const PAGE_LEN: u32 = 500;

/// A page of a list, of which the objects are not looked at.
#[derive(Deserialize)]
struct Turned {
    #[serde(default)]
    metadata: TurnedTo,
}

/// Where the next page begins.
#[derive(Default, Deserialize)]
struct TurnedTo {
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

impl TurnedTo {
    fn page(self) -> Option<ListParams> {
        let token = self.next.filter(|token| !token.is_empty())?;
        Some(ListParams { continue_token: Some(token), ..ListParams::default().limit(PAGE_LEN) })
    }
}

type Result<T> = std::result::Result<T, kube::Error>;

impl Objects {
    /// The objects of `resource`.
    #[must_use]
    pub fn new(client: kube::Client, resource: ApiResource) -> Objects {
        Objects { client, resource }
    }

    /// The objects of a typed kind.
    #[must_use]
    pub fn of<K: kube::Resource<DynamicType = ()>>(client: &kube::Client) -> Objects {
        Objects::new(client.clone(), crate::resource::<K>())
    }

    /// What these are objects of.
    #[must_use]
    pub fn resource(&self) -> &ApiResource {
        &self.resource
    }

    /// Reads one object.
    pub async fn get(&self, key: &Key) -> Result<Value> {
        let request = self.path(&key.namespace).get(&key.name, &kube::api::GetParams::default());
        self.client.request(request.map_err(kube::Error::BuildRequest)?).await
    }

    /// Reads a subresource of an object, such as `scale`.
    pub async fn get_sub(&self, key: &Key, subresource: &str) -> Result<Value> {
        let request = self.path(&key.namespace).get_subresource(subresource, &key.name);
        self.client.request(request.map_err(kube::Error::BuildRequest)?).await
    }

    /// Reads every object of a namespace, or of the cluster when it is empty.
    pub async fn list(&self, namespace: &str) -> Result<Vec<Value>> {
        let request = self.path(namespace).list(&kube::api::ListParams::default());
        let mut list: Value = self.client.request(request.map_err(kube::Error::BuildRequest)?).await?;
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            _ => Ok(Vec::new()),
        }
    }

    /// Creates an object in a namespace; the namespace is empty for cluster-scoped ones.
    pub async fn create(&self, namespace: &str, object: &Value) -> Result<Value> {
        let bytes = serde_json::to_vec(object).map_err(kube::Error::SerdeError)?;
        let request = self.path(namespace).create(&PostParams::default(), bytes);
        self.client.request(request.map_err(kube::Error::BuildRequest)?).await
    }

    /// Creates a subresource of an object, such as a pod's binding.
    pub async fn create_sub(&self, key: &Key, subresource: &str, object: &Value) -> Result<Value> {
        let bytes = serde_json::to_vec(object).map_err(kube::Error::SerdeError)?;
        let request = self.path(&key.namespace).create_subresource(
            subresource,
            &key.name,
            &PostParams::default(),
            bytes,
        );
        self.client.request(request.map_err(kube::Error::BuildRequest)?).await
    }

    /// Replaces an object; the API refuses when its `resourceVersion` is not the current one.
    pub async fn replace(&self, key: &Key, object: &Value) -> Result<Value> {
        let bytes = serde_json::to_vec(object).map_err(kube::Error::SerdeError)?;
        let request = self.path(&key.namespace).replace(&key.name, &PostParams::default(), bytes);
        self.client.request(request.map_err(kube::Error::BuildRequest)?).await
    }

    /// Replaces a subresource of an object, such as a namespace's `finalize`.
    pub async fn replace_sub(&self, key: &Key, subresource: &str, object: &Value) -> Result<Value> {
        let bytes = serde_json::to_vec(object).map_err(kube::Error::SerdeError)?;
        let request = self.path(&key.namespace).replace_subresource(
            subresource,
            &key.name,
            &PostParams::default(),
            bytes,
        );
        self.client.request(request.map_err(kube::Error::BuildRequest)?).await
    }

    /// Patches an object.
    pub async fn patch(&self, key: &Key, patch: Patch) -> Result<Value> {
        self.send_patch(key, None, patch).await
    }

    /// Patches a subresource, such as `status` or `scale`.
    pub async fn patch_sub(&self, key: &Key, subresource: &str, patch: Patch) -> Result<Value> {
        self.send_patch(key, Some(subresource), patch).await
    }

    /// Merges `status` into the status of an object.
    pub async fn patch_status(&self, key: &Key, status: Value) -> Result<Value> {
        self.patch_sub(key, "status", Patch::Merge(json!({ "status": status }))).await
    }

    /// Deletes an object. The answer is the object when something still holds it, else a Status.
    pub async fn delete(&self, key: &Key, deletion: &Deletion) -> Result<Value> {
        let request = self.path(&key.namespace).delete(&key.name, &deletion.params());
        self.client.request(request.map_err(kube::Error::BuildRequest)?).await
    }

    /// Deletes every object of a namespace.
    pub async fn delete_all(&self, namespace: &str, deletion: &Deletion) -> Result<()> {
        let mut page = Some(ListParams::default().limit(PAGE_LEN));
        while let Some(asked) = page {
            let request = self.path(namespace).delete_collection(&deletion.params(), &asked);
            let answer = self.client.request(request.map_err(kube::Error::BuildRequest)?).await;
            page = match answer {
                Ok(Turned { metadata }) => metadata.page(),
                // So much was deleted since the first page that its list is forgotten: what is left has a first page too.
                Err(error) if is(&error, 410, "Expired") && asked.continue_token.is_some() => {
                    Some(ListParams::default().limit(PAGE_LEN))
                }
                Err(error) => return Err(error),
            };
        }
        Ok(())
    }

    /// Shows the metadata of every object of a namespace, a page at a time, and keeps none.
    pub async fn each_metadata(&self, namespace: &str, mut see: impl FnMut(&Value)) -> Result<()> {
        let mut page = Some(ListParams::default().limit(PAGE_LEN));
        while let Some(asked) = page {
            let request = self.path(namespace).list_metadata(&asked);
            let list: Value = self.client.request(request.map_err(kube::Error::BuildRequest)?).await?;
            list["items"].as_array().into_iter().flatten().for_each(&mut see);
            page = Turned::deserialize(&list).map_err(kube::Error::SerdeError)?.metadata.page();
        }
        Ok(())
    }

    async fn send_patch(&self, key: &Key, subresource: Option<&str>, patch: Patch) -> Result<Value> {
        let mut params = PatchParams::default();
        let patch = match patch {
            Patch::Merge(value) => kube::api::Patch::Merge(value),
            Patch::Strategic(value) => kube::api::Patch::Strategic(value),
            Patch::Json(operations) => {
                kube::api::Patch::Json(serde_json::from_value(operations).map_err(kube::Error::SerdeError)?)
            }
            Patch::Apply { config, manager, force } => {
                params.field_manager = Some(manager);
                params.force = force;
                kube::api::Patch::Apply(config)
            }
        };
        let path = self.path(&key.namespace);
        let request = match subresource {
            Some(name) => path.patch_subresource(name, &key.name, &params, &patch),
            None => path.patch(&key.name, &params, &patch),
        };
        self.client.request(request.map_err(kube::Error::BuildRequest)?).await
    }

    fn path(&self, namespace: &str) -> Request {
        let ApiResource { group, api_version, plural, .. } = &self.resource;
        let root = if group.is_empty() { "api" } else { "apis" };
        Request::new(if namespace.is_empty() {
            format!("/{root}/{api_version}/{plural}")
        } else {
            format!("/{root}/{api_version}/namespaces/{namespace}/{plural}")
        })
    }
}

impl Deletion {
    fn params(&self) -> kube::api::DeleteParams {
        let preconditions =
            (self.uid.is_some() || self.resource_version.is_some()).then(|| kube::api::Preconditions {
                uid: self.uid.clone(),
                resource_version: self.resource_version.clone(),
            });
        let propagation_policy = self.propagation.map(|propagation| match propagation {
            Propagation::Background => kube::api::PropagationPolicy::Background,
            Propagation::Foreground => kube::api::PropagationPolicy::Foreground,
            Propagation::Orphan => kube::api::PropagationPolicy::Orphan,
        });
        kube::api::DeleteParams {
            grace_period_seconds: self.grace_seconds,
            propagation_policy,
            preconditions,
            ..Default::default()
        }
    }
}

/// Whether the API said that there is no such object.
#[must_use]
pub fn is_not_found(error: &kube::Error) -> bool {
    is(error, 404, "NotFound")
}

/// Whether the API said that the object changed in between.
#[must_use]
pub fn is_conflict(error: &kube::Error) -> bool {
    is(error, 409, "Conflict")
}

/// Whether the API said that the name is taken.
#[must_use]
pub fn is_already_exists(error: &kube::Error) -> bool {
    is(error, 409, "AlreadyExists")
}

/// Whether the API refused because the namespace is going away.
#[must_use]
pub fn is_terminating(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 403 && causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

/// What the API said, in its own words.
#[must_use]
pub fn message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

fn is(error: &kube::Error, code: u16, reason: &str) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code && status.reason == reason)
}
