//! Resources that come and go while the collector runs: those of CustomResourceDefinitions. Asks the API what there is
//! when a definition changes, and feeds the same graph and queue as the resources that are always there.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use client::k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use client::{Caches, Follow, Key, Objects, kube};
use futures::StreamExt;
use reconcile::{CancellationToken, Queue};
use tokio::task::{AbortHandle, JoinSet};

use super::{Collector, DISCOVERY_RETRY, IGNORED};
use crate::discovery::{Resource, discover};

/// The names of all definitions, which are those of the resources that they make: `plural.group`.
pub(super) async fn names(client: &kube::Client) -> Result<HashSet<String>, kube::Error> {
    let mut names = HashSet::new();
    let objects = Objects::of::<CustomResourceDefinition>(client);
    let name =
        |object: &serde_json::Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    objects.each_metadata("", |object| _ = names.insert(name(object))).await?;
    Ok(names)
}

/// The name that a resource's definition has, if it has one.
pub(super) fn name_of(resource: &Resource) -> String {
    format!("{}.{}", resource.api.plural, resource.api.group)
}

/// A resource in one version, and where its objects are in the graph.
struct Fed {
    index: usize,
    task: AbortHandle,
}

pub(super) struct Customs {
    pub(super) caches: Caches,
    pub(super) collector: Arc<Collector>,
    pub(super) queue: Queue,
}

impl Customs {
    /// Follows what definitions make until `shutdown`.
    pub(super) async fn run(self, shutdown: CancellationToken) {
        let mut definitions = self.caches.follow_metadata(client::resource::<CustomResourceDefinition>());
        let (mut tasks, mut fed) = (JoinSet::new(), HashMap::new());
        loop {
            if let Err(error) = self.settle(&mut tasks, &mut fed).await {
                tracing::warn!(%error, "the custom resources of the API are not known yet");
                tokio::select! {
                    () = tokio::time::sleep(DISCOVERY_RETRY) => continue,
                    () = shutdown.cancelled() => return,
                }
            }
            tokio::select! {
                change = definitions.next() => if change.is_none() { return },
                () = shutdown.cancelled() => return,
            }
            // Whatever came at the same time is one change.
            while futures::FutureExt::now_or_never(definitions.next()).flatten().is_some() {}
        }
    }

    async fn settle(
        &self,
        tasks: &mut JoinSet<()>,
        fed: &mut HashMap<(String, String), Fed>,
    ) -> Result<(), kube::Error> {
        let names = names(self.caches.client()).await?;
        let served = if names.is_empty() { Vec::new() } else { discover(self.caches.client()).await? };
        let wanted = |resource: &Resource| {
            resource.watchable && resource.api.kind != IGNORED && names.contains(&name_of(resource))
        };
        let served: HashMap<(String, String), Resource> = served
            .into_iter()
            .filter(wanted)
            .map(|resource| ((resource.api.api_version.clone(), resource.api.plural.clone()), resource))
            .collect();
        fed.retain(|key, own| {
            let stays = served.contains_key(key);
            if !stays {
                own.task.abort();
                let look = self.collector.graph().forget(own.index);
                look.into_iter().for_each(|uid| self.queue.add(Key::cluster(uid)));
            }
            stays
        });
        for (key, resource) in served {
            fed.entry(key).or_insert_with(|| self.feed(tasks, resource));
        }
        Ok(())
    }

    fn feed(&self, tasks: &mut JoinSet<()>, resource: Resource) -> Fed {
        let follow = self.caches.follow_metadata(resource.api.clone());
        let index = self.collector.add(resource);
        let (collector, queue) = (self.collector.clone(), self.queue.clone());
        Fed { index, task: tasks.spawn(take_in(collector, queue, index, follow)) }
    }
}

async fn take_in(collector: Arc<Collector>, queue: Queue, index: usize, mut follow: Follow) {
    while let Some(change) = follow.next().await {
        let look = collector.graph().see(index, &change);
        look.into_iter().for_each(|uid| queue.add(Key::cluster(uid)));
    }
}
