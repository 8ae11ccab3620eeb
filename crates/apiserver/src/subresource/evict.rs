//! eviction: a deletion that asks first. The pod's PodDisruptionBudget may object; the client is to come again.

mod budget;

use crate::{
    answer::{self, Reply},
    api::Api,
    call::{Call, Target},
    verb::{
        decode, delete,
        revise::{Next, revise},
        update,
    },
};
use bytes::Bytes;
use http::StatusCode;
use object::{Status, schema::form, selector::LabelSelector, time};
use serde_json::{Value, json};

/// What becomes of a pod whose budget was asked.
enum Leave {
    /// It may go, whatever becomes of it meanwhile.
    Granted,
    /// It may go as long as it is what it was, not ready, says the budget of this name.
    AsItIs(String),
}

/// Answers a POST of an Eviction.
pub(super) async fn evict(api: &Api, call: &Call, target: &Target, body: &Bytes) -> Reply {
    let decoded = decode::form(call, form::EVICTION, body)?;
    let (name, options) = (&decoded.object["metadata"]["name"], &decoded.object["deleteOptions"]);
    if name.as_str().is_some_and(|name| !name.is_empty() && name != target.name) {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    let dry_run = call.query.dry_run()? || options["dryRun"][0] == "All";
    let pod = target.shelf.get(&target.namespace, &target.name).ok_or_else(|| target.not_found())?.value();
    update::check_preconditions(target, &pod, &options["preconditions"])?;
    let leave = ask(api, call, target, &pod, dry_run).await?;
    if !dry_run {
        mark(api, call, target, &pod, options, &leave).await?;
    }
    delete::delete_as(api, call, target, &without_version(options)).await?;
    let done =
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    let mut response = answer::json(StatusCode::CREATED, &done);
    answer::warn(&mut response, &decoded.warnings);
    Ok(response)
}

/// Asks the budget of a pod, and takes one of its disruptions.
async fn ask(api: &Api, call: &Call, target: &Target, pod: &Value, dry_run: bool) -> Result<Leave, Status> {
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    // It serves nobody yet, or no more.
    if matches!(phase, "Succeeded" | "Failed" | "Pending") || pod["metadata"]["deletionTimestamp"].is_string()
    {
        return Ok(Leave::Granted);
    }
    let shelf = api.cache.resource("policy", "poddisruptionbudgets").clone();
    let all = shelf.all(&target.namespace);
    let labels = &pod["metadata"]["labels"];
    let selects = |budget: &Value| {
        LabelSelector::from_json(&budget["spec"]["selector"]).is_ok_and(|selector| selector.matches(labels))
    };
    let budgets: Vec<Value> = all.iter().map(|item| item.value()).filter(selects).collect();
    let budget = match budgets.as_slice() {
        [] => return Ok(Leave::Granted),
        [one] => one,
        _ => {
            let why = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
            return Err(Status::failure(500, "", why));
        }
    };
    let name = budget["metadata"]["name"].as_str().unwrap_or_default();
    if !is_ready(pod) && budget::lets_unready_go(budget) {
        return Ok(Leave::AsItIs(name.to_owned()));
    }
    let place = Target { kind: shelf.kind, shelf, ..target.named(&target.namespace, name) };
    revise(api, &place, dry_run, |current, _| budget::take(current, &target.name, call.now).map(Next::Put))
        .await?;
    Ok(Leave::Granted)
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|own| own["type"] == "Ready" && own["status"] == "True")
}

/// Says on the pod that it ends through no fault of its own.
async fn mark(
    api: &Api,
    call: &Call,
    target: &Target,
    pod: &Value,
    options: &Value,
    leave: &Leave,
) -> Result<(), Status> {
    let now = time::seconds(call.now);
    revise(api, target, false, |current, _| {
        update::check_preconditions(target, current, &options["preconditions"])?;
        if let Leave::AsItIs(budget) = leave
            && current["metadata"]["resourceVersion"] != pod["metadata"]["resourceVersion"]
        {
            return Err(budget::busy(budget));
        }
        let mut new = current.clone();
        let mut conditions = current["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.retain(|own| own["type"] != "DisruptionTarget");
        conditions
            .push(json!({"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting", "lastProbeTime": null, "lastTransitionTime": now}));
        new["status"]["conditions"] = conditions.into();
        Ok(Next::Put(new))
    })
    .await?;
    Ok(())
}

/// The options of the deletion. The version that was asked for is the one before the pod was marked.
fn without_version(options: &Value) -> Value {
    let mut options = options.clone();
    if let Some(preconditions) = options.get_mut("preconditions").and_then(Value::as_object_mut) {
        preconditions.remove("resourceVersion");
    }
    options
}
