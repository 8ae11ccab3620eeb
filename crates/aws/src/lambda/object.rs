//! Function objects behind the API: found, created, changed and deleted through `client`, with the errors of the
//! Kubernetes API put into Lambda's words.

use super::configuration::{MODIFIED_ANNOTATION, REVISION_ANNOTATION, arn, lambda_time, revision_id};
use super::name::Name;
use crate::door::{Door, NAMESPACE};
use crate::fault::Fault;
use client::{Deletion, Key, is_already_exists, is_conflict, is_not_found};
use functions::{NAME_ANNOTATION, Watched, object_name};
use jiff::Timestamp;
use serde_json::{Value, json};

/// How often a change is tried again when somebody else changed the object in between.
const TRIES: u32 = 8;

impl Door {
    pub(crate) fn arn(&self, name: &str) -> String {
        arn(&self.config.region, &self.config.account_id, name)
    }

    /// Reads a name of the API.
    pub(crate) fn name(&self, text: &str, qualifier: Option<String>) -> Result<Name, Fault> {
        super::name::parse(text, qualifier, &self.config.region, &self.config.account_id)
    }

    /// The function, if it exists in the version that the name asks for.
    pub(crate) async fn find(&self, name: &Name) -> Result<Value, Fault> {
        match name.qualifier.as_deref() {
            None | Some("$LATEST") => {}
            Some(qualifier) => {
                return Err(Fault::not_found(format!(
                    "Function not found: {}:{qualifier}",
                    self.arn(&name.name)
                )));
            }
        }
        self.objects.get(&key(name)).await.map_err(|error| self.fault(name, &error))
    }

    /// Creates a function object.
    pub(crate) async fn create(
        &self,
        name: &Name,
        spec: Value,
        annotations: &[(&str, String)],
    ) -> Result<Value, Fault> {
        let mut object = json!({
            "apiVersion": "dory.dev/v1",
            "kind": "Function",
            "metadata": { "name": object_name(&name.name), "namespace": NAMESPACE, "annotations": {} },
            "spec": spec,
        });
        stamp(&mut object);
        if object_name(&name.name) != name.name {
            annotate(&mut object, NAME_ANNOTATION, Some(name.name.clone()));
        }
        for (annotation, value) in annotations {
            annotate(&mut object, annotation, Some(value.clone()));
        }
        let created = self.objects.create(NAMESPACE, &object).await;
        let created = created.map_err(|error| match is_already_exists(&error) {
            true => Fault::conflict(format!("Function already exist: {}", name.name)),
            false => self.fault(name, &error),
        })?;
        self.written(name, &created).await;
        Ok(created)
    }

    /// Changes a function object: `change` is run on its newest state, again if somebody else was faster.
    pub(crate) async fn change(
        &self,
        name: &Name,
        revision: Option<&str>,
        change: impl Fn(&mut Value) -> Result<(), Fault> + Send,
    ) -> Result<Value, Fault> {
        for _ in 0..TRIES {
            let mut object = self.find(name).await?;
            check_revision(&object, revision)?;
            change(&mut object)?;
            stamp(&mut object);
            match self.objects.replace(&key(name), &object).await {
                Ok(changed) => {
                    self.written(name, &changed).await;
                    return Ok(changed);
                }
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(self.fault(name, &error)),
            }
        }
        Err(Fault::conflict(format!(
            "The operation cannot be performed at this time. An update is in progress for resource: {}",
            self.arn(&name.name)
        )))
    }

    pub(crate) async fn remove(&self, name: &Name) -> Result<(), Fault> {
        let deleted = self.objects.delete(&key(name), &Deletion::default()).await;
        deleted.map_err(|error| self.fault(name, &error))?;
        self.config.functions.seen(Watched::Function, &key(name), None).await;
        Ok(())
    }

    /// Whoever reads or invokes after this answer sees what was written.
    async fn written(&self, name: &Name, object: &Value) {
        let version = object["metadata"]["resourceVersion"].as_str().and_then(|version| version.parse().ok());
        if let Some(version) = version {
            self.config.functions.seen(Watched::Function, &key(name), Some(version)).await;
        }
    }

    fn fault(&self, name: &Name, error: &client::kube::Error) -> Fault {
        if is_not_found(error) {
            return Fault::not_found(format!("Function not found: {}", self.arn(&name.name)));
        }
        match error {
            client::kube::Error::Api(status) if (400..500).contains(&status.code) => {
                Fault::invalid_parameter(status.message.clone())
            }
            other => Fault::service(other.to_string()),
        }
    }
}

fn key(name: &Name) -> Key {
    Key::new(NAMESPACE, object_name(&name.name))
}

fn stamp(object: &mut Value) {
    annotate(object, MODIFIED_ANNOTATION, Some(lambda_time(Timestamp::now())));
    annotate(object, REVISION_ANNOTATION, Some(uuid::Uuid::new_v4().to_string()));
}

/// Sets or removes an annotation.
pub(crate) fn annotate(object: &mut Value, name: &str, value: Option<String>) {
    if !object["metadata"]["annotations"].is_object() {
        object["metadata"]["annotations"] = json!({});
    }
    if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
        match value {
            Some(value) => annotations.insert(name.to_owned(), json!(value)),
            None => annotations.remove(name),
        };
    }
}

/// Refuses when the caller has seen another revision.
pub(crate) fn check_revision(object: &Value, revision: Option<&str>) -> Result<(), Fault> {
    match revision {
        Some(revision) if revision != revision_id(object) => Err(Fault::precondition(
            "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to \
             retrieve the latest Revision Id",
        )),
        _ => Ok(()),
    }
}
