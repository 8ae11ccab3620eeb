//! ControllerRevision: what the template of a DaemonSet or StatefulSet was at some time.

use super::{Kind, PLAIN};
use crate::Errors;
use object::json::{items, text};
use object::path::Path;
use object::table::{AGE, Columns, NAME, age_of, name_of, number, text as column};
use object::time::Timestamp;
use serde_json::Value;

pub(super) static KIND: Kind = Kind {
    group: "apps",
    api_version: "apps/v1",
    kind: "ControllerRevision",
    list_kind: "ControllerRevisionList",
    plural: "controllerrevisions",
    singular: "controllerrevision",
    schema: "io.k8s.api.apps.v1.ControllerRevision",
    columns: Columns { columns: &[NAME, column("Controller"), column("Revision"), AGE], row },
    validate,
    ..PLAIN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let owners = items(&object["metadata"]["ownerReferences"]);
    let controller = owners.iter().find(|owner| owner["controller"] == true).map(|owner| {
        let (group, _) = text(&owner["apiVersion"]).split_once('/').unwrap_or_default();
        let kind = text(&owner["kind"]).to_lowercase();
        let kind = if group.is_empty() { kind } else { format!("{kind}.{group}") };
        format!("{kind}/{}", text(&owner["name"]))
    });
    vec![
        name_of(object),
        controller.unwrap_or("<none>".to_owned()).into(),
        number(&object["revision"]),
        age_of(object, now),
    ]
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    errors.non_negative(&Path::Root.field("revision"), &new["revision"]);
    let at = Path::Root.field("data");
    match old {
        Some(old) => errors.immutable(&at, &new["data"], &old["data"]),
        None if new["data"].is_null() => errors.required(&at, "data is mandatory"),
        None if !new["data"].is_object() => errors.required(&at, "data must be a valid JSON object"),
        None => {}
    }
}
