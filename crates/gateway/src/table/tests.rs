//! Tables compiled from YAML-like objects, and where requests go.

use std::sync::Arc;

use client::{Change, Key};
use serde_json::{Value, json};

use super::{Destination, Functions, Objects, Table, compile};

fn service(name: &str, port: Value) -> Arc<Value> {
    Arc::new(json!({ "metadata": { "name": name, "namespace": "default" }, "spec": { "ports": [port] } }))
}

fn slice(service: &str, port: Value, endpoints: Value) -> Arc<Value> {
    let labels = json!({ "kubernetes.io/service-name": service });
    Arc::new(json!({
        "metadata": { "name": service, "namespace": "default", "labels": labels },
        "addressType": "IPv4", "ports": [port], "endpoints": endpoints,
    }))
}

fn ingress(name: &str, spec: Value) -> Arc<Value> {
    let created = "2026-01-01T00:00:00Z";
    Arc::new(json!({
        "metadata": { "name": name, "namespace": "default", "creationTimestamp": created }, "spec": spec,
    }))
}

fn functions(objects: impl IntoIterator<Item = Value>) -> Arc<Functions> {
    let mut functions = Functions::default();
    for object in objects {
        assert!(functions.see(&Change { key: Key::of(&object), old: None, new: Some(Arc::new(object)) }));
    }
    Arc::new(functions)
}

fn path(kind: &str, path: &str, service: &str) -> Value {
    let backend = json!({ "service": { "name": service, "port": { "number": 80 } } });
    json!({ "pathType": kind, "path": path, "backend": backend })
}

/// Services named as the endpoints' last octet says, so that a destination is told by its address.
fn table(ingresses: Vec<Arc<Value>>) -> Table {
    let names = ["one", "two", "three", "four"];
    let mut objects = Objects { ingresses, ..Objects::default() };
    for (index, name) in names.iter().enumerate() {
        objects.services.push(service(name, json!({ "name": "http", "port": 80, "targetPort": 8080 })));
        let endpoints =
            json!([{ "addresses": [format!("10.42.0.{}", index + 1)], "conditions": { "ready": true } }]);
        objects.slices.push(slice(name, json!({ "name": "http", "port": 8080 }), endpoints));
    }
    compile(&objects)
}

fn goes(table: &Table, host: &str, path: &str) -> String {
    match table.find(host, path) {
        Destination::Backend(backend) => match backend.pick() {
            Some((endpoint, _)) => {
                let names = ["", "one", "two", "three", "four"];
                let std::net::IpAddr::V4(address) = endpoint.ip() else { panic!("{endpoint}") };
                names[usize::from(address.octets()[3])].to_owned()
            }
            None => backend.why_none(),
        },
        Destination::Function { function, path } => {
            format!("{}/{} {path}", function.namespace, function.name)
        }
        Destination::Nowhere(_) => "-".to_owned(),
    }
}

#[test]
fn path_types_and_their_precedence() {
    let paths =
        [path("Prefix", "/", "one"), path("Prefix", "/foo/", "two"), path("Exact", "/foo/bar", "three")];
    let table = table(vec![ingress("a", json!({ "rules": [{ "http": { "paths": paths } }] }))]);
    for (asked, service) in [
        ("/", "one"),
        ("/foobar", "one"),
        ("/foo", "two"),
        ("/foo/", "two"),
        ("/foo/baz", "two"),
        ("/foo/bar", "three"),
        ("/foo/bar/", "two"),
        ("/foo/bar/x", "two"),
        ("/Foo", "one"),
    ] {
        assert_eq!(goes(&table, "example.test", asked), service, "{asked}");
    }
}

#[test]
fn hosts_exact_before_wildcard_before_any() {
    let rule = |host: &str, service: &str| json!({ "host": host, "http": { "paths": [path("Prefix", "/", service)] } });
    let mut any = rule("", "three");
    any.as_object_mut().unwrap().remove("host");
    let rules = [rule("a.example.test", "one"), rule("*.example.test", "two"), any];
    let table = table(vec![ingress("a", json!({ "rules": rules }))]);
    assert_eq!(goes(&table, "a.example.test", "/"), "one");
    assert_eq!(goes(&table, "A.Example.Test", "/"), "one");
    assert_eq!(goes(&table, "b.example.test", "/"), "two");
    assert_eq!(goes(&table, "example.test", "/"), "three");
    assert_eq!(goes(&table, "c.b.example.test", "/"), "three", "a wildcard is one label");
}

#[test]
fn default_backend_class_and_age() {
    let everything =
        |service: &str| json!({ "rules": [{ "http": { "paths": [path("Prefix", "/x", service)] } }] });
    let backend = json!({ "service": { "name": "four", "port": { "name": "http" } } });
    let mut foreign = everything("one");
    foreign["ingressClassName"] = json!("nginx");
    let mut ours = everything("two");
    ours["ingressClassName"] = json!("dory");
    let table = table(vec![
        ingress("b", everything("three")),
        ingress("a", ours),
        ingress("0", foreign),
        ingress("c", json!({ "defaultBackend": backend })),
    ]);
    assert_eq!(goes(&table, "h", "/x"), "two", "of the same age, the first by name");
    assert_eq!(goes(&table, "h", "/y"), "four");
}

#[test]
fn references_that_lead_nowhere_say_why() {
    let rules = |service: &str| json!({ "rules": [{ "http": { "paths": [path("Prefix", "/", service)] } }] });
    let missing = table(vec![ingress("a", rules("nope"))]);
    assert_eq!(goes(&missing, "h", "/"), "there is no Service default/nope");
    let mut objects = Objects { ingresses: vec![ingress("a", rules("one"))], ..Objects::default() };
    objects.services.push(service("one", json!({ "port": 80 })));
    let unready = json!([{ "addresses": ["10.42.0.1"], "conditions": { "ready": false } }]);
    objects.slices.push(slice("one", json!({ "name": "", "port": 8080 }), unready));
    assert_eq!(goes(&compile(&objects), "h", "/"), "no endpoint of default/one:80 is ready");
    assert_eq!(goes(&table(vec![]), "h", "/"), "-");
}

#[test]
fn functions_by_host_and_by_path() {
    let url = json!({ "id": "abc123", "authType": "NONE" });
    let with = json!({ "metadata": { "name": "hello", "namespace": "default" }, "spec": { "url": url } });
    let without = json!({ "metadata": { "name": "quiet", "namespace": "default" }, "spec": {} });
    let rules = json!({ "rules": [
        { "http": { "paths": [path("Prefix", "/", "one")] } },
        { "host": "shop.test", "http": { "paths": [path("Prefix", "/", "one")] } },
    ] });
    let objects = Objects {
        ingresses: vec![ingress("a", rules)],
        functions: functions([with, without]),
        ..Objects::default()
    };
    let table = compile(&objects);
    let nowhere = "there is no Service default/one";
    assert_eq!(goes(&table, "abc123.lambda-url.us-east-1.localhost", "/a/b"), "default/hello /a/b");
    assert_eq!(goes(&table, "abc123.lambda-url.us-east-1.on.aws", "/"), "default/hello /");
    assert_eq!(goes(&table, "zzz.lambda-url.us-east-1.on.aws", "/"), "-");
    assert_eq!(goes(&table, "localhost", "/_/default/hello"), "default/hello /");
    assert_eq!(goes(&table, "127.0.0.1", "/_/default/hello/a//b"), "default/hello /a//b");
    assert_eq!(goes(&table, "localhost", "/_/default/quiet/"), "-", "no URL, no way in");
    assert_eq!(goes(&table, "shop.test", "/_/default/hello"), nowhere, "an Ingress's host is its own");
    assert_eq!(goes(&table, "localhost", "/other"), nowhere);
}

#[test]
fn an_alias_has_the_name_of_its_function() {
    let function = json!({ "metadata": { "name": "one", "namespace": "default" }, "spec": {} });
    let renamed = json!({ "metadata": { "name": "two", "namespace": "default",
        "annotations": { "dory.dev/function-name": "Two" } }, "spec": {} });
    let alias = |id: &str, of: &str| {
        let spec = json!({ "name": "live", "functionName": of, "url": { "id": id, "authType": "NONE" } });
        Arc::new(json!({ "metadata": { "name": id, "namespace": "default" }, "spec": spec }))
    };
    let aliases = vec![alias("a1", "one"), alias("a2", "two"), alias("a3", "three")];
    let objects = Objects { functions: functions([function, renamed]), aliases, ..Objects::default() };
    let table = compile(&objects);
    let goes = |id: &str| goes(&table, &format!("{id}.lambda-url.us-east-1.localhost"), "/");
    assert_eq!((goes("a1"), goes("a2")), ("default/one /".into(), "default/Two /".into()));
    assert_eq!(goes("a3"), "-", "no function, no way in");
}

#[test]
fn what_changes_nothing_compiles_nothing() {
    let mut functions = Functions::default();
    let function = |memory: u32, url: bool| {
        let mut spec = json!({ "memoryMB": memory });
        if url {
            spec["url"] = json!({ "id": "abc", "authType": "NONE" });
        }
        json!({ "metadata": { "name": "f", "namespace": "default" }, "spec": spec })
    };
    let mut see = |new: Option<Value>| {
        functions.see(&Change { key: Key::new("default", "f"), old: None, new: new.map(Arc::new) })
    };
    let told =
        [Some((1, false)), Some((2, false)), Some((2, true)), Some((3, true)), Some((3, false)), None, None];
    let told = told.map(|state| see(state.map(|(memory, url)| function(memory, url))));
    assert_eq!(told, [true, false, true, false, true, true, false]);
}
