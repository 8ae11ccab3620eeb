//! The PersistentVolumes behind a pod's claims: read from the API when the pod starts, and checked as the kubelet does,
//! whoever bound the pod. Says where each lies; mounts nothing.

use std::collections::BTreeMap;

use client::k8s_openapi::api::core::v1 as api;
use client::{Key, Objects, kube};
use object::{placement, storage};
use serde_json::Value;

use crate::volume::claimed::Claimed;

/// What a pod's claims stand for, by the name of the volume.
pub(crate) type Resolved = BTreeMap<String, Claimed>;

/// The way to claims and volumes.
#[derive(Clone)]
pub(crate) struct Claims {
    claims: Objects,
    volumes: Objects,
    nodes: Objects,
    pods: Objects,
    node: String,
}

impl Claims {
    pub(crate) fn new(client: &kube::Client, node: &str) -> Claims {
        Claims {
            claims: Objects::of::<api::PersistentVolumeClaim>(client),
            volumes: Objects::of::<api::PersistentVolume>(client),
            nodes: Objects::of::<api::Node>(client),
            pods: Objects::of::<api::Pod>(client),
            node: node.to_owned(),
        }
    }

    /// Where the claims of a pod lie, of those volumes that `wanted` names.
    pub(crate) async fn resolve(
        &self,
        pod: &api::Pod,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Resolved, String> {
        let object = serde_json::to_value(pod).unwrap_or_default();
        let mut resolved = Resolved::new();
        for volume in object["spec"]["volumes"].as_array().into_iter().flatten() {
            let Some(claim) = storage::claim_name(&object, volume) else { continue };
            let name = volume["name"].as_str().unwrap_or_default();
            if wanted(name) {
                let found = self.resolve_one(&object, volume, &claim).await;
                let found =
                    found.map_err(|why| format!("MountVolume.SetUp failed for volume \"{name}\" : {why}"))?;
                resolved.insert(name.to_owned(), found);
            }
        }
        Ok(resolved)
    }

    async fn resolve_one(&self, pod: &Value, volume: &Value, name: &str) -> Result<Claimed, String> {
        let key = Key::new(Key::of(pod).namespace.as_str(), name);
        let failed = |why: &str| format!("error processing PVC {key}: {why}");
        let claim = read(&self.claims, &key).await?;
        if let Some(why) = unfit(pod, volume, &claim) {
            return Err(failed(&why));
        }
        let volume_name = claim["spec"]["volumeName"].as_str().unwrap_or_default();
        let found = read(&self.volumes, &Key::cluster(volume_name)).await?;
        if found["spec"]["claimRef"]["uid"] != claim["metadata"]["uid"] {
            return Err(failed(&format!("PV {volume_name} is bound to another PVC")));
        }
        if found["spec"]["nodeAffinity"].is_object() {
            let node = read(&self.nodes, &Key::cluster(self.node.as_str())).await?;
            if !placement::reaches(&found, &node) {
                return Err(format!("node affinity of PV {volume_name} does not match node {}", self.node));
            }
        }
        if storage::is_for_one_pod(&claim) {
            self.check_alone(pod, name).await?;
        }
        Claimed::of(&found, volume["persistentVolumeClaim"]["readOnly"] == true)
    }

    /// Refuses a volume for one pod alone that an earlier or running pod of this node has.
    async fn check_alone(&self, pod: &Value, claim: &str) -> Result<(), String> {
        let pods = self.pods.list(&Key::of(pod).namespace).await.map_err(|error| client::message(&error))?;
        let others = pods.iter().filter(|other| other["metadata"]["uid"] != pod["metadata"]["uid"]);
        let mut others = others.filter(|other| other["spec"]["nodeName"] == self.node.as_str());
        if others.any(|other| comes_before(other, pod, claim)) {
            return Err(
                "volume uses the ReadWriteOncePod access mode and is already in use by another pod".into()
            );
        }
        Ok(())
    }
}

/// Whether another pod has the claim before this one. Of two that have not begun the older one has it, so that never both
/// wait for each other.
fn comes_before(other: &Value, pod: &Value, claim: &str) -> bool {
    let age = |pod: &Value| {
        let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default().to_owned();
        (text("creationTimestamp"), text("uid"))
    };
    let phase = other["status"]["phase"].as_str().unwrap_or_default();
    let over = matches!(phase, "Succeeded" | "Failed");
    let uses = storage::claims(other).iter().any(|(name, _)| name == claim);
    uses && !over && (phase == "Running" || age(other) < age(pod))
}

/// Why a claim cannot be used by a pod, if so.
fn unfit(pod: &Value, volume: &Value, claim: &Value) -> Option<String> {
    let metadata = &pod["metadata"];
    if volume["persistentVolumeClaim"].is_null() && !storage::is_claim_of(claim, pod) {
        let (own, owner) = (Key::of(claim), Key::of(pod));
        return Some(format!("PVC {own} was not created for pod {owner} (pod is not owner)"));
    }
    if claim["metadata"]["deletionTimestamp"].is_string() && metadata["deletionTimestamp"].is_null() {
        return Some("PVC is being deleted".to_owned());
    }
    // Its status may say so a moment later than it is.
    let bound = storage::is_bound(claim) && claim["status"]["phase"] != "Lost";
    (!bound).then(|| "PVC is not bound".to_owned())
}

async fn read(objects: &Objects, key: &Key) -> Result<Value, String> {
    objects.get(key).await.map_err(|error| client::message(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn claims_that_cannot_be_used() {
        let pod = json!({ "metadata": { "namespace": "ns", "name": "p", "uid": "1" } });
        let volume = json!({ "name": "v", "persistentVolumeClaim": { "claimName": "c" } });
        let mut claim = json!({ "metadata": { "namespace": "ns", "name": "c" }, "status": { "phase": "Pending" }, "spec": {} });
        assert_eq!(unfit(&pod, &volume, &claim).as_deref(), Some("PVC is not bound"));
        claim["spec"]["volumeName"] = "v".into();
        assert_eq!(unfit(&pod, &volume, &claim).as_deref(), Some("PVC is not bound"));
        claim["metadata"]["annotations"] = json!({ storage::BIND_COMPLETED: "yes" });
        assert_eq!(unfit(&pod, &volume, &claim), None);
        let own = json!({ "name": "v", "ephemeral": {} });
        let said = unfit(&pod, &own, &claim).expect("another's");
        assert_eq!(said, "PVC ns/c was not created for pod ns/p (pod is not owner)");
        claim["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert_eq!(unfit(&pod, &volume, &claim).as_deref(), Some("PVC is being deleted"));
    }

    #[test]
    fn the_first_of_two_pods_has_what_is_for_one() {
        let pod = |uid: &str, age: &str, phase: &str| {
            json!({ "metadata": { "uid": uid, "creationTimestamp": age }, "status": { "phase": phase },
                "spec": { "volumes": [{ "name": "v", "persistentVolumeClaim": { "claimName": "c" } }] } })
        };
        let (old, new) = (pod("1", "2026-01-01", "Pending"), pod("2", "2026-01-02", "Pending"));
        assert!(comes_before(&old, &new, "c") && !comes_before(&new, &old, "c"));
        assert!(comes_before(&pod("3", "2026-01-09", "Running"), &new, "c"));
        assert!(!comes_before(&pod("1", "2026-01-01", "Succeeded"), &new, "c"));
        assert!(!comes_before(&old, &new, "other"));
    }
}
