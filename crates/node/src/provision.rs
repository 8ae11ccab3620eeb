//! The provisioner of this node, `dory.dev/local`: a directory for each claim that is to have its volume here, and a
//! PersistentVolume that says where it is; taken away when the claim is gone and the reclaim policy says so. It keeps the
//! contract of upstream's external provisioners: claims ask by annotations, the volume controller binds.

mod directories;
mod plan;

use std::path::Path;
use std::sync::Arc;

use client::k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use client::k8s_openapi::api::storage::v1::StorageClass;
use client::{Cache, Caches, Deletion, Key, Objects, Patch, Recorder};
use futures::FutureExt;
use futures::future::BoxFuture;
use object::storage;
use reconcile::{Error, Loop, Outcome, Reconciler};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub(crate) use self::directories::Directories;
use self::plan::{Farewell, Wish, plan_farewell, plan_wish, volume_name};
use crate::pod::launch::blocking;

const WORKERS: usize = 4;

struct Provisioner {
    node: String,
    directories: Directories,
    claims: Cache,
    volumes: Cache,
    classes: Cache,
    volume_objects: Objects,
    events: Recorder,
}

/// Makes and removes volumes until `stop`.
pub(crate) async fn run(caches: Caches, node: String, directories: Directories, stop: CancellationToken) {
    let (claims, volumes) = (caches.of::<PersistentVolumeClaim>(), caches.of::<PersistentVolume>());
    let classes = caches.of::<StorageClass>();
    stop.run_until_cancelled(volumes.synced()).await;
    let known = volumes.list().iter().map(|volume| Key::of(volume).name).collect();
    let sweeper = directories.clone();
    blocking(move || sweeper.sweep(&known)).await;
    let provisioner = Provisioner {
        node,
        directories,
        claims: claims.clone(),
        volumes: volumes.clone(),
        classes: classes.clone(),
        volume_objects: Objects::of::<PersistentVolume>(caches.client()),
        events: Recorder::start(caches.client(), storage::PROVISIONER),
    };
    let all = claims.clone();
    let work = Loop::new("provisioner", Arc::new(provisioner), WORKERS)
        .watch_own(&claims)
        .watch_own(&volumes)
        .watch(&classes, move |_| all.keys());
    work.run(stop).await;
}

impl Reconciler for Provisioner {
    /// Volumes have no namespace.
    fn reconcile(&self, key: Key) -> BoxFuture<'_, Outcome> {
        async move {
            match key.namespace.as_str() {
                "" => self.look_after(&key).await?,
                _ => self.provide(&key).await?,
            }
            Ok(None)
        }
        .boxed()
    }
}

impl Provisioner {
    /// Makes the volume of a claim that asks for one here.
    async fn provide(&self, key: &Key) -> Result<(), Error> {
        let Some(claim) = self.claims.get(key) else { return Ok(()) };
        let class = storage::class_of(&claim).and_then(|name| self.classes.get(&Key::cluster(name)));
        let Some(class) = class else { return Ok(()) };
        match plan_wish(&claim, &class, &self.node) {
            Wish::None => return Ok(()),
            Wish::Refused(why) => self.failed(&claim, &class, &why),
            Wish::Volume => self.make(&claim, &class).await?,
        }
        Ok(())
    }

    async fn make(&self, claim: &Value, class: &Value) -> Result<(), Error> {
        let name = volume_name(claim);
        if self.volumes.get(&Key::cluster(name.as_str())).is_some() {
            return Ok(());
        }
        let message = format!("External provisioner is provisioning volume for claim \"{}\"", Key::of(claim));
        self.events.normal(claim, "Provisioning", message);
        // The directory first: whoever sees the volume may use it.
        let (directories, directory) = (self.directories.clone(), name.clone());
        let path = match blocking(move || directories.make(&directory)).await {
            Ok(path) => path,
            Err(error) => {
                self.failed(claim, class, &error.to_string());
                return Err(Error::new(error));
            }
        };
        let volume = plan::volume(claim, class, &self.node, &path);
        match self.volume_objects.create("", &volume).await {
            Err(error) if client::is_already_exists(&error) => {}
            Err(error) => {
                self.failed(claim, class, &client::message(&error));
                return Err(error.into());
            }
            Ok(_) => {
                let message = format!("Successfully provisioned volume {name}");
                self.events.normal(claim, "ProvisioningSucceeded", message);
            }
        }
        Ok(())
    }

    fn failed(&self, claim: &Value, class: &Value, why: &str) {
        let class = class["metadata"]["name"].as_str().unwrap_or_default();
        let message = format!("failed to provision volume with StorageClass \"{class}\": {why}");
        self.events.warning(claim, "ProvisioningFailed", message);
    }

    /// Takes a volume away that nobody has any more.
    async fn look_after(&self, key: &Key) -> Result<(), Error> {
        let Some(volume) = self.volumes.get(key) else { return Ok(()) };
        let path = self.directories.path(&key.name);
        if !is_ours(&volume, &path) {
            return Ok(());
        }
        let farewell = plan_farewell(&volume);
        if matches!(farewell, Farewell::Remove | Farewell::RemoveAndDelete) {
            let (directories, name) = (self.directories.clone(), key.name.clone());
            if let Err(error) = blocking(move || directories.remove(&name)).await {
                self.events.warning(&volume, "VolumeFailedDelete", error.to_string());
                return Err(Error::new(error));
            }
        }
        let answer = match farewell {
            Farewell::None => return Ok(()),
            Farewell::RemoveAndDelete => {
                // What holds it is let go when it is seen to be going.
                let uid = volume["metadata"]["uid"].as_str().map(str::to_owned);
                self.volume_objects.delete(key, &Deletion { uid, ..Deletion::default() }).await
            }
            Farewell::Remove | Farewell::LetGo => {
                let version = &volume["metadata"]["resourceVersion"];
                let left = plan::other_finalizers(&volume);
                let patch = json!({ "metadata": { "resourceVersion": version, "finalizers": left } });
                self.volume_objects.patch(key, Patch::Merge(patch)).await
            }
        };
        match answer {
            Err(error) if !client::is_not_found(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Whether a volume was made by this provisioner, in this place.
fn is_ours(volume: &Value, path: &Path) -> bool {
    volume["metadata"]["annotations"][storage::PROVISIONED_BY] == storage::PROVISIONER
        && volume["spec"]["local"]["path"].as_str().is_some_and(|own| Path::new(own) == path)
}
