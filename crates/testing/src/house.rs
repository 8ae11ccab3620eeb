//! The whole platform in process, without containers: memory store, API server, controllers, scheduler and
//! a node that only says that pods run. It starts in milliseconds; each test has its own and a namespace.
//! With `DORY_TEST_KUBECONFIG` set the same tests run against that cluster, where nothing of ours runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use apiserver::{ApiServer, Config, Identity};
use client::{ApiResource, Cache, Caches, Deletion, Key, Objects, kube};
use serde_json::{Value, json};
use tower::util::BoxCloneService;

use crate::fake_node;

/// Long enough for a loaded machine; a test that needs it is broken or the machine is.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running platform, and a namespace for one test.
pub struct House {
    /// A client that may do everything.
    pub client: kube::Client,
    /// The namespace of this test.
    pub namespace: String,
    /// Caches over the client, shared by all waits.
    pub caches: Caches,
    /// Whether this is a real cluster somewhere else.
    pub remote: bool,
}

/// Starts the house, or connects to the cluster that the environment names.
#[expect(clippy::disallowed_methods, reason = "the tests' one setting, and `dory` is not there to read it")]
pub async fn house() -> Result<House> {
    let (client, remote) = match std::env::var_os("DORY_TEST_KUBECONFIG") {
        Some(path) => (client::from_kubeconfig(&PathBuf::from(path)).await?, true),
        None => (start().await?, false),
    };
    let namespace = format!("test-{:x}", jiff::Timestamp::now().as_nanosecond());
    let house = House { caches: Caches::new(client.clone()), client, namespace, remote };
    let namespace =
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": house.namespace } });
    house.objects("v1", "Namespace", "namespaces").create("", &namespace).await?;
    Ok(house)
}

async fn start() -> Result<kube::Client> {
    let server = bare_server().await?;
    let control = as_user(&server, "system:kube-controller-manager");
    // Both run as long as the runtime of the test.
    let _running = controllers::start(
        control,
        controllers::Options { ca_pem: Some("a certificate".into()), lease: None },
    );
    let _running = scheduler::start(as_user(&server, "system:kube-scheduler"), scheduler::Options::default());
    fake_node::start(as_user(&server, "system:node:fake")).await?;
    Ok(as_user(&server, "admin"))
}

/// Registers a node that only says that pods run.
pub async fn fake_node(client: kube::Client) -> Result<()> {
    fake_node::start(client).await
}

/// An API server over a memory store, and nothing else.
pub async fn bare_server() -> Result<Arc<ApiServer>> {
    let key = rcgen::KeyPair::generate()?.serialize_der();
    Ok(ApiServer::start(Config::new(store::memory(), key, "a certificate".into())).await?)
}

/// A client of a server in this process.
pub fn as_user(server: &Arc<ApiServer>, user: &str) -> kube::Client {
    client::in_process(BoxCloneService::new(server.service(Identity::master(user))))
}

impl House {
    /// The objects of a resource.
    pub fn objects(&self, api_version: &str, kind: &str, plural: &str) -> Objects {
        Objects::new(self.client.clone(), resource(api_version, kind, plural))
    }

    /// The objects of a typed kind.
    pub fn of<K: kube::Resource<DynamicType = ()>>(&self) -> Objects {
        Objects::of::<K>(&self.client)
    }

    /// A key in the namespace of this test.
    pub fn key(&self, name: &str) -> Key {
        Key::new(self.namespace.as_str(), name)
    }

    /// Creates an object from YAML in the namespace of this test.
    pub async fn create<K: kube::Resource<DynamicType = ()>>(&self, yaml: &str) -> Result<Value> {
        let object: Value = serde_saphyr::from_str(yaml).context("the YAML of the test")?;
        Ok(self.of::<K>().create(&self.namespace, &object).await?)
    }

    /// Waits until the objects of a kind in the namespace of this test satisfy `done`.
    pub async fn wait_all<K: kube::Resource<DynamicType = ()>>(
        &self,
        what: &str,
        done: impl Fn(&[Arc<Value>]) -> bool,
    ) -> Result<Vec<Arc<Value>>> {
        let cache = self.caches.of::<K>();
        self.wait_in(&cache, what, |cache| {
            let objects = cache.list_in(&self.namespace);
            done(&objects).then_some(objects)
        })
        .await
    }

    /// Waits until one object satisfies `done`.
    pub async fn wait<K: kube::Resource<DynamicType = ()>>(
        &self,
        name: &str,
        what: &str,
        done: impl Fn(&Value) -> bool,
    ) -> Result<Arc<Value>> {
        let (cache, key) = (self.caches.of::<K>(), self.key(name));
        self.wait_in(&cache, what, |cache| cache.get(&key).filter(|object| done(object))).await
    }

    /// Waits until something can be read from a cache.
    pub async fn wait_in<T>(
        &self,
        cache: &Cache,
        what: &str,
        read: impl Fn(&Cache) -> Option<T>,
    ) -> Result<T> {
        use futures::StreamExt;
        cache.synced().await;
        let mut changes = cache.subscribe();
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(found) = read(cache) {
                    return Some(found);
                }
                changes.next().await?;
            }
        });
        match found.await {
            Ok(Some(found)) => Ok(found),
            _ => {
                let objects = cache.list_in(&self.namespace);
                bail!("waited in vain for {what}; there are {}", serde_json::to_string_pretty(&objects)?)
            }
        }
    }

    /// Removes the namespace of this test; to be called last, so that a real cluster is left as it was.
    pub async fn close(self) -> Result<()> {
        let namespaces = self.objects("v1", "Namespace", "namespaces");
        namespaces.delete(&Key::cluster(self.namespace.as_str()), &Deletion::default()).await?;
        Ok(())
    }
}

/// The coordinates of a resource.
pub fn resource(api_version: &str, kind: &str, plural: &str) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ApiResource {
        group: group.into(),
        version: version.into(),
        api_version: api_version.into(),
        kind: kind.into(),
        plural: plural.into(),
    }
}
