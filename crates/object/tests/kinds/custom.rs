//! Definitions, and the kinds that they make.

use object::Context;
use object::custom::{Registry, naming};
use object::{FieldValidation, Kind, apply, scale, table};
use serde_json::{Value, json};

const NOW: &str = "2026-11-30T10:00:00Z";

fn definitions() -> &'static Kind {
    kinds::kind("apiextensions.k8s.io", "v1", "customresourcedefinitions").expect("a kind of the table")
}

fn context(namespace: Option<&str>) -> Context<'_> {
    Context { namespace, now: NOW.parse().expect("a time"), uid: uuid::Uuid::from_u128(7) }
}

fn crd() -> Value {
    let spec = json!({"type": "object", "required": ["color"], "properties": {
        "color": {"type": "string", "enum": ["red", "blue"]},
        "replicas": {"type": "integer", "default": 1, "maximum": 5},
        "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "required": ["name"],
                "properties": {"name": {"type": "string"}, "port": {"type": "integer"}}}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}});
    let status = json!({"type": "object", "properties": {"replicas": {"type": "integer"}}});
    json!({"metadata": {"name": "widgets.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]},
        "versions": [
            {"name": "v1beta1", "served": true, "storage": false,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}},
            {"name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas",
                    "statusReplicasPath": ".status.replicas"}},
                "selectableFields": [{"jsonPath": ".spec.color"}],
                "additionalPrinterColumns": [{"name": "Color", "type": "string", "jsonPath": ".spec.color"}],
                "schema": {"openAPIV3Schema": {"type": "object",
                    "properties": {"spec": spec, "status": status}}}}]}})
}

fn admitted(mut crd: Value) -> Result<Value, Vec<String>> {
    let decoded = definitions().decode(crd.to_string().as_bytes(), FieldValidation::Strict);
    crd = decoded.map_err(|status| vec![status.message])?.object;
    match definitions().admit_create(&mut crd, &context(None)) {
        Ok(_) => Ok(crd),
        Err(status) => {
            let causes = status.details.expect("details").causes;
            Err(causes.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect())
        }
    }
}

fn established() -> Value {
    let crd = admitted(crd()).expect("a definition");
    naming::plan_status(&crd, &[], context(None).now).expect("something to do")
}

fn widgets(registry: &Registry) -> &'static Kind {
    registry.resource(&established()).expect("it is established").storage
}

#[test]
fn a_definition_is_defaulted_named_and_established() {
    let crd = established();
    assert_eq!(crd["spec"]["names"]["singular"], "widget");
    assert_eq!(crd["spec"]["names"]["listKind"], "WidgetList");
    assert_eq!(crd["spec"]["conversion"], json!({"strategy": "None"}));
    assert_eq!(crd["status"]["storedVersions"], json!(["v1"]));
    assert_eq!(crd["status"]["acceptedNames"], crd["spec"]["names"]);
    assert!(naming::is_settled(&crd));
    assert_eq!(naming::plan_status(&crd, &[], context(None).now), None);
}

#[test]
fn names_that_are_taken_are_not_given() {
    let mut other = admitted(crd()).expect("a definition");
    other["metadata"]["name"] = "gadgets.example.com".into();
    other["spec"]["names"]["plural"] = "gadgets".into();
    let planned = naming::plan_status(&other, &[established()], context(None).now).expect("a status");
    assert!(!naming::is_true(&planned, "Established"));
    let told = planned["status"]["conditions"][0].clone();
    assert_eq!((&told["reason"], &told["status"]), (&json!("ShortNamesConflict"), &json!("False")));
    assert!(Registry::default().resource(&planned).is_none(), "it is not served");
}

#[test]
fn what_a_definition_may_not_say() {
    let root = "/spec/versions/1/schema/openAPIV3Schema";
    for (place, value, want) in [
        ("/metadata/name", json!("other.example.com"), "must be spec.names.plural+\".\"+spec.group"),
        ("/spec/group", json!("example"), "should be a domain with at least one dot"),
        ("/spec/scope", json!("Somewhere"), "spec.scope: Unsupported value: \"Somewhere\""),
        ("/spec/names/kind", json!("My Kind"), "may have mixed case, but should otherwise match"),
        ("/spec/versions/0/storage", json!(true), "must have exactly one version marked as storage version"),
        ("/spec/versions/0/name", json!("v1"), "must contain unique version names"),
        ("/spec/conversion", json!({"strategy": "Webhook"}), "conversion webhooks are not supported"),
        ("/spec/preserveUnknownFields", json!(true), "cannot set to true"),
        (
            "/spec/versions/1/selectableFields/0/jsonPath",
            json!(".spec.free"),
            "must point to a field of type",
        ),
        ("/spec/versions/1/additionalPrinterColumns/0/jsonPath", json!("spec"), "does not begin with a dot"),
        (
            "/spec/versions/1/subresources/scale/specReplicasPath",
            json!(".x"),
            "should be a json path under .spec",
        ),
        ("/properties/spec/properties/color/pattern", json!("(a"), "must be a valid regular expression"),
        (
            "/properties/spec/properties/color/default",
            json!("green"),
            "default: Unsupported value: \"green\"",
        ),
        ("/properties/spec/properties/replicas/type", json!("int"), "Unsupported value: \"int\""),
        ("/properties/spec/properties/free/type", json!(""), ""),
        (
            "/properties/spec/properties/color/type",
            json!(""),
            "must not be empty for specified object fields",
        ),
        ("/properties/spec/uniqueItems", json!(true), "uniqueItems cannot be set to true"),
        ("/properties/spec/$ref", json!("#/x"), "$ref is not supported"),
        (
            "/properties/spec/properties/ports/x-kubernetes-list-map-keys",
            json!(["x"]),
            "entries must all be names",
        ),
        (
            "/properties/spec/properties/ports/items/required",
            json!([]),
            "must have a default or be a required",
        ),
        ("/properties/spec/anyOf", json!([{"type": "string"}]), "must be empty to be structural"),
        ("/properties/spec/anyOf", json!([{"properties": {"x": {}}}]), "to be structural"),
        ("/properties/spec/anyOf", json!([{"required": ["color"]}]), ""),
        ("/properties/metadata", json!({"type": "object", "required": ["x"]}), "name and generateName"),
    ] {
        let mut crd = crd();
        let place =
            if place.starts_with("/properties") { format!("{root}{place}") } else { place.to_owned() };
        let (parent, key) = place.rsplit_once('/').expect("a pointer");
        crd.pointer_mut(parent).expect(parent)[key] = value.clone();
        match (admitted(crd), want) {
            (Ok(_), "") => {}
            (Err(told), want) if !want.is_empty() && told.iter().any(|text| text.contains(want)) => {}
            (answer, _) => panic!("{place} = {value}: {:?}, not {want}", answer.err()),
        }
    }
}

#[test]
fn objects_are_read_filled_and_judged_by_it() {
    let registry = Registry::default();
    let kind = widgets(&registry);
    let body = json!({"metadata": {"name": "a"}, "spec": {"color": "red", "colour": 1, "free": {"x": null}}});
    let text = body.to_string();
    let strict = kind.decode(text.as_bytes(), FieldValidation::Strict).expect_err("an unknown field");
    assert!(strict.message.ends_with("strict decoding error: unknown field \"spec.colour\""), "{strict}");
    let mut object = kind.decode(text.as_bytes(), FieldValidation::Warn).expect("readable").object;
    kind.admit_create(&mut object, &context(Some("n"))).expect("a widget");
    assert_eq!(object["spec"], json!({"color": "red", "replicas": 1, "free": {"x": null}}));
    assert_eq!(object["metadata"]["generation"], 1);
    let mut bad = object.clone();
    bad["spec"] = json!({"color": "green", "replicas": 9});
    let refused = kind.admit_update(&mut bad, &object, None, &context(Some("n"))).expect_err("a green one");
    assert_eq!(refused.details.expect("details").causes.len(), 2);
    let mut status = object.clone();
    status["status"] = json!({"replicas": 3});
    status["spec"]["color"] = "blue".into();
    kind.admit_update(&mut status, &object, Some("status"), &context(Some("n"))).expect("a status");
    assert_eq!((&status["spec"]["color"], &status["metadata"]["generation"]), (&json!("red"), &json!(1)));
    assert_eq!(scale::of(kind, &status)["status"], json!({"replicas": 3}));
    scale::set(kind, &mut status, &json!({"spec": {"replicas": 4}})).expect("a scale");
    assert_eq!(status["spec"]["replicas"], 4);
    assert_eq!(kind.field_texts(&status).collect::<Vec<_>>(), ["red"]);
    let row = table::row(kind, &status, table::Include::None, context(None).now);
    assert_eq!(row["cells"], json!(["a", "red"]));
}

#[test]
fn lists_with_keys_are_applied_entry_by_entry() {
    let registry = Registry::default();
    let kind = widgets(&registry);
    let author = |manager| apply::Author { manager, subresource: None, now: context(None).now };
    let config = |name: &str| {
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a", "namespace": "n"},
            "spec": {"ports": [{"name": name, "port": 1}]}})
    };
    let first = apply::apply(kind, None, &config("x"), &author("one"), false).expect("applied");
    let second = apply::apply(kind, Some(&first), &config("y"), &author("two"), false).expect("no conflict");
    assert_eq!(second["spec"]["ports"], json!([{"name": "x", "port": 1}, {"name": "y", "port": 1}]));
    let fields = &second["metadata"]["managedFields"][1]["fieldsV1"]["f:spec"]["f:ports"];
    assert!(fields.get("k:{\"name\":\"y\"}").is_some(), "{fields}");
    let conflict = apply::apply(
        kind,
        Some(&second),
        &json!({"apiVersion": "example.com/v1", "kind": "Widget",
        "metadata": {"name": "a", "namespace": "n"}, "spec": {"ports": [{"name": "x", "port": 2}]}}),
        &author("two"),
        false,
    );
    assert_eq!(conflict.expect_err("somebody else's").code, 409);
}

#[test]
fn long_lists_take_no_time() {
    let registry = Registry::default();
    let kind = widgets(&registry);
    let author = |manager| apply::Author { manager, subresource: None, now: context(None).now };
    let config = |port: i64, count: usize| {
        let ports: Vec<Value> = (0..count).map(|n| json!({"name": format!("p{n}"), "port": port})).collect();
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a", "namespace": "n"},
            "spec": {"color": "red", "ports": ports}})
    };
    let begun = std::time::Instant::now();
    let first = apply::apply(kind, None, &config(1, 20_000), &author("one"), false).expect("applied");
    let second =
        apply::apply(kind, Some(&first), &config(2, 10_000), &author("one"), false).expect("applied");
    assert_eq!(second["spec"]["ports"].as_array().map(Vec::len), Some(10_000));
    let mut updated = config(3, 20_000);
    kind.admit_update(&mut updated, &first, None, &context(Some("n"))).expect("allowed");
    apply::track(kind, Some(&first), &mut updated, &author("two"));
    // One entry after the other was looked for among all others: minutes.
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
}

#[test]
fn a_changed_definition_changes_the_kind_in_place() {
    let registry = Registry::default();
    let kind = widgets(&registry);
    let mut crd = established();
    crd["spec"]["versions"][1]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["size"] =
        json!({"type": "integer", "default": 3});
    let again = registry.resource(&crd).expect("it is established");
    assert!(std::ptr::eq(again.storage, kind));
    let mut stored =
        json!({"apiVersion": "example.com/v1beta1", "kind": "Widget", "spec": {"color": "red", "x": 1}});
    kind.settle_stored(&mut stored);
    assert_eq!(stored["spec"], json!({"color": "red", "replicas": 1, "size": 3}));
    assert_eq!(stored["apiVersion"], "example.com/v1");
    let versions: Vec<&str> = again.forms.iter().map(|form| form.version).collect();
    assert_eq!(versions, ["v1", "v1beta1"], "the stable one first");
}
