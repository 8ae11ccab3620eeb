//! Rules of containers: names, images, ports, environment, mounts, resources, security.

use super::{probe, validate, volume};
use crate::Errors;
use object::json::{entries, is_empty, items, text};
use object::name;
use object::path::Path;
use object::quantity::Quantity;
use serde_json::Value;
use std::collections::HashSet;

/// Checks the containers and init containers of a pod spec.
pub(super) fn validate_all(spec: &Value, volumes: &[&str], at: &Path<'_>, errors: &mut Errors) {
    if is_empty(&spec["containers"]) {
        errors.required(&at.field("containers"), "");
    }
    let mut names: Vec<&str> = Vec::new();
    for list in ["containers", "initContainers"] {
        let place = at.field(list);
        for (i, container) in items(&spec[list]).iter().enumerate() {
            let here = place.index(i);
            validate_one(container, volumes, &here, errors);
            let name = text(&container["name"]);
            if names.contains(&name) && !name.is_empty() {
                errors.duplicate(&here.field("name"), &container["name"]);
            }
            names.push(name);
            if list == "containers" {
                host_ports(container, &items(&spec[list])[..i], &here, errors);
            } else {
                init_only(container, &here, errors);
            }
        }
    }
}

fn validate_one(container: &Value, volumes: &[&str], at: &Path<'_>, errors: &mut Errors) {
    let name = text(&container["name"]);
    if name.is_empty() {
        errors.required(&at.field("name"), "");
    } else {
        errors.check(&at.field("name"), name, name::check_label);
    }
    let image = text(&container["image"]);
    if image.is_empty() {
        errors.required(&at.field("image"), "");
    } else if image.trim() != image {
        errors.invalid_text(&at.field("image"), image, "must not have leading or trailing whitespace");
    }
    let policies = ["Always", "IfNotPresent", "Never"];
    errors.one_of(&at.field("imagePullPolicy"), &container["imagePullPolicy"], &policies);
    errors.one_of(
        &at.field("terminationMessagePolicy"),
        &container["terminationMessagePolicy"],
        &["FallbackToLogsOnError", "File"],
    );
    ports(&container["ports"], &at.field("ports"), errors);
    environment(container, at, errors);
    mounts(&container["volumeMounts"], volumes, &at.field("volumeMounts"), errors);
    probe::validate(container, at, errors);
    resources(&container["resources"], &at.field("resources"), errors);
    security(&container["securityContext"], &at.field("securityContext"), errors);
}

/// A container without restartPolicy Always runs to its end before the pod is up: nothing probes it.
fn init_only(container: &Value, at: &Path<'_>, errors: &mut Errors) {
    if container["restartPolicy"] == "Always" {
        return;
    }
    for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
        if !container[field].is_null() {
            let why = "may not be set for init containers without restartPolicy=Always";
            errors.forbidden(&at.field(field), why);
        }
    }
}

fn ports(ports: &Value, at: &Path<'_>, errors: &mut Errors) {
    let mut names: Vec<&str> = Vec::new();
    for (i, port) in items(ports).iter().enumerate() {
        let here = at.index(i);
        let name = text(&port["name"]);
        if !name.is_empty() {
            errors.check(&here.field("name"), name, name::check_port_name);
            if names.contains(&name) {
                errors.duplicate(&here.field("name"), &port["name"]);
            }
            names.push(name);
        }
        match &port["containerPort"] {
            Value::Null => errors.required(&here.field("containerPort"), ""),
            n if n.as_i64() == Some(0) => errors.required(&here.field("containerPort"), ""),
            n if !probe::is_port(n) => {
                errors.invalid(&here.field("containerPort"), n, probe::PORT_RANGE);
            }
            _ => {}
        }
        let host = &port["hostPort"];
        if host.as_i64().is_some_and(|n| n != 0) && !probe::is_port(host) {
            errors.invalid(&here.field("hostPort"), host, probe::PORT_RANGE);
        }
        errors.one_of(&here.field("protocol"), &port["protocol"], &["SCTP", "TCP", "UDP"]);
    }
}

/// Two containers cannot have one port of the host.
fn host_ports(container: &Value, earlier: &[Value], at: &Path<'_>, errors: &mut Errors) {
    let key = |p: &Value| {
        let port = p["hostPort"].as_i64().filter(|n| *n != 0)?;
        Some((text(&p["protocol"]).to_owned(), text(&p["hostIP"]).to_owned(), port))
    };
    let mut seen: Vec<_> = earlier.iter().flat_map(|c| items(&c["ports"]).iter().filter_map(key)).collect();
    let list = at.field("ports");
    for (i, port) in items(&container["ports"]).iter().enumerate() {
        let Some(key) = key(port) else { continue };
        if seen.contains(&key) {
            let found = format!("{}/{}/{}", key.0, key.1, key.2);
            errors.duplicate(&list.index(i).field("hostPort"), &found.into());
        }
        seen.push(key);
    }
}

fn environment(container: &Value, at: &Path<'_>, errors: &mut Errors) {
    let list = at.field("env");
    let mut earlier = HashSet::new();
    for (i, env) in items(&container["env"]).iter().enumerate() {
        let here = list.index(i);
        let name = text(&env["name"]);
        if name.is_empty() {
            errors.required(&here.field("name"), "");
        } else {
            errors.check(&here.field("name"), name, name::check_env_name);
        }
        if !earlier.insert(name) {
            let why = format!("hides previous definition of {name:?}, which may be dropped when using apply");
            errors.warn(&here, &why);
        }
        if !env["valueFrom"].is_null() {
            value_from(env, &here.field("valueFrom"), errors);
        }
    }
    let list = at.field("envFrom");
    for (i, source) in items(&container["envFrom"]).iter().enumerate() {
        let here = list.index(i);
        match (source["configMapRef"].is_null(), source["secretRef"].is_null()) {
            (true, true) => {
                errors.invalid_text(&list, "", "must specify one of: `configMapRef` or `secretRef`");
            }
            (false, false) => {
                errors.invalid_text(&list, "", "may not have more than one field specified at a time");
            }
            _ => {}
        }
        for kind in ["configMapRef", "secretRef"] {
            if !source[kind].is_null() && text(&source[kind]["name"]).is_empty() {
                errors.required(&here.field(kind).field("name"), "");
            }
        }
    }
}

fn value_from(env: &Value, at: &Path<'_>, errors: &mut Errors) {
    let sources: Vec<(&str, &Value)> = entries(&env["valueFrom"]).collect();
    if sources.is_empty() {
        let why = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
        errors.invalid_text(at, "", why);
    } else if !text(&env["value"]).is_empty() {
        errors.invalid_text(at, "", "may not be specified when `value` is not empty");
    } else if sources.len() > 1 {
        errors.invalid_text(at, "", "may not have more than one field specified at a time");
    }
    for (kind, source) in sources {
        let here = at.field(kind);
        match kind {
            "configMapKeyRef" | "secretKeyRef" => {
                let key = text(&source["key"]);
                if text(&source["name"]).is_empty() {
                    errors.required(&here.field("name"), "");
                }
                if key.is_empty() {
                    errors.required(&here.field("key"), "");
                } else {
                    errors.check(&here.field("key"), key, name::check_config_key);
                }
            }
            "fieldRef" => field_ref(source, &here, errors),
            "resourceFieldRef" if text(&source["resource"]).is_empty() => {
                errors.required(&here.field("resource"), "");
            }
            _ => {}
        }
    }
}

/// What the downward API can tell an environment variable.
const FIELD_PATHS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

fn field_ref(source: &Value, at: &Path<'_>, errors: &mut Errors) {
    let path = text(&source["fieldPath"]);
    let subscript = path.strip_suffix("']").and_then(|p| p.split_once("['")).map(|(field, _)| field);
    if path.is_empty() {
        errors.required(&at.field("fieldPath"), "");
    } else if !FIELD_PATHS.contains(&path)
        && !matches!(subscript, Some("metadata.labels" | "metadata.annotations"))
    {
        errors.unsupported(&at.field("fieldPath"), path, &FIELD_PATHS);
    }
}

fn mounts(mounts: &Value, volumes: &[&str], at: &Path<'_>, errors: &mut Errors) {
    let list = items(mounts);
    for (i, mount) in list.iter().enumerate() {
        let here = at.index(i);
        let (name, path) = (text(&mount["name"]), text(&mount["mountPath"]));
        if name.is_empty() {
            errors.required(&here.field("name"), "");
        } else if !volumes.contains(&name) {
            errors.not_found(&here.field("name"), name);
        }
        if path.is_empty() {
            errors.required(&here.field("mountPath"), "");
        } else if list[..i].iter().any(|m| text(&m["mountPath"]) == path) {
            errors.invalid_text(&here.field("mountPath"), path, "must be unique");
        }
        for field in ["subPath", "subPathExpr"] {
            let inner = text(&mount[field]);
            if !inner.is_empty() {
                volume::descending(inner, &here.field(field), errors);
            }
        }
        if !text(&mount["subPath"]).is_empty() && !text(&mount["subPathExpr"]).is_empty() {
            let why = "subPathExpr and subPath are mutually exclusive";
            errors.invalid_text(&here.field("subPathExpr"), text(&mount["subPathExpr"]), why);
        }
        let modes = ["Bidirectional", "HostToContainer", "None"];
        errors.one_of(&here.field("mountPropagation"), &mount["mountPropagation"], &modes);
    }
}

fn resources(resources: &Value, at: &Path<'_>, errors: &mut Errors) {
    for list in ["limits", "requests"] {
        let place = at.field(list);
        for (name, amount) in entries(&resources[list]) {
            let here = place.key(name);
            resource_name(name, &here, errors);
            match Quantity::parse(text(amount)) {
                Ok(q) if q.is_negative() => {
                    errors.invalid(&here, amount, "must be greater than or equal to 0");
                }
                Ok(q) if !q.is_whole() && name.contains('/') => {
                    errors.invalid(&here, amount, "must be an integer");
                }
                Ok(_) => {}
                Err(why) => errors.invalid(&here, amount, &why.to_string()),
            }
        }
    }
    for (name, request) in entries(&resources["requests"]) {
        let limit = &resources["limits"][name];
        let (Ok(asked), Ok(most)) = (Quantity::parse(text(request)), Quantity::parse(text(limit))) else {
            continue;
        };
        if asked > most {
            let why = format!("must be less than or equal to {name} limit of {most}");
            errors.invalid(&at.field("requests"), request, &why);
        }
    }
}

/// What a container may ask for or use.
pub(crate) fn resource_name(name: &str, at: &Path<'_>, errors: &mut Errors) {
    if let Err(why) = name::check_qualified(name) {
        errors.invalid_text(at, name, &why);
    } else if !name.contains('/')
        && !matches!(name, "cpu" | "memory" | "ephemeral-storage")
        && !name.starts_with("hugepages-")
    {
        errors.invalid_text(at, name, "must be a standard resource for containers");
    }
}

fn security(context: &Value, at: &Path<'_>, errors: &mut Errors) {
    for field in ["runAsUser", "runAsGroup"] {
        validate::user_id(&context[field], &at.field(field), errors);
    }
    validate::seccomp(&context["seccompProfile"], &at.field("seccompProfile"), errors);
    if context["allowPrivilegeEscalation"] == false && context["privileged"] == true {
        let why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        errors.invalid(at, context, why);
    }
}
