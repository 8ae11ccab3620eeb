//! Pod: containers that live and die together.

use super::pod_spec;
use super::{Generation, Kind, PLAIN, STATUS, Subresource};
use crate::Errors;
use object::json::{child, each, items, put, text};
use object::path::Path;
use object::quantity::Quantity;
use object::table::{AGE, Columns, NAME, text as column, wide};
use serde_json::{Value, json};

mod printed;

use printed::row;

const fn named(name: &'static str, kind: &'static str, verbs: &'static [&'static str]) -> Subresource {
    Subresource { name, group_version: ("", ""), kind, verbs }
}

pub(super) static KIND: Kind = Kind {
    kind: "Pod",
    list_kind: "PodList",
    plural: "pods",
    singular: "pod",
    short_names: &["po"],
    categories: &["all"],
    subresources: &[
        named("attach", "PodAttachOptions", &["create", "get"]),
        named("binding", "Binding", &["create"]),
        Subresource {
            name: "eviction",
            group_version: ("policy", "v1"),
            kind: "Eviction",
            verbs: &["create"],
        },
        named("exec", "PodExecOptions", &["create", "get"]),
        named("log", "Pod", &["get"]),
        named("portforward", "PodPortForwardOptions", &["create", "get"]),
        STATUS,
    ],
    schema: "io.k8s.api.core.v1.Pod",
    fields: &[
        ("spec.nodeName", |o| text(&o["spec"]["nodeName"]).into()),
        ("spec.restartPolicy", |o| text(&o["spec"]["restartPolicy"]).into()),
        ("spec.schedulerName", |o| text(&o["spec"]["schedulerName"]).into()),
        ("spec.serviceAccountName", |o| text(&o["spec"]["serviceAccountName"]).into()),
        (
            "spec.hostNetwork",
            |o| if o["spec"]["hostNetwork"] == true { "true".into() } else { "false".into() },
        ),
        ("status.phase", |o| text(&o["status"]["phase"]).into()),
        ("status.podIP", |o| text(&o["status"]["podIP"]).into()),
        ("status.nominatedNodeName", |o| text(&o["status"]["nominatedNodeName"]).into()),
    ],
    columns: Columns {
        columns: &[
            NAME,
            column("Ready"),
            column("Status"),
            column("Restarts"),
            AGE,
            wide("IP"),
            wide("Node"),
            wide("Nominated Node"),
            wide("Readiness Gates"),
        ],
        row,
    },
    generation: Generation::Spec,
    status: true,
    keeps_status: true,
    prepare,
    default,
    validate,
    ..PLAIN
};

/// A new pod is pending, in the quality class that its resources say.
fn prepare(new: &mut Value, old: Option<&Value>) {
    if old.is_none() {
        let mut defaulted = new["spec"].clone();
        pod_spec::default_pod_only(&mut defaulted);
        put(new, "status", Some(json!({"phase": "Pending", "qosClass": qos_class(&defaulted)})));
    }
}

/// Guaranteed: cpu and memory limited and all of it requested, in every container; BestEffort: nothing said at all.
fn qos_class(spec: &Value) -> &'static str {
    let mut any = false;
    let mut guaranteed = true;
    for container in items(&spec["containers"]).iter().chain(items(&spec["initContainers"])) {
        let resources = &container["resources"];
        for name in ["cpu", "memory"] {
            let amount = |list: &str| {
                Quantity::parse(text(&resources[list][name])).ok().filter(|q| *q > Quantity::default())
            };
            let (request, limit) = (amount("requests"), amount("limits"));
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && request == limit;
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

fn default(object: &mut Value) {
    if let Some(spec) = child(object, "spec") {
        pod_spec::default(spec);
        pod_spec::default_pod_only(spec);
    }
    let Some(status) = object.get_mut("status") else { return };
    let (one, first) = (text(&status["podIP"]).to_owned(), text(&status["podIPs"][0]["ip"]).to_owned());
    if !one.is_empty() && one != first {
        status["podIPs"] = json!([{"ip": one}]);
    } else if one.is_empty() && !first.is_empty() {
        status["podIP"] = first.into();
    }
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    let at = Path::Root.field("spec");
    match old {
        None => {
            pod_spec::validate(&new["spec"], &at, errors);
            if !items(&new["spec"]["ephemeralContainers"]).is_empty() {
                let why = "cannot be set on create";
                errors.forbidden(&at.field("ephemeralContainers"), why);
            }
        }
        Some(old) if new["spec"] != old["spec"] => {
            pod_spec::validate(&new["spec"], &at, errors);
            validate_change(&new["spec"], &old["spec"], &at, errors);
        }
        Some(_) => {}
    }
}

const CHANGEABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
    `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
    tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// A pod is what it was made; only a few fields may change later.
fn validate_change(new: &Value, old: &Value, at: &Path<'_>, errors: &mut Errors) {
    for list in ["containers", "initContainers"] {
        let (now, before) = (items(&new[list]).len(), items(&old[list]).len());
        if now != before {
            errors.forbidden(&at.field(list), "pod updates may not add or remove containers");
            return;
        }
    }
    deadline(new, old, at, errors);
    let kept =
        items(&old["tolerations"]).iter().all(|t| items(&new["tolerations"]).iter().any(|n| extends(n, t)));
    if !kept {
        let why = "existing toleration can not be modified except its tolerationSeconds";
        errors.forbidden(&at.field("tolerations"), why);
    }
    let known = items(&old["schedulingGates"]);
    for (i, gate) in items(&new["schedulingGates"]).iter().enumerate().filter(|(_, g)| !known.contains(g)) {
        let list = at.field("schedulingGates");
        let why =
            format!("only deletion is allowed, but found new scheduling gate '{}'", text(&gate["name"]));
        errors.forbidden(&list.index(i).field("name"), &why);
    }
    if fixed_part(new) != fixed_part(old) {
        errors.forbidden(at, CHANGEABLE);
    }
}

fn extends(new: &Value, old: &Value) -> bool {
    let but_seconds = |v: &Value| {
        let mut v = v.clone();
        put(&mut v, "tolerationSeconds", None);
        v
    };
    but_seconds(new) == but_seconds(old)
}

fn deadline(new: &Value, old: &Value, at: &Path<'_>, errors: &mut Errors) {
    let here = at.field("activeDeadlineSeconds");
    match (new["activeDeadlineSeconds"].as_i64(), old["activeDeadlineSeconds"].as_i64()) {
        (Some(now), Some(before)) if now > before => {
            errors.invalid(&here, &now.into(), "must be less than or equal to previous value");
        }
        (None, Some(_)) => {
            errors.invalid(&here, &Value::Null, "must not update from a positive integer to nil value");
        }
        _ => {}
    }
}

/// The pod spec without what may change.
fn fixed_part(spec: &Value) -> Value {
    let mut fixed = spec.clone();
    for field in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        put(&mut fixed, field, None);
    }
    for list in ["containers", "initContainers"] {
        each(&mut fixed, list, |c| put(c, "image", None));
    }
    fixed
}
