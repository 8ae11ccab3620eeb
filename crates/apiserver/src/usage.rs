//! metrics.k8s.io/v1beta1: what nodes and pods use now (`kubectl top`). Nothing of it is stored: each request asks the
//! nodes.

use crate::{
    answer::{self, Reply},
    api::Api,
    call::Call,
    shape,
};
use futures::future::join_all;
use http::{Request, StatusCode};
use object::Status;
use serde_json::{Value, json};

pub(crate) const GROUP: &str = "metrics.k8s.io";
pub(crate) const VERSION: &str = "v1beta1";

/// Resource, kind, whether in a namespace.
pub(crate) const RESOURCES: [(&str, &str, bool); 2] =
    [("nodes", "NodeMetrics", false), ("pods", "PodMetrics", true)];

/// Answers a request for what nodes or pods use.
pub(crate) async fn answer(api: &Api, call: &Call) -> Reply {
    let asked = &call.attributes;
    let known = RESOURCES.iter().find(|(plural, ..)| *plural == asked.resource);
    let (plural, kind, namespaced) = known.copied().ok_or_else(Status::no_such_resource)?;
    if asked.version != VERSION
        || !asked.subresource.is_empty()
        || (!namespaced && !asked.namespace.is_empty())
    {
        return Err(Status::no_such_resource());
    }
    if !matches!(asked.verb, "get" | "list") {
        return Err(Status::method_not_allowed(GROUP, plural, asked.verb));
    }
    let real = kinds::kind("", "v1", plural).ok_or_else(Status::no_such_resource)?;
    let selector = call.selector(real)?;
    let items = api.cache.resource("", plural).all(&asked.namespace);
    let wanted = items.iter().filter(|item| selector.matches(item)).map(|item| item.value());
    let wanted: Vec<Value> = wanted
        .filter(|object| asked.name.is_empty() || object["metadata"]["name"] == asked.name.as_str())
        .collect();
    let summaries = summaries(api).await;
    let mut list: Vec<Value> = wanted
        .iter()
        .filter_map(|object| summaries.iter().find_map(|summary| usage(kind, object, summary)))
        .collect();
    if asked.verb == "get" {
        let found = list.pop().ok_or_else(|| Status::not_found(GROUP, plural, &asked.name))?;
        return shape::value(call, StatusCode::OK, &found);
    }
    let value = json!({
        "kind": format!("{kind}List"), "apiVersion": format!("{GROUP}/{VERSION}"), "metadata": {}, "items": list,
    });
    shape::value(call, StatusCode::OK, &value)
}

/// What every node says that answers.
async fn summaries(api: &Api) -> Vec<Value> {
    let nodes = api.cache.resource("", "nodes").all("");
    let ask = nodes.iter().map(|node| async move {
        let name = node.value()["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let request = Request::get("/stats/summary").body(answer::full(String::new())).ok()?;
        let response = api.config.nodes.forward(&name, request).await;
        let bytes = answer::read(response.into_body()).await.ok()?;
        serde_json::from_slice(&bytes).ok()
    });
    join_all(ask).await.into_iter().flatten().collect()
}

/// The usage of a node or pod, where this summary has it.
fn usage(kind: &str, object: &Value, summary: &Value) -> Option<Value> {
    let metadata = &object["metadata"];
    let shown = match kind {
        "NodeMetrics" => {
            let node = Some(&summary["node"]).filter(|node| node["nodeName"] == metadata["name"])?;
            json!({ "usage": amounts(node), "timestamp": node["cpu"]["time"] })
        }
        _ => {
            let pods = summary["pods"].as_array()?;
            let pod = pods.iter().find(|pod| pod["podRef"]["uid"] == metadata["uid"])?;
            let containers = pod["containers"].as_array()?.iter();
            let containers: Vec<Value> =
                containers.map(|one| json!({ "name": one["name"], "usage": amounts(one) })).collect();
            json!({ "containers": containers, "timestamp": pod["cpu"]["time"] })
        }
    };
    let mut about = json!({ "name": metadata["name"], "creationTimestamp": shown["timestamp"] });
    for member in ["namespace", "labels"] {
        if !metadata[member].is_null() {
            about[member] = metadata[member].clone();
        }
    }
    let window = summary["windowSeconds"].as_f64().unwrap_or_default();
    let mut value = json!({
        "kind": kind,
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "metadata": about,
        "window": format!("{window:.3}s"),
    });
    if let (Some(value), Some(shown)) = (value.as_object_mut(), shown.as_object()) {
        value.extend(shown.clone());
    }
    Some(value)
}

fn amounts(of: &Value) -> Value {
    let cpu = of["cpu"]["usageNanoCores"].as_u64().unwrap_or(0);
    let memory = of["memory"]["workingSetBytes"].as_u64().unwrap_or(0);
    json!({ "cpu": format!("{cpu}n"), "memory": format!("{}Ki", memory / 1024) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_shown_as_quantities() {
        let summary = json!({
            "windowSeconds": 0.5, "node": {"nodeName": "dory", "cpu": {"time": "t", "usageNanoCores": 5},
            "memory": {"workingSetBytes": 2048}},
            "pods": [{"podRef": {"uid": "u"}, "cpu": {"time": "t"}, "containers": [{"name": "main",
                "cpu": {"usageNanoCores": 7}, "memory": {"workingSetBytes": 4096}}]}],
        });
        let node = usage("NodeMetrics", &json!({"metadata": {"name": "dory"}}), &summary).expect("the node");
        assert_eq!(node["usage"], json!({"cpu": "5n", "memory": "2Ki"}));
        assert_eq!((&node["window"], &node["kind"]), (&json!("0.500s"), &json!("NodeMetrics")));
        let pod = json!({"metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"a": "b"}}});
        let pod = usage("PodMetrics", &pod, &summary).expect("the pod");
        assert_eq!(pod["containers"][0], json!({"name": "main", "usage": {"cpu": "7n", "memory": "4Ki"}}));
        assert_eq!(pod["metadata"]["labels"], json!({"a": "b"}));
        assert_eq!(usage("PodMetrics", &json!({"metadata": {"uid": "x"}}), &summary), None);
    }
}
