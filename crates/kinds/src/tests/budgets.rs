//! PodDisruptionBudgets: what is refused, and their row.

use super::{check, context, created, read};
use expect_test::expect;
use object::table::{Include, row};
use serde_json::json;

fn budget(spec: &str) -> String {
    format!("{{kind: PodDisruptionBudget, metadata: {{name: b}}, spec: {{{spec}}}}}")
}

#[test]
fn what_is_taken_and_what_is_refused() {
    for (spec, want) in [
        (
            "minAvailable: 2, selector: {matchLabels: {a: b}}",
            expect![[r#"
            spec:
              minAvailable: 2
              selector:
                matchLabels:
                  a: b
        "#]],
        ),
        (
            "minAvailable: 1, maxUnavailable: 1",
            expect![[r#"
            422 PodDisruptionBudget.policy "b" is invalid: spec: Invalid value: {"maxUnavailable":1,"minAvailable":1}: minAvailable and maxUnavailable cannot be both set
        "#]],
        ),
        (
            "minAvailable: -1",
            expect![[r#"
            422 PodDisruptionBudget.policy "b" is invalid: spec.minAvailable: Invalid value: -1: must be greater than or equal to 0
        "#]],
        ),
        (
            "maxUnavailable: 101%, unhealthyPodEvictionPolicy: Never",
            expect![[r#"
            422 PodDisruptionBudget.policy "b" is invalid: [spec.maxUnavailable: Invalid value: "101%": must not be greater than 100%, spec.unhealthyPodEvictionPolicy: Unsupported value: "Never": supported values: "AlwaysAllow", "IfHealthyBudget"]
        "#]],
        ),
        (
            "maxUnavailable: half, selector: {matchExpressions: [{key: a, operator: Is}]}",
            expect![[r#"
            422 PodDisruptionBudget.policy "b" is invalid: [spec.maxUnavailable: Invalid value: "half": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%'), spec.selector.matchExpressions[0].operator: Invalid value: "Is": not a valid selector operator]
        "#]],
        ),
    ] {
        check(&budget(spec), want);
    }
}

#[test]
fn as_a_row() {
    let mut object = created(&budget("maxUnavailable: 25%")).expect("valid");
    object["status"] = json!({"disruptionsAllowed": 3});
    let (kind, _) = read(&budget(""));
    let cells = row(kind, &object, Include::None, context(kind).now)["cells"].to_string();
    expect![[r#"["b","N/A","25%",3,"0s"]"#]].assert_eq(&cells);
}

#[test]
fn its_status_counts_up_from_zero() {
    let (kind, _) = read(&budget(""));
    let old = created(&budget("")).expect("valid");
    let mut new = old.clone();
    new["status"] = json!({"disruptionsAllowed": -1, "currentHealthy": 1});
    let refused = kind.admit_update(&mut new, &old, Some("status"), &context(kind)).expect_err("refused");
    assert!(refused.message.contains("status.disruptionsAllowed: Invalid value: -1"), "{}", refused.message);
}
