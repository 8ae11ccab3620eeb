//! What every new pod gets: a ServiceAccount with its token volume, tolerations for a node that goes away for a
//! while, and a priority.

use crate::{api::Api, call::Target};
use object::Status;
use serde_json::{Value, json};

/// Where containers expect the credentials of their ServiceAccount.
const TOKEN_MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Life of a pod's token; upstream's figure, an hour and a few seconds to tell it from a user's choice.
const TOKEN_SECONDS: u64 = 3607;
/// How long a pod stays on a node that is gone or not ready.
const TOLERATION_SECONDS: u64 = 300;

pub(super) fn change(api: &Api, target: &Target, object: &mut Value) -> Result<(), Status> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let refuse = |why: String| Status::forbidden("", "pods", &name, &why);
    if !object["spec"].is_object() {
        return Ok(());
    }
    super::priority::set(api, object).map_err(refuse)?;
    set_service_account(api, target, object).map_err(refuse)?;
    add_tolerations(object);
    Ok(())
}

/// The ServiceAccount that a pod names, or `default`.
pub(super) fn service_account_name(object: &Value) -> &str {
    let spec = &object["spec"];
    let named = ["serviceAccountName", "serviceAccount"].iter().filter_map(|key| spec[key].as_str());
    named.into_iter().find(|name| !name.is_empty()).unwrap_or("default")
}

fn set_service_account(api: &Api, target: &Target, object: &mut Value) -> Result<(), String> {
    let name = service_account_name(object).to_owned();
    let account = api.cache.resource("", "serviceaccounts").get(&target.namespace, &name);
    let account = account.map(|item| item.value()).ok_or_else(|| {
        let namespace = &target.namespace;
        format!("error looking up service account {namespace}/{name}: serviceaccount \"{name}\" not found")
    })?;
    let spec = &mut object["spec"];
    spec["serviceAccountName"] = name.as_str().into();
    spec["serviceAccount"] = name.as_str().into();
    let secrets = &account["imagePullSecrets"];
    if spec["imagePullSecrets"].as_array().is_none_or(Vec::is_empty) && secrets.is_array() {
        spec["imagePullSecrets"] = secrets.clone();
    }
    let mounts = spec["automountServiceAccountToken"].as_bool();
    if mounts.or(account["automountServiceAccountToken"].as_bool()).unwrap_or(true) {
        mount_token(spec);
    }
    Ok(())
}

fn mount_token(spec: &mut Value) {
    let suffix: String = uuid::Uuid::new_v4().simple().to_string().chars().take(5).collect();
    let volume = format!("kube-api-access-{suffix}");
    let mut mounted = false;
    for list in ["initContainers", "containers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if !container["volumeMounts"].is_array() {
                container["volumeMounts"] = json!([]);
            }
            let Some(mounts) = container["volumeMounts"].as_array_mut() else { continue };
            if mounts.iter().all(|mount| mount["mountPath"] != TOKEN_MOUNT) {
                mounts.push(json!({"name": volume, "readOnly": true, "mountPath": TOKEN_MOUNT}));
                mounted = true;
            }
        }
    }
    if !mounted {
        return;
    }
    if !spec["volumes"].is_array() {
        spec["volumes"] = json!([]);
    }
    if let Some(volumes) = spec["volumes"].as_array_mut() {
        volumes.push(token_volume(&volume));
    }
}

fn token_volume(name: &str) -> Value {
    let namespace =
        json!({"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}});
    json!({"name": name, "projected": {"defaultMode": 0o644, "sources": [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]}})
}

fn add_tolerations(object: &mut Value) {
    let spec = &mut object["spec"];
    if !spec["tolerations"].is_array() {
        spec["tolerations"] = json!([]);
    }
    let Some(tolerations) = spec["tolerations"].as_array_mut() else { return };
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerated = tolerations.iter().any(|own| {
            let any_key = own["key"].as_str().unwrap_or_default().is_empty();
            let effect = own["effect"].as_str().unwrap_or_default();
            (any_key || own["key"] == key) && matches!(effect, "" | "NoExecute")
        });
        if !tolerated {
            tolerations.push(json!({"key": key, "operator": "Exists", "effect": "NoExecute",
                "tolerationSeconds": TOLERATION_SECONDS}));
        }
    }
}
