//! Claims, volumes and storage classes.

use super::*;
use expect_test::expect;

fn claim(spec: &str) -> String {
    format!("{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: c}}, spec: {{{spec}}}}}")
}

fn volume(spec: &str) -> String {
    format!("{{apiVersion: v1, kind: PersistentVolume, metadata: {{name: v}}, spec: {{{spec}}}}}")
}

fn class(rest: &str) -> String {
    format!("{{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {{name: s}}, {rest}}}")
}

const PLAIN_CLAIM: &str = "accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}";
const PLAIN_VOLUME: &str = "accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, hostPath: {path: /x}";

#[test]
fn defaults() {
    check(
        &claim(PLAIN_CLAIM),
        expect![[r#"
        spec:
          accessModes:
          - ReadWriteOnce
          resources:
            requests:
              storage: 1Gi
          volumeMode: Filesystem
        status:
          phase: Pending
    "#]],
    );
    check(
        &volume(PLAIN_VOLUME),
        expect![[r#"
        spec:
          accessModes:
          - ReadWriteOnce
          capacity:
            storage: 1Gi
          hostPath:
            path: /x
            type: ""
          persistentVolumeReclaimPolicy: Retain
          volumeMode: Filesystem
        status:
          lastPhaseTransitionTime: "2026-09-21T14:13:20Z"
          phase: Pending
    "#]],
    );
    check(
        &class("provisioner: dory.dev/local"),
        expect![[r#"
        provisioner: dory.dev/local
        reclaimPolicy: Delete
        volumeBindingMode: Immediate
    "#]],
    );
}

#[test]
fn refused_claims() {
    for (spec, want) in [
        ("", expect![[r#"
            422 PersistentVolumeClaim "c" is invalid: [spec.accessModes: Required value: at least 1 access mode is required, spec.resources[storage]: Required value]
        "#]]),
        ("accessModes: [Sometimes], resources: {requests: {storage: 0}}", expect![[r#"
            422 PersistentVolumeClaim "c" is invalid: [spec.accessModes: Unsupported value: "Sometimes": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod", spec.resources[storage]: Invalid value: "0": must be greater than zero]
        "#]]),
        ("accessModes: [ReadWriteOnce, ReadWriteOncePod], resources: {requests: {storage: -1Gi}}", expect![[r#"
            422 PersistentVolumeClaim "c" is invalid: [spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes, spec.resources[storage]: Invalid value: "-1Gi": must be greater than zero]
        "#]]),
        (
            "accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}, volumeMode: Block, storageClassName: A_B,
            dataSource: {kind: PersistentVolumeClaim, name: other}, volumeAttributesClassName: fast,
            selector: {matchExpressions: [{key: a, operator: In}]}",
            expect![[r#"
                422 PersistentVolumeClaim "c" is invalid: [spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn', spec.storageClassName: Invalid value: "A_B": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*'), spec.volumeMode: Forbidden: raw block devices are not supported by this server: use volumeMode Filesystem, spec.dataSource: Forbidden: volumes are not filled from other volumes or snapshots by this server: copy the data in a pod, spec.volumeAttributesClassName: Forbidden: there are no VolumeAttributesClasses on this server: use a StorageClass]
            "#]],
        ),
    ] {
        check(&claim(spec), want);
    }
}

#[test]
fn refused_volumes() {
    for (spec, want) in [
        ("", expect![[r#"
            422 PersistentVolume "v" is invalid: [spec.accessModes: Required value, spec.capacity: Required value, spec: Required value: must specify a volume type]
        "#]]),
        ("accessModes: [ReadWriteOnce], capacity: {storage: 1Gi, cpu: 1}, nfs: {server: a, path: /b}", expect![[r#"
            422 PersistentVolume "v" is invalid: [spec.capacity: Unsupported value: "{\"cpu\":\"1\",\"storage\":\"1Gi\"}": supported values: "storage", spec.nfs: Forbidden: volumes of this type are not supported by this server: use local or hostPath]
        "#]]),
        ("accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, hostPath: {path: /a/../b, type: Wild}, local: {path: /x}", expect![[r#"
            422 PersistentVolume "v" is invalid: [spec.hostPath.path: Invalid value: "/a/../b": must not contain '..', spec.hostPath.type: Unsupported value: "Wild": supported values: "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket", spec.local: Forbidden: may not specify more than 1 volume type]
        "#]]),
        ("accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, local: {path: ../x}, persistentVolumeReclaimPolicy: Recycle, mountOptions: [ro]", expect![[r#"
            422 PersistentVolume "v" is invalid: [spec.persistentVolumeReclaimPolicy: Forbidden: volumes are not wiped for another claim by this server: use Retain or Delete, spec.local.path: Invalid value: "../x": must not contain '..', spec.nodeAffinity: Required value: Local volume requires node affinity, spec.mountOptions: Forbidden: directories of the machine are mounted without options: leave mountOptions out]
        "#]]),
        (
            "accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, local: {path: /x}, persistentVolumeReclaimPolicy: Burn,
            nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Is}]}]}}",
            expect![[r#"
                422 PersistentVolume "v" is invalid: [spec.persistentVolumeReclaimPolicy: Unsupported value: "Burn": supported values: "Delete", "Retain", spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].operator: Invalid value: "Is": not a valid selector operator]
            "#]],
        ),
    ] {
        check(&volume(spec), want);
    }
}

#[test]
fn refused_classes() {
    check(
        &class("provisioner: \"\", reclaimPolicy: Recycle, volumeBindingMode: Later"),
        expect![[r#"
        422 StorageClass.storage.k8s.io "s" is invalid: [provisioner: Required value, reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain", volumeBindingMode: Unsupported value: "Later": supported values: "Immediate", "WaitForFirstConsumer"]
    "#]],
    );
    check(
        &class("provisioner: dory.dev/local, parameters: {a: b}, mountOptions: [ro]"),
        expect![[r#"
        422 StorageClass.storage.k8s.io "s" is invalid: [mountOptions: Forbidden: the provisioner dory.dev/local makes plain directories and has no such setting: leave it out, parameters: Forbidden: the provisioner dory.dev/local makes plain directories and has no such setting: leave it out]
    "#]],
    );
    check(
        &class("provisioner: ebs.csi.aws.com, parameters: {type: gp3}, mountOptions: [ro]"),
        expect![[r#"
        mountOptions:
        - ro
        parameters:
          type: gp3
        provisioner: ebs.csi.aws.com
        reclaimPolicy: Delete
        volumeBindingMode: Immediate
    "#]],
    );
}

#[test]
fn what_may_change() {
    let old = claim(PLAIN_CLAIM);
    check_update(
        &old,
        &claim(&format!("{PLAIN_CLAIM}, storageClassName: s, volumeName: v")),
        expect![[r#"
        generation null, spec changed true, status {"phase":"Pending"}
    "#]],
    );
    check_update(
        &old,
        &old.replace("1Gi", "2Gi"),
        expect![[r#"
        422 PersistentVolumeClaim "c" is invalid: spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims
    "#]],
    );
    check_update(
        &old,
        &old.replace("ReadWriteOnce", "ReadWriteMany"),
        expect![[r#"
        422 PersistentVolumeClaim "c" is invalid: spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims
    "#]],
    );
    let bound = claim(&format!("{PLAIN_CLAIM}, volumeName: v"));
    check_update(
        &bound,
        &bound.replace("volumeName: v", "volumeName: w"),
        expect![[r#"
        422 PersistentVolumeClaim "c" is invalid: spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims
    "#]],
    );
    let old = volume(PLAIN_VOLUME);
    check_update(
        &old,
        &old.replace("1Gi", "2Gi"),
        expect![[r#"
        generation null, spec changed true, status {"lastPhaseTransitionTime":"2026-09-21T14:13:20Z","phase":"Pending"}
    "#]],
    );
    check_update(
        &old,
        &old.replace("/x", "/y"),
        expect![[r#"
        422 PersistentVolume "v" is invalid: spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation
    "#]],
    );
    let old = class("provisioner: p, allowVolumeExpansion: false");
    check_update(
        &old,
        &old.replace("false", "true"),
        expect![[r#"
        generation null, spec changed false, status null
    "#]],
    );
    check_update(
        &old,
        &class("provisioner: q, reclaimPolicy: Retain"),
        expect![[r#"
        422 StorageClass.storage.k8s.io "s" is invalid: [provisioner: Invalid value: "q": field is immutable, reclaimPolicy: Invalid value: "Retain": field is immutable]
    "#]],
    );
}

#[test]
fn bound_claims_may_grow() {
    let (kind, mut new) = read(&claim(&format!("{PLAIN_CLAIM}, volumeName: v")));
    let mut old = created(&claim(&format!("{PLAIN_CLAIM}, volumeName: v"))).expect("a claim");
    old["status"] = serde_json::json!({"phase": "Bound", "capacity": {"storage": "1Gi"}});
    let mut update = |storage: &str| {
        new["spec"]["resources"]["requests"]["storage"] = storage.into();
        let mut new = new.clone();
        kind.admit_update(&mut new, &old, None, &context(kind)).map(drop).map_err(|status| status.message)
    };
    assert_eq!(update("2Gi"), Ok(()));
    expect![[r#"PersistentVolumeClaim "c" is invalid: spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"#]].assert_eq(&update("1Mi").expect_err("less"));
}

#[test]
fn generic_ephemeral_volumes() {
    let pod = |template: &str| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{containers: [{{name: c, image: i:1}}],
            volumes: [{{name: w, ephemeral: {{{template}}}}}]}}}}"
        )
    };
    check(
        &pod(""),
        expect![[r#"
        422 Pod "p" is invalid: spec.volumes[0].ephemeral.volumeClaimTemplate: Required value
    "#]],
    );
    check(
        &pod("volumeClaimTemplate: {metadata: {name: x}, spec: {accessModes: [ReadWriteOnce]}}"),
        expect![[r#"
            422 Pod "p" is invalid: [spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.name: Forbidden: cannot be set, spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value]
        "#]],
    );
}
