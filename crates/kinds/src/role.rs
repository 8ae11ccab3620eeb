//! Role: what may be done in one namespace.

use super::rbac;
use super::{Kind, PLAIN};
use object::name::Rule;
use object::table::{Columns, NAME, name_of, text as column};
use object::time::Timestamp;
use serde_json::Value;

pub(super) static KIND: Kind = Kind {
    group: "rbac.authorization.k8s.io",
    api_version: "rbac.authorization.k8s.io/v1",
    kind: "Role",
    list_kind: "RoleList",
    plural: "roles",
    singular: "role",
    schema: "io.k8s.api.rbac.v1.Role",
    columns: Columns { columns: &[NAME, column("Created At")], row },
    name_rule: Rule::PathSegment,
    validate: |new, _, errors| rbac::validate_rules(new, false, errors),
    ..PLAIN
};

fn row(object: &Value, _: Timestamp) -> Vec<Value> {
    vec![name_of(object), object["metadata"]["creationTimestamp"].clone()]
}
