//! The plans for EndpointSlices as data.

use std::sync::Arc;

use client::k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use super::plan::{Step, plan};

fn service() -> Value {
    json!({
        "metadata": { "name": "web", "namespace": "ns", "uid": "s", "labels": { "team": "a" } },
        "spec": { "selector": { "app": "web" }, "clusterIP": "10.43.0.9",
            "ports": [{ "name": "main", "port": 80, "targetPort": "http" }] },
    })
}

fn pod(number: usize, port: u16) -> Arc<Value> {
    Arc::new(json!({
        "metadata": { "name": format!("p{number:03}"), "namespace": "ns", "uid": format!("u{number:03}"),
            "labels": { "app": "web" } },
        "spec": { "nodeName": "n1", "containers": [{ "ports": [{ "name": "http", "containerPort": port }] }] },
        "status": { "phase": "Running", "podIP": format!("10.42.{}.{}", number / 250, number % 250 + 1),
            "conditions": [{ "type": "Ready", "status": "True" }] },
    }))
}

fn steps(service: &Value, pods: &[Arc<Value>], slices: &[Arc<Value>]) -> Vec<Step> {
    plan(service, &client::resource::<Service>(), pods.to_vec(), slices.to_vec())
}

/// Carries steps out on a list of slices, as the API would.
fn carried_out(mut slices: Vec<Arc<Value>>, steps: Vec<Step>) -> Vec<Arc<Value>> {
    let name = |slice: &Value| slice["metadata"]["name"].clone();
    for step in steps {
        match step {
            Step::Create(mut slice) => {
                slice["metadata"]["name"] = format!("web-{}", slices.len()).into();
                slices.push(Arc::new(slice));
            }
            Step::Update(old, patch) => {
                let mut slice = Value::clone(&old);
                for field in ["ports", "endpoints"].into_iter().filter(|field| !patch[*field].is_null()) {
                    slice[field] = patch[field].clone();
                }
                if let Some(labels) = patch["metadata"]["labels"].as_object() {
                    labels.iter().for_each(|(key, value)| slice["metadata"]["labels"][key] = value.clone());
                }
                slices.retain(|other| name(other) != name(&old));
                slices.push(Arc::new(slice));
            }
            Step::Delete(old) => slices.retain(|other| name(other) != name(&old)),
        }
    }
    slices
}

fn counts(slices: &[Arc<Value>]) -> Vec<usize> {
    let mut counts: Vec<usize> =
        slices.iter().map(|slice| slice["endpoints"].as_array().map_or(0, Vec::len)).collect();
    counts.sort_unstable();
    counts
}

#[test]
fn a_hundred_to_a_slice_and_nothing_to_do_twice() {
    let pods: Vec<_> = (0..250).map(|number| pod(number, 8080)).collect();
    let slices = carried_out(Vec::new(), steps(&service(), &pods, &[]));
    assert_eq!(counts(&slices), [50, 100, 100]);
    assert_eq!(steps(&service(), &pods, &slices), []);
}

#[test]
fn a_change_of_one_pod_is_a_change_of_one_slice() {
    let mut pods: Vec<_> = (0..150).map(|number| pod(number, 8080)).collect();
    let slices = carried_out(Vec::new(), steps(&service(), &pods, &[]));
    Arc::make_mut(&mut pods[3])["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let changed = steps(&service(), &pods, &slices);
    assert_eq!(changed.len(), 1);
    let slices = carried_out(slices, changed);
    let ending = slices.iter().flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
    let ending: Vec<_> = ending.filter(|endpoint| endpoint["conditions"]["terminating"] == true).collect();
    assert_eq!(ending.len(), 1);
    assert_eq!(ending[0]["conditions"], json!({ "ready": false, "serving": true, "terminating": true }));
    pods.push(pod(900, 8080));
    assert_eq!(counts(&carried_out(slices.clone(), steps(&service(), &pods, &slices))), [51, 100]);
}

#[test]
fn pods_that_mean_different_ports_by_one_name_lie_in_different_slices() {
    let pods = [pod(1, 8080), pod(2, 9090), pod(3, 8080)];
    let slices = carried_out(Vec::new(), steps(&service(), &pods, &[]));
    assert_eq!(counts(&slices), [1, 2]);
    let ports: Vec<i64> = slices.iter().filter_map(|slice| slice["ports"][0]["port"].as_i64()).collect();
    assert_eq!(ports, [8080, 9090]);
}

#[test]
fn without_pods_one_empty_slice_is_kept_and_used_again() {
    let empty = carried_out(Vec::new(), steps(&service(), &[], &[]));
    assert_eq!(counts(&empty), [0]);
    assert_eq!(steps(&service(), &[], &empty), []);
    let full = carried_out(empty.clone(), steps(&service(), &[pod(1, 8080)], &empty));
    assert_eq!((counts(&full), &full[0]["metadata"]["name"]), (vec![1], &empty[0]["metadata"]["name"]));
    let again = carried_out(full.clone(), steps(&service(), &[], &full));
    assert_eq!((counts(&again), again.len()), (vec![0], 1));
}

#[test]
fn labels_follow_the_service_and_headless_is_marked() {
    let mut service = service();
    let slices = carried_out(Vec::new(), steps(&service, &[pod(1, 8080)], &[]));
    service["metadata"]["labels"]["team"] = "b".into();
    service["spec"]["clusterIP"] = "None".into();
    let slices = carried_out(slices.clone(), steps(&service, &[pod(1, 8080)], &slices));
    let labels = &slices[0]["metadata"]["labels"];
    assert_eq!((&labels["team"], &labels["service.kubernetes.io/headless"]), (&json!("b"), &json!("")));
}

#[test]
fn who_is_left_out() {
    let ended = |pod: &mut Value| pod["status"]["phase"] = "Succeeded".into();
    let unaddressed = |pod: &mut Value| pod["status"]["podIP"] = Value::Null;
    let stranger = |pod: &mut Value| pod["metadata"]["labels"]["app"] = "other".into();
    let changes: [&dyn Fn(&mut Value); 3] = [&ended, &unaddressed, &stranger];
    for change in changes {
        let mut one = Value::clone(&pod(1, 8080));
        change(&mut one);
        assert_eq!(counts(&carried_out(Vec::new(), steps(&service(), &[Arc::new(one)], &[]))), [0]);
    }
}
