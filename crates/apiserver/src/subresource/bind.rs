//! binding: the scheduler's decision, written into the pod once and for all.

use crate::{
    answer::{self, Reply},
    api::Api,
    call::{Call, Target},
    verb::{
        decode,
        revise::{Next, revise},
        update,
    },
};
use bytes::Bytes;
use http::StatusCode;
use object::{Status, schema::form, time};
use serde_json::{Value, json};

/// Answers a POST of a Binding.
pub(super) async fn bind(api: &Api, call: &Call, target: &Target, body: &Bytes) -> Reply {
    let decoded = decode::form(call, form::BINDING, body)?;
    let binding = decoded.object;
    let node = binding["target"]["name"].as_str().unwrap_or_default().to_owned();
    let kind = binding["target"]["kind"].as_str().unwrap_or("Node");
    if node.is_empty() || !matches!(kind, "Node" | "") {
        return Err(Status::bad_request("target: a Node with a name is required"));
    }
    let refuse =
        |why: &str| Status::conflict("", "pods/binding", &target.name, &format!("pod {} {why}", target.name));
    revise(api, target, call.query.dry_run()?, |current, _| {
        update::check_preconditions(target, current, &json!({"uid": binding["metadata"]["uid"]}))?;
        if current["metadata"]["deletionTimestamp"].is_string() {
            return Err(refuse("is being deleted, cannot be assigned to a host"));
        }
        if let Some(own) = current["spec"]["nodeName"].as_str().filter(|own| !own.is_empty()) {
            return Err(refuse(&format!("is already assigned to node \"{own}\"")));
        }
        let gates = current["spec"]["schedulingGates"].as_array();
        if gates.is_some_and(|gates| !gates.is_empty()) {
            return Err(refuse("has non-empty .spec.schedulingGates"));
        }
        let mut new = current.clone();
        place(&mut new, &node, &binding["metadata"]["annotations"], &time::seconds(call.now));
        Ok(Next::Put(new))
    })
    .await?;
    let done =
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    let mut response = answer::json(StatusCode::CREATED, &done);
    answer::warn(&mut response, &decoded.warnings);
    Ok(response)
}

fn place(pod: &mut Value, node: &str, annotations: &Value, now: &str) {
    pod["spec"]["nodeName"] = node.into();
    if let Some(status) = pod["status"].as_object_mut() {
        status.remove("nominatedNodeName");
    }
    for (key, value) in annotations.as_object().into_iter().flatten() {
        pod["metadata"]["annotations"][key] = value.clone();
    }
    let scheduled = json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null,
        "lastTransitionTime": now, "observedGeneration": pod["metadata"]["generation"]});
    let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let mut conditions: Vec<Value> =
        conditions.into_iter().filter(|own| own["type"] != "PodScheduled").collect();
    conditions.push(scheduled);
    pod["status"]["conditions"] = conditions.into();
}
