//! Role: what may be done in one namespace.

use super::rbac;
use super::{ALL_VERBS, Generation, Kind};
use crate::name::Rule;
use crate::table::{Columns, NAME, name_of, text as column};
use crate::time::Timestamp;
use serde_json::Value;

pub(super) static KIND: Kind = Kind {
    group: "rbac.authorization.k8s.io",
    version: "v1",
    api_version: "rbac.authorization.k8s.io/v1",
    kind: "Role",
    list_kind: "RoleList",
    plural: "roles",
    singular: "role",
    short_names: &[],
    categories: &[],
    namespaced: true,
    verbs: ALL_VERBS,
    subresources: &[],
    schema: "io.k8s.api.rbac.v1.Role",
    fields: &[],
    columns: Columns { columns: &[NAME, column("Created At")], row },
    name_rule: Rule::PathSegment,
    generation: Generation::None,
    status: false,
    keeps_status: false,
    prepare: |_, _| {},
    default: |_| {},
    validate: |new, _, errors| rbac::validate_rules(new, false, errors),
};

fn row(object: &Value, _: Timestamp) -> Vec<Value> {
    vec![name_of(object), object["metadata"]["creationTimestamp"].clone()]
}
