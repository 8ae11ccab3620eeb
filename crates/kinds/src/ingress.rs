//! Ingress: which HTTP requests go to which Service.

use super::pod_spec::port_number;
use super::{Generation, Kind, PLAIN, STATUS};
use crate::Errors;
use object::json::{entries, items, text};
use object::name;
use object::path::Path;
use object::table::{AGE, Columns, NAME, age_of, name_of, text as column};
use object::time::Timestamp;
use serde_json::Value;

pub(super) static KIND: Kind = Kind {
    group: "networking.k8s.io",
    api_version: "networking.k8s.io/v1",
    kind: "Ingress",
    list_kind: "IngressList",
    plural: "ingresses",
    singular: "ingress",
    short_names: &["ing"],
    subresources: &[STATUS],
    schema: "io.k8s.api.networking.v1.Ingress",
    columns: Columns {
        columns: &[NAME, column("Class"), column("Hosts"), column("Address"), column("Ports"), AGE],
        row,
    },
    generation: Generation::Spec,
    status: true,
    keeps_status: true,
    validate,
    ..PLAIN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let class = spec["ingressClassName"].as_str().unwrap_or("<none>");
    let mut addresses: Vec<&str> = items(&object["status"]["loadBalancer"]["ingress"])
        .iter()
        .map(|i| if text(&i["ip"]).is_empty() { text(&i["hostname"]) } else { text(&i["ip"]) })
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    let ports = if items(&spec["tls"]).is_empty() { "80" } else { "80, 443" };
    vec![
        name_of(object),
        class.into(),
        hosts(items(&spec["rules"])).into(),
        addresses.join(",").into(),
        ports.into(),
        age_of(object, now),
    ]
}

fn hosts(rules: &[Value]) -> String {
    let all: Vec<&str> = rules.iter().map(|r| text(&r["host"])).filter(|h| !h.is_empty()).collect();
    match all.len() {
        0 => "*".into(),
        1..=3 => all.join(","),
        _ => format!("{} + {} more...", all[..3].join(","), rules.len() - 3),
    }
}

fn validate(new: &Value, _: Option<&Value>, errors: &mut Errors) {
    let (spec, at) = (&new["spec"], Path::Root.field("spec"));
    let rules = items(&spec["rules"]);
    if rules.is_empty() && spec["defaultBackend"].is_null() {
        errors.invalid_parts(&at, "{}", "either `defaultBackend` or `rules` must be specified");
    }
    if !spec["defaultBackend"].is_null() {
        backend(&spec["defaultBackend"], &at.field("defaultBackend"), errors);
    }
    for (i, rule) in rules.iter().enumerate() {
        let list = at.field("rules");
        let here = list.index(i);
        host(text(&rule["host"]), &here.field("host"), errors);
        if !rule["http"].is_null() {
            paths(&rule["http"]["paths"], &here.field("http").field("paths"), errors);
        }
    }
    for (i, tls) in items(&spec["tls"]).iter().enumerate() {
        for (j, name) in items(&tls["hosts"]).iter().enumerate() {
            let list = at.field("tls");
            host(text(name), &list.index(i).field("hosts").index(j), errors);
        }
    }
    if let Some(class) = spec["ingressClassName"].as_str() {
        errors.check(&at.field("ingressClassName"), class, name::check_subdomain);
    }
}

fn host(host: &str, at: &Path<'_>, errors: &mut Errors) {
    if host.parse::<std::net::IpAddr>().is_ok() {
        errors.invalid_text(at, host, "must be a DNS name, not an IP address");
    } else if host.contains('*') {
        errors.check(at, host, name::check_wildcard_subdomain);
    } else if !host.is_empty() {
        errors.check(at, host, name::check_subdomain);
    }
}

fn paths(paths: &Value, at: &Path<'_>, errors: &mut Errors) {
    if items(paths).is_empty() {
        errors.required(at, "");
    }
    for (i, path) in items(paths).iter().enumerate() {
        let here = at.index(i);
        let types = ["Exact", "ImplementationSpecific", "Prefix"];
        match path["pathType"].as_str() {
            None => errors.required(&here.field("pathType"), "pathType must be specified"),
            Some("Exact" | "Prefix") => absolute(text(&path["path"]), &here.field("path"), errors),
            Some("ImplementationSpecific") => {
                let found = text(&path["path"]);
                if !found.is_empty() && !found.starts_with('/') {
                    errors.invalid_text(&here.field("path"), found, "must be an absolute path");
                }
            }
            Some(other) => errors.unsupported(&here.field("pathType"), other, &types),
        }
        backend(&path["backend"], &here.field("backend"), errors);
    }
}

fn absolute(path: &str, at: &Path<'_>, errors: &mut Errors) {
    if !path.starts_with('/') {
        errors.invalid_text(at, path, "must be an absolute path");
    }
    let lower = path.to_ascii_lowercase();
    for part in ["//", "/./", "/../", "%2f"] {
        if lower.contains(part) {
            errors.invalid_text(at, path, &format!("must not contain '{part}'"));
        }
    }
    for end in ["/..", "/."] {
        if path.ends_with(end) {
            errors.invalid_text(at, path, &format!("cannot end with '{end}'"));
        }
    }
}

fn backend(backend: &Value, at: &Path<'_>, errors: &mut Errors) {
    let service = &backend["service"];
    match (service.is_null(), backend["resource"].is_null()) {
        (false, false) => errors.invalid_parts(at, "", "cannot set both resource and service backends"),
        (true, true) => errors.required(at, "must specify either resource or service backend"),
        (true, false) => {}
        (false, true) => {
            let here = at.field("service");
            match text(&service["name"]) {
                "" => errors.required(&here.field("name"), ""),
                name => errors.check(&here.field("name"), name, name::check_label),
            }
            let port = here.field("port");
            match (text(&service["port"]["name"]), service["port"]["number"].as_i64().unwrap_or(0)) {
                ("", 0) => errors.required(&port, "port name or number is required"),
                ("", _) => port_number(&service["port"]["number"], &port.field("number"), errors),
                (name, 0) => errors.check(&port.field("name"), name, name::check_port_name),
                _ => errors.invalid_parts(
                    &port,
                    &service["port"].to_string(),
                    "cannot set both port name & port number",
                ),
            }
        }
    }
    if entries(backend).count() == 0 && backend.is_null() {
        errors.required(at, "");
    }
}
