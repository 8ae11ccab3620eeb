//! Nobody grants what he does not have: whoever writes a role must hold all its rules (or may `escalate`), whoever
//! writes a binding must hold all rules of the role (or may `bind` it).

use super::{GROUP, Rule};
use crate::{
    api::Api,
    attributes::Attributes,
    call::{Call, Target},
};
use object::Status;
use serde_json::Value;

/// Checks a role or binding that is about to be stored.
pub(crate) fn check(
    api: &Api,
    call: &Call,
    target: &Target,
    object: &Value,
    old: Option<&Value>,
) -> Result<(), Status> {
    let is_role = matches!(target.kind.built_in(), "Role" | "ClusterRole");
    let parts: &[&str] = if is_role { &["rules", "aggregationRule"] } else { &["roleRef", "subjects"] };
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    // What does not change what is granted was granted before.
    if old.is_some_and(|old| parts.iter().all(|part| old[part] == object[part])) {
        return Ok(());
    }
    let (verb, plural, role) = if is_role {
        ("escalate", target.kind.plural, name)
    } else {
        let kind = object["roleRef"]["kind"].as_str().unwrap_or_default();
        let plural = if kind == "Role" { "roles" } else { "clusterroles" };
        ("bind", plural, object["roleRef"]["name"].as_str().unwrap_or_default())
    };
    let special = Attributes {
        verb,
        group: GROUP.to_owned(),
        version: "v1".to_owned(),
        namespace: target.namespace.clone(),
        resource: plural.to_owned(),
        name: role.to_owned(),
        ..Attributes::default()
    };
    if api.rbac.allows(&call.identity, &special) {
        return Ok(());
    }
    let wanted = if is_role {
        if !object["aggregationRule"].is_null() {
            Rule::everything().to_vec()
        } else {
            Rule::read_all(&object["rules"])
        }
    } else {
        let kind = object["roleRef"]["kind"].as_str().unwrap_or_default();
        let rules = api.rbac.role(kind, &target.namespace, role);
        rules.ok_or_else(|| Status::not_found(GROUP, plural, role))?.to_vec()
    };
    let held = api.rbac.rules(&call.identity, &target.namespace);
    let atoms = wanted.iter().flat_map(Rule::atoms);
    let missing: Vec<String> =
        atoms.filter(|atom| !held.iter().any(|own| own.covers(atom))).map(|atom| atom.to_string()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let why = format!(
        "user \"{}\" (groups={:?}) is attempting to grant RBAC permissions not currently held:\n{}",
        call.identity.user,
        call.identity.groups,
        missing.join("\n")
    );
    Err(Status::forbidden(GROUP, target.kind.plural, name, &why))
}
