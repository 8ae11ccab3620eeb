//! delete and deletecollection. Decides between removing at once, waiting out a pod's grace period, and waiting for
//! finalizers; the owners' dependents are the garbage collector's business, told by two finalizers.

use super::{
    decode, list,
    revise::{Next, Revised, is_free, revise},
    update,
};
use crate::{
    answer::Reply,
    api::Api,
    cache::Item,
    call::{Call, Target},
    shape,
};
use bytes::Bytes;
use http::StatusCode;
use object::{Kind, Status, time};
use serde_json::{Value, json};

/// Holds an owner until its blocking dependents are gone.
const FOREGROUND: &str = "foregroundDeletion";
/// Holds an owner until its dependents are set free.
const ORPHAN: &str = "orphan";
/// What a pod gets to end in when neither it nor the request says.
const POD_GRACE_SECONDS: i64 = 30;

/// Objects of a collection that are deleted at the same time: they share the syncs of the store.
pub(crate) const DELETED_AT_ONCE: usize = 32;

/// What the client wants of a deletion.
#[derive(Debug, Clone, Default)]
struct Options {
    grace_seconds: Option<i64>,
    policy: String,
    preconditions: Value,
    dry_run: bool,
}

impl Options {
    /// From the body, else from the query.
    fn read(call: &Call, body: &Value) -> Result<Options, Status> {
        let mut policy = body["propagationPolicy"].as_str().unwrap_or_default().to_owned();
        if policy.is_empty() {
            policy = call.query.get("propagationPolicy").to_owned();
        }
        let orphan = body["orphanDependents"].as_bool();
        match (policy.as_str(), orphan) {
            ("", Some(true)) => policy = "Orphan".to_owned(),
            ("", Some(false)) => policy = "Background".to_owned(),
            ("" | "Orphan" | "Background" | "Foreground", None) => {}
            (_, Some(_)) => {
                return Err(Status::bad_request("orphanDependents and propagationPolicy cannot be both set"));
            }
            (other, None) => {
                return Err(Status::bad_request(format!(
                    "invalid propagationPolicy \"{other}\": Foreground, Background and Orphan are known"
                )));
            }
        }
        let grace_seconds = match body["gracePeriodSeconds"].as_i64() {
            None => call.query.number("gracePeriodSeconds")?.map(|seconds| seconds as i64),
            Some(seconds) if seconds < 0 => {
                return Err(Status::bad_request("gracePeriodSeconds: must be greater than or equal to 0"));
            }
            given => given,
        };
        let dry_run = call.query.dry_run()? || body["dryRun"][0] == "All";
        Ok(Options { grace_seconds, policy, preconditions: body["preconditions"].clone(), dry_run })
    }
}

/// Answers a DELETE of one object.
pub(crate) async fn delete(api: &Api, call: &Call, target: &Target, body: &Bytes) -> Reply {
    let revised = delete_as(api, call, target, &decode::plain(call, body)?).await?;
    // Upstream answers with the pod itself, also when it is gone.
    if !revised.removed || target.kind.built_in() == "Pod" {
        return shape::object(call, target.kind, StatusCode::OK, revised.bytes);
    }
    let last: Value = serde_json::from_slice(&revised.bytes).map_err(Status::internal)?;
    let uid = last["metadata"]["uid"].as_str().unwrap_or_default();
    let done = Status::deleted(target.kind.group, target.kind.plural, &target.name, uid);
    shape::value(call, StatusCode::OK, &done)
}

/// Deletes one object as a DeleteOptions says, wherever that came from.
pub(crate) async fn delete_as(
    api: &Api,
    call: &Call,
    target: &Target,
    options: &Value,
) -> Result<Revised, Status> {
    remove(api, call, target, &Options::read(call, options)?).await
}

/// Answers a DELETE of all objects that match; gives the list of them.
pub(crate) async fn collection(api: &Api, call: &Call, target: &Target, body: &Bytes) -> Reply {
    let options = Options::read(call, &decode::plain(call, body)?)?;
    let selector = call.selector(target.kind)?;
    let limit = call.query.number("limit")?.unwrap_or(0) as usize;
    let (items, meta) = list::select(api, call, target, &selector, limit).await?;
    for some in items.chunks(DELETED_AT_ONCE) {
        let each: Vec<_> = some.iter().map(|item| remove_listed(api, call, target, &options, item)).collect();
        futures::future::try_join_all(each).await?;
    }
    shape::list(call, target.kind, items, &meta)
}

async fn remove_listed(
    api: &Api,
    call: &Call,
    target: &Target,
    options: &Options,
    item: &Item,
) -> Result<(), Status> {
    let one = target.named(item.namespace(), item.name());
    match remove(api, call, &one, options).await {
        // Somebody else was faster, which is what was asked for.
        Err(status) if status.code != 404 => Err(status),
        _ => Ok(()),
    }
}

async fn remove(api: &Api, call: &Call, target: &Target, options: &Options) -> Result<Revised, Status> {
    protect(target)?;
    revise(api, target, options.dry_run, |current, _| {
        update::check_preconditions(target, current, &options.preconditions)?;
        Ok(plan(target.kind, current, options, call.now))
    })
    .await
}

/// Namespaces that the cluster cannot do without.
fn protect(target: &Target) -> Result<(), Status> {
    let immortal = matches!(target.name.as_str(), "default" | "kube-system" | "kube-public");
    if target.kind.built_in() == "Namespace" && immortal {
        let why = "this namespace may not be deleted";
        return Err(Status::forbidden("", "namespaces", &target.name, why));
    }
    Ok(())
}

fn plan(kind: &Kind, current: &Value, options: &Options, now: time::Timestamp) -> Next {
    let mut new = current.clone();
    set_finalizers(&mut new, policy(kind, current, options));
    let grace = grace_seconds(current, options);
    let deleting = current["metadata"]["deletionTimestamp"].is_string();
    if !deleting {
        kind.note_deletion(&mut new, now);
    }
    if grace == 0 && is_free(&new) {
        return Next::Remove;
    }
    let held = current["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    // A second delete can only shorten the wait.
    if deleting && grace >= held {
        return Next::Put(new);
    }
    kind.mark_deleted(&mut new, now, grace);
    Next::Put(new)
}

/// Only pods have a grace period, and only those that run somewhere.
fn grace_seconds(current: &Value, options: &Options) -> i64 {
    if current["kind"] != "Pod" || current["apiVersion"] != "v1" {
        return 0;
    }
    let placed = current["spec"]["nodeName"].as_str().is_some_and(|node| !node.is_empty());
    let ended = matches!(current["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if !placed || ended {
        return 0;
    }
    let own = current["spec"]["terminationGracePeriodSeconds"].as_i64();
    options.grace_seconds.or(own).unwrap_or(POD_GRACE_SECONDS).max(0)
}

/// What becomes of dependents: what is asked for, else what an earlier deletion left, else the kind's own way.
fn policy<'a>(kind: &Kind, current: &Value, options: &'a Options) -> &'a str {
    let said = |own: &Value| *own == FOREGROUND || *own == ORPHAN;
    let before = current["metadata"]["finalizers"].as_array().is_some_and(|list| list.iter().any(said));
    if options.policy.is_empty() && kind.orphans && !before { "Orphan" } else { &options.policy }
}

fn set_finalizers(new: &mut Value, policy: &str) {
    let wanted = match policy {
        "Foreground" => Some(FOREGROUND),
        "Orphan" => Some(ORPHAN),
        "Background" => None,
        // Not said: finalizers that an earlier delete left stay as they are.
        _ => return,
    };
    let list = new["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    let mut list: Vec<Value> = list.into_iter().filter(|own| *own != FOREGROUND && *own != ORPHAN).collect();
    list.extend(wanted.map(|finalizer| json!(finalizer)));
    if list.is_empty() {
        if let Some(metadata) = new["metadata"].as_object_mut() {
            metadata.remove("finalizers");
        }
    } else {
        new["metadata"]["finalizers"] = list.into();
    }
}
