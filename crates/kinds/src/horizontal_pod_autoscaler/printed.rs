//! The row of an autoscaler: above all what its metrics are and should be.

use object::json::{items, text};
use object::table::{age_of, name_of, number};
use object::time::Timestamp;
use serde_json::Value;

/// So many metrics are shown; of the others only how many there are.
const SHOWN_MAX: usize = 2;
const UNKNOWN: &str = "<unknown>";

pub(super) fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let target = &spec["scaleTargetRef"];
    let minimum = spec["minReplicas"].as_i64().map_or("<unset>".to_owned(), |count| count.to_string());
    vec![
        name_of(object),
        format!("{}/{}", text(&target["kind"]), text(&target["name"])).into(),
        targets(items(&spec["metrics"]), items(&status["currentMetrics"])).into(),
        minimum.into(),
        number(&spec["maxReplicas"]),
        number(&status["currentReplicas"]),
        age_of(object, now),
    ]
}

/// `cpu: 12%/70%`, as `kubectl get` has it in its column TARGETS.
fn targets(metrics: &[Value], current: &[Value]) -> String {
    if metrics.is_empty() {
        return "<none>".to_owned();
    }
    let shown = metrics.iter().zip(0..SHOWN_MAX).map(|(metric, at)| {
        let status = current.get(at).unwrap_or(&Value::Null);
        target(metric, status)
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    match metrics.len().saturating_sub(SHOWN_MAX) {
        0 => shown,
        more => format!("{shown} + {more} more..."),
    }
}

fn target(metric: &Value, status: &Value) -> String {
    let source = match text(&metric["type"]) {
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        "Pods" => "pods",
        "Object" => "object",
        "External" => "external",
        _ => return "<unknown type>".to_owned(),
    };
    let (source, current) = (&metric[source], &status[source]["current"]);
    let wanted = &source["target"];
    let average = wanted["averageValue"].as_str();
    match text(&metric["type"]) {
        "Resource" | "ContainerResource" => {
            let (now, wanted) = match average {
                Some(wanted) => (amount(&current["averageValue"]), wanted.to_owned()),
                None => {
                    let wanted = percent(&wanted["averageUtilization"]);
                    (percent(&current["averageUtilization"]), wanted.unwrap_or("<auto>".to_owned()))
                }
            };
            format!("{}: {}/{wanted}", text(&source["name"]), now.unwrap_or(UNKNOWN.to_owned()))
        }
        kind => {
            let field = if average.is_some() { "averageValue" } else { "value" };
            let now = amount(&current[field]).unwrap_or(UNKNOWN.to_owned());
            let shown = format!("{now}/{}", text(&wanted[field]));
            if average.is_some() && kind != "Pods" { format!("{shown} (avg)") } else { shown }
        }
    }
}

fn amount(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn percent(value: &Value) -> Option<String> {
    value.as_i64().map(|percent| format!("{percent}%"))
}
