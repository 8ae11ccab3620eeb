//! What becomes of CustomResourceDefinitions: each gets the names that are free and is then served, and one that is deleted
//! goes when its objects are gone. Sleeps until a definition changes, or an object of one that is going.

use crate::{
    api::Api,
    bootstrap,
    cache::{Item, Shelf},
    call::{Call, Target},
    verb::{
        delete::{self, DELETED_AT_ONCE},
        revise::{Next, revise},
    },
};
use object::{
    Status, apply,
    custom::naming::{self, Condition, FINALIZER},
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};
use store::Revision;

const GROUP: &str = "apiextensions.k8s.io";
const PLURAL: &str = "customresourcedefinitions";
const MANAGER: &str = "kube-apiserver";
/// How long to wait when the store refused a change.
const RETRY: Duration = Duration::from_secs(1);

/// Takes care of all definitions until the server ends.
pub(crate) async fn run(api: Weak<Api>) {
    let Some((mut definitions, mut anything)) =
        api.upgrade().map(|api| (api.cache.resource(GROUP, PLURAL).subscribe(), api.cache.subscribe()))
    else {
        return;
    };
    let mut settled = Settled::default();
    loop {
        definitions.borrow_and_update();
        anything.borrow_and_update();
        let Some(strong) = api.upgrade() else { return };
        let turn = turn(&strong, &mut settled).await;
        drop(strong);
        let changed = match turn {
            Ok(false) => definitions.changed().await,
            // One of them waits for its objects.
            Ok(true) => anything.changed().await,
            Err(status) => {
                tracing::warn!(%status, "a CustomResourceDefinition could not be taken care of");
                tokio::time::sleep(RETRY).await;
                Ok(())
            }
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Definitions that have what they want, in the revision in which they were seen to. To read a definition takes its time, and there
/// may be a thousand when one of them changes.
type Settled = HashMap<Arc<str>, Revision>;

/// Looks at all definitions that changed; whether one waits for its objects to go.
async fn turn(api: &Api, settled: &mut Settled) -> Result<bool, Status> {
    let (mut waiting, mut still) = (false, Settled::new());
    for item in api.cache.resource(GROUP, PLURAL).all("") {
        if item.deleting {
            waiting |= !finish(api, &item).await?;
        } else if settled.get(&item.key) == Some(&item.revision) || settle(api, &item).await? {
            still.insert(item.key.clone(), item.revision);
        }
    }
    *settled = still;
    Ok(waiting)
}

fn target(api: &Api, name: &str) -> Option<Target> {
    let kind = kinds::kind(GROUP, "v1", PLURAL)?;
    let shelf = api.cache.resource(GROUP, PLURAL).clone();
    Some(Target { kind, shelf, namespace: String::new(), name: name.to_owned() })
}

/// Changes the status of a definition, or more.
async fn change(
    api: &Api,
    name: &str,
    mut next: impl FnMut(&Value, &Call) -> Option<Value> + Send,
) -> Result<(), Status> {
    let Some(target) = target(api, name) else { return Ok(()) };
    let call = bootstrap::call();
    let revised = revise(api, &target, false, |current, _| {
        let Some(mut new) = next(current, &call) else { return Ok(Next::Keep) };
        apply::track(target.kind, Some(current), &mut new, &call.author(MANAGER, Some("status")));
        Ok(Next::Put(new))
    });
    match revised.await {
        Err(status) if status.code != 404 => Err(status),
        _ => Ok(()),
    }
}

/// Gives a definition its names; whether it has them already.
async fn settle(api: &Api, item: &Item) -> Result<bool, Status> {
    let others = || -> Vec<Value> {
        api.cache.resource(GROUP, PLURAL).all("").iter().map(|item| item.value()).collect()
    };
    if naming::is_settled(&item.value()) {
        return Ok(true);
    }
    change(api, item.name(), |current, call| naming::plan_status(current, &others(), call.now)).await?;
    Ok(false)
}

/// Deletes the objects of a definition that is deleted, and then lets it go; whether it is.
async fn finish(api: &Api, item: &Item) -> Result<bool, Status> {
    let name = item.name();
    let held = |crd: &Value| {
        crd["metadata"]["finalizers"].as_array().is_some_and(|own| own.contains(&json!(FINALIZER)))
    };
    if !held(&item.value()) {
        return Ok(true);
    }
    let served = api.cache.customs().named(name).cloned();
    let mut outcome = ("NeverEstablished", "resource was never established");
    if let Some(served) = served {
        let condition = Condition {
            ty: "Terminating",
            holds: true,
            reason: "InstanceDeletionInProgress",
            message: "CustomResource deletion is in progress",
        };
        change(api, name, |current, call| with(current, &condition, call)).await?;
        empty(api, served.resource.storage, &served.shelf).await?;
        if served.shelf.read().len() > 0 {
            return Ok(false);
        }
        outcome = ("InstanceDeletionCompleted", "removed all instances");
    }
    let condition = Condition { ty: "Terminating", holds: false, reason: outcome.0, message: outcome.1 };
    change(api, name, |current, call| {
        let mut new = with(current, &condition, call).unwrap_or_else(|| current.clone());
        let finalizers = new["metadata"]["finalizers"].as_array_mut()?;
        finalizers.retain(|own| own != FINALIZER);
        Some(new)
    })
    .await?;
    Ok(true)
}

fn with(current: &Value, condition: &Condition<'_>, call: &Call) -> Option<Value> {
    let mut new = current.clone();
    naming::set(&mut new, condition, call.now);
    (new != *current).then_some(new)
}

/// Deletes all objects of a kind; those with finalizers go when these are done.
async fn empty(api: &Api, kind: &'static object::Kind, shelf: &Arc<Shelf>) -> Result<(), Status> {
    let call = bootstrap::call();
    let standing: Vec<Arc<Item>> = shelf.all("").into_iter().filter(|item| !item.deleting).collect();
    for some in standing.chunks(DELETED_AT_ONCE) {
        let each = some.iter().map(|item| {
            let (namespace, name) = (item.namespace().to_owned(), item.name().to_owned());
            let target = Target { kind, shelf: shelf.clone(), namespace, name };
            let call = &call;
            async move { delete::delete_as(api, call, &target, &Value::Null).await }
        });
        for answer in futures::future::join_all(each).await {
            match answer {
                Err(status) if status.code != 404 => return Err(status),
                _ => {}
            }
        }
    }
    Ok(())
}
