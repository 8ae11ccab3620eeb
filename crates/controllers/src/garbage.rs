//! The garbage collector: deletes what lost all its owners, before or after them, or lets it live without.
//! It watches the metadata of every resource that the API serves and does nothing while nothing changes.

mod customs;
mod graph;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use client::{Caches, Deletion, Key, Objects, Patch, Propagation, kube, owner};
use futures::FutureExt;
use futures::future::BoxFuture;
use reconcile::{CancellationToken, Error, Loop, Outcome, Queue, Reconciler};
use serde_json::{Value, json};

use self::customs::Customs;
use self::graph::{Answer, Decision, FOREGROUND, Graph, ORPHAN, Owner};
use crate::discovery::{Resource, by_kind, discover};

const WORKERS: usize = 8;
/// How long to wait before an API that did not answer is asked again for its resources.
const DISCOVERY_RETRY: Duration = Duration::from_secs(2);
/// Events never own or are owned; upstream leaves them out too.
const IGNORED: &str = "Event";

struct Collector {
    client: kube::Client,
    /// What is watched, or was: nodes of the graph point into it.
    watched: Mutex<Vec<Resource>>,
    graph: Arc<Mutex<Graph>>,
    queue: Queue,
    /// The resources by group and kind; asked again when an owner is of an unknown kind.
    kinds: Mutex<HashMap<(String, String), Resource>>,
}

/// Runs the collector until `shutdown`.
pub(crate) async fn run(caches: Caches, shutdown: CancellationToken) {
    let resources = loop {
        match standing(caches.client()).await {
            Ok(resources) => break resources,
            Err(error) => tracing::warn!(%error, "the resources of the API are not known yet"),
        }
        tokio::select! {
            () = tokio::time::sleep(DISCOVERY_RETRY) => {}
            () = shutdown.cancelled() => return,
        }
    };
    let (work, customs) = collector(&caches, resources);
    let ended = shutdown.clone();
    futures::future::join(work.run(shutdown), customs.run(ended)).await;
}

/// The resources that are always there: those of definitions come and go.
async fn standing(client: &kube::Client) -> Result<Vec<Resource>, kube::Error> {
    let customs = customs::names(client).await?;
    let mut resources = discover(client).await?;
    resources.retain(|resource| !customs.contains(&customs::name_of(resource)));
    Ok(resources)
}

fn collector(caches: &Caches, resources: Vec<Resource>) -> (Loop, Customs) {
    let kinds = by_kind(&resources);
    let watched = resources.into_iter().filter(|resource| resource.watchable && resource.api.kind != IGNORED);
    let watched: Vec<Resource> = watched.collect();
    let follows: Vec<_> =
        watched.iter().map(|resource| caches.follow_metadata(resource.api.clone())).collect();
    let (graph, queue) = (Arc::new(Mutex::new(Graph::default())), Queue::default());
    let collector = Arc::new(Collector {
        client: caches.client().clone(),
        watched: Mutex::new(watched),
        graph: graph.clone(),
        queue: queue.clone(),
        kinds: Mutex::new(kinds),
    });
    let customs = Customs { caches: caches.clone(), collector: collector.clone(), queue: queue.clone() };
    let mut work = Loop::new("garbage", collector, WORKERS).with_queue(queue);
    for (index, follow) in follows.into_iter().enumerate() {
        let graph = graph.clone();
        work = work.follow(follow, move |change| {
            let look = graph.lock().expect("nothing panics while holding it").see(index, change);
            look.into_iter().map(Key::cluster).collect()
        });
    }
    (work, customs)
}

impl Reconciler for Collector {
    fn reconcile(&self, key: Key) -> BoxFuture<'_, Outcome> {
        async move { self.turn(&key.name).await.map(|()| None) }.boxed()
    }
}

impl Collector {
    fn graph(&self) -> MutexGuard<'_, Graph> {
        self.graph.lock().expect("nothing panics while holding it")
    }

    /// Notes one more resource that is watched; its place.
    fn add(&self, resource: Resource) -> usize {
        let mut watched = self.watched.lock().expect("nothing panics while holding it");
        // A resource that comes again has the place that it had.
        let same = |own: &Resource| own.api == resource.api;
        if let Some(index) = watched.iter().position(same) {
            return index;
        }
        watched.push(resource);
        watched.len() - 1
    }

    async fn turn(&self, uid: &str) -> Result<(), Error> {
        let mut decision = self.graph().decide(uid, &HashMap::new());
        if let Decision::Ask(owners) = &decision {
            let asked = self.ask(uid, owners).await?;
            decision = self.graph().decide(uid, &asked);
        }
        match decision {
            Decision::Nothing => Ok(()),
            // The graph changed between the two looks: its change brings the object back.
            Decision::Ask(_) => Ok(()),
            Decision::Again => Err(Error::new("an owner is there that no watch has shown yet")),
            Decision::Wait(dependents) => {
                dependents.into_iter().for_each(|uid| self.queue.add(Key::cluster(uid)));
                Ok(())
            }
            Decision::Drop(owners) => self.drop_owners(uid, &owners).await,
            Decision::Release => self.remove_finalizer(uid, FOREGROUND).await,
            Decision::Orphan(dependents) => {
                let owner = HashSet::from([uid.to_owned()]);
                for dependent in dependents {
                    self.drop_owners(&dependent, &owner).await?;
                }
                self.remove_finalizer(uid, ORPHAN).await
            }
            Decision::Delete { propagation, unblock } => {
                if unblock {
                    self.unblock(uid).await?;
                }
                self.delete(uid, propagation, unblock).await
            }
        }
    }

    /// Where the object of a uid is written, its key, and the version that the graph has seen.
    fn find(&self, uid: &str) -> Option<(Objects, Key, u64)> {
        let (resource, key, revision) = {
            let graph = self.graph();
            let node = graph.node(uid)?;
            (node.resource, node.key.clone(), node.revision)
        };
        let watched = self.watched.lock().expect("nothing panics while holding it");
        let api = watched.get(resource)?.api.clone();
        Some((Objects::new(self.client.clone(), api), key, revision))
    }

    /// The object of a uid as it is now; `None` when there is none.
    async fn read(&self, uid: &str) -> Result<Option<(Objects, Key, Value)>, Error> {
        let Some((objects, key, _)) = self.find(uid) else { return Ok(None) };
        match objects.get(&key).await {
            Ok(object) if object["metadata"]["uid"] == uid => Ok(Some((objects, key, object))),
            Ok(_) => Ok(None),
            Err(error) if client::is_not_found(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks the API whether owners exist that no watch has shown.
    async fn ask(&self, uid: &str, owners: &[Owner]) -> Result<HashMap<String, Answer>, Error> {
        let Some(namespace) = self.graph().node(uid).map(|node| node.key.namespace.clone()) else {
            return Ok(HashMap::new());
        };
        let mut asked = HashMap::new();
        for owner in owners {
            let resource = self.resource_of(owner).await?;
            // An object of the cluster cannot be owned by one of a namespace: nobody can say which one.
            if resource.namespaced && namespace.is_empty() {
                asked.insert(owner.uid.clone(), Answer::Unclear);
                continue;
            }
            let owner_namespace = if resource.namespaced { namespace.as_str() } else { "" };
            let objects = Objects::new(self.client.clone(), resource.api);
            let answer = match objects.get(&Key::new(owner_namespace, owner.name.as_str())).await {
                Ok(live) if live["metadata"]["uid"] == owner.uid.as_str() => Answer::There,
                Ok(_) => Answer::Gone,
                Err(error) if client::is_not_found(&error) => Answer::Gone,
                Err(error) => return Err(error.into()),
            };
            asked.insert(owner.uid.clone(), answer);
        }
        Ok(asked)
    }

    async fn resource_of(&self, owner: &Owner) -> Result<Resource, Error> {
        let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
        let name = (group.to_owned(), owner.kind.clone());
        let known = |kinds: &HashMap<_, Resource>| kinds.get(&name).cloned();
        if let Some(resource) = known(&self.kinds.lock().expect("nothing panics while holding it")) {
            return Ok(resource);
        }
        let kinds = by_kind(&discover(&self.client).await?);
        let found = known(&kinds);
        *self.kinds.lock().expect("nothing panics while holding it") = kinds;
        found
            .ok_or_else(|| Error::new(format!("no resource of kind {} in {}", owner.kind, owner.api_version)))
    }

    async fn delete(&self, uid: &str, propagation: Propagation, rewritten: bool) -> Result<(), Error> {
        let Some((objects, key, revision)) = self.find(uid) else { return Ok(()) };
        let deletion = Deletion {
            uid: Some(uid.to_owned()),
            // What we know of its owners must still hold.
            resource_version: (!rewritten).then(|| revision.to_string()),
            propagation: Some(propagation),
            grace_seconds: None,
        };
        gone_is_fine(objects.delete(&key, &deletion).await)
    }

    async fn drop_owners(&self, uid: &str, owners: &HashSet<String>) -> Result<(), Error> {
        self.rewrite_references(uid, |references| {
            references.retain(|reference| !reference["uid"].as_str().is_some_and(|uid| owners.contains(uid)));
        })
        .await
    }

    async fn unblock(&self, uid: &str) -> Result<(), Error> {
        self.rewrite_references(uid, |references| {
            references.iter_mut().for_each(|reference| reference["blockOwnerDeletion"] = false.into());
        })
        .await
    }

    async fn rewrite_references(
        &self,
        uid: &str,
        rewrite: impl FnOnce(&mut Vec<Value>),
    ) -> Result<(), Error> {
        let Some((objects, key, object)) = self.read(uid).await? else { return Ok(()) };
        let mut references = owner::references(&object).to_vec();
        rewrite(&mut references);
        let version = &object["metadata"]["resourceVersion"];
        let patch = json!({ "metadata": { "ownerReferences": references, "resourceVersion": version } });
        gone_is_fine(objects.patch(&key, Patch::Merge(patch)).await)
    }

    async fn remove_finalizer(&self, uid: &str, finalizer: &str) -> Result<(), Error> {
        let Some((objects, key, object)) = self.read(uid).await? else { return Ok(()) };
        let mut finalizers = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
        finalizers.retain(|known| known != finalizer);
        let version = &object["metadata"]["resourceVersion"];
        let patch = json!({ "metadata": { "finalizers": finalizers, "resourceVersion": version } });
        gone_is_fine(objects.patch(&key, Patch::Merge(patch)).await)
    }
}

fn gone_is_fine(answer: Result<Value, kube::Error>) -> Result<(), Error> {
    match answer {
        Err(error) if !client::is_not_found(&error) => Err(error.into()),
        _ => Ok(()),
    }
}
