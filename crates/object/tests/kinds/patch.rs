//! Cases of the patches, as data: target, patch, result.

use object::json::items;
use object::patch::{json, merge, strategic};
use serde_json::{Value, json};

fn pod(spec: Value) -> Value {
    json!({"spec": spec})
}

fn check(target: Value, patch: Value, want: Value) {
    let kind = kinds::kind("", "v1", "pods").expect("pods");
    let got = strategic(kind, &pod(target), &pod(patch.clone()));
    assert_eq!(got, Ok(pod(want)), "{patch}");
}

#[test]
fn lists_with_merge_keys() {
    let two = json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}]});
    check(
        two.clone(),
        json!({"containers": [{"name": "b", "image": "3"}, {"name": "c", "image": "4"}]}),
        json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "3"}, {"name": "c", "image": "4"}]}),
    );
    check(
        two.clone(),
        json!({"containers": [{"name": "a", "$patch": "delete"}]}),
        json!({"containers": [{"name": "b", "image": "2"}]}),
    );
    check(
        two.clone(),
        json!({"containers": [{"$patch": "replace"}, {"name": "c"}]}),
        json!({"containers": [{"name": "c"}]}),
    );
    check(
        two.clone(),
        json!({"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}, {"name": "b"}],
               "containers": [{"name": "c", "image": "x", "command": null}]}),
        json!({"containers": [{"name": "c", "image": "x"}, {"name": "a", "image": "1"}, {"name": "b", "image": "2"}]}),
    );
    check(
        two.clone(),
        json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}),
        json!({"containers": [{"name": "b", "image": "2"}, {"name": "a", "image": "1"}]}),
    );
    // One that the patch does not name stays in front of what followed it on the server.
    check(
        json!({"containers": [{"name": "s"}, {"name": "a"}, {"name": "b"}]}),
        json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [{"name": "a", "image": "1"}]}),
        json!({"containers": [{"name": "s"}, {"name": "b"}, {"name": "a", "image": "1"}]}),
    );
}

#[test]
fn nested_lists_and_maps() {
    check(
        json!({"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}],
               "command": ["x"], "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}),
        json!({"containers": [{"name": "a", "env": [{"name": "X", "value": null, "valueFrom": {"fieldRef": {"fieldPath": "f"}}}],
               "command": ["y", "z"], "ports": [{"containerPort": 80, "name": "http"}]}]}),
        json!({"containers": [{"name": "a", "env": [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "f"}}}, {"name": "Y", "value": "2"}],
               "command": ["y", "z"], "ports": [{"containerPort": 80, "protocol": "TCP", "name": "http"}]}]}),
    );
    check(
        json!({"nodeSelector": {"a": "1", "b": "2"}, "tolerations": [{"key": "x"}]}),
        json!({"nodeSelector": {"a": null, "c": "3"}, "tolerations": [{"key": "y"}]}),
        json!({"nodeSelector": {"b": "2", "c": "3"}, "tolerations": [{"key": "y"}]}),
    );
    check(
        json!({"securityContext": {"runAsUser": 1, "fsGroup": 2}}),
        json!({"securityContext": {"$patch": "replace", "runAsUser": 3}}),
        json!({"securityContext": {"runAsUser": 3}}),
    );
    check(
        json!({"securityContext": {"runAsUser": 1}}),
        json!({"securityContext": {"$patch": "delete"}}),
        json!({"securityContext": {}}),
    );
    check(
        json!({"volumes": [{"name": "v", "emptyDir": {}}]}),
        json!({"volumes": [{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "c"}}]}),
        json!({"volumes": [{"name": "v", "configMap": {"name": "c"}}]}),
    );
}

#[test]
fn sets_of_scalars() {
    let kind = kinds::kind("", "v1", "pods").expect("pods");
    let meta = |list: Value| json!({"metadata": list});
    for (target, patch, want) in [
        (
            json!({"finalizers": ["a/1"]}),
            json!({"finalizers": ["b/2"]}),
            json!({"finalizers": ["a/1", "b/2"]}),
        ),
        (
            json!({"finalizers": ["a/1", "b/2"]}),
            json!({"$deleteFromPrimitiveList/finalizers": ["a/1"]}),
            json!({"finalizers": ["b/2"]}),
        ),
        (
            json!({"finalizers": ["a/1", "b/2"]}),
            json!({"$setElementOrder/finalizers": ["c/3", "b/2"], "finalizers": ["c/3"]}),
            json!({"finalizers": ["c/3", "a/1", "b/2"]}),
        ),
    ] {
        let got = strategic(kind, &meta(target), &meta(patch.clone()));
        assert_eq!(
            got.map(|o| o["metadata"]["finalizers"].clone()),
            Ok(want["finalizers"].clone()),
            "{patch}"
        );
    }
}

#[test]
fn long_lists_take_no_time() {
    let containers = |value: &str, count: usize, more: Option<Value>| {
        let entries = (0..count).map(|n| json!({"name": format!("e{n}"), "value": value}));
        let order = (0..count).map(|n| json!({"name": format!("e{n}")})).collect::<Vec<Value>>();
        let mut container = json!({"name": "a", "env": entries.chain(more).collect::<Vec<Value>>()});
        if value == "new" {
            container["$setElementOrder/env"] = order.into();
        }
        json!({"containers": [container]})
    };
    let begun = std::time::Instant::now();
    let gone = json!({"name": "e29999", "$patch": "delete"});
    let kind = kinds::kind("", "v1", "pods").expect("pods");
    let target = pod(containers("old", 30_000, None));
    let got = strategic(kind, &target, &pod(containers("new", 20_000, Some(gone)))).expect("patched");
    let env = items(&got["spec"]["containers"][0]["env"]);
    let values = |value: &str| env.iter().filter(|entry| entry["value"] == value).count();
    assert_eq!((values("new"), values("old")), (20_000, 9_999));
    // Each entry was looked for among all others.
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

#[test]
fn bad_strategic_patches() {
    let kind = kinds::kind("", "v1", "pods").expect("pods");
    for patch in [
        json!([]),
        pod(json!({"containers": [{"image": "x"}]})),
        pod(json!({"containers": ["x"]})),
        pod(json!({"$patch": "explode"})),
        pod(json!({"$retainKeys": ["a"], "nodeName": "n"})),
    ] {
        let status = strategic(kind, &pod(json!({"containers": []})), &patch).expect_err("bad");
        assert_eq!(status.code, 400, "{patch}");
    }
}

#[test]
fn json_patches() {
    let target = json!({"spec": {"replicas": 1}, "metadata": {"labels": {"a/b": "c"}}});
    let run = |patch: Value| json(&target, patch.to_string().as_bytes());
    let got = run(json!([
        {"op": "test", "path": "/spec/replicas", "value": 1},
        {"op": "replace", "path": "/spec/replicas", "value": 2},
        {"op": "remove", "path": "/metadata/labels/a~1b"},
    ]));
    assert_eq!(got, Ok(json!({"spec": {"replicas": 2}, "metadata": {"labels": {}}})));
    let failed =
        run(json!([{"op": "test", "path": "/spec/replicas", "value": 7}])).expect_err("a failing test");
    assert_eq!((failed.code, failed.reason), (422, "Invalid"));
    assert_eq!(run(json!([{"op": "remove", "path": "/nope"}])).expect_err("nothing there").code, 422);
    assert_eq!(run(json!({"op": "add"})).expect_err("not a list").code, 400);
    let doubling: Vec<Value> =
        (0..60).map(|i| json!({"op": "copy", "from": "", "path": format!("/x{i}")})).collect();
    assert_eq!(run(doubling.into()).expect_err("too much copied").code, 422);
}

#[test]
fn json_patches_cannot_nest_without_end() {
    let chain = |n: usize| (0..n).fold(json!({}), |inner, _| json!({"a": inner}));
    let bottom = "/a".repeat(100);
    let mut operations = Vec::new();
    for _ in 0..50 {
        operations.push(json!({"op": "add", "path": "/y", "value": chain(101)}));
        operations.push(json!({"op": "move", "from": "/x", "path": format!("/y{bottom}/b")}));
        operations.push(json!({"op": "move", "from": "/y", "path": "/x"}));
    }
    let patch = Value::from(operations).to_string();
    let status = json(&json!({"x": {}}), patch.as_bytes()).expect_err("too deep");
    assert_eq!(status.code, 422);
    // Many moves that go nowhere deep are fine.
    let swaps: Vec<Value> = (0..500)
        .map(|i| if i % 2 == 0 { ("/x/y/z", "/x/y/w") } else { ("/x/y/w", "/x/y/z") })
        .map(|(from, path)| json!({"op": "move", "from": from, "path": path}))
        .collect();
    let target = json!({"x": {"y": {"z": 1}}});
    assert_eq!(json(&target, Value::from(swaps).to_string().as_bytes()), Ok(target));
}

#[test]
fn merge_patches() {
    let got = merge(&json!({"a": 1, "b": {"c": [1, 2]}}), &json!({"a": null, "b": {"c": [3]}}));
    assert_eq!(got, Ok(json!({"b": {"c": [3]}})));
    assert_eq!(merge(&json!({}), &json!([])).map_err(|s| s.code), Err(400));
}
