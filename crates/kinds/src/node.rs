//! Node: a machine that runs pods.

use super::pod_spec::taints;
use super::{Kind, PLAIN, STATUS};
use crate::Errors;
use object::json::{entries, fill, items, text};
use object::path::Path;
use object::table::{AGE, Columns, NAME, age_of, name_of, text as column, wide};
use object::time::Timestamp;
use serde_json::Value;

pub(super) static KIND: Kind = Kind {
    kind: "Node",
    list_kind: "NodeList",
    plural: "nodes",
    singular: "node",
    short_names: &["no"],
    namespaced: false,
    subresources: &[STATUS],
    schema: "io.k8s.api.core.v1.Node",
    fields: &[("spec.unschedulable", |o| {
        if o["spec"]["unschedulable"] == true { "true".into() } else { "false".into() }
    })],
    columns: Columns {
        columns: &[
            NAME,
            column("Status"),
            column("Roles"),
            AGE,
            column("Version"),
            wide("Internal-IP"),
            wide("External-IP"),
            wide("OS-Image"),
            wide("Kernel-Version"),
            wide("Container-Runtime"),
        ],
        row,
    },
    keeps_status: true,
    default,
    validate,
    ..PLAIN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let info = &object["status"]["nodeInfo"];
    let known = |field: &str| match text(&info[field]) {
        "" => "<unknown>".to_owned(),
        found => found.to_owned(),
    };
    let mut kernel = known("kernelVersion");
    if !text(&info["architecture"]).is_empty() {
        kernel = format!("{kernel} ({})", text(&info["architecture"]));
    }
    vec![
        name_of(object),
        status(object).into(),
        roles(object).into(),
        age_of(object, now),
        text(&info["kubeletVersion"]).into(),
        address(object, "InternalIP"),
        address(object, "ExternalIP"),
        known("osImage").into(),
        kernel.into(),
        known("containerRuntimeVersion").into(),
    ]
}

fn status(object: &Value) -> String {
    let ready = items(&object["status"]["conditions"]).iter().find(|c| c["type"] == "Ready");
    let word = ready.map_or("Unknown", |c| if c["status"] == "True" { "Ready" } else { "NotReady" });
    let unschedulable = object["spec"]["unschedulable"] == true;
    if unschedulable { format!("{word},SchedulingDisabled") } else { word.to_owned() }
}

fn roles(object: &Value) -> String {
    let mut roles: Vec<&str> = entries(&object["metadata"]["labels"])
        .filter_map(|(key, value)| match key {
            "kubernetes.io/role" => Some(text(value)),
            _ => key.strip_prefix("node-role.kubernetes.io/"),
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    if roles.is_empty() { "<none>".into() } else { roles.join(",") }
}

fn address(object: &Value, kind: &str) -> Value {
    let found = items(&object["status"]["addresses"]).iter().find(|a| a["type"] == kind);
    found.map_or_else(|| "<none>".into(), |a| a["address"].clone())
}

fn default(object: &mut Value) {
    let Some(capacity) = object["status"].get("capacity").cloned() else { return };
    fill(&mut object["status"], "allocatable", capacity);
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    let at = Path::Root.field("spec");
    taints(&new["spec"]["taints"], &at.field("taints"), errors);
    let Some(old) = old else { return };
    for field in ["podCIDR", "providerID"] {
        let before = text(&old["spec"][field]);
        if !before.is_empty() && text(&new["spec"][field]) != before {
            let why = "node updates may not change podCIDR except from \"\" to valid";
            let why = if field == "podCIDR" { why } else { "node updates may not change providerID" };
            errors.forbidden(&at.field(field), why);
        }
    }
}
