//! The downward API: a pod's own fields and its containers' resources as text, for env and volumes. Pure.

use std::collections::BTreeMap;

use client::k8s_openapi::api::core::v1 as api;

use crate::resources::{milli_value, value};

/// What is known of the pod beside its object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    pub(crate) pod_ip: String,
    pub(crate) host_ip: String,
    /// What a container without limits may use: the node's.
    pub(crate) allocatable_cpu_milli: i64,
    pub(crate) allocatable_memory_bytes: i64,
}

/// The value of a `fieldRef`.
pub(crate) fn field(path: &str, pod: &api::Pod, around: &Surroundings) -> Result<String, String> {
    let metadata = &pod.metadata;
    if let Some((map, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        let map = match map {
            "metadata.labels" => &metadata.labels,
            "metadata.annotations" => &metadata.annotations,
            _ => return Err(format!("unsupported fieldPath: {path}")),
        };
        return Ok(map.as_ref().and_then(|map| map.get(key)).cloned().unwrap_or_default());
    }
    let spec = pod.spec.as_ref();
    let text = |field: Option<&String>| Ok(field.cloned().unwrap_or_default());
    match path {
        "metadata.name" => text(metadata.name.as_ref()),
        "metadata.namespace" => text(metadata.namespace.as_ref()),
        "metadata.uid" => text(metadata.uid.as_ref()),
        "metadata.labels" => Ok(lines(metadata.labels.as_ref())),
        "metadata.annotations" => Ok(lines(metadata.annotations.as_ref())),
        "spec.nodeName" => text(spec.and_then(|spec| spec.node_name.as_ref())),
        "spec.serviceAccountName" => text(spec.and_then(|spec| spec.service_account_name.as_ref())),
        "status.podIP" | "status.podIPs" => Ok(around.pod_ip.clone()),
        "status.hostIP" | "status.hostIPs" => Ok(around.host_ip.clone()),
        _ => Err(format!("unsupported fieldPath: {path}")),
    }
}

/// `key="value"` per line, as `metadata.labels` looks in a file; values are quoted as Go does.
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let lines = map.into_iter().flatten().map(|(key, value)| format!("{key}={}", quote(value)));
    lines.collect::<Vec<_>>().join("\n")
}

fn quote(text: &str) -> String {
    let mut out = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

/// The value of a `resourceFieldRef`; `container` is the one that asks.
pub(crate) fn resource(
    selector: &api::ResourceFieldSelector,
    pod: &api::Pod,
    container: Option<&str>,
    around: &Surroundings,
) -> Result<String, String> {
    let name = selector.container_name.as_deref().or(container).unwrap_or_default();
    let spec = pod.spec.as_ref().ok_or("the pod has no spec")?;
    let mut all = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let found = all.find(|container| container.name == name).ok_or(format!("container {name} not found"))?;
    let resources = found.resources.clone().unwrap_or_default();
    let (list, kind) = selector.resource.split_once('.').ok_or("a resource without a list")?;
    let list = match list {
        "limits" => &resources.limits,
        "requests" => &resources.requests,
        _ => return Err(format!("unsupported container resource : {}", selector.resource)),
    };
    let amount = list.as_ref().and_then(|list| list.get(kind));
    let divisor = selector.divisor.as_ref();
    if kind == "cpu" {
        let open = if selector.resource == "limits.cpu" { around.allocatable_cpu_milli } else { 0 };
        let divisor = divisor.map_or(0, milli_value);
        return Ok(divide_up(amount.map_or(open, milli_value), if divisor > 0 { divisor } else { 1000 }));
    }
    let open = if selector.resource == "limits.memory" { around.allocatable_memory_bytes } else { 0 };
    Ok(divide_up(amount.map_or(open, value), divisor.map_or(0, value).max(1)))
}

fn divide_up(amount: i64, divisor: i64) -> String {
    let whole = amount / divisor + i64::from(amount % divisor > 0);
    whole.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> api::Pod {
        let pod = serde_json::json!({
            "metadata": { "name": "web-1", "labels": { "app": "web", "say": "a \"b\"" } },
            "spec": { "containers": [
                { "name": "a", "resources": { "limits": { "cpu": "250m", "memory": "64Mi" } } },
                { "name": "b" }
            ] }
        });
        serde_json::from_value(pod).expect("a pod")
    }

    #[test]
    fn fields() {
        let around = Surroundings { pod_ip: "10.42.0.7".into(), ..<_>::default() };
        let get = |path: &str| field(path, &pod(), &around);
        assert_eq!(get("metadata.name"), Ok("web-1".into()));
        assert_eq!(get("metadata.labels['app']"), Ok("web".into()));
        assert_eq!(get("metadata.labels"), Ok("app=\"web\"\nsay=\"a \\\"b\\\"\"".into()));
        assert_eq!(get("status.podIP"), Ok("10.42.0.7".into()));
        assert!(get("spec.nonsense").is_err());
    }

    #[test]
    fn resources() {
        let around =
            Surroundings { allocatable_cpu_milli: 2000, allocatable_memory_bytes: 1 << 30, ..<_>::default() };
        let get = |container: &str, name: &str, divisor: Option<&str>| {
            let selector = serde_json::json!({ "resource": name, "divisor": divisor });
            let selector = serde_json::from_value(selector).expect("a selector");
            resource(&selector, &pod(), Some(container), &around).expect("known")
        };
        assert_eq!(get("a", "limits.cpu", None), "1");
        assert_eq!(get("a", "limits.cpu", Some("1m")), "250");
        assert_eq!(get("a", "limits.memory", Some("1Mi")), "64");
        assert_eq!(get("b", "limits.cpu", None), "2");
        assert_eq!(get("b", "limits.memory", None), "1073741824");
    }
}
