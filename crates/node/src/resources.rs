//! Requests and limits: quantities read, the quality-of-service class, and what cgroups are told. Pure.

use std::collections::BTreeMap;

use client::k8s_openapi::api::core::v1 as api;
use client::k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use sandbox::Limits;

/// Kernel weight of one CPU; cgroup v1 `cpu.shares` and what runtimes convert for v2.
const SHARES_PER_CPU: i64 = 1024;
/// The smallest weight the kernel takes: a container without a CPU request.
const SHARES_MIN: u64 = 2;
/// Processes and threads of one container. Upstream leaves this to the machine's administrator; without any limit a
/// fork bomb in one pod takes the whole machine with it.
const PIDS_MAX: u64 = 16_384;

/// An amount in whole units (bytes, cores), rounded up; 0 when it is not a quantity.
pub(crate) fn value(quantity: &Quantity) -> i64 {
    object::quantity::Quantity::parse(&quantity.0).map_or(0, object::quantity::Quantity::value)
}

/// An amount in thousandths, rounded up; 0 when it is not a quantity.
pub(crate) fn milli_value(quantity: &Quantity) -> i64 {
    object::quantity::Quantity::parse(&quantity.0).map_or(0, object::quantity::Quantity::milli_value)
}

type List = BTreeMap<String, Quantity>;

fn positive<'a>(list: Option<&'a List>, name: &str) -> Option<&'a Quantity> {
    list?.get(name).filter(|quantity| milli_value(quantity) > 0)
}

/// What the container's cgroup is told.
pub(crate) fn limits(resources: &api::ResourceRequirements) -> Limits {
    let limits = resources.limits.as_ref();
    let cpu_limit = positive(limits, "cpu").map(milli_value);
    let cpu_request = positive(resources.requests.as_ref(), "cpu").map(milli_value).or(cpu_limit);
    let shares = cpu_request.map_or(0, |milli| milli.saturating_mul(SHARES_PER_CPU) / 1000);
    Limits {
        memory_bytes: positive(limits, "memory").and_then(|quantity| u64::try_from(value(quantity)).ok()),
        cpu_millis: cpu_limit.and_then(|milli| u64::try_from(milli).ok()),
        cpu_shares: Some(u64::try_from(shares).unwrap_or(SHARES_MIN).max(SHARES_MIN)),
        pids_max: Some(PIDS_MAX),
    }
}

/// Guaranteed, Burstable or BestEffort, by the rules of the Pod QoS page: only CPU and memory count.
pub(crate) fn qos_class(spec: &api::PodSpec) -> &'static str {
    let containers = || spec.init_containers.iter().flatten().chain(&spec.containers);
    let (mut any, mut guaranteed) = (false, true);
    for container in containers() {
        let resources = container.resources.clone().unwrap_or_default();
        for name in ["cpu", "memory"] {
            let limit = positive(resources.limits.as_ref(), name);
            let request = positive(resources.requests.as_ref(), name);
            any |= limit.is_some() || request.is_some();
            let equal = match (limit, request) {
                (Some(limit), Some(request)) => milli_value(limit) == milli_value(request),
                (Some(_), None) => true,
                _ => false,
            };
            guaranteed &= equal;
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(resources: serde_json::Value) -> api::Container {
        serde_json::from_value(serde_json::json!({ "name": "a", "resources": resources }))
            .expect("a container")
    }

    fn class(resources: serde_json::Value) -> &'static str {
        qos_class(&api::PodSpec { containers: vec![container(resources)], ..<_>::default() })
    }

    #[test]
    fn classes() {
        assert_eq!(class(serde_json::json!({})), "BestEffort");
        assert_eq!(class(serde_json::json!({ "requests": { "cpu": "1" } })), "Burstable");
        let whole =
            serde_json::json!({ "limits": { "cpu": "1", "memory": "1Gi" }, "requests": { "cpu": "1000m" } });
        assert_eq!(class(whole), "Guaranteed");
        let half = serde_json::json!({ "limits": { "cpu": "1" }, "requests": { "cpu": "1" } });
        assert_eq!(class(half), "Burstable", "memory is open");
    }

    #[test]
    fn cgroup_figures() {
        let container = container(serde_json::json!({
            "limits": { "cpu": "200m", "memory": "256Mi" }, "requests": { "cpu": "100m", "memory": "128Mi" }
        }));
        let figures = limits(&container.resources.expect("given above"));
        assert_eq!(figures.memory_bytes, Some(256 << 20));
        assert_eq!((figures.cpu_millis, figures.cpu_shares), (Some(200), Some(102)));
        assert_eq!(limits(&<_>::default()).cpu_shares, Some(SHARES_MIN));
    }
}
