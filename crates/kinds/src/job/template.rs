//! What may change in a Job's pod template: nothing, but in a suspended Job without pods where they go and what they get.

use crate::Errors;
use object::json::{each, is_empty, items, put};
use object::path::Path;
use serde_json::Value;

/// Fields of the pod's specification that say where it goes.
const PLACEMENT: [&str; 3] = ["nodeSelector", "tolerations", "schedulingGates"];

pub(super) fn changes(spec: &Value, old: &Value, at: &Path<'_>, errors: &mut Errors) {
    let (new, before) = (&spec["template"], &old["spec"]["template"]);
    if !may_change(old) {
        errors.immutable(&at.field("template"), new, before);
        return;
    }
    if fixed(&new["spec"]) != fixed(&before["spec"]) {
        let here = at.field("template");
        errors.invalid(&here.field("spec"), &new["spec"], "field is immutable");
    }
}

/// A Job that is suspended, and whose pods are gone or were never made.
fn may_change(old: &Value) -> bool {
    let status = &old["status"];
    let suspended = |c: &Value| c["type"] == "Suspended" && c["status"] == "True";
    old["spec"]["suspend"] == true
        && (status["startTime"].is_null() || items(&status["conditions"]).iter().any(suspended))
        && status["active"].as_i64().unwrap_or(0) == 0
}

/// The pod's specification without what may change.
fn fixed(spec: &Value) -> Value {
    let mut spec = spec.clone();
    PLACEMENT.iter().for_each(|field| put(&mut spec, field, None));
    if let Some(affinity) = spec.get_mut("affinity") {
        put(affinity, "nodeAffinity", None);
    }
    if is_empty(&spec["affinity"]) {
        put(&mut spec, "affinity", None);
    }
    for list in ["containers", "initContainers"] {
        each(&mut spec, list, |container| put(container, "resources", None));
    }
    spec
}
