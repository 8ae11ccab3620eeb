//! Rules of the pod spec as a whole.

use super::{container, place, volume};
use crate::Errors;
use crate::meta;
use object::json::{entries, is_empty, items, text};
use object::name;
use object::path::Path;
use serde_json::Value;

/// The template of a Deployment or ReplicaSet; what must be `Always` there is said by the callers.
pub(crate) fn validate_template(template: &Value, at: &Path<'_>, errors: &mut Errors) {
    let metadata = at.field("metadata");
    meta::labels(&template["metadata"]["labels"], &metadata.field("labels"), errors);
    meta::annotations(&template["metadata"]["annotations"], &metadata.field("annotations"), errors);
    validate(&template["spec"], &at.field("spec"), errors);
}

/// A pod spec.
pub(crate) fn validate(spec: &Value, at: &Path<'_>, errors: &mut Errors) {
    let volumes = volume::validate_all(&spec["volumes"], &at.field("volumes"), errors);
    container::validate_all(spec, &volumes, at, errors);
    errors.one_of(&at.field("restartPolicy"), &spec["restartPolicy"], &["Always", "OnFailure", "Never"]);
    let dns = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
    errors.one_of(&at.field("dnsPolicy"), &spec["dnsPolicy"], &dns);
    dns_config(spec, &at.field("dnsConfig"), errors);
    errors.non_negative(&at.field("terminationGracePeriodSeconds"), &spec["terminationGracePeriodSeconds"]);
    if let Some(n) = spec["activeDeadlineSeconds"].as_i64().filter(|n| !(1..=i64::from(i32::MAX)).contains(n))
    {
        let why = "must be between 1 and 2147483647, inclusive";
        errors.invalid(&at.field("activeDeadlineSeconds"), &n.into(), why);
    }
    for (field, rule) in [
        ("serviceAccountName", name::check_subdomain as fn(&str) -> Result<(), String>),
        ("nodeName", name::check_subdomain),
        ("priorityClassName", name::check_subdomain),
        ("runtimeClassName", name::check_subdomain),
        ("hostname", name::check_label),
        ("subdomain", name::check_label),
    ] {
        let value = text(&spec[field]);
        if !value.is_empty() {
            errors.check(&at.field(field), value, rule);
        }
    }
    meta::labels(&spec["nodeSelector"], &at.field("nodeSelector"), errors);
    security(spec, at, errors);
    pull_secrets(&spec["imagePullSecrets"], &at.field("imagePullSecrets"), errors);
    host_aliases(&spec["hostAliases"], &at.field("hostAliases"), errors);
    place::affinity(&spec["affinity"], &at.field("affinity"), errors);
    place::tolerations(&spec["tolerations"], &at.field("tolerations"), errors);
    let spread = at.field("topologySpreadConstraints");
    place::spread(&spec["topologySpreadConstraints"], &spread, errors);
    gates(&spec["schedulingGates"], &at.field("schedulingGates"), errors);
}

fn dns_config(spec: &Value, at: &Path<'_>, errors: &mut Errors) {
    let servers = items(&spec["dnsConfig"]["nameservers"]);
    if text(&spec["dnsPolicy"]) == "None" {
        if spec["dnsConfig"].is_null() {
            errors.required(at, "must provide `dnsConfig` when `dnsPolicy` is None");
        } else if servers.is_empty() {
            let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            errors.required(&at.field("nameservers"), why);
        }
    }
    if servers.len() > 3 {
        let list = &spec["dnsConfig"]["nameservers"];
        errors.invalid(&at.field("nameservers"), list, "must not have more than 3 nameservers");
    }
    for (i, server) in servers.iter().enumerate() {
        ip(text(server), &at.field("nameservers").index(i), errors);
    }
    if items(&spec["dnsConfig"]["searches"]).len() > 32 {
        let list = &spec["dnsConfig"]["searches"];
        errors.invalid(&at.field("searches"), list, "must not have more than 32 search paths");
    }
}

/// An IP address.
pub(crate) fn ip(value: &str, at: &Path<'_>, errors: &mut Errors) {
    if value.parse::<std::net::IpAddr>().is_err() {
        errors.invalid_text(at, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    }
}

fn security(spec: &Value, at: &Path<'_>, errors: &mut Errors) {
    let context = &spec["securityContext"];
    let here = at.field("securityContext");
    for field in ["runAsUser", "runAsGroup", "fsGroup"] {
        user_id(&context[field], &here.field(field), errors);
    }
    for (i, group) in items(&context["supplementalGroups"]).iter().enumerate() {
        user_id(group, &here.field("supplementalGroups").index(i), errors);
    }
    errors.one_of(
        &here.field("fsGroupChangePolicy"),
        &context["fsGroupChangePolicy"],
        &["Always", "OnRootMismatch"],
    );
    seccomp(&context["seccompProfile"], &here.field("seccompProfile"), errors);
    if spec["shareProcessNamespace"] == true && spec["hostPID"] == true {
        errors.invalid(
            &at.field("shareProcessNamespace"),
            &true.into(),
            "ShareProcessNamespace and HostPID cannot both be enabled",
        );
    }
}

/// A uid or gid.
pub(super) fn user_id(value: &Value, at: &Path<'_>, errors: &mut Errors) {
    if value.as_i64().is_some_and(|n| !(0..=i64::from(i32::MAX)).contains(&n)) {
        errors.invalid(at, value, "must be between 0 and 2147483647, inclusive");
    }
}

/// A seccomp profile.
pub(super) fn seccomp(profile: &Value, at: &Path<'_>, errors: &mut Errors) {
    if profile.is_null() {
        return;
    }
    errors.one_of(&at.field("type"), &profile["type"], &["Localhost", "RuntimeDefault", "Unconfined"]);
    let file = text(&profile["localhostProfile"]);
    match text(&profile["type"]) {
        "" => errors.required(&at.field("type"), ""),
        "Localhost" if file.is_empty() => {
            errors.required(&at.field("localhostProfile"), "must be set when seccomp type is Localhost");
        }
        "Localhost" => {}
        _ if !file.is_empty() => {
            let why = "may only be set when seccomp type is Localhost";
            errors.invalid_text(&at.field("localhostProfile"), file, why);
        }
        _ => {}
    }
}

fn pull_secrets(secrets: &Value, at: &Path<'_>, errors: &mut Errors) {
    for (i, secret) in items(secrets).iter().enumerate() {
        if entries(secret).any(|(key, _)| key != "name") || is_empty(secret) {
            errors.invalid(&at.index(i), secret, "only name may be set");
        }
    }
}

fn host_aliases(aliases: &Value, at: &Path<'_>, errors: &mut Errors) {
    for (i, alias) in items(aliases).iter().enumerate() {
        let here = at.index(i);
        ip(text(&alias["ip"]), &here.field("ip"), errors);
        for (j, host) in items(&alias["hostnames"]).iter().enumerate() {
            errors.check(&here.field("hostnames").index(j), text(host), name::check_subdomain);
        }
    }
}

fn gates(gates: &Value, at: &Path<'_>, errors: &mut Errors) {
    let list = items(gates);
    for (i, gate) in list.iter().enumerate() {
        let name = text(&gate["name"]);
        errors.check(&at.index(i).field("name"), name, name::check_qualified);
        if list[..i].iter().any(|g| g["name"] == gate["name"]) {
            errors.duplicate(&at.index(i), &gate["name"]);
        }
    }
}
