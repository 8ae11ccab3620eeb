//! Keeps the table in step with the API: five caches and the functions, one compiler, and the status of the Ingresses that are served.

use std::sync::Arc;
use std::time::Duration;

use client::k8s_openapi::api::core::v1::{Secret, Service};
use client::k8s_openapi::api::discovery::v1::EndpointSlice;
use client::k8s_openapi::api::networking::v1::Ingress;
use client::kube::api::ApiResource;
use client::kube::core::GroupVersionKind;
use client::{Cache, Change, Follow, Key, Selectors, kube, resource};
use futures::{FutureExt, Stream, StreamExt};
use serde_json::{Value, json};

use crate::handler::Current;
use crate::table::{Functions, Objects, compile, is_served};

/// Changes come in bursts (a rollout touches slices many times); the table is compiled once per this.
const SETTLE: Duration = Duration::from_millis(3);
/// Where clients on this machine reach what an Ingress exposes.
const ADDRESS: &str = "127.0.0.1";

/// The caches a table is compiled from.
pub(crate) struct Watch {
    ingresses: Cache,
    services: Cache,
    slices: Cache,
    secrets: Cache,
    functions: Follow,
    aliases: Cache,
    client: kube::Client,
}

impl Watch {
    /// Starts the caches.
    pub(crate) fn new(client: kube::Client) -> Watch {
        let all = |resource: ApiResource| Cache::start(&client, resource, Selectors::default());
        let tls = Selectors { fields: Some("type=kubernetes.io/tls".to_owned()), ..Selectors::default() };
        let function = ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk("dory.dev", "v1", "Function"),
            "functions",
        );
        let alias = ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk("dory.dev", "v1", "FunctionAlias"),
            "functionaliases",
        );
        Watch {
            ingresses: all(resource::<Ingress>()),
            services: all(resource::<Service>()),
            slices: all(resource::<EndpointSlice>()),
            secrets: Cache::start(&client, resource::<Secret>(), tls),
            functions: Follow::start(&client, function, Selectors::default()),
            aliases: all(alias),
            client,
        }
    }

    fn caches(&self) -> [&Cache; 5] {
        [&self.ingresses, &self.services, &self.slices, &self.secrets, &self.aliases]
    }

    /// Compiles a table whenever something changes, for as long as it is polled.
    pub(crate) async fn run(mut self, current: Arc<Current>) {
        let mut functions = Arc::new(Functions::default());
        while let Some(change) = self.functions.listed().await {
            Arc::make_mut(&mut functions).see(&change);
        }
        let mut changes = futures::stream::select_all(self.caches().map(Cache::subscribe));
        for cache in self.caches() {
            cache.synced().await;
        }
        loop {
            current.set(compile(&self.objects(functions.clone())));
            self.tell_status().await;
            // Most changes of functions change nothing here.
            loop {
                match self.next(&mut changes, &mut functions).await {
                    Some(true) => break,
                    Some(false) => {}
                    None => return,
                }
            }
            tokio::time::sleep(SETTLE).await;
            // Everything that came meanwhile is in the caches already.
            while self.next(&mut changes, &mut functions).now_or_never().flatten().is_some() {}
        }
    }

    /// Takes in one change and says whether it may change the table; `None` when there will be no more.
    async fn next(
        &mut self,
        changes: &mut (impl Stream<Item = Change> + Unpin),
        functions: &mut Arc<Functions>,
    ) -> Option<bool> {
        tokio::select! {
            change = changes.next() => change.map(|_| true),
            change = self.functions.next() => change.map(|change| Arc::make_mut(functions).see(&change)),
        }
    }

    fn objects(&self, functions: Arc<Functions>) -> Objects {
        Objects {
            ingresses: self.ingresses.list(),
            services: self.services.list(),
            slices: self.slices.list(),
            secrets: self.secrets.list(),
            functions,
            aliases: self.aliases.list(),
        }
    }

    /// Writes where a served Ingress is reached, which clients wait for. A failure is tried again at the next change.
    async fn tell_status(&self) {
        let ingresses = client::Objects::of::<Ingress>(&self.client);
        for object in self.ingresses.list() {
            if !client::parse::<Ingress>(&object).is_ok_and(|ingress| is_served(&ingress)) || is_told(&object)
            {
                continue;
            }
            let status = json!({ "loadBalancer": { "ingress": [{ "ip": ADDRESS }] } });
            if let Err(error) = ingresses.patch_status(&Key::of(&object), status).await {
                tracing::debug!(ingress = ?Key::of(&object), %error, "the status of an Ingress could not be written");
            }
        }
    }
}

fn is_told(ingress: &Value) -> bool {
    ingress["status"]["loadBalancer"]["ingress"][0]["ip"] == ADDRESS
}
