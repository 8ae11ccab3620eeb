//! Policies, windows and bounds.

use expect_test::expect;
use object::time::Timestamp;
use serde_json::{Value, json};

use super::super::history::History;
use super::super::limits::{Limited, Wanted, plan_limits};
use super::at;

fn limits(behavior: &Value, current: i64, replicas: i64, history: &History, now: Timestamp) -> Limited {
    plan_limits(behavior, Wanted { current, replicas, minimum: 1, maximum: 100 }, history, now)
}

fn said(limited: &Limited) -> String {
    let Limited { replicas, able, limited } = limited;
    format!("{replicas}: {}, limited {} {}", able.reason, limited.status, limited.reason)
}

/// A behavior as the API leaves it, with these rules.
fn behavior(up: Value, down: Value) -> Value {
    let manifest = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "web" },
        "spec": { "maxReplicas": 100, "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "w" },
            "behavior": { "scaleUp": up, "scaleDown": down } },
    });
    let kind = kinds::kind("autoscaling", "v2", "horizontalpodautoscalers").expect("a kind");
    let context = object::Context { namespace: Some("ns"), now: at(0), uid: Default::default() };
    let mut object = kind.decode(manifest.to_string().as_bytes(), Default::default()).expect("valid").object;
    kind.admit_create(&mut object, &context).expect("valid");
    object["spec"]["behavior"].clone()
}

/// The sizes of turn after turn, one every `every` seconds, while the metrics ask for `replicas`.
fn sizes(behavior: &Value, from: i64, replicas: i64, every: i64, turns: i64) -> Vec<i64> {
    let (mut history, mut current) = (History::default(), from);
    history.recommended(from, at(0));
    let turn = |turn: i64| {
        let now = at(turn * every);
        let next = limits(behavior, current, replicas, &history, now).replicas;
        history.recommended(replicas, now);
        if next != current {
            history.scaled(current, next, now);
        }
        current = next;
        current
    };
    (1..=turns).map(turn).collect()
}

#[test]
fn four_pods_or_twice_as_many_every_15_seconds_and_at_once_down_after_5_minutes() {
    let standard = behavior(json!({}), json!({}));
    assert_eq!(sizes(&standard, 1, 100, 15, 6), [5, 10, 20, 40, 80, 100]);
    assert_eq!(sizes(&standard, 10, 2, 100, 4), [10, 10, 2, 2], "as soon as ten is 300 s ago");
    // Without any behavior the same, but for the limit that counts from now and not from a period ago.
    assert_eq!(sizes(&Value::Null, 1, 100, 15, 6), [4, 8, 16, 32, 64, 100]);
    assert_eq!(sizes(&Value::Null, 10, 2, 100, 4), [10, 10, 2, 2]);
}

/// "If there are 80 replicas and the target has to be scaled down to 10 replicas then during the first step 8 replicas will
/// be reduced. In the next iteration when the number of replicas is 72, 10% of the pods is 7.2 but the number is rounded up
/// to 8. […] When the number of replicas falls below 40 the first policy (Pods) is applied."
#[test]
fn the_documentations_80_replicas() {
    let policies = json!([
        { "type": "Pods", "value": 4, "periodSeconds": 60 },
        { "type": "Percent", "value": 10, "periodSeconds": 60 },
    ]);
    let rules = json!({ "stabilizationWindowSeconds": 0, "policies": policies });
    let found = sizes(&behavior(json!({}), rules), 80, 10, 60, 14);
    assert_eq!(found, [72, 64, 57, 51, 45, 40, 36, 32, 28, 24, 20, 16, 12, 10]);
}

#[test]
fn the_documentations_other_behaviors() {
    // "Limit scale down rate": no more than 10 % and no more than 5 pods a minute.
    let policies = json!([
        { "type": "Percent", "value": 10, "periodSeconds": 60 },
        { "type": "Pods", "value": 5, "periodSeconds": 60 },
    ]);
    let rules = json!({ "stabilizationWindowSeconds": 0, "selectPolicy": "Min", "policies": policies });
    assert_eq!(sizes(&behavior(json!({}), rules), 80, 1, 60, 2), [75, 70]);
    // "Disable scale down".
    let never = behavior(json!({}), json!({ "stabilizationWindowSeconds": 0, "selectPolicy": "Disabled" }));
    assert_eq!(sizes(&never, 8, 1, 60, 2), [8, 8]);
    assert_eq!(sizes(&never, 8, 9, 60, 2), [9, 9]);
}

#[test]
fn a_period_counts_what_was_done_in_it() {
    let rules = json!({ "policies": [{ "type": "Pods", "value": 4, "periodSeconds": 60 }] });
    let slow = behavior(rules, json!({}));
    assert_eq!(sizes(&slow, 2, 50, 20, 6), [6, 6, 6, 10, 10, 10]);
}

#[test]
fn a_window_upwards_takes_the_least_of_it() {
    let careful = behavior(json!({ "stabilizationWindowSeconds": 60 }), json!({}));
    let mut history = History::default();
    history.recommended(3, at(0));
    history.recommended(4, at(30));
    let next = |second| said(&limits(&careful, 3, 6, &history, at(second)));
    expect!["3: ScaleUpStabilized, limited False DesiredWithinRange"].assert_eq(&next(45));
    expect!["4: ScaleUpStabilized, limited False DesiredWithinRange"].assert_eq(&next(60));
    expect!["6: ReadyForNewScale, limited False DesiredWithinRange"].assert_eq(&next(90));
}

#[test]
fn what_holds_it_back_is_said() {
    let nothing = History::default();
    let bounded = |behavior: &Value, current, replicas| {
        let wanted = Wanted { current, replicas, minimum: 3, maximum: 10 };
        said(&plan_limits(behavior, wanted, &nothing, at(0)))
    };
    let quick = behavior(json!({}), json!({ "stabilizationWindowSeconds": 0 }));
    expect!["10: ReadyForNewScale, limited True TooManyReplicas"].assert_eq(&bounded(&quick, 9, 30));
    expect!["8: ReadyForNewScale, limited True ScaleUpLimit"].assert_eq(&bounded(&quick, 4, 30));
    expect!["3: ReadyForNewScale, limited True TooFewReplicas"].assert_eq(&bounded(&quick, 9, 1));
    expect!["4: ReadyForNewScale, limited False DesiredWithinRange"].assert_eq(&bounded(&quick, 9, 4));
    expect!["8: ReadyForNewScale, limited True ScaleUpLimit"].assert_eq(&bounded(&Value::Null, 4, 30));
    expect!["10: ReadyForNewScale, limited True TooManyReplicas"].assert_eq(&bounded(&Value::Null, 9, 30));
    expect!["3: ReadyForNewScale, limited True TooFewReplicas"].assert_eq(&bounded(&Value::Null, 9, 1));
    let mut before = History::default();
    before.recommended(9, at(0));
    let held = limits(&Value::Null, 9, 2, &before, at(100));
    expect!["9: ScaleDownStabilized, limited False DesiredWithinRange"].assert_eq(&said(&held));
}
