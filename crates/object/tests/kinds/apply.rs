//! Cases of server-side apply and field tracking, as data: a list of writes, and what they leave.

use expect_test::{Expect, expect};
use object::Context;
use object::apply::{Author, apply, manager_of, track};
use object::{FieldValidation, time, yaml};
use serde_json::{Map, Value};
use std::fmt::Write as _;
use uuid::Uuid;

/// One write: who, how, and the manifest. `apply`, `force`, `update`, `apply status`, `update status`.
struct Write(&'static str, &'static str, &'static str);

fn context(second: i64) -> Context<'static> {
    let now = time::Timestamp::from_second(1_790_000_000 + second).expect("a time");
    Context { namespace: Some("default"), now, uid: Uuid::from_u128(7) }
}

/// Runs the writes the way the API server does, one second apart, and shows what is left.
fn check(plural: &str, writes: &[Write], want: Expect) {
    let mut out = String::new();
    let live = run(plural, writes, &mut out);
    for entry in live["metadata"]["managedFields"].as_array().into_iter().flatten() {
        let via = entry["subresource"].as_str().map(|s| format!(" /{s}")).unwrap_or_default();
        let time = entry["time"]
            .as_str()
            .unwrap_or_default()
            .rsplit(':')
            .next()
            .unwrap_or_default()
            .trim_end_matches('Z');
        let (manager, operation) = (&entry["manager"], &entry["operation"]);
        let fields = entry["fieldsV1"].to_string().replace('"', "").replace('\\', "'");
        let _ = writeln!(out, "{manager} {operation}{via} {time} {fields}");
    }
    let meta = &live["metadata"];
    let rest = [&live["spec"], &live["data"], &meta["labels"], &meta["finalizers"]];
    for part in rest.into_iter().filter(|p| !p.is_null()) {
        let _ = writeln!(out, "{part}");
    }
    want.assert_eq(&out);
}

fn run(plural: &str, writes: &[Write], out: &mut String) -> Value {
    let kind = kinds::kinds().iter().find(|k| k.plural == plural).expect("a served kind");
    let mut live: Option<Value> = None;
    for (i, Write(manager, how, manifest)) in writes.iter().enumerate() {
        let ctx = context(i64::try_from(i).expect("few"));
        let subresource = how.split_once(' ').map(|(_, s)| s);
        let author = Author { manager, subresource, now: ctx.now };
        let mut object = yaml::parse(manifest.as_bytes()).expect(manifest);
        kind.conform(&mut object, FieldValidation::Strict).expect(manifest);
        let applied = how.starts_with("apply") || *how == "force";
        if applied {
            match apply(kind, live.as_ref(), &object, &author, *how == "force") {
                Ok(merged) => object = merged,
                Err(status) => {
                    let _ = writeln!(out, "{} {}", status.code, status.message);
                    continue;
                }
            }
        }
        match &live {
            None => kind.admit_create(&mut object, &ctx),
            Some(old) => kind.admit_update(&mut object, old, subresource, &ctx),
        }
        .expect(manifest);
        if !applied {
            track(kind, live.as_ref(), &mut object, &author);
        }
        live = Some(object);
    }
    live.unwrap_or_default()
}

#[test]
fn an_apply_owns_what_it_names_and_removes_what_it_drops() {
    check(
        "configmaps",
        &[
            Write("a", "apply", "{metadata: {name: c, labels: {x: '1'}}, data: {k: v, l: w}}"),
            Write("b", "apply", "{metadata: {name: c}, data: {m: x}}"),
            Write("a", "apply", "{metadata: {name: c}, data: {k: v2}}"),
            Write("b", "apply", "{metadata: {name: c}, data: {k: other}}"),
            Write("b", "force", "{metadata: {name: c}, data: {k: other}}"),
        ],
        expect![[r#"
            409 Apply failed with 1 conflict: conflict with "a": .data.k
            "b" "Apply" 24 {f:data:{f:k:{}}}
            {"k":"other"}
        "#]],
    );
}

#[test]
fn updates_take_ownership() {
    let first = "{metadata: {name: d}, spec: {replicas: 2, selector: {matchLabels: {a: b}},
        template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i, ports: [{containerPort: 80}]}]}}}}";
    let scaled = "{metadata: {name: d}, spec: {replicas: 5, selector: {matchLabels: {a: b}},
        template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: j, ports: [{containerPort: 80}]}]}}}}";
    check(
        "replicasets",
        &[
            Write("kubectl", "apply", first),
            Write("scaler", "update", scaled),
            Write("kubectl", "apply", first),
            Write("kubectl", "force", first),
            Write("node", "update status", "{metadata: {name: d}, status: {replicas: 1}}"),
        ],
        expect![[r#"
            409 Apply failed with 2 conflicts: conflicts with "scaler" using apps/v1:
            - .spec.replicas
            - .spec.template.spec.containers[name="c"].image
            "kubectl" "Apply" 23 {f:spec:{f:replicas:{},f:selector:{},f:template:{f:metadata:{f:labels:{f:a:{}}},f:spec:{f:containers:{k:{'name':'c'}:{.:{},f:image:{},f:name:{},f:ports:{k:{'containerPort':80,'protocol':'TCP'}:{.:{},f:containerPort:{}}}}}}}}}
            "node" "Update" /status 24 {f:status:{f:replicas:{}}}
            {"replicas":2,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"image":"i","imagePullPolicy":"Always","name":"c","ports":[{"containerPort":80,"protocol":"TCP"}],"resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"dnsPolicy":"ClusterFirst","restartPolicy":"Always","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30}}}
        "#]],
    );
}

#[test]
fn list_entries_come_and_go_by_their_keys() {
    check(
        "services",
        &[
            Write(
                "a",
                "apply",
                "{metadata: {name: s}, spec: {ports: [{name: p, port: 1}, {name: q, port: 2}]}}",
            ),
            Write("b", "apply", "{metadata: {name: s}, spec: {ports: [{name: z, port: 3, protocol: UDP}]}}"),
            Write("a", "apply", "{metadata: {name: s}, spec: {ports: [{name: q, port: 2}]}}"),
        ],
        expect![[r#"
            "b" "Apply" 21 {f:spec:{f:ports:{k:{'port':3,'protocol':'UDP'}:{.:{},f:name:{},f:port:{},f:protocol:{}}}}}
            "a" "Apply" 22 {f:spec:{f:ports:{k:{'port':2,'protocol':'TCP'}:{.:{},f:name:{},f:port:{}}}}}
            {"internalTrafficPolicy":"Cluster","ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack","ports":[{"name":"q","port":2,"protocol":"TCP","targetPort":2},{"name":"z","port":3,"protocol":"UDP","targetPort":3}],"sessionAffinity":"None","type":"ClusterIP"}
        "#]],
    );
}

#[test]
fn sets_are_owned_value_by_value() {
    check(
        "configmaps",
        &[
            Write("a", "apply", "{metadata: {name: c, finalizers: [x/1, x/2]}}"),
            Write("b", "apply", "{metadata: {name: c, finalizers: [x/2, x/3]}}"),
            Write("a", "apply", "{metadata: {name: c}}"),
        ],
        expect![[r#"
            "b" "Apply" 21 {f:metadata:{f:finalizers:{v:'x/2':{},v:'x/3':{}}}}
            ["x/2","x/3"]
        "#]],
    );
}

#[test]
fn a_create_is_tracked_with_its_defaults() {
    check(
        "services",
        &[Write(
            "kubectl-create",
            "update",
            "{metadata: {name: s, labels: {a: b}}, spec: {ports: [{port: 1}]}}",
        )],
        expect![[r#"
            "kubectl-create" "Update" 20 {f:metadata:{f:labels:{.:{},f:a:{}}},f:spec:{f:internalTrafficPolicy:{},f:ipFamilies:{},f:ipFamilyPolicy:{},f:ports:{.:{},k:{'port':1,'protocol':'TCP'}:{.:{},f:port:{},f:protocol:{},f:targetPort:{}}},f:sessionAffinity:{},f:type:{}}}
            {"internalTrafficPolicy":"Cluster","ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack","ports":[{"port":1,"protocol":"TCP","targetPort":1}],"sessionAffinity":"None","type":"ClusterIP"}
            {"a":"b"}
        "#]],
    );
}

#[test]
fn entries_can_be_dropped_and_come_back_with_the_first_apply() {
    check(
        "configmaps",
        &[
            Write("a", "update", "{metadata: {name: c}, data: {k: v}}"),
            Write("a", "update", "{metadata: {name: c, managedFields: [{}]}, data: {k: v}}"),
            Write("b", "update", "{metadata: {name: c}, data: {k: w}}"),
            Write("c", "apply", "{metadata: {name: c}, data: {k: x}}"),
        ],
        expect![[r#"
            409 Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .data.k
            {"k":"w"}
        "#]],
    );
}

#[test]
fn an_apply_that_changes_nothing_is_the_same_object() {
    let manifest = "{metadata: {name: c}, data: {k: v}}";
    let once = run("configmaps", &[Write("a", "apply", manifest)], &mut String::new());
    let twice = run(
        "configmaps",
        &[Write("a", "apply", manifest), Write("a", "apply", manifest)],
        &mut String::new(),
    );
    assert_eq!(once, twice);
}

#[test]
fn at_most_ten_updaters_are_remembered_one_by_one() {
    let managers = ["m00", "m01", "m02", "m03", "m04", "m05", "m06", "m07", "m08", "m09", "m10", "m11"];
    let kind = kinds::kind("", "v1", "configmaps").expect("configmaps");
    let mut live: Option<Value> = None;
    for (i, manager) in managers.iter().enumerate() {
        let mut object =
            live.clone().unwrap_or_else(|| serde_json::json!({"metadata": {"name": "c"}, "data": {}}));
        object["data"][*manager] = "x".into();
        let now = context(i64::try_from(i).expect("few")).now;
        track(kind, live.as_ref(), &mut object, &Author { manager, subresource: None, now });
        live = Some(object);
    }
    let live = live.expect("written");
    let entries = live["metadata"]["managedFields"].as_array().expect("a list");
    assert_eq!((entries.len(), &entries[0]["manager"]), (10, &Value::from("ancient-changes")));
    assert_eq!(entries[0]["fieldsV1"]["f:data"].as_object().map(Map::len), Some(3 + 1));
}

#[test]
fn entries_with_one_key_are_refused() {
    check(
        "services",
        &[Write("a", "apply", "{metadata: {name: s}, spec: {ports: [{port: 1}, {port: 1, protocol: TCP}]}}")],
        expect![[r#"
            400 failed to create typed patch object (/s; v1, Kind=Service): duplicate entries for key [port=1,protocol="TCP"]
        "#]],
    );
}

#[test]
fn managers() {
    assert_eq!(manager_of("kubectl/v1.32.0 (linux/amd64)"), "kubectl");
    assert_eq!(manager_of(&"x".repeat(200)).len(), 128);
}
