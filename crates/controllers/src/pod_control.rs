//! Making and deleting the pods of an owner, and telling the owner's events about it. Decides nothing: whoever counts pods
//! says how many.

use std::sync::Arc;

use client::{Deletion, Key, Objects, Recorder, kube, revision_of};
use futures::future::join_all;
use serde_json::Value;

/// So many creations go out at once; when all succeed, twice as many next. It bounds what is wasted when
/// every creation is refused, and lets a common workload start in one step.
const FIRST_BATCH: usize = 16;

/// Writes pods on behalf of their owners.
pub(crate) struct PodControl {
    pub(crate) objects: Objects,
    pub(crate) events: Recorder,
}

/// What came of creations: the versions at which pods were made, and what the first batch that failed said.
#[derive(Debug, Default)]
pub(crate) struct Created {
    pub(crate) revisions: Vec<u64>,
    pub(crate) failure: Option<kube::Error>,
}

/// A pod that was to be deleted: at which version it is (0 when it was gone before), or why it is still there.
pub(crate) type Deleted = (Arc<Value>, Result<u64, kube::Error>);

impl PodControl {
    /// Creates `count` pods, each as `pod` makes it.
    pub(crate) async fn create(
        &self,
        owner: &Value,
        count: usize,
        pod: impl Fn(usize) -> Value + Sync,
    ) -> Created {
        let namespace = &Key::of(owner).namespace;
        let (mut created, mut batch) = (Created::default(), FIRST_BATCH);
        let mut next = 0;
        while next < count && created.failure.is_none() {
            let end = count.min(next + batch);
            let pods: Vec<Value> = (next..end).map(&pod).collect();
            for answer in join_all(pods.iter().map(|pod| self.objects.create(namespace, pod))).await {
                match answer {
                    Ok(made) => {
                        created.revisions.push(revision_of(&made));
                        let text = format!("Created pod: {}", Key::of(&made).name);
                        self.events.normal(owner, "SuccessfulCreate", text);
                    }
                    Err(error) => created.failure = Some(error),
                }
            }
            (next, batch) = (end, batch * 2);
        }
        if let Some(error) = &created.failure {
            self.failed(owner, "FailedCreate", "Error creating", error);
        }
        created
    }

    /// Deletes pods, each only as long as it is the one that is meant.
    pub(crate) async fn delete(&self, owner: &Value, pods: &[Arc<Value>]) -> Vec<Deleted> {
        let answers = join_all(pods.iter().map(|pod| async move {
            let uid = pod["metadata"]["uid"].as_str().map(str::to_owned);
            let deletion = Deletion { uid, ..Deletion::default() };
            (pod.clone(), self.objects.delete(&Key::of(pod), &deletion).await)
        }));
        let mut deleted = Vec::with_capacity(pods.len());
        for (pod, answer) in answers.await {
            let outcome = match answer {
                Ok(last) => {
                    let text = format!("Deleted pod: {}", Key::of(&pod).name);
                    self.events.normal(owner, "SuccessfulDelete", text);
                    Ok(revision_of(&last))
                }
                Err(error) if client::is_not_found(&error) || client::is_conflict(&error) => Ok(0),
                Err(error) => {
                    self.failed(owner, "FailedDelete", "Error deleting", &error);
                    Err(error)
                }
            };
            deleted.push((pod, outcome));
        }
        deleted
    }

    /// Tells the owner's events what went wrong, unless everything is going away anyway.
    fn failed(&self, owner: &Value, reason: &str, what: &str, error: &kube::Error) {
        if !client::is_terminating(error) {
            self.events.warning(owner, reason, format!("{what}: {}", client::message(error)));
        }
    }
}
