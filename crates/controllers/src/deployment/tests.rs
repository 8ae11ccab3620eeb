//! Deployments as data: single plans, their statuses, and whole rollouts against a model of ReplicaSets.

use std::fmt::Write;
use std::sync::Arc;

use client::ApiResource;
use expect_test::{Expect, expect};
use object::time::Timestamp;
use serde_json::{Value, json};

use super::plan::{Mode, Plan, Sizes, Step, plan};
use super::set::{Set, same_template, template_hash};
use super::status::plan_status;

fn resource() -> ApiResource {
    client::resource::<client::k8s_openapi::api::apps::v1::Deployment>()
}

fn now(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("in range")
}

fn template(image: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "web", "image": image }] },
    })
}

fn deployment(replicas: i64, surge: Value, unavailable: Value, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "web", "namespace": "ns", "uid": "d", "generation": 1 },
        "spec": {
            "replicas": replicas, "selector": { "matchLabels": { "app": "web" } },
            "template": template(image), "revisionHistoryLimit": 2, "progressDeadlineSeconds": 600,
            "strategy": { "type": "RollingUpdate",
                "rollingUpdate": { "maxSurge": surge, "maxUnavailable": unavailable } },
        },
    })
}

/// A ReplicaSet of an image as the API would have it.
fn set(image: &str, revision: i64, replicas: i64, available: i64, sized_for: (i64, i64)) -> Value {
    let mut template = template(image);
    template["metadata"]["labels"]["pod-template-hash"] = image.into();
    json!({
        "metadata": {
            "name": format!("web-{image}"), "namespace": "ns", "uid": image, "generation": 1,
            "creationTimestamp": format!("2026-01-01T00:00:{revision:02}Z"),
            "annotations": {
                "deployment.kubernetes.io/revision": revision.to_string(),
                "deployment.kubernetes.io/desired-replicas": sized_for.0.to_string(),
                "deployment.kubernetes.io/max-replicas": sized_for.1.to_string(),
            },
        },
        "spec": { "replicas": replicas, "template": template },
        "status": { "replicas": replicas, "readyReplicas": available, "availableReplicas": available,
            "observedGeneration": 1 },
    })
}

fn planned(deployment: &Value, sets: &[Value]) -> Plan {
    let sets = sets.iter().cloned().map(|set| Set::of(Arc::new(set))).collect();
    plan(deployment, &resource(), sets, false)
}

fn describe(plan: &Plan) -> String {
    let mut text = String::new();
    for step in &plan.steps {
        match step {
            Step::Create { object, replicas } => {
                let hash = object["metadata"]["labels"]["pod-template-hash"].as_str().unwrap_or_default();
                let name = object["metadata"]["name"].as_str().unwrap_or_default().replace(hash, "HASH");
                writeln!(text, "create {name} with {replicas}")
            }
            Step::Follow { name, patch } => writeln!(text, "follow {name} {patch}"),
            Step::Scale { object, from, to, .. } => {
                writeln!(
                    text,
                    "scale {} {from} -> {to}",
                    object["metadata"]["name"].as_str().unwrap_or_default()
                )
            }
            Step::Forget { object } => {
                writeln!(text, "forget {}", object["metadata"]["name"].as_str().unwrap_or_default())
            }
            Step::Revision { revision } => writeln!(text, "revision {revision}"),
        }
        .expect("writing to a string does not fail");
    }
    text
}

#[expect(clippy::needless_pass_by_value, reason = "expectations are written in place")]
fn check(deployment: &Value, sets: &[Value], expected: Expect) {
    expected.assert_eq(&describe(&planned(deployment, sets)));
}

#[test]
fn a_new_deployment_makes_its_set_at_full_size() {
    check(
        &deployment(3, json!("25%"), json!("25%"), "a"),
        &[],
        expect![[r#"
            create web-HASH with 3
            revision 1
        "#]],
    );
}

#[test]
fn a_new_template_starts_with_the_surge() {
    let mut web = deployment(3, json!("25%"), json!("25%"), "b");
    web["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "1".into();
    check(
        &web,
        &[set("a", 1, 3, 3, (3, 4))],
        expect![[r#"
            create web-HASH with 1
            revision 2
        "#]],
    );
}

#[test]
fn what_old_sets_give_up_the_new_one_takes_in_the_same_turn() {
    check(
        &deployment(3, json!(1), json!(0), "b"),
        &[set("a", 1, 3, 3, (3, 4)), set("b", 2, 1, 1, (3, 4))],
        expect![[r#"
            scale web-a 3 -> 2
            scale web-b 1 -> 2
            revision 2
        "#]],
    );
}

#[test]
fn broken_pods_of_old_sets_go_first() {
    // 10 wanted, 8 must be available; the old set has 2 that are not.
    check(
        &deployment(10, json!(3), json!(2), "b"),
        &[set("a", 1, 8, 6, (10, 13)), set("b", 2, 5, 4, (10, 13))],
        expect![[r#"
            scale web-a 8 -> 6
            scale web-a 6 -> 4
            scale web-b 5 -> 9
            revision 2
        "#]],
    );
}

#[test]
fn undo_takes_up_the_old_set_with_a_new_revision() {
    check(
        &deployment(2, json!(1), json!(0), "a"),
        &[set("a", 1, 0, 0, (2, 3)), set("b", 2, 2, 2, (2, 3))],
        expect![[r#"
            follow web-a {"metadata":{"annotations":{"deployment.kubernetes.io/revision":"3","deployment.kubernetes.io/revision-history":"1"}}}
            scale web-a 0 -> 1
            revision 3
        "#]],
    );
}

#[test]
fn recreate_waits_for_the_old_pods() {
    let mut web = deployment(2, json!(1), json!(0), "b");
    web["spec"]["strategy"] = json!({ "type": "Recreate" });
    check(
        &web,
        &[set("a", 1, 2, 2, (2, 2))],
        expect![[r#"
        scale web-a 2 -> 0
    "#]],
    );
    let mut stopping = set("a", 1, 0, 0, (2, 2));
    check(
        &web,
        &[stopping.clone()],
        expect![[r#"
        create web-HASH with 2
        revision 2
    "#]],
    );
    stopping["status"]["replicas"] = 1.into();
    check(&web, &[stopping], expect![""]);
}

#[test]
fn a_paused_deployment_is_resized_but_not_rolled() {
    let mut web = deployment(5, json!(1), json!(0), "b");
    web["spec"]["paused"] = true.into();
    check(
        &web,
        &[set("a", 1, 3, 3, (3, 4))],
        expect![[r#"
        scale web-a 3 -> 5
    "#]],
    );
}

#[test]
fn a_resize_in_the_middle_of_a_rollout_is_shared() {
    // 10 -> 30 with 13 pods in two sets: 20 + 3 more pods fall to them in proportion.
    check(
        &deployment(30, json!(3), json!(2), "b"),
        &[set("a", 1, 8, 8, (10, 13)), set("b", 2, 5, 0, (10, 13))],
        expect![[r#"
            scale web-a 8 -> 20
            scale web-b 5 -> 13
            revision 2
        "#]],
    );
    check(
        &deployment(5, json!(3), json!(2), "b"),
        &[set("a", 1, 8, 8, (10, 13)), set("b", 2, 5, 0, (10, 13))],
        expect![[r#"
            scale web-a 8 -> 5
            scale web-b 5 -> 3
            revision 2
        "#]],
    );
}

#[test]
fn history_beyond_the_limit_is_forgotten_once_complete() {
    let mut web = deployment(1, json!(1), json!(0), "e");
    web["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "5".into();
    let sets: Vec<Value> =
        ["a", "b", "c", "d"].into_iter().zip(1..).map(|(image, n)| set(image, n, 0, 0, (1, 2))).collect();
    let sets = [sets, vec![set("e", 5, 1, 1, (1, 2))]].concat();
    check(&web, &sets, expect![""]);
    web["status"] =
        json!({ "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1, "observedGeneration": 1 });
    check(
        &web,
        &sets,
        expect![[r#"
        forget web-a
        forget web-b
    "#]],
    );
}

#[test]
fn sizes_round_as_upstream_rounds() {
    let sizes = |replicas, surge, unavailable| Sizes::of(&deployment(replicas, surge, unavailable, "a"));
    assert_eq!(sizes(3, json!("25%"), json!("25%")), Sizes { replicas: 3, surge: 1, unavailable: 0 });
    assert_eq!(sizes(10, json!("25%"), json!("25%")), Sizes { replicas: 10, surge: 3, unavailable: 2 });
    assert_eq!(sizes(3, json!(0), json!("0%")), Sizes { replicas: 3, surge: 0, unavailable: 1 });
}

#[test]
fn the_hash_ignores_itself_and_nulls() {
    let plain = template("a");
    let mut labelled = plain.clone();
    labelled["metadata"]["labels"]["pod-template-hash"] = "abc".into();
    labelled["metadata"]["creationTimestamp"] = Value::Null;
    assert!(same_template(&plain, &labelled) && !same_template(&plain, &template("b")));
    assert_eq!(template_hash(&plain, None), template_hash(&labelled, None));
    assert_ne!(template_hash(&plain, None), template_hash(&plain, Some(1)));
    // Written on every pod of every Deployment: it must stay the same in every version of this program.
    expect!["fp8wmrzfgw"].assert_eq(&template_hash(&plain, None));
}

fn progressing(status: &Value) -> String {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let found = conditions.filter(|condition| condition["type"] == "Progressing");
    found.map(|found| format!("{} {} {}", found["status"], found["reason"], found["message"])).collect()
}

#[test]
fn progress_is_told_in_upstreams_words() {
    let mut web = deployment(1, json!(1), json!(0), "a");
    let mut said = String::new();
    let mut turn = |web: &mut Value, sets: &[Value], second: i64| {
        let plan = planned(web, sets);
        let made = plan.steps.iter().any(|step| matches!(step, Step::Create { .. }));
        let (status, again) = plan_status(web, &plan, made, now(second));
        let name = plan.current.map(|index| plan.sets[index].name.clone()).unwrap_or_default();
        let hash = name.trim_start_matches("web-");
        let text =
            if hash.len() == 10 { progressing(&status).replace(hash, "HASH") } else { progressing(&status) };
        writeln!(said, "{text}; again {:?}", again.map(|again| again.as_secs())).expect("a string");
        web["status"] = status;
    };
    turn(&mut web, &[], 0);
    turn(&mut web, &[set("a", 1, 1, 0, (1, 2))], 1);
    turn(&mut web, &[set("a", 1, 1, 0, (1, 2))], 602);
    turn(&mut web, &[set("a", 1, 1, 1, (1, 2))], 700);
    turn(&mut web, &[set("a", 1, 1, 1, (1, 2))], 701);
    web["spec"]["paused"] = true.into();
    turn(&mut web, &[set("a", 1, 1, 1, (1, 2))], 702);
    expect![[r#"
        "True" "NewReplicaSetCreated" "Created new replica set \"web-HASH\""; again Some(601)
        "True" "ReplicaSetUpdated" "ReplicaSet \"web-a\" is progressing."; again Some(601)
        "False" "ProgressDeadlineExceeded" "ReplicaSet \"web-a\" has timed out progressing."; again None
        "True" "NewReplicaSetAvailable" "ReplicaSet \"web-a\" has successfully progressed."; again None
        "True" "NewReplicaSetAvailable" "ReplicaSet \"web-a\" has successfully progressed."; again None
        "Unknown" "DeploymentPaused" "Deployment is paused"; again None
    "#]]
    .assert_eq(&said);
}

/// A model of the cluster: sets whose pods come up and go down one at a time, in an order that `chance`
/// decides. Every state on the way has to keep the promises of the strategy.
fn roll_out(replicas: i64, surge: i64, unavailable: i64, mut chance: u64) -> usize {
    let web = deployment(replicas, json!(surge), json!(unavailable), "b");
    let sizes = Sizes::of(&web);
    let mut sets = vec![set("a", 1, replicas, replicas, (replicas, sizes.max()))];
    for turn in 0..10_000 {
        let plan = planned(&web, &sets);
        assert_eq!(plan.mode, Mode::Rollout);
        for step in &plan.steps {
            match step {
                Step::Create { object, replicas } => {
                    let mut made = set("b", 2, *replicas, 0, (sizes.replicas, sizes.max()));
                    made["spec"]["template"] = object["spec"]["template"].clone();
                    made["status"] = json!({});
                    sets.push(made);
                }
                Step::Scale { object, to, .. } => {
                    let scaled =
                        sets.iter_mut().find(|set| set["metadata"]["uid"] == object["metadata"]["uid"]);
                    scaled.expect("it is there")["spec"]["replicas"] = (*to).into();
                }
                _ => {}
            }
        }
        let sum = |path: &str| {
            sets.iter().map(|set| set.pointer(path).and_then(Value::as_i64).unwrap_or(0)).sum::<i64>()
        };
        assert!(sum("/spec/replicas") <= sizes.max(), "too many pods in turn {turn}");
        // Sets delete unavailable pods first, so what stays available is what the sizes leave.
        let left: i64 = sets
            .iter()
            .map(|set| {
                let available = set["status"]["availableReplicas"].as_i64().unwrap_or(0);
                available.min(set["spec"]["replicas"].as_i64().unwrap_or(0))
            })
            .sum();
        assert!(left >= sizes.replicas - sizes.unavailable, "too few pods in turn {turn}");
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let index = (chance >> 33) as usize % sets.len();
        let set = &mut sets[index];
        let size = set["spec"]["replicas"].as_i64().unwrap_or(0);
        let available = set["status"]["availableReplicas"].as_i64().unwrap_or(0);
        let next = if available > size { size } else { (available + 1).min(size) };
        set["status"] = json!({ "replicas": size, "readyReplicas": next, "availableReplicas": next });
        let done = |set: &Value, size: i64| {
            set["spec"]["replicas"] == size && set["status"]["availableReplicas"] == size
        };
        if sets.len() == 2 && done(&sets[0], 0) && done(&sets[1], replicas) {
            return turn;
        }
    }
    panic!("the rollout never ended");
}

#[test]
fn every_rollout_keeps_its_promises_and_ends() {
    for (replicas, surge, unavailable) in
        [(1, 1, 0), (3, 1, 0), (3, 0, 1), (10, 3, 2), (7, 0, 7), (20, 20, 0)]
    {
        for chance in 0..20 {
            roll_out(replicas, surge, unavailable, chance);
        }
    }
}
