//! Lease: who holds what, until when.

use super::{Kind, PLAIN};
use crate::Errors;
use object::json::text;
use object::path::Path;
use object::table::{AGE, Columns, NAME, age_of, name_of, text as column};
use object::time::Timestamp;
use serde_json::Value;

pub(super) static KIND: Kind = Kind {
    group: "coordination.k8s.io",
    api_version: "coordination.k8s.io/v1",
    kind: "Lease",
    list_kind: "LeaseList",
    plural: "leases",
    singular: "lease",
    schema: "io.k8s.api.coordination.v1.Lease",
    columns: Columns { columns: &[NAME, column("Holder"), AGE], row },
    validate,
    ..PLAIN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name_of(object), text(&object["spec"]["holderIdentity"]).into(), age_of(object, now)]
}

fn validate(new: &Value, _: Option<&Value>, errors: &mut Errors) {
    let at = Path::Root.field("spec");
    let spec = &new["spec"];
    if spec["leaseDurationSeconds"].as_i64().is_some_and(|n| n <= 0) {
        let why = "must be greater than 0";
        errors.invalid(&at.field("leaseDurationSeconds"), &spec["leaseDurationSeconds"], why);
    }
    if spec["holderIdentity"] == "" {
        errors.invalid_text(&at.field("holderIdentity"), "", "must not be empty");
    }
    errors.non_negative(&at.field("leaseTransitions"), &spec["leaseTransitions"]);
}
