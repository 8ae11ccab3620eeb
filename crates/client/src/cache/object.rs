//! The form in which objects come off the watch: the JSON as it is, and just enough typed metadata
//! for kube-runtime's watcher. `managedFields` are dropped here: nobody reads them from a cache, and
//! they are often half of an object.

use std::borrow::Cow;

use kube::api::{ApiResource, ObjectMeta};
use kube::core::{DynamicResourceScope, Resource};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

#[derive(Clone, Debug)]
pub(crate) struct Object {
    metadata: ObjectMeta,
    value: Value,
}

impl Object {
    /// The JSON, with `apiVersion` and `kind`, which list items lack on a real API server.
    pub(crate) fn into_value(self, resource: &ApiResource, metadata_only: bool) -> Value {
        let mut value = self.value;
        if let Some(fields) = value.as_object_mut()
            && metadata_only
        {
            fields.retain(|name, _| name == "metadata");
        }
        if let Some(fields) = value.as_object_mut() {
            fields.entry("apiVersion").or_insert_with(|| resource.api_version.clone().into());
            fields.entry("kind").or_insert_with(|| resource.kind.clone().into());
        }
        value
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        let mut metadata = ObjectMeta::default();
        if let Some(fields) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            fields.remove("managedFields");
            let text = |field: &str| fields.get(field).and_then(Value::as_str).map(str::to_owned);
            metadata.resource_version = text("resourceVersion");
            metadata.name = text("name");
            metadata.namespace = text("namespace");
        }
        Ok(Object { metadata, value })
    }
}

impl Resource for Object {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
