//! The `scale` subresource (`autoscaling/v1 Scale`) of kinds that have replicas.

use crate::{Kind, Status};
use serde_json::{Value, json};

/// The Scale view of a Deployment or ReplicaSet.
pub fn of(object: &Value) -> Value {
    let meta = &object["metadata"];
    let mut metadata = serde_json::Map::new();
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = meta.get(key) {
            metadata.insert(key.into(), value.clone());
        }
    }
    let mut spec = serde_json::Map::new();
    if let Some(n) = object["spec"]["replicas"].as_i64().filter(|n| *n != 0) {
        spec.insert("replicas".into(), n.into());
    }
    let mut status = serde_json::Map::new();
    status.insert("replicas".into(), object["status"]["replicas"].as_i64().unwrap_or(0).into());
    if let Ok(selector) = crate::selector::LabelSelector::from_json(&object["spec"]["selector"]) {
        status.insert("selector".into(), selector.to_string().into());
    }
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status})
}

/// Writes the replicas that a Scale asks for into the object; the caller then runs `admit_update` as for a main update.
pub fn set(_kind: &Kind, object: &mut Value, scale: &Value) -> Result<(), Status> {
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    if let Some(spec) = crate::json::child(object, "spec") {
        spec["replicas"] = replicas.into();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let kind = crate::kind("apps", "v1", "deployments").expect("deployments");
        let mut object = json!({"metadata": {"name": "d", "namespace": "n", "resourceVersion": "7"},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b"}}}, "status": {"replicas": 2}});
        let mut scale = of(&object);
        assert_eq!(scale["metadata"], json!({"name": "d", "namespace": "n", "resourceVersion": "7"}));
        assert_eq!(scale["status"], json!({"replicas": 2, "selector": "a=b"}));
        scale["spec"]["replicas"] = 5.into();
        set(kind, &mut object, &scale).expect("a scale");
        assert_eq!(object["spec"]["replicas"], 5);
        set(kind, &mut object, &json!({"spec": {}})).expect("zero is left out");
        assert_eq!(of(&object)["spec"], json!({}));
    }
}
