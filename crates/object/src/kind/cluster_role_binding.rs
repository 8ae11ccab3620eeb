//! ClusterRoleBinding: who has a role everywhere.

use super::rbac;
use super::{ALL_VERBS, Generation, Kind};
use crate::name::Rule;
use crate::table::{AGE, Columns, NAME, text as column, wide};

pub(super) static KIND: Kind = Kind {
    group: "rbac.authorization.k8s.io",
    version: "v1",
    api_version: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    list_kind: "ClusterRoleBindingList",
    plural: "clusterrolebindings",
    singular: "clusterrolebinding",
    short_names: &[],
    categories: &[],
    namespaced: false,
    verbs: ALL_VERBS,
    subresources: &[],
    schema: "io.k8s.api.rbac.v1.ClusterRoleBinding",
    fields: &[],
    columns: Columns {
        columns: &[NAME, column("Role"), AGE, wide("Users"), wide("Groups"), wide("ServiceAccounts")],
        row: rbac::binding_row,
    },
    name_rule: Rule::PathSegment,
    generation: Generation::None,
    status: false,
    keeps_status: false,
    prepare: |_, _| {},
    default: rbac::default_binding,
    validate: rbac::validate_binding,
};
