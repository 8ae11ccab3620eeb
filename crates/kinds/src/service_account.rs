//! ServiceAccount: whom a pod acts as.

use super::{Kind, PLAIN, Subresource};
use object::table::{AGE, Columns, NAME, age_of, name_of};
use object::time::Timestamp;
use serde_json::Value;

pub(super) static KIND: Kind = Kind {
    kind: "ServiceAccount",
    list_kind: "ServiceAccountList",
    plural: "serviceaccounts",
    singular: "serviceaccount",
    short_names: &["sa"],
    subresources: &[Subresource {
        name: "token",
        group_version: ("authentication.k8s.io", "v1"),
        kind: "TokenRequest",
        verbs: &["create"],
    }],
    schema: "io.k8s.api.core.v1.ServiceAccount",
    columns: Columns { columns: &[NAME, AGE], row },
    validate: |_, _, _| {},
    ..PLAIN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name_of(object), age_of(object, now)]
}
