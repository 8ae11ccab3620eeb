//! Telling claims and volumes what was decided: this volume for that claim, or on which node one is to be made.

use client::k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use client::{Key, Objects, Patch, kube};
use object::storage::{BOUND_BY_CONTROLLER, SELECTED_NODE};
use serde_json::{Value, json};

use crate::filter::Provision;

/// The way to write them.
pub(crate) struct VolumeWriter {
    claims: Objects,
    volumes: Objects,
}

impl VolumeWriter {
    pub(crate) fn new(client: &kube::Client) -> VolumeWriter {
        VolumeWriter {
            claims: Objects::of::<PersistentVolumeClaim>(client),
            volumes: Objects::of::<PersistentVolume>(client),
        }
    }

    /// Writes what is not written yet; an object that changed in between is a conflict, and decided anew.
    pub(crate) async fn write(&self, provision: &Provision, node: &str) -> Result<(), kube::Error> {
        let Some((objects, object, mut patch)) = self.patch(provision, node) else { return Ok(()) };
        patch["metadata"]["resourceVersion"] = object["metadata"]["resourceVersion"].clone();
        objects.patch(&Key::of(object), Patch::Merge(patch)).await.map(drop)
    }

    fn patch<'a>(&'a self, provision: &'a Provision, node: &str) -> Option<(&'a Objects, &'a Value, Value)> {
        match provision {
            Provision::Make { claim } => {
                let said = claim["metadata"]["annotations"][SELECTED_NODE] == node;
                let patch = json!({ "metadata": { "annotations": { SELECTED_NODE: node } } });
                (!said).then_some((&self.claims, claim, patch))
            }
            Provision::Reserve { claim, volume } => {
                let (metadata, claimant) = (&claim["metadata"], &volume["spec"]["claimRef"]);
                let said = claimant["uid"] == metadata["uid"];
                let mut patch = json!({ "spec": { "claimRef": {
                    "kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": metadata["namespace"],
                    "name": metadata["name"], "uid": metadata["uid"] } } });
                if claimant.is_null() {
                    patch["metadata"]["annotations"][BOUND_BY_CONTROLLER] = "yes".into();
                }
                (!said).then_some((&self.volumes, volume, patch))
            }
        }
    }
}
