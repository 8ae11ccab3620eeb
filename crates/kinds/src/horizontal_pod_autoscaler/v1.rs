//! autoscaling/v1: an autoscaler with one metric, the CPU. `kubectl autoscale` makes such until 1.32.

use super::super::{Kind, PLAIN, Subresource};
use super::KIND;
use crate::Edition;
use object::json::{child, items, put};
use serde_json::{Value, json};

const PERCENT: &str = "targetCPUUtilizationPercentage";

/// It may be read in this version; in writing it would lose what this version has no words for.
const STATUS: Subresource =
    Subresource { name: "status", group_version: ("", ""), kind: "", verbs: &["get"] };

/// The edition.
pub(crate) static V1: Edition = Edition {
    form: Kind {
        group: "autoscaling",
        api_version: "autoscaling/v1",
        kind: "HorizontalPodAutoscaler",
        list_kind: "HorizontalPodAutoscalerList",
        plural: "horizontalpodautoscalers",
        singular: "horizontalpodautoscaler",
        short_names: &["hpa"],
        categories: &["all"],
        subresources: &[STATUS],
        schema: "io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler",
        ..PLAIN
    },
    kind: &KIND,
    show,
    read,
};

/// The percentage of the CPU that a metric of v2 wants.
fn percent(metric: &Value) -> Option<&Value> {
    let resource = &metric["resource"];
    let wanted = metric["type"] == "Resource" && resource["name"] == "cpu";
    Some(&resource["target"]["averageUtilization"]).filter(|percent| wanted && percent.is_i64())
}

fn show(object: &mut Value) {
    if let Some(spec) = object.get_mut("spec") {
        let wanted = items(&spec["metrics"]).iter().find_map(percent).cloned();
        put(spec, PERCENT, wanted);
        put(spec, "metrics", None);
        put(spec, "behavior", None);
    }
    if let Some(status) = object.get_mut("status") {
        let of_cpu = |metric: &&Value| metric["type"] == "Resource" && metric["resource"]["name"] == "cpu";
        let found = items(&status["currentMetrics"]).iter().find(of_cpu);
        let found = found.map(|metric| metric["resource"]["current"]["averageUtilization"].clone());
        put(status, "currentCPUUtilizationPercentage", found.filter(Value::is_i64));
        put(status, "currentMetrics", None);
        put(status, "conditions", None);
    }
}

fn read(object: &mut Value, old: Option<&Value>) {
    // It is not written in this version.
    put(object, "status", None);
    let Some(spec) = child(object, "spec") else { return };
    let wanted = spec.get(PERCENT).filter(|percent| !percent.is_null()).cloned();
    put(spec, PERCENT, None);
    let before = old.map(|old| &old["spec"]);
    let kept = before.into_iter().flat_map(|spec| items(&spec["metrics"]));
    let mut metrics: Vec<Value> = kept.filter(|metric| percent(metric).is_none()).cloned().collect();
    metrics.extend(wanted.map(|percent| {
        let target = json!({ "type": "Utilization", "averageUtilization": percent });
        json!({ "type": "Resource", "resource": { "name": "cpu", "target": target } })
    }));
    put(spec, "metrics", (!metrics.is_empty()).then_some(metrics.into()));
    put(spec, "behavior", before.and_then(|spec| spec.get("behavior")).cloned());
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn what_v1_cannot_say_stays_as_it_is() {
        let cpu = json!({ "type": "Resource", "resource": { "name": "cpu", "target": {
            "type": "Utilization", "averageUtilization": 70 } } });
        let hits = json!({ "type": "Pods", "pods": { "metric": { "name": "hits" } } });
        let current = json!({ "type": "Resource", "resource": { "name": "cpu", "current": { "averageUtilization": 7 } } });
        let old = json!({
            "apiVersion": "autoscaling/v2", "spec": { "maxReplicas": 3, "metrics": [cpu, hits], "behavior": { "scaleUp": {} } },
            "status": { "currentReplicas": 2, "currentMetrics": [current], "conditions": [{}] },
        });
        let mut seen = old.clone();
        V1.show(&mut seen);
        expect![[r#"{"apiVersion":"autoscaling/v1","spec":{"maxReplicas":3,"targetCPUUtilizationPercentage":70},"status":{"currentCPUUtilizationPercentage":7,"currentReplicas":2}}"#]]
            .assert_eq(&seen.to_string());
        seen["spec"][PERCENT] = 50.into();
        V1.read(&mut seen, Some(&old));
        expect![[r#"{"apiVersion":"autoscaling/v2","spec":{"behavior":{"scaleUp":{}},"maxReplicas":3,"metrics":[{"pods":{"metric":{"name":"hits"}},"type":"Pods"},{"resource":{"name":"cpu","target":{"averageUtilization":50,"type":"Utilization"}},"type":"Resource"}]}}"#]]
            .assert_eq(&seen.to_string());
        let mut bare = json!({ "spec": { "maxReplicas": 3 } });
        V1.read(&mut bare, None);
        assert_eq!(bare["spec"], json!({ "maxReplicas": 3 }));
        let mut bookmark = json!({ "metadata": {} });
        V1.show(&mut bookmark);
        assert_eq!(bookmark, json!({ "apiVersion": "autoscaling/v1", "metadata": {} }));
    }
}
