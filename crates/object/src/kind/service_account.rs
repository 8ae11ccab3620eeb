//! ServiceAccount: whom a pod acts as.

use super::{ALL_VERBS, Generation, Kind, Subresource};
use crate::name::Rule;
use crate::table::{AGE, Columns, NAME, age_of, name_of};
use crate::time::Timestamp;
use serde_json::Value;

pub(super) static KIND: Kind = Kind {
    group: "",
    version: "v1",
    api_version: "v1",
    kind: "ServiceAccount",
    list_kind: "ServiceAccountList",
    plural: "serviceaccounts",
    singular: "serviceaccount",
    short_names: &["sa"],
    categories: &[],
    namespaced: true,
    verbs: ALL_VERBS,
    subresources: &[Subresource {
        name: "token",
        group_version: ("authentication.k8s.io", "v1"),
        kind: "TokenRequest",
        verbs: &["create"],
    }],
    schema: "io.k8s.api.core.v1.ServiceAccount",
    fields: &[],
    columns: Columns { columns: &[NAME, AGE], row },
    name_rule: Rule::Subdomain,
    generation: Generation::None,
    status: false,
    keeps_status: false,
    prepare: |_, _| {},
    default: |_| {},
    validate: |_, _, _| {},
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name_of(object), age_of(object, now)]
}
