//! PriorityClass: a name for how important pods are, and whether they may push others out.

use super::{Generation, Kind, PLAIN};
use crate::Errors;
use object::json::{fill_zero, text};
use object::path::Path;
use object::table::{AGE, Columns, NAME, age_of, name_of, text as column};
use object::time::Timestamp;
use serde_json::Value;

/// The highest value that users may give; above lie the system's own classes.
const USER_MAX: i64 = 1_000_000_000;

/// The classes that every cluster has, with their values: nobody else's may be called so.
pub const SYSTEM: &[(&str, i64, &str)] = &[
    (
        "system-cluster-critical",
        2 * USER_MAX,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
    (
        "system-node-critical",
        2 * USER_MAX + 1000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
];

pub(super) static KIND: Kind = Kind {
    group: "scheduling.k8s.io",
    api_version: "scheduling.k8s.io/v1",
    kind: "PriorityClass",
    list_kind: "PriorityClassList",
    plural: "priorityclasses",
    singular: "priorityclass",
    short_names: &["pc"],
    namespaced: false,
    schema: "io.k8s.api.scheduling.v1.PriorityClass",
    columns: Columns {
        columns: &[NAME, column("Value"), column("Global-Default"), AGE, column("PreemptionPolicy")],
        row,
    },
    generation: Generation::Spec,
    default: |object| fill_zero(object, "preemptionPolicy", "PreemptLowerPriority"),
    validate,
    ..PLAIN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name_of(object),
        object["value"].as_i64().unwrap_or(0).into(),
        (object["globalDefault"] == true).into(),
        age_of(object, now),
        text(&object["preemptionPolicy"]).into(),
    ]
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    let (value, policy) = (Path::Root.field("value"), Path::Root.field("preemptionPolicy"));
    errors.one_of(&policy, &new["preemptionPolicy"], &["Never", "PreemptLowerPriority"]);
    let Some(old) = old else {
        let name = text(&new["metadata"]["name"]);
        let amount = new["value"].as_i64().unwrap_or(0);
        let system = SYSTEM.iter().any(|(own, own_value, _)| *own == name && *own_value == amount);
        if name.starts_with("system-") && !system {
            let why = "priority class names with 'system-' prefix are reserved for system use only. error: only the \
                       classes that the system makes itself may have it";
            errors.forbidden(&Path::Root.field("metadata").field("name"), why);
        } else if amount > USER_MAX && !system {
            let why = format!("maximum allowed value of a user defined priority is {USER_MAX}");
            errors.forbidden(&value, &why);
        }
        return;
    };
    if new["value"] != old["value"] {
        errors.forbidden(&value, "may not be changed in an update.");
    }
    errors.immutable(&policy, &new["preemptionPolicy"], &old["preemptionPolicy"]);
}
