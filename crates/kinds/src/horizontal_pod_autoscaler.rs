//! HorizontalPodAutoscaler: so many replicas of something else as its metrics ask for.

mod printed;
mod v1;
mod validate;

pub(super) use v1::V1;

use super::{Generation, Kind, PLAIN, STATUS};
use object::json::{child, fill, is_empty};
use object::table::{AGE, Columns, NAME, text as column};
use serde_json::{Value, json};

/// The target of an autoscaler that names no metric (upstream's default).
const CPU_UTILIZATION: i64 = 80;

pub(super) static KIND: Kind = Kind {
    group: "autoscaling",
    version: "v2",
    api_version: "autoscaling/v2",
    kind: "HorizontalPodAutoscaler",
    list_kind: "HorizontalPodAutoscalerList",
    plural: "horizontalpodautoscalers",
    singular: "horizontalpodautoscaler",
    short_names: &["hpa"],
    categories: &["all"],
    subresources: &[STATUS],
    schema: "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    columns: Columns {
        columns: &[
            NAME,
            column("Reference"),
            column("Targets"),
            column("MinPods"),
            column("MaxPods"),
            column("Replicas"),
            AGE,
        ],
        row: printed::row,
    },
    generation: Generation::Spec,
    status: true,
    keeps_status: true,
    default,
    validate: validate::validate,
    ..PLAIN
};

fn default(object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    fill(spec, "minReplicas", 1);
    if is_empty(&spec["metrics"]) {
        let target = json!({ "type": "Utilization", "averageUtilization": CPU_UTILIZATION });
        spec["metrics"] = json!([{ "type": "Resource", "resource": { "name": "cpu", "target": target } }]);
    }
    let Some(behavior) = spec.get_mut("behavior").filter(|behavior| behavior.is_object()) else { return };
    if let Some(rules) = child(behavior, "scaleUp") {
        let four_pods = json!({ "type": "Pods", "value": 4, "periodSeconds": 15 });
        fill(rules, "stabilizationWindowSeconds", 0);
        default_rules(rules, &[four_pods, double()]);
    }
    // The window of scaling down has its default where it is used, as upstream has it.
    if let Some(rules) = child(behavior, "scaleDown") {
        default_rules(rules, &[double()]);
    }
}

fn double() -> Value {
    json!({ "type": "Percent", "value": 100, "periodSeconds": 15 })
}

fn default_rules(rules: &mut Value, policies: &[Value]) {
    fill(rules, "selectPolicy", "Max");
    fill(rules, "policies", policies);
}
