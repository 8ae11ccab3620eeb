//! IngressClass: which controller serves an Ingress.

use super::{Generation, Kind, PLAIN};
use crate::Errors;
use object::json::text;
use object::path::Path;
use object::table::{AGE, Columns, NAME, age_of, name_of, text as column};
use object::time::Timestamp;
use serde_json::Value;

pub(super) static KIND: Kind = Kind {
    group: "networking.k8s.io",
    api_version: "networking.k8s.io/v1",
    kind: "IngressClass",
    list_kind: "IngressClassList",
    plural: "ingressclasses",
    singular: "ingressclass",
    namespaced: false,
    schema: "io.k8s.api.networking.v1.IngressClass",
    columns: Columns { columns: &[NAME, column("Controller"), column("Parameters"), AGE], row },
    generation: Generation::Spec,
    validate,
    ..PLAIN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut name = name_of(object);
    let default = &object["metadata"]["annotations"]["ingressclass.kubernetes.io/is-default-class"];
    if default == "true" {
        name = format!("{} (default)", text(&name)).into();
    }
    let given = &object["spec"]["parameters"];
    let parameters = match (text(&given["kind"]), text(&given["apiGroup"]), text(&given["name"])) {
        _ if given.is_null() => "<none>".to_owned(),
        (kind, "", name) => format!("{kind}/{name}"),
        (kind, group, name) => format!("{kind}.{group}/{name}"),
    };
    vec![name, text(&object["spec"]["controller"]).into(), parameters.into(), age_of(object, now)]
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    let spec = Path::Root.field("spec");
    let at = spec.field("controller");
    let controller = text(&new["spec"]["controller"]);
    if controller.is_empty() {
        errors.required(&at, "");
    } else if !controller.contains('/') {
        errors.invalid_text(&at, controller, "must be a domain-prefixed path (such as \"acme.io/foo\")");
    }
    if let Some(old) = old {
        errors.immutable(&at, &new["spec"]["controller"], &old["spec"]["controller"]);
    }
}
