//! What the cluster, rather than the kind, demands of an object that is to be written: a living namespace, a
//! ServiceAccount and its token, addresses, and that nobody grants what he does not have. Called by the verbs, around
//! the kind's own rules.

mod ingress;
mod pod;
mod priority;
mod service;
mod storage;

use crate::{api::Api, call::Call, call::Target, rbac};
use bytes::Bytes;
use object::{Status, status::Cause};
use serde_json::Value;
use std::time::Duration;

/// Bytes that one stored object may have; half of what a request may carry, as upstream.
const OBJECT_BYTES_MAX: usize = 3 << 19;
/// How long the create of a pod waits for a ServiceAccount that is still being made for a new namespace.
const SERVICE_ACCOUNT_WAIT: Duration = Duration::from_secs(1);

/// Fills in what the cluster knows about a new object, and refuses it where it has no place.
pub(crate) fn change_new(api: &Api, target: &Target, object: &mut Value) -> Result<(), Status> {
    if target.shelf.is_terminating() {
        let mut status = Status::method_not_allowed(target.kind.group, target.kind.plural, "create");
        status.message = "create not allowed while custom resource definition is terminating".to_owned();
        return Err(status);
    }
    check_namespace(api, target, object)?;
    if target.kind.is_custom() {
        return Ok(());
    }
    match target.kind.built_in() {
        "Pod" => pod::change(api, target, object),
        "Ingress" => {
            ingress::change(api, object);
            Ok(())
        }
        "PersistentVolume" | "PersistentVolumeClaim" => {
            storage::change(api, target.kind.kind, object);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Carries over what the cluster had given the current version and an update leaves out.
pub(crate) fn change(target: &Target, new: &mut Value, old: &Value) {
    if target.kind.built_in() == "Service" {
        service::carry_over(new, old);
    }
}

/// Gives a Service its addresses and ports. The caller holds [`hold_addresses`] until the Service is stored.
pub(crate) fn allocate(
    api: &Api,
    target: &Target,
    object: &mut Value,
    old: Option<&Value>,
) -> Result<(), Status> {
    if target.kind.built_in() == "Service" { service::allocate(api, target, object, old) } else { Ok(()) }
}

/// Whether the setting is a range that addresses can be given from.
pub(crate) fn is_service_range(text: &str) -> bool {
    service::Cidr::parse(text).is_some()
}

/// The address of the API server's own Service: the first of the range.
pub(crate) fn api_address(api: &Api) -> String {
    service::Cidr::parse(&api.config.service_cidr).map_or_else(String::new, |range| range.nth(1).to_string())
}

/// The last word on an object that is otherwise fit to be stored.
pub(crate) fn check(
    api: &Api,
    call: &Call,
    target: &Target,
    object: &Value,
    old: Option<&Value>,
) -> Result<(), Status> {
    match target.kind.built_in() {
        _ if target.kind.group == rbac::GROUP => rbac::escalation::check(api, call, target, object, old),
        "PriorityClass" => priority::check_default(api, target, object),
        "PersistentVolumeClaim" => storage::check_growth(api, target, object, old),
        _ => Ok(()),
    }
}

/// Keeps others from choosing addresses until the guard is dropped; nothing to hold for other kinds.
pub(crate) async fn hold_addresses<'a>(
    api: &'a Api,
    target: &Target,
) -> Option<tokio::sync::MutexGuard<'a, ()>> {
    if target.kind.built_in() == "Service" { Some(api.addresses.lock().await) } else { None }
}

/// Gives the ServiceAccount of a new pod a moment to appear, as in a namespace that was made just before.
pub(crate) async fn await_service_account(api: &Api, target: &Target, object: &Value) {
    if target.kind.built_in() != "Pod" {
        return;
    }
    let name = pod::service_account_name(object);
    let shelf = api.cache.resource("", "serviceaccounts");
    let mut notices = shelf.subscribe();
    let appears = async {
        while shelf.get(&target.namespace, name).is_none() {
            if notices.changed().await.is_err() {
                return;
            }
        }
    };
    let namespace = api.cache.resource("", "namespaces").get("", &target.namespace);
    if namespace.is_some() {
        // When the time is over, admission says what is missing.
        let _late = tokio::time::timeout(SERVICE_ACCOUNT_WAIT, appears).await;
    }
}

/// Refuses objects that are too big to be kept.
pub(crate) fn check_size(target: &Target, name: &str, value: &Bytes) -> Result<(), Status> {
    if value.len() <= OBJECT_BYTES_MAX {
        return Ok(());
    }
    Err(Status::too_large(format!(
        "{} \"{name}\" is too large: {} bytes, the limit is {OBJECT_BYTES_MAX}",
        object::status::qualified(target.kind.group, target.kind.plural),
        value.len()
    )))
}

fn check_namespace(api: &Api, target: &Target, object: &Value) -> Result<(), Status> {
    if !target.kind.namespaced {
        return Ok(());
    }
    let namespace = &target.namespace;
    let found = api.cache.resource("", "namespaces").get("", namespace);
    let found = found.ok_or_else(|| Status::not_found("", "namespaces", namespace))?;
    if !found.deleting {
        return Ok(());
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut status = Status::forbidden(target.kind.group, target.kind.plural, name, &why);
    if let Some(details) = &mut status.details {
        details.causes = vec![Cause {
            reason: "NamespaceTerminating",
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".to_owned(),
        }];
    }
    Err(status)
}
