//! ClusterRoleBinding: who has a role everywhere.

use super::rbac;
use super::{Kind, PLAIN};
use object::name::Rule;
use object::table::{AGE, Columns, NAME, text as column, wide};

pub(super) static KIND: Kind = Kind {
    group: "rbac.authorization.k8s.io",
    api_version: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    list_kind: "ClusterRoleBindingList",
    plural: "clusterrolebindings",
    singular: "clusterrolebinding",
    namespaced: false,
    schema: "io.k8s.api.rbac.v1.ClusterRoleBinding",
    columns: Columns {
        columns: &[NAME, column("Role"), AGE, wide("Users"), wide("Groups"), wide("ServiceAccounts")],
        row: rbac::binding_row,
    },
    name_rule: Rule::PathSegment,
    default: rbac::default_binding,
    validate: rbac::validate_binding,
    ..PLAIN
};
