//! What the four RBAC kinds share: rules, subjects, the reference to a role.

use crate::Errors;
use object::json::{each, fill_zero, is_empty, items, text};
use object::name;
use object::path::Path;
use object::table::{age_of, name_of};
use object::time::Timestamp;
use serde_json::Value;

const GROUP: &str = "rbac.authorization.k8s.io";

/// The rules of a Role or (with `cluster`) ClusterRole.
pub(super) fn validate_rules(role: &Value, cluster: bool, errors: &mut Errors) {
    let at = Path::Root.field("rules");
    for (i, rule) in items(&role["rules"]).iter().enumerate() {
        let here = at.index(i);
        if is_empty(&rule["verbs"]) {
            errors.required(&here.field("verbs"), "verbs must contain at least one value");
        }
        if !is_empty(&rule["nonResourceURLs"]) {
            if !cluster {
                let why = "namespaced rules cannot apply to non-resource URLs";
                errors.invalid(&here.field("nonResourceURLs"), &rule["nonResourceURLs"], why);
            }
            let regular = ["apiGroups", "resources", "resourceNames"];
            if regular.iter().any(|field| !is_empty(&rule[*field])) {
                let why = "rules cannot apply to both regular resources and non-resource URLs";
                errors.invalid(&here.field("nonResourceURLs"), &rule["nonResourceURLs"], why);
            }
            continue;
        }
        if is_empty(&rule["apiGroups"]) {
            errors.required(&here.field("apiGroups"), "resource rules must supply at least one api group");
        }
        if is_empty(&rule["resources"]) {
            errors.required(&here.field("resources"), "resource rules must supply at least one resource");
        }
    }
}

/// A subject's API group follows from its kind; the role's is always the same.
pub(super) fn default_binding(binding: &mut Value) {
    if let Some(role) = binding.get_mut("roleRef") {
        fill_zero(role, "apiGroup", GROUP);
    }
    each(binding, "subjects", |subject| match text(&subject["kind"]) {
        "User" | "Group" => fill_zero(subject, "apiGroup", GROUP),
        _ => {}
    });
}

/// A RoleBinding or ClusterRoleBinding, told apart by the kind.
pub(super) fn validate_binding(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    let cluster = new["kind"] == "ClusterRoleBinding";
    let at = Path::Root.field("roleRef");
    let role = &new["roleRef"];
    if role["apiGroup"] != GROUP {
        errors.unsupported(&at.field("apiGroup"), text(&role["apiGroup"]), &[GROUP]);
    }
    let kinds: &[&str] = if cluster { &["ClusterRole"] } else { &["ClusterRole", "Role"] };
    if !kinds.contains(&text(&role["kind"])) {
        errors.unsupported(&at.field("kind"), text(&role["kind"]), kinds);
    }
    match text(&role["name"]) {
        "" => errors.required(&at.field("name"), ""),
        name => errors.check(&at.field("name"), name, name::check_path_segment),
    }
    if old.is_some_and(|o| o["roleRef"] != *role) {
        errors.invalid(&at, role, "cannot change roleRef");
    }
    for (i, subject) in items(&new["subjects"]).iter().enumerate() {
        let list = Path::Root.field("subjects");
        validate_subject(subject, cluster, &list.index(i), errors);
    }
}

fn validate_subject(subject: &Value, cluster: bool, at: &Path<'_>, errors: &mut Errors) {
    let name = text(&subject["name"]);
    if name.is_empty() {
        errors.required(&at.field("name"), "");
    }
    let group = text(&subject["apiGroup"]);
    match text(&subject["kind"]) {
        "ServiceAccount" => {
            if !name.is_empty() {
                errors.check(&at.field("name"), name, name::check_subdomain);
            }
            if !group.is_empty() {
                errors.unsupported(&at.field("apiGroup"), group, &[""]);
            }
            if cluster && text(&subject["namespace"]).is_empty() {
                errors.required(&at.field("namespace"), "");
            }
        }
        "User" | "Group" if group != GROUP => {
            errors.unsupported(&at.field("apiGroup"), group, &[GROUP]);
        }
        "User" | "Group" => {}
        other => errors.unsupported(&at.field("kind"), other, &["ServiceAccount", "User", "Group"]),
    }
}

/// The row of a binding: the role, and whom it is given to.
pub(super) fn binding_row(object: &Value, now: Timestamp) -> Vec<Value> {
    let role = format!("{}/{}", text(&object["roleRef"]["kind"]), text(&object["roleRef"]["name"]));
    let subjects = |kind: &str| {
        let named = items(&object["subjects"]).iter().filter(|s| s["kind"] == kind);
        let texts = named.map(|s| match (kind, text(&s["namespace"])) {
            ("ServiceAccount", namespace) if !namespace.is_empty() => {
                format!("{namespace}/{}", text(&s["name"]))
            }
            _ => text(&s["name"]).to_owned(),
        });
        Value::from(texts.collect::<Vec<_>>().join(", "))
    };
    vec![
        name_of(object),
        role.into(),
        age_of(object, now),
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}
