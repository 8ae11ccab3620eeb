//! Function objects behind the API, with those of their versions and aliases: a name with a qualifier means the latter.
//! Found, created, changed and deleted through `client`, with the errors of the
//! Kubernetes API put into Lambda's words.

use super::configuration::{MODIFIED_ANNOTATION, REVISION_ANNOTATION, arn, lambda_time, revision_id};
use super::name::Name;
use crate::Lambda;
use client::{Deletion, Key, Objects, is_already_exists, is_conflict, is_not_found};
use functions::{NAME_ANNOTATION, Watched, object_name};
use futures::StreamExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use wire::{Fault, NAMESPACE};

/// How often a change is tried again when somebody else changed the object in between.
const TRIES: u32 = 8;

/// Objects that are read at the same time.
const READS: usize = 16;

impl Lambda {
    pub(crate) fn arn(&self, name: &str) -> String {
        arn(&self.config.region, &self.config.account_id, name)
    }

    /// Reads a name of the API.
    pub(crate) fn name(&self, text: &str, qualifier: Option<String>) -> Result<Name, Fault> {
        super::name::parse(text, qualifier, &self.config.region, &self.config.account_id)
    }

    /// The object that the name means: the function's, or that of its version or alias.
    pub(crate) async fn find(&self, name: &Name) -> Result<Value, Fault> {
        let (watched, key) = place(name);
        self.of(watched).get(&key).await.map_err(|error| self.fault(name, &error))
    }

    /// Where objects of a kind are.
    pub(crate) fn of(&self, watched: Watched) -> Objects {
        match watched {
            Watched::Function => self.objects.clone(),
            other => Objects::new(self.config.client.clone(), other.resource()),
        }
    }

    /// All versions or aliases of a function.
    pub(crate) async fn of_function(&self, watched: Watched, name: &Name) -> Result<Vec<Value>, Fault> {
        let keys = self.config.functions.objects_of(watched, &key(name));
        let objects = self.of(watched);
        let found = futures::stream::iter(keys).map(|key| {
            let objects = objects.clone();
            async move { objects.get(&key).await }
        });
        let mut all = Vec::new();
        let mut found = std::pin::pin!(found.buffer_unordered(READS));
        while let Some(object) = found.next().await {
            match object {
                Ok(object) => all.push(object),
                // Deleted in between.
                Err(error) if is_not_found(&error) => {}
                Err(error) => return Err(Fault::service(error.to_string())),
            }
        }
        Ok(all)
    }

    /// All versions or aliases of all functions.
    pub(crate) async fn all_of(&self, watched: Watched) -> Result<Vec<Value>, Fault> {
        self.of(watched).list(NAMESPACE).await.map_err(|error| Fault::service(error.to_string()))
    }

    /// Creates a version, an alias or a mapping, and waits until it is served.
    pub(crate) async fn create_of(
        &self,
        watched: Watched,
        mut object: Value,
    ) -> Result<Value, client::kube::Error> {
        stamp(&mut object);
        let created = self.of(watched).create(NAMESPACE, &object).await?;
        self.written(watched, &Key::of(&created), &created).await;
        Ok(created)
    }

    /// Replaces an object, and waits until that is what is served.
    pub(crate) async fn replace_of(
        &self,
        watched: Watched,
        key: &Key,
        mut object: Value,
    ) -> Result<Value, client::kube::Error> {
        stamp(&mut object);
        let changed = self.of(watched).replace(key, &object).await?;
        self.written(watched, key, &changed).await;
        Ok(changed)
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
        self.written(Watched::Function, &key(name), &created).await;
        Ok(created)
    }

    /// Changes the object that the name means: `change` is run on its newest state, again if somebody else was faster.
    pub(crate) async fn change(
        &self,
        name: &Name,
        revision: Option<&str>,
        change: impl Fn(&mut Value) -> Result<(), Fault> + Send,
    ) -> Result<Value, Fault> {
        let (watched, key) = place(name);
        for _ in 0..TRIES {
            let mut object = self.find(name).await?;
            check_revision(&object, revision)?;
            change(&mut object)?;
            match self.replace_of(watched, &key, object).await {
                Ok(changed) => return Ok(changed),
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(self.fault(name, &error)),
            }
        }
        Err(self.busy(name))
    }

    /// Others change the object all the time.
    pub(crate) fn busy(&self, name: &Name) -> Fault {
        Fault::conflict(format!(
            "The operation cannot be performed at this time. An update is in progress for resource: {}",
            self.arn(&name.name)
        ))
    }

    /// Deletes the object that the name means. A function's versions and aliases go at once, not when the garbage
    /// collector comes by: their names are free for the next function of this name.
    pub(crate) async fn remove(&self, name: &Name) -> Result<(), Fault> {
        let (watched, key) = place(name);
        self.of(watched)
            .delete(&key, &Deletion::default())
            .await
            .map_err(|error| self.fault(name, &error))?;
        self.config.functions.seen(watched, &key, None).await;
        if watched != Watched::Function {
            return Ok(());
        }
        for watched in [Watched::Alias, Watched::Version] {
            for object in self.of_function(watched, name).await? {
                let key = Key::of(&object);
                match self.of(watched).delete(&key, &Deletion::default()).await {
                    Err(error) if !is_not_found(&error) => return Err(self.fault(name, &error)),
                    _ => self.config.functions.seen(watched, &key, None).await,
                }
            }
        }
        Ok(())
    }

    /// Whoever reads or invokes after this answer sees what was written.
    async fn written(&self, watched: Watched, key: &Key, object: &Value) {
        let version = object["metadata"]["resourceVersion"].as_str().and_then(|version| version.parse().ok());
        if let Some(version) = version {
            self.config.functions.seen(watched, key, Some(version)).await;
        }
    }

    pub(crate) fn fault(&self, name: &Name, error: &client::kube::Error) -> Fault {
        if is_not_found(error) {
            let arn = self.arn(&name.name);
            let arn = name.qualifier.as_ref().map_or(arn.clone(), |qualifier| format!("{arn}:{qualifier}"));
            return Fault::not_found(format!("Function not found: {arn}"));
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

/// The object of a version.
pub(crate) fn version_key(name: &Name, version: &str) -> Key {
    Key::new(NAMESPACE, format!("{}.{version}", object_name(&name.name)))
}

/// Where the object is that a name means.
fn place(name: &Name) -> (Watched, Key) {
    match name.qualifier.as_deref() {
        None | Some("$LATEST") => (Watched::Function, key(name)),
        Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            (Watched::Version, version_key(name, number))
        }
        Some(alias) => (Watched::Alias, version_key(name, &object_name(alias))),
    }
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
