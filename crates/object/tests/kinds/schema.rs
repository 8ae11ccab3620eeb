//! Bodies, and what reading them says.

use kinds::openapi::{self, Customs};
use object::schema::definitions;
use object::{Decoded, FieldValidation, Kind};
use serde_json::{Value, json};

fn deployments() -> &'static Kind {
    kinds::kind("apps", "v1", "deployments").expect("deployments are served")
}

fn decode(body: &str, validation: FieldValidation) -> Result<(Value, Vec<String>), String> {
    deployments()
        .decode(body.as_bytes(), validation)
        .map(|Decoded { object, warnings }| (object, warnings))
        .map_err(|s| format!("{} {}", s.code, s.message))
}

const ODD: &str = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a","labels":{"x":"1","x":"2"}},
    "spec":{"foo":1,"replicas":1,"replicas":2,"template":{"spec":{"containers":[{"name":"c","imagee":"x"}]}}},"bar":{}}"#;

#[test]
fn unknown_and_duplicate_fields() {
    let found = [
        "duplicate field \"metadata.labels.x\"",
        "unknown field \"spec.foo\"",
        "duplicate field \"spec.replicas\"",
        "unknown field \"spec.template.spec.containers[0].imagee\"",
        "unknown field \"bar\"",
    ];
    let strict = decode(ODD, FieldValidation::Strict).expect_err("strict");
    let want = "400 Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: ";
    assert_eq!(strict, format!("{want}{}", found.join(", ")));
    let (object, warnings) = decode(ODD, FieldValidation::Warn).expect("warn");
    assert_eq!(warnings, found);
    assert_eq!(object["metadata"]["labels"], json!({"x": "2"}));
    assert_eq!(object["spec"], json!({"replicas": 2, "template": {"spec": {"containers": [{"name": "c"}]}}}));
    assert_eq!(object.get("bar"), None);
    assert_eq!(decode(ODD, FieldValidation::Ignore).expect("ignore").1, Vec::<String>::new());
}

#[test]
fn values_of_the_wrong_type() {
    for (spec, want) in [
        (
            r#"{"replicas":"3"}"#,
            "cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            r#"{"replicas":1.5}"#,
            "cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            r#"{"replicas":3000000000}"#,
            "cannot unmarshal number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            r#"{"paused":"yes"}"#,
            "cannot unmarshal string into Go struct field DeploymentSpec.spec.paused of type bool",
        ),
        (
            r#"{"template":{"spec":{"containers":[{"env":[{"value":1}]}]}}}"#,
            "cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string",
        ),
        (
            r#"{"template":[]}"#,
            "cannot unmarshal array into Go struct field PodTemplateSpec.spec.template of type v1.PodTemplateSpec",
        ),
        (
            r#"{"template":{"spec":{"containers":{}}}}"#,
            "cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
        ),
        (
            r#"{"template":{"spec":{"containers":[{"resources":{"limits":{"cpu":"abc"}}}]}}}"#,
            "quantities must match the regular expression",
        ),
    ] {
        let body = format!(r#"{{"metadata":{{"name":"a"}},"spec":{spec}}}"#);
        let message = decode(&body, FieldValidation::Warn).expect_err(spec);
        assert!(message.starts_with("400 ") && message.contains(want), "{spec}: {message}");
    }
}

#[test]
fn bodies_that_are_none() {
    for body in ["", "{", "[]", "null", "3", "{\"metadata\":{}} x", "\u{0}", "{\"spec\":\"\\ud800\"}"] {
        assert!(decode(body, FieldValidation::Warn).expect_err(body).starts_with("400 "), "{body}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(decode(&deep, FieldValidation::Warn).is_err());
    let other = r#"{"apiVersion":"v1","kind":"Deployment"}"#;
    let want = "400 the API version in the data (v1) does not match the expected API version (apps/v1)";
    assert_eq!(decode(other, FieldValidation::Warn), Err(want.to_owned()));
    assert!(decode(r#"{"apiVersion":"apps/v1","kind":"Pod"}"#, FieldValidation::Warn).is_err());
}

#[test]
fn leaves_come_out_in_canonical_form() {
    let pods = kinds::kind("", "v1", "pods").expect("pods");
    let body = json!({"metadata": {"name": "a", "creationTimestamp": null, "labels": null},
        "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}}]},
        "status": {"startTime": "2026-11-21T07:00:00+01:00"}});
    let Decoded { object: pod, .. } =
        pods.decode(body.to_string().as_bytes(), FieldValidation::Strict).expect("a pod");
    assert_eq!((&pod["apiVersion"], &pod["kind"]), (&json!("v1"), &json!("Pod")));
    assert_eq!(pod["metadata"], json!({"name": "a"}));
    let limits = &pod["spec"]["containers"][0]["resources"]["limits"];
    assert_eq!(limits, &json!({"cpu": "500m", "memory": "1Gi"}));
    assert_eq!(pod["status"]["startTime"], "2026-11-21T06:00:00Z");
    let secrets = kinds::kind("", "v1", "secrets").expect("secrets");
    let bad = secrets.decode(br#"{"data":{"a":"%%"}}"#, FieldValidation::Warn).expect_err("not base64");
    assert!(bad.message.ends_with("illegal base64 data at input byte 0"), "{bad}");
}

#[test]
fn every_reference_of_the_documents_leads_somewhere() {
    let v2: Value = serde_json::from_slice(&openapi::v2(Customs::default())).expect("json");
    check_references(&v2, &v2);
    for kind in kinds::kinds() {
        let v3 = openapi::v3(kind.group, kind.version, Customs::default()).expect("served");
        let v3: Value = serde_json::from_slice(&v3).expect("json");
        check_references(&v3, &v3);
        let namespaced = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
        let root = if kind.group.is_empty() { "/api" } else { "/apis" };
        let path = format!("{root}/{}{namespaced}/{}/{{name}}", kind.api_version, kind.plural);
        let patch = &v3["paths"][path.as_str()]["patch"];
        assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], kind.kind, "{path}");
        let named = |p: &Value| p["name"] == "fieldValidation";
        assert!(patch["parameters"].as_array().is_some_and(|p| p.iter().any(named)), "{path}");
    }
    assert_eq!(openapi::v3("apps", "v2", Customs::default()), None);
}

fn check_references(value: &Value, document: &Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(target)) = map.get("$ref") {
                let found = document.pointer(target.trim_start_matches('#'));
                assert!(found.is_some(), "{target}");
            }
            map.values().for_each(|v| check_references(v, document));
        }
        Value::Array(list) => list.iter().for_each(|v| check_references(v, document)),
        _ => {}
    }
}

#[test]
fn every_kind_has_a_definition_that_names_it() {
    for kind in kinds::kinds() {
        let gvk = format!("{}/{}/{}", kind.group, kind.version, kind.kind);
        assert!(definitions::definition(kind.schema).kinds.contains(&gvk.as_str()), "{gvk}");
    }
}
