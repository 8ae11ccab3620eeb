//! How long a pod may stay, as data.

use super::*;

fn stay(taints: Value, tolerations: Value) -> Stay {
    let now = Timestamp::from_second(1_767_225_600 + 100).expect("in range");
    plan_stay(
        &json!({ "spec": { "tolerations": tolerations } }),
        &json!({ "spec": { "taints": taints } }),
        now,
    )
}

fn taint(key: &str) -> Value {
    json!({ "key": key, "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z" })
}

#[test]
fn who_goes_and_when() {
    let unreachable = || json!([taint("unreachable")]);
    assert_eq!(stay(json!([{ "key": "a", "effect": "NoSchedule" }]), json!([])), Stay::ForEver);
    assert_eq!(stay(unreachable(), json!([])), Stay::NoLonger);
    assert_eq!(stay(unreachable(), json!([{ "operator": "Exists" }])), Stay::ForEver);
    let limited =
        |seconds: i64| json!([{ "key": "unreachable", "operator": "Exists", "tolerationSeconds": seconds }]);
    assert_eq!(stay(unreachable(), limited(300)), Stay::For(Duration::from_secs(200)));
    assert_eq!(stay(unreachable(), limited(60)), Stay::NoLonger);
    let other_effect = json!([{ "key": "unreachable", "operator": "Exists", "effect": "NoSchedule" }]);
    assert_eq!(stay(unreachable(), other_effect), Stay::NoLonger);
    let two = json!([taint("unreachable"), taint("other")]);
    assert_eq!(stay(two, limited(300)), Stay::NoLonger, "every taint must be tolerated");
}
