//! Which pods live on this node: one task each, started when the pod is bound here, told of every change. Also what is
//! left of pods that the API has forgotten meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use client::k8s_openapi::api::core::v1 as api;
use client::{Cache, Change, Key};
use futures::StreamExt;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::pod::ground::Ground;
use crate::pod::mailbox::{Mailbox, News};
use crate::pod::task::{Task, View, uid};
use crate::runtime::Sandbox;
use crate::server::Samples;
use crate::sources::{self, Kind, Name};
use crate::volume;

/// A task that failed by a bug is started again after this long.
const AGAIN: Duration = Duration::from_secs(1);

/// A pod's task, as the node holds it.
struct Entry {
    key: Key,
    mailbox: Arc<Mailbox>,
    view: tokio::sync::watch::Receiver<View>,
    /// What the pod draws from, to tell it of changes.
    names: BTreeSet<Name>,
    /// Nothing of the pod is left here, but the API still has it (a finalizer holds it).
    over: bool,
}

/// The pods of this node.
pub(crate) struct Pods {
    ground: Arc<Ground>,
    entries: Mutex<BTreeMap<String, Entry>>,
    tasks: TaskTracker,
    /// Sandboxes of an earlier process that no task has taken yet, by uid.
    adopted: Mutex<BTreeMap<String, Arc<dyn Sandbox>>>,
    bugs: std::sync::atomic::AtomicU64,
    /// The last look at what they use.
    pub(crate) samples: Samples,
}

impl Pods {
    pub(crate) fn new(ground: Arc<Ground>, adopted: Vec<Arc<dyn Sandbox>>) -> Arc<Pods> {
        let adopted = adopted.into_iter().map(|sandbox| (sandbox.id(), sandbox)).collect();
        Arc::new(Pods {
            ground,
            entries: Mutex::default(),
            tasks: TaskTracker::new(),
            adopted: Mutex::new(adopted),
            bugs: <_>::default(),
            samples: Samples::default(),
        })
    }

    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().expect("nothing panics while holding the entries")
    }

    /// Follows the pods of this node until `stop`.
    pub(crate) async fn follow(self: Arc<Self>, pods: Cache, stop: CancellationToken) {
        let mut changes = pods.subscribe();
        let mut config_maps = self.ground.sources.changes(Kind::ConfigMap);
        let mut secrets = self.ground.sources.changes(Kind::Secret);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(change) = changes.next() => self.changed(change),
                Some(change) = config_maps.next() => self.source_changed(Kind::ConfigMap, &change.key),
                Some(change) = secrets.next() => self.source_changed(Kind::Secret, &change.key),
            }
        }
    }

    fn changed(self: &Arc<Self>, change: Change) {
        let id = |object: &Arc<Value>| object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let old = change.old.as_ref().map(id);
        let new = change.new.as_ref().map(id);
        if let Some(old) = old.filter(|old| new.as_ref() != Some(old)) {
            self.forget(&old);
        }
        let (Some(uid), Some(object)) = (new, change.new) else { return };
        if let Some(entry) = self.entries().get(&uid) {
            entry.mailbox.post(|news| news.pod = Some(object));
            return;
        }
        match client::parse::<api::Pod>(&object) {
            Ok(pod) => self.start(change.key, Arc::new(pod), None),
            Err(error) => tracing::warn!(pod = %change.key, %error, "failed to read a pod"),
        }
    }

    /// The API has no such pod any more.
    fn forget(&self, uid: &str) {
        let mut entries = self.entries();
        let over = entries.get(uid).is_some_and(|entry| entry.over);
        if over {
            entries.remove(uid);
        } else if let Some(entry) = entries.get(uid) {
            entry.mailbox.post(|news| news.gone = true);
        }
    }

    fn start(self: &Arc<Self>, key: Key, pod: Arc<api::Pod>, sandbox: Option<Arc<dyn Sandbox>>) {
        let uid = uid(&pod).to_owned();
        let adopted = || self.adopted.lock().expect("nothing panics while holding it").remove(&uid);
        let sandbox = sandbox.or_else(adopted);
        let (task, handle) = Task::new(self.ground.clone(), pod.clone(), sandbox);
        let names = sources::names(&pod);
        let entry = Entry { key, mailbox: handle.mailbox, view: handle.view, names, over: false };
        self.entries().insert(uid.clone(), entry);
        let pods = self.clone();
        self.tasks.spawn(async move {
            match tokio::spawn(task.run()).await {
                Ok(true) => pods.ended(&uid),
                Ok(false) => {}
                Err(error) => pods.failed(&uid, &error).await,
            }
        });
    }

    /// Nothing of the pod runs any more: its logs and directory go too.
    fn ended(&self, uid: &str) {
        remove_directory(&self.ground, uid);
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(uid) else { return };
        let mut gone = false;
        entry.mailbox.post(|news| gone = news.gone);
        let in_api = !gone
            && entry.view.borrow().pod.metadata.finalizers.as_ref().is_some_and(|list| !list.is_empty());
        if in_api {
            entry.over = true;
        } else {
            entries.remove(uid);
        }
    }

    /// A bug in one pod's task does not take the node down: it begins again with what runs.
    async fn failed(self: &Arc<Self>, uid: &str, error: &tokio::task::JoinError) {
        let count = self.bugs.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        tracing::error!(pod = uid, %error, count, "a pod's task ended by a bug; starting it again");
        tokio::time::sleep(AGAIN).await;
        let Some(entry) = self.entries().remove(uid) else { return };
        let view = entry.view.borrow().clone();
        self.start(entry.key, view.pod, view.sandbox);
    }

    fn source_changed(&self, kind: Kind, key: &Key) {
        let name = (kind, key.name.clone());
        for entry in self.entries().values() {
            if entry.key.namespace == key.namespace && entry.names.contains(&name) {
                entry.mailbox.post(|news| news.sources = true);
            }
        }
    }

    /// Tells every pod.
    pub(crate) fn tell(&self, change: impl Fn(&mut News)) {
        for entry in self.entries().values() {
            entry.mailbox.post(&change);
        }
    }

    /// Removes what belongs to pods that the API does not have any more, once it is known which it has.
    pub(crate) async fn sweep(&self, pods: &Cache) {
        pods.synced().await;
        let known: BTreeSet<String> = pods
            .list()
            .iter()
            .filter_map(|object| object["metadata"]["uid"].as_str().map(str::to_owned))
            .collect();
        for (uid, sandbox) in self.orphans(&known) {
            tracing::info!(pod = uid, "removing a pod that was deleted meanwhile");
            if let Err(error) = sandbox.remove().await {
                tracing::warn!(pod = uid, %error, "failed to remove the sandbox of a deleted pod");
            }
        }
        for entry in fs::read_dir(&self.ground.dir).into_iter().flatten().flatten() {
            let uid = entry.file_name().to_string_lossy().into_owned();
            if !known.contains(&uid) && !self.entries().contains_key(&uid) {
                remove_directory(&self.ground, &uid);
            }
        }
    }

    /// Takes out what was adopted and belongs to no pod. What belongs to one stays until its task starts, which may be
    /// after this.
    fn orphans(&self, known: &BTreeSet<String>) -> BTreeMap<String, Arc<dyn Sandbox>> {
        let mut adopted = self.adopted.lock().expect("nothing panics while holding it");
        let (wanted, orphans) =
            std::mem::take(&mut *adopted).into_iter().partition(|(uid, _)| known.contains(uid));
        *adopted = wanted;
        orphans
    }

    /// The pod of this name that lives here.
    pub(crate) fn find(&self, key: &Key) -> Option<View> {
        let entries = self.entries();
        let found = entries.values().find(|entry| entry.key == *key && !entry.over);
        found.map(|entry| entry.view.borrow().clone())
    }

    /// Like [`Pods::find`], followed as it changes.
    pub(crate) fn follow_one(&self, key: &Key) -> Option<tokio::sync::watch::Receiver<View>> {
        let entries = self.entries();
        entries.values().find(|entry| entry.key == *key && !entry.over).map(|entry| entry.view.clone())
    }

    /// Every pod that lives here.
    pub(crate) fn all(&self) -> Vec<View> {
        self.entries().values().filter(|entry| !entry.over).map(|entry| entry.view.borrow().clone()).collect()
    }

    /// Ends all tasks; the pods themselves run on.
    pub(crate) async fn leave(&self) {
        self.tell(|news| news.leave = true);
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Removes every pod from this machine, without grace and without telling the API.
    pub(crate) async fn remove_all(&self) {
        let views = self.all();
        let removals = views.iter().filter_map(|view| view.sandbox.as_ref()).map(|sandbox| sandbox.remove());
        for error in futures::future::join_all(removals).await.into_iter().filter_map(Result::err) {
            tracing::warn!(%error, "failed to remove a pod");
        }
        for view in views {
            remove_directory(&self.ground, uid(&view.pod));
        }
    }
}

/// Volumes first: a memory file system must be unmounted before anything is deleted.
fn remove_directory(ground: &Ground, uid: &str) {
    let dir = ground.pod_dir(uid);
    let removed = volume::remove(&dir.join("volumes")).and_then(|()| fs::remove_dir_all(&dir));
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(pod = uid, %error, "failed to remove a pod's directory");
        }
        _ => {}
    }
}
