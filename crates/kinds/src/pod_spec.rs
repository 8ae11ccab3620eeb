//! The pod spec, which pods and pod templates share: defaults here, rules below `pod_spec/`.

mod container;
mod place;
mod probe;
mod validate;
mod volume;

pub(super) use container::resource_name;
pub(super) use place::{node_selector, taints};
pub(super) use probe::port_number;
pub(super) use validate::{ip, validate, validate_template};
pub(super) use volume::host_path;

use super::claim_spec;
use object::json::{child, each, fill, fill_zero, is_empty, text};
use serde_json::{Map, Value, json};

/// Fills in the defaults of a pod spec, in a pod or a template.
pub(super) fn default(spec: &mut Value) {
    let name = text(&spec["serviceAccountName"]);
    let name = if name.is_empty() { text(&spec["serviceAccount"]) } else { name }.to_owned();
    if !name.is_empty() {
        spec["serviceAccountName"] = name.as_str().into();
        spec["serviceAccount"] = name.into();
    }
    fill_zero(spec, "dnsPolicy", "ClusterFirst");
    fill_zero(spec, "restartPolicy", "Always");
    fill(spec, "securityContext", Map::new());
    fill(spec, "terminationGracePeriodSeconds", 30);
    fill_zero(spec, "schedulerName", "default-scheduler");
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        each(spec, list, default_container);
    }
    each(spec, "volumes", default_volume);
}

/// What only pods get, not templates.
pub(super) fn default_pod_only(spec: &mut Value) {
    if spec["terminationGracePeriodSeconds"].as_i64().is_some_and(|s| s < 0) {
        spec["terminationGracePeriodSeconds"] = 1.into();
    }
    fill(spec, "enableServiceLinks", true);
    let host_network = spec["hostNetwork"] == true;
    for list in ["containers", "initContainers"] {
        each(spec, list, |container| {
            requests_from_limits(container);
            if host_network {
                each(container, "ports", |port| {
                    let number = port["containerPort"].clone();
                    fill_zero(port, "hostPort", number);
                });
            }
        });
    }
}

fn requests_from_limits(container: &mut Value) {
    let Some(limits) = container["resources"].get("limits").filter(|l| !is_empty(l)).cloned() else { return };
    if let Some(requests) = child(&mut container["resources"], "requests") {
        for (name, amount) in limits.as_object().into_iter().flatten() {
            fill(requests, name, amount.clone());
        }
    }
}

fn default_container(container: &mut Value) {
    let policy = pull_policy(text(&container["image"]));
    fill_zero(container, "imagePullPolicy", policy);
    fill_zero(container, "terminationMessagePath", "/dev/termination-log");
    fill_zero(container, "terminationMessagePolicy", "File");
    fill(container, "resources", Map::new());
    each(container, "ports", |port| fill_zero(port, "protocol", "TCP"));
    each(container, "env", |env| {
        if let Some(field) = env.get_mut("valueFrom").and_then(|v| v.get_mut("fieldRef")) {
            fill_zero(field, "apiVersion", "v1");
        }
    });
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(probe).filter(|p| p.is_object()) {
            fill_zero(probe, "timeoutSeconds", 1);
            fill_zero(probe, "periodSeconds", 10);
            fill_zero(probe, "successThreshold", 1);
            fill_zero(probe, "failureThreshold", 3);
            default_handler(probe);
        }
    }
    if let Some(lifecycle) = container.get_mut("lifecycle") {
        for hook in ["postStart", "preStop"] {
            lifecycle.get_mut(hook).into_iter().for_each(default_handler);
        }
    }
}

fn default_handler(handler: &mut Value) {
    if let Some(get) = handler.get_mut("httpGet") {
        fill_zero(get, "path", "/");
        fill_zero(get, "scheme", "HTTP");
    }
    if let Some(grpc) = handler.get_mut("grpc") {
        fill(grpc, "service", "");
    }
}

/// Images that are pinned to a tag or digest need not be looked up again at every start.
fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image.split_once('@').map_or((image, false), |(name, _)| (name, true));
    let last = name.rsplit('/').next().unwrap_or(name);
    match last.split_once(':') {
        Some((_, "latest")) => "Always",
        None if !digest => "Always",
        _ => "IfNotPresent",
    }
}

fn default_volume(volume: &mut Value) {
    let bare = volume.as_object().is_some_and(|v| v.keys().all(|k| k == "name"));
    if bare {
        fill(volume, "emptyDir", Map::new());
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = volume.get_mut(source).filter(|s| s.is_object()) {
            fill(source, "defaultMode", 0o644);
        }
    }
    if let Some(host) = volume.get_mut("hostPath") {
        fill(host, "type", "");
    }
    if let Some(template) = volume.get_mut("ephemeral").and_then(|e| e.get_mut("volumeClaimTemplate"))
        && let Some(spec) = child(template, "spec")
    {
        claim_spec::default(spec);
    }
    if let Some(image) = volume.get_mut("image").filter(|i| i.is_object()) {
        let policy = pull_policy(text(&image["reference"]));
        fill_zero(image, "pullPolicy", policy);
    }
    if let Some(api) = volume.get_mut("downwardAPI") {
        each(api, "items", default_downward_file);
    }
    if let Some(projected) = volume.get_mut("projected") {
        each(projected, "sources", |source| {
            if let Some(token) = source.get_mut("serviceAccountToken") {
                fill(token, "expirationSeconds", json!(3600));
            }
            if let Some(api) = source.get_mut("downwardAPI") {
                each(api, "items", default_downward_file);
            }
        });
    }
}

fn default_downward_file(file: &mut Value) {
    if let Some(field) = file.get_mut("fieldRef") {
        fill_zero(field, "apiVersion", "v1");
    }
}

#[cfg(test)]
mod tests {
    use super::pull_policy;

    #[test]
    fn pull_policies() {
        for (image, want) in [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.27", "IfNotPresent"),
            ("localhost:5000/nginx", "Always"),
            ("localhost:5000/nginx:1", "IfNotPresent"),
            ("nginx@sha256:aa", "IfNotPresent"),
        ] {
            assert_eq!(pull_policy(image), want, "{image}");
        }
    }
}
