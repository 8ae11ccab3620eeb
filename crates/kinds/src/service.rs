//! Service: one address in front of many pods.

use super::meta;
use super::pod_spec::{ip, port_number};
use super::{Kind, PLAIN, STATUS};
use crate::Errors;
use object::json::{child, each, entries, fill, fill_zero, items, put, text};
use object::name::{self, Rule};
use object::path::Path;
use object::table::{AGE, Columns, NAME, age_of, name_of, or_none, text as column, wide};
use object::time::Timestamp;
use serde_json::{Value, json};

pub(super) static KIND: Kind = Kind {
    kind: "Service",
    list_kind: "ServiceList",
    plural: "services",
    singular: "service",
    short_names: &["svc"],
    categories: &["all"],
    subresources: &[STATUS],
    schema: "io.k8s.api.core.v1.Service",
    fields: &[
        ("spec.clusterIP", |o| text(&o["spec"]["clusterIP"]).into()),
        ("spec.type", |o| text(&o["spec"]["type"]).into()),
    ],
    columns: Columns {
        columns: &[
            NAME,
            column("Type"),
            column("Cluster-IP"),
            column("External-IP"),
            column("Port(s)"),
            AGE,
            wide("Selector"),
        ],
        row,
    },
    name_rule: Rule::Label,
    status: true,
    keeps_status: true,
    prepare,
    default,
    validate,
    ..PLAIN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let ports: Vec<String> = items(&spec["ports"])
        .iter()
        .map(|p| match p["nodePort"].as_i64().filter(|n| *n > 0) {
            Some(node) => format!("{}:{node}/{}", p["port"], text(&p["protocol"])),
            None => format!("{}/{}", p["port"], text(&p["protocol"])),
        })
        .collect();
    let selector: Vec<String> = entries(&spec["selector"]).map(|(k, v)| format!("{k}={}", text(v))).collect();
    let address = items(&spec["clusterIPs"]).first().unwrap_or(&spec["clusterIP"]);
    vec![
        name_of(object),
        spec["type"].clone(),
        or_none(text(address)),
        external(object).into(),
        or_none(ports.join(",")),
        age_of(object, now),
        or_none(selector.join(",")),
    ]
}

fn external(object: &Value) -> String {
    let spec = &object["spec"];
    let mut found: Vec<&str> = Vec::new();
    match text(&spec["type"]) {
        "ExternalName" => return text(&spec["externalName"]).to_owned(),
        "LoadBalancer" => {
            for ingress in items(&object["status"]["loadBalancer"]["ingress"]) {
                let ip = text(&ingress["ip"]);
                found.push(if ip.is_empty() { text(&ingress["hostname"]) } else { ip });
            }
        }
        _ => {}
    }
    found.extend(items(&spec["externalIPs"]).iter().map(text));
    match (found.is_empty(), spec["type"] == "LoadBalancer") {
        (true, true) => "<pending>".into(),
        (true, false) => "<none>".into(),
        _ => found.join(","),
    }
}

/// An update that leaves out what was allocated keeps it; what the new type cannot have goes.
fn prepare(new: &mut Value, old: Option<&Value>) {
    let Some(old) = old.map(|o| &o["spec"]) else { return };
    let Some(spec) = child(new, "spec") else { return };
    let kind = |s: &Value| match text(&s["type"]) {
        "" => "ClusterIP".to_owned(),
        other => other.to_owned(),
    };
    let (now, before) = (kind(spec), kind(old));
    if now != "ExternalName" && before != "ExternalName" && text(&spec["clusterIP"]).is_empty() {
        put(spec, "clusterIP", old.get("clusterIP").cloned());
        put(spec, "clusterIPs", old.get("clusterIPs").cloned());
    }
    if now == "ExternalName" && before != "ExternalName" {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            drop_if_kept(spec, old, field);
        }
    }
    let has_nodes = |t: &str| matches!(t, "NodePort" | "LoadBalancer");
    if !has_nodes(&now) {
        drop_if_kept(spec, old, "externalTrafficPolicy");
    }
    if now != "LoadBalancer" {
        drop_if_kept(spec, old, "allocateLoadBalancerNodePorts");
    }
    each(spec, "ports", |port| {
        let protocol = |p: &Value| p["protocol"].as_str().unwrap_or("TCP").to_owned();
        let same = |p: &&Value| p["port"] == port["port"] && protocol(p) == protocol(port);
        let Some(earlier) = items(&old["ports"]).iter().find(same).and_then(|p| p.get("nodePort")) else {
            return;
        };
        if has_nodes(&now) && has_nodes(&before) {
            fill_zero(port, "nodePort", earlier.clone());
        } else if has_nodes(&before) && port.get("nodePort") == Some(earlier) {
            put(port, "nodePort", None);
        }
    });
}

fn drop_if_kept(spec: &mut Value, old: &Value, field: &str) {
    if spec.get(field) == old.get(field) {
        put(spec, field, None);
    }
}

fn default(object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    fill_zero(spec, "type", "ClusterIP");
    fill_zero(spec, "sessionAffinity", "None");
    match text(&spec["sessionAffinity"]) {
        "None" => put(spec, "sessionAffinityConfig", None),
        // Three hours, as upstream.
        "ClientIP" if spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].is_null() => {
            spec["sessionAffinityConfig"] = json!({"clientIP": {"timeoutSeconds": 10800}});
        }
        _ => {}
    }
    each(spec, "ports", |port| {
        fill_zero(port, "protocol", "TCP");
        let number = port["port"].clone();
        fill_zero(port, "targetPort", number);
    });
    let kind = text(&spec["type"]).to_owned();
    if kind != "ExternalName" {
        fill(spec, "internalTrafficPolicy", "Cluster");
        fill(spec, "ipFamilies", vec!["IPv4"]);
        fill(spec, "ipFamilyPolicy", "SingleStack");
        let address = text(&spec["clusterIP"]).to_owned();
        if !address.is_empty() {
            fill(spec, "clusterIPs", vec![address]);
        }
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        fill_zero(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        fill(spec, "allocateLoadBalancerNodePorts", true);
    }
    if let Some(status) = child(object, "status") {
        child(status, "loadBalancer");
    }
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    let (spec, at) = (&new["spec"], Path::Root.field("spec"));
    let kind = text(&spec["type"]);
    let headless = spec["clusterIP"] == "None";
    if items(&spec["ports"]).is_empty() && !headless && kind != "ExternalName" {
        errors.required(&at.field("ports"), "");
    }
    let types = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    errors.one_of(&at.field("type"), &spec["type"], &types);
    errors.one_of(&at.field("sessionAffinity"), &spec["sessionAffinity"], &["ClientIP", "None"]);
    match kind {
        "NodePort" | "LoadBalancer" if headless => {
            let why = format!("may not be set to 'None' for {kind} services");
            errors.invalid_text(&at.field("clusterIPs").index(0), "None", &why);
        }
        "ExternalName" => external_name(spec, &at, errors),
        _ => {}
    }
    for field in ["internalTrafficPolicy", "externalTrafficPolicy"] {
        errors.one_of(&at.field(field), &spec[field], &["Cluster", "Local"]);
    }
    meta::labels(&spec["selector"], &at.field("selector"), errors);
    ports(spec, &at.field("ports"), errors);
    for (i, address) in items(&spec["externalIPs"]).iter().enumerate() {
        ip(text(address), &at.field("externalIPs").index(i), errors);
    }
    let address = text(&spec["clusterIP"]);
    if !matches!(address, "" | "None") {
        ip(address, &at.field("clusterIPs").index(0), errors);
    }
    if let Some(first) = items(&spec["clusterIPs"]).first().filter(|f| text(f) != address) {
        errors.invalid(&at.field("clusterIP"), &spec["clusterIP"], "must be the same as clusterIPs[0]");
        let _ = first;
    }
    if let Some(old) = old {
        kept_address(spec, &old["spec"], &at, errors);
    }
}

fn external_name(spec: &Value, at: &Path<'_>, errors: &mut Errors) {
    if !items(&spec["clusterIPs"]).is_empty() || !text(&spec["clusterIP"]).is_empty() {
        errors.forbidden(&at.field("clusterIPs"), "may not be set for ExternalName services");
    }
    match text(&spec["externalName"]).trim_end_matches('.') {
        "" => errors.required(&at.field("externalName"), ""),
        host => errors.check(&at.field("externalName"), host, name::check_subdomain),
    }
}

/// The address of a service does not change while it has one.
fn kept_address(spec: &Value, old: &Value, at: &Path<'_>, errors: &mut Errors) {
    let (now, before) = (text(&spec["clusterIP"]), text(&old["clusterIP"]));
    if before.is_empty() || old["type"] == "ExternalName" || spec["type"] == "ExternalName" || now == before {
        return;
    }
    errors.invalid(&at.field("clusterIPs").index(0), &json!([now]), "may not change once set");
}

fn ports(spec: &Value, at: &Path<'_>, errors: &mut Errors) {
    let list = items(&spec["ports"]);
    for (i, port) in list.iter().enumerate() {
        let (here, earlier) = (at.index(i), &list[..i]);
        let name = text(&port["name"]);
        if name.is_empty() && list.len() > 1 {
            errors.required(&here.field("name"), "");
        } else if !name.is_empty() {
            errors.check(&here.field("name"), name, name::check_label);
            if earlier.iter().any(|p| p["name"] == name) {
                errors.duplicate(&here.field("name"), &port["name"]);
            }
        }
        port_number(&port["port"], &here.field("port"), errors);
        errors.one_of(&here.field("protocol"), &port["protocol"], &["SCTP", "TCP", "UDP"]);
        match &port["targetPort"] {
            Value::String(name) => errors.check(&here.field("targetPort"), name, name::check_port_name),
            number => port_number(number, &here.field("targetPort"), errors),
        }
        let node = port["nodePort"].as_i64().unwrap_or(0);
        if node != 0 && spec["type"] == "ClusterIP" {
            errors.forbidden(&here.field("nodePort"), "may not be used when `type` is 'ClusterIP'");
        }
        let same = |field: &str| {
            earlier.iter().any(|p| p["protocol"] == port["protocol"] && p[field] == port[field])
        };
        if node != 0 && same("nodePort") {
            errors.duplicate(&here.field("nodePort"), &port["nodePort"]);
        }
        if same("port") {
            errors.duplicate(&here, &json!({"protocol": port["protocol"], "port": port["port"]}));
        }
    }
}
