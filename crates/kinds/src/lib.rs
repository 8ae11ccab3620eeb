//! The kinds of object that are built in: one static [`Kind`] for each, in a file of its own, with what it fills in, what it
//! refuses and what `kubectl get` shows of it. What a kind is, and all that holds for every kind, is room `object`. Pure; called
//! by `apiserver` for every request.
//!
//! ```text
//!   object::Kind ◄── pod, service, deployment, … ── kinds, kind, by_name     edition, editions ─ other versions
//!                                                └── openapi ─ the documents that tell clients of all of them
//! ```
#![deny(missing_docs)]

mod claim_spec;
mod cluster_role;
mod cluster_role_binding;
mod config_map;
mod controller_revision;
mod cron_job;
mod custom_resource_definition;
mod daemon_set;
mod deployment;
mod endpoint_slice;
mod endpoints;
mod event;
mod event_source_mapping;
mod function;
mod function_alias;
mod function_version;
mod horizontal_pod_autoscaler;
mod iam_policy;
mod iam_role;
mod ingress;
mod ingress_class;
mod job;
mod layer_version;
mod lease;
mod namespace;
mod node;
pub mod openapi;
mod persistent_volume;
mod persistent_volume_claim;
mod pod;
mod pod_disruption_budget;
mod pod_spec;
mod priority_class;
mod rbac;
mod replica_set;
mod role;
mod role_binding;
mod secret;
mod service;
mod service_account;
mod stateful_set;
mod storage_class;

pub use priority_class::SYSTEM as SYSTEM_PRIORITIES;

use object::kind::{Edition, Errors, Generation, Kind, PLAIN, SCALE, STATUS, Subresource, meta};

/// What dory's own kinds are.
const OWN: Kind =
    Kind { group: "dory.dev", api_version: "dory.dev/v1", generation: Generation::Spec, ..PLAIN };

static KINDS: &[&Kind] = &[
    &config_map::KIND,
    &endpoints::KIND,
    &event::KIND,
    &namespace::KIND,
    &node::KIND,
    &persistent_volume_claim::KIND,
    &persistent_volume::KIND,
    &pod::KIND,
    &secret::KIND,
    &service_account::KIND,
    &service::KIND,
    &controller_revision::KIND,
    &daemon_set::KIND,
    &deployment::KIND,
    &replica_set::KIND,
    &stateful_set::KIND,
    &horizontal_pod_autoscaler::KIND,
    &cron_job::KIND,
    &job::KIND,
    &lease::KIND,
    &endpoint_slice::KIND,
    &ingress_class::KIND,
    &ingress::KIND,
    &pod_disruption_budget::KIND,
    &cluster_role_binding::KIND,
    &cluster_role::KIND,
    &role_binding::KIND,
    &role::KIND,
    &priority_class::KIND,
    &storage_class::KIND,
    &custom_resource_definition::KIND,
    &event_source_mapping::KIND,
    &function::KIND,
    &function_alias::KIND,
    &function_version::KIND,
    &layer_version::KIND,
    &iam_policy::KIND,
    &iam_role::KIND,
];

/// Every kind that is served, core first.
pub fn kinds() -> &'static [&'static Kind] {
    KINDS
}

/// The kind behind a path's group, version and plural.
pub fn kind(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|k| k.group == group && k.version == version && k.plural == plural)
}

/// The kind that a body's apiVersion and kind name.
pub fn by_name(api_version: &str, name: &str) -> Option<&'static Kind> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    KINDS.iter().copied().find(|k| k.group == group && k.version == version && k.kind == name)
}

static EDITIONS: &[&Edition] = &[&horizontal_pod_autoscaler::V1];

/// Other versions in which kinds are served.
pub fn editions() -> &'static [&'static Edition] {
    EDITIONS
}

/// The edition behind a path's group, version and plural.
pub fn edition(group: &str, version: &str, plural: &str) -> Option<&'static Edition> {
    let is = |form: &Kind| form.group == group && form.version == version && form.plural == plural;
    EDITIONS.iter().copied().find(|edition| is(&edition.form))
}

/// Whether a resource of that name is this server's own, which no definition may take.
fn is_built_in(group: &str, plural: &str) -> bool {
    KINDS.iter().any(|kind| kind.group == group && kind.plural == plural)
}

#[cfg(test)]
mod tests;
