//! Claims and volumes as data, and what is written.

use std::sync::Arc;

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::Changes;
use super::claim::{Plan, Situation, plan_claim};
use super::volume::{Claimant, plan_volume};

fn claim(more: Value) -> Value {
    let claim = json!({
        "metadata": { "namespace": "ns", "name": "c", "uid": "u", "resourceVersion": "5" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "2Gi" } } },
        "status": { "phase": "Pending" },
    });
    merged(&claim, &more)
}

fn merged(object: &Value, more: &Value) -> Value {
    object::patch::merge(object, more).expect("an object")
}

fn volume(more: Value) -> Value {
    let volume = json!({
        "metadata": { "name": "v" },
        "spec": { "capacity": { "storage": "3Gi" }, "accessModes": ["ReadWriteOnce", "ReadOnlyMany"],
            "persistentVolumeReclaimPolicy": "Retain" },
        "status": { "phase": "Available" },
    });
    merged(&volume, &more)
}

fn class(name: &str, provisioner: &str, mode: &str) -> Arc<Value> {
    Arc::new(json!({ "metadata": { "name": name }, "provisioner": provisioner, "volumeBindingMode": mode,
        "allowVolumeExpansion": true }))
}

fn shown(what: &str, changes: &Changes) -> String {
    let mut text = String::new();
    for (name, part) in [("", &changes.main), (" status", &changes.status)] {
        if let Some(part) = part {
            text += &format!("{what}{name} {part}\n");
        }
    }
    if let Some(event) = &changes.event {
        let kind = if event.warning { "Warning" } else { "Normal" };
        text += &format!("{what} {kind} {}: {}\n", event.reason, event.message);
    }
    text
}

fn planned(claim: &Value, volumes: &[Value]) -> Plan {
    let classes = [
        class("now", "example.com/disk", "Immediate"),
        class("late", "dory.dev/local", "WaitForFirstConsumer"),
        class("hand", "kubernetes.io/no-provisioner", "Immediate"),
    ];
    let volumes: Vec<Arc<Value>> = volumes.iter().cloned().map(Arc::new).collect();
    let named = volumes.iter().find(|volume| volume["metadata"]["name"] == claim["spec"]["volumeName"]);
    let around = Situation {
        volumes: &volumes,
        named: named.map(Arc::as_ref),
        classes: &classes,
        waiting_pods: claim["waiting"].as_str().map(str::to_owned).into_iter().collect(),
    };
    plan_claim(claim, &around)
}

#[expect(clippy::needless_pass_by_value, reason = "cases are written in place")]
fn check(claim: Value, volumes: &[Value], want: Expect) {
    let plan = planned(&claim, volumes);
    let of_volume = plan.volume.iter().map(|(_, changes)| shown("volume", changes)).collect::<String>();
    want.assert_eq(&(of_volume + &shown("claim", &plan.claim)));
}

#[test]
fn claims_that_find_a_volume() {
    check(
        claim(json!({})),
        &[volume(json!({}))],
        expect![[r#"
        volume {"metadata":{"annotations":{"pv.kubernetes.io/bound-by-controller":"yes"}},"spec":{"claimRef":{"apiVersion":"v1","kind":"PersistentVolumeClaim","name":"c","namespace":"ns","resourceVersion":"5","uid":"u"}}}
        claim {"metadata":{"annotations":{"pv.kubernetes.io/bind-completed":"yes","pv.kubernetes.io/bound-by-controller":"yes"}},"spec":{"volumeName":"v"}}
        claim status {"accessModes":["ReadWriteOnce","ReadOnlyMany"],"capacity":{"storage":"3Gi"},"phase":"Bound"}
    "#]],
    );
    let reserved =
        json!({ "spec": { "claimRef": { "namespace": "ns", "name": "c" }, "storageClassName": "late" } });
    check(
        claim(json!({ "spec": { "storageClassName": "late" } })),
        &[volume(reserved)],
        expect![[r#"
        volume {"spec":{"claimRef":{"apiVersion":"v1","kind":"PersistentVolumeClaim","name":"c","namespace":"ns","resourceVersion":"5","uid":"u"}}}
        claim {"metadata":{"annotations":{"pv.kubernetes.io/bind-completed":"yes","pv.kubernetes.io/bound-by-controller":"yes"}},"spec":{"volumeName":"v"}}
        claim status {"accessModes":["ReadWriteOnce","ReadOnlyMany"],"capacity":{"storage":"3Gi"},"phase":"Bound"}
    "#]],
    );
    check(
        claim(json!({ "spec": { "volumeName": "v" } })),
        &[volume(json!({}))],
        expect![[r#"
        volume {"metadata":{"annotations":{"pv.kubernetes.io/bound-by-controller":"yes"}},"spec":{"claimRef":{"apiVersion":"v1","kind":"PersistentVolumeClaim","name":"c","namespace":"ns","resourceVersion":"5","uid":"u"}}}
        claim {"metadata":{"annotations":{"pv.kubernetes.io/bind-completed":"yes"}}}
        claim status {"accessModes":["ReadWriteOnce","ReadOnlyMany"],"capacity":{"storage":"3Gi"},"phase":"Bound"}
    "#]],
    );
    // What is tied on both sides and told is left alone.
    let done = json!({ "spec": { "volumeName": "v" },
        "metadata": { "annotations": { "pv.kubernetes.io/bind-completed": "yes" } },
        "status": { "phase": "Bound", "capacity": { "storage": "3Gi" }, "accessModes": ["ReadWriteOnce", "ReadOnlyMany"] } });
    let tied = volume(json!({ "spec": { "claimRef": { "namespace": "ns", "name": "c", "uid": "u" } } }));
    check(claim(done), &[tied], expect![[""]]);
}

#[test]
fn claims_that_wait() {
    check(
        claim(json!({})),
        &[],
        expect![[r#"
        claim Normal FailedBinding: no persistent volumes available for this claim and no storage class is set
    "#]],
    );
    check(
        claim(json!({ "spec": { "storageClassName": "gone" } })),
        &[],
        expect![[r#"
        claim Warning ProvisioningFailed: storageclass.storage.k8s.io "gone" not found
    "#]],
    );
    check(
        claim(json!({ "spec": { "storageClassName": "hand" } })),
        &[],
        expect![[r#"
        claim Warning ProvisioningFailed: no volume plugin matched name: kubernetes.io/no-provisioner
    "#]],
    );
    check(
        claim(json!({ "spec": { "storageClassName": "now" } })),
        &[],
        expect![[r#"
        claim {"metadata":{"annotations":{"volume.beta.kubernetes.io/storage-provisioner":"example.com/disk","volume.kubernetes.io/storage-provisioner":"example.com/disk"}}}
        claim Normal ExternalProvisioning: Waiting for a volume to be created either by the external provisioner 'example.com/disk' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.
    "#]],
    );
    check(
        claim(json!({ "spec": { "storageClassName": "late" } })),
        &[],
        expect![[r#"
        claim Normal WaitForFirstConsumer: waiting for first consumer to be created before binding
    "#]],
    );
    check(
        claim(json!({ "spec": { "storageClassName": "late" }, "waiting": "p" })),
        &[],
        expect![[r#"
        claim Normal WaitForPodScheduled: waiting for pod p to be scheduled
    "#]],
    );
    let selected = json!({ "volume.kubernetes.io/selected-node": "n" });
    let selected = json!({ "spec": { "storageClassName": "late" }, "metadata": { "annotations": selected } });
    check(
        claim(selected),
        &[],
        expect![[r#"
        claim {"metadata":{"annotations":{"volume.beta.kubernetes.io/storage-provisioner":"dory.dev/local","volume.kubernetes.io/storage-provisioner":"dory.dev/local"}}}
        claim Normal ExternalProvisioning: Waiting for a volume to be created either by the external provisioner 'dory.dev/local' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.
    "#]],
    );
    let named = || claim(json!({ "spec": { "volumeName": "v" } }));
    check(named(), &[], expect![[""]]);
    let taken = json!({ "spec": { "claimRef": { "namespace": "ns", "name": "other" } } });
    check(
        named(),
        &[volume(taken)],
        expect![[r#"
        claim Warning FailedBinding: volume "v" already bound to a different claim.
    "#]],
    );
    check(
        named(),
        &[volume(json!({ "spec": { "capacity": { "storage": "1Gi" } } }))],
        expect![[r#"
        claim Warning VolumeMismatch: Cannot bind to requested volume "v": requested PV is too small
    "#]],
    );
}

#[test]
fn claims_that_are_lost() {
    let bound = |volume: &str| {
        claim(json!({ "spec": { "volumeName": volume }, "status": { "phase": "Bound" },
            "metadata": { "annotations": { "pv.kubernetes.io/bind-completed": "yes" } } }))
    };
    check(
        bound("v"),
        &[],
        expect![[r#"
        claim status {"accessModes":null,"capacity":null,"phase":"Lost"}
        claim Warning ClaimLost: Bound claim has lost its PersistentVolume. Data on the volume is lost!
    "#]],
    );
    let other = volume(json!({ "spec": { "claimRef": { "namespace": "ns", "name": "c", "uid": "other" } } }));
    check(
        bound("v"),
        &[other],
        expect![[r#"
        claim status {"accessModes":null,"capacity":null,"phase":"Lost"}
        claim Warning ClaimMisbound: Two claims are bound to the same volume, this one is bound incorrectly
    "#]],
    );
}

#[test]
fn claims_that_grow() {
    let grown = |class: &str| {
        claim(
            json!({ "spec": { "volumeName": "v", "storageClassName": class, "resources": { "requests": { "storage": "9Gi" } } },
            "metadata": { "annotations": { "pv.kubernetes.io/bind-completed": "yes" } },
            "status": { "phase": "Bound", "capacity": { "storage": "3Gi" }, "accessModes": ["ReadWriteOnce", "ReadOnlyMany"] } }),
        )
    };
    let tied = json!({ "spec": { "claimRef": { "namespace": "ns", "name": "c", "uid": "u" } } });
    let own =
        json!({ "metadata": { "annotations": { "pv.kubernetes.io/provisioned-by": "dory.dev/local" } } });
    check(
        grown("late"),
        &[merged(&volume(tied.clone()), &own)],
        expect![[r#"
        volume {"spec":{"capacity":{"storage":"9Gi"}}}
        claim status {"capacity":{"storage":"9Gi"}}
        claim Normal VolumeResizeSuccessful: Volume expanded
    "#]],
    );
    check(
        grown("now"),
        &[volume(tied)],
        expect![[r#"
        claim Normal ExternalExpanding: waiting for an external controller to expand this PVC
    "#]],
    );
}

#[test]
fn where_volumes_stand() {
    let check = |more: Value, claim: Claimant, want: Expect| {
        let mut changes = plan_volume(&volume(more), claim);
        if let Some(status) = changes.status.as_mut().and_then(Value::as_object_mut) {
            status.remove("lastPhaseTransitionTime");
        }
        want.assert_eq(&shown("volume", &changes));
    };
    let tied = |policy: &str, annotations: Value| {
        json!({ "spec": { "claimRef": { "namespace": "ns", "name": "c", "uid": "u" }, "persistentVolumeReclaimPolicy": policy },
            "metadata": { "annotations": annotations } })
    };
    let own = || json!({ "pv.kubernetes.io/provisioned-by": "dory.dev/local" });
    let ours = || json!({ "pv.kubernetes.io/bound-by-controller": "yes" });
    check(
        json!({ "status": { "phase": "Pending" } }),
        Claimant::Missing,
        expect![[r#"
        volume status {"message":null,"phase":"Available"}
    "#]],
    );
    check(json!({}), Claimant::Missing, expect![[""]]);
    check(
        tied("Retain", json!({})),
        Claimant::Bound,
        expect![[r#"
        volume status {"message":null,"phase":"Bound"}
    "#]],
    );
    check(tied("Retain", json!({})), Claimant::Binding, expect![[""]]);
    check(
        tied("Retain", json!({})),
        Claimant::Missing,
        expect![[r#"
        volume status {"message":null,"phase":"Released"}
    "#]],
    );
    check(
        tied("Delete", own()),
        Claimant::Missing,
        expect![[r#"
        volume status {"message":null,"phase":"Released"}
    "#]],
    );
    check(
        tied("Delete", json!({})),
        Claimant::Missing,
        expect![[r#"
        volume status {"message":"volume \"v\" was made by hand, and what is on it is not deleted by this server: set its persistentVolumeReclaimPolicy to Retain, or delete the data and then the PersistentVolume","phase":"Failed"}
        volume Warning VolumeFailedDelete: volume "v" was made by hand, and what is on it is not deleted by this server: set its persistentVolumeReclaimPolicy to Retain, or delete the data and then the PersistentVolume
    "#]],
    );
    check(
        tied("Delete", own()),
        Claimant::Elsewhere,
        expect![[r#"
        volume status {"message":null,"phase":"Released"}
    "#]],
    );
    check(
        tied("Retain", ours()),
        Claimant::Elsewhere,
        expect![[r#"
        volume {"metadata":{"annotations":{"pv.kubernetes.io/bound-by-controller":null}},"spec":{"claimRef":null}}
    "#]],
    );
    check(
        tied("Retain", json!({})),
        Claimant::Elsewhere,
        expect![[r#"
        volume {"spec":{"claimRef":{"resourceVersion":null,"uid":null}}}
    "#]],
    );
}
