//! `cargo xtask schema PATH/swagger.json`: derives the checked-in schema table of the room `object` from the OpenAPI
//! document that Kubernetes publishes. Takes facts (names, types, keys, defaults), never descriptions.

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

const OUT: &str = "crates/object/src/schema/kubernetes.schema";

/// Definitions that are served; everything that they refer to comes along.
const ROOTS: &[&str] = &[
    "io.k8s.api.apps.v1.ControllerRevision",
    "io.k8s.api.apps.v1.DaemonSet",
    "io.k8s.api.apps.v1.Deployment",
    "io.k8s.api.apps.v1.ReplicaSet",
    "io.k8s.api.apps.v1.StatefulSet",
    "io.k8s.api.authentication.v1.TokenRequest",
    "io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler",
    "io.k8s.api.autoscaling.v1.Scale",
    "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    "io.k8s.api.batch.v1.CronJob",
    "io.k8s.api.batch.v1.Job",
    "io.k8s.api.coordination.v1.Lease",
    "io.k8s.api.core.v1.Binding",
    "io.k8s.api.core.v1.ConfigMap",
    "io.k8s.api.core.v1.Endpoints",
    "io.k8s.api.core.v1.Event",
    "io.k8s.api.core.v1.Namespace",
    "io.k8s.api.core.v1.Node",
    "io.k8s.api.core.v1.PersistentVolume",
    "io.k8s.api.core.v1.PersistentVolumeClaim",
    "io.k8s.api.core.v1.Pod",
    "io.k8s.api.core.v1.Secret",
    "io.k8s.api.core.v1.Service",
    "io.k8s.api.core.v1.ServiceAccount",
    "io.k8s.api.discovery.v1.EndpointSlice",
    "io.k8s.api.events.v1.Event",
    "io.k8s.api.networking.v1.Ingress",
    "io.k8s.api.networking.v1.IngressClass",
    "io.k8s.api.policy.v1.Eviction",
    "io.k8s.api.policy.v1.PodDisruptionBudget",
    "io.k8s.api.rbac.v1.ClusterRole",
    "io.k8s.api.rbac.v1.ClusterRoleBinding",
    "io.k8s.api.rbac.v1.Role",
    "io.k8s.api.rbac.v1.RoleBinding",
    "io.k8s.api.scheduling.v1.PriorityClass",
    "io.k8s.api.storage.v1.StorageClass",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
];

/// Definitions that the table has as types of their own.
const LEAVES: &[(&str, &str)] = &[
    ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON", "any"),
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray",
        "@io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps",
    ),
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool",
        "@?io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps",
    ),
    ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray", "any"),
    ("io.k8s.apimachinery.pkg.api.resource.Quantity", "quantity"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", "any"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime", "microtime"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Time", "time"),
    ("io.k8s.apimachinery.pkg.runtime.RawExtension", "any"),
    ("io.k8s.apimachinery.pkg.util.intstr.IntOrString", "int-or-string"),
];

/// Reads the document, writes the table, and says how big it became.
pub fn run(root: &Path, swagger: &Path) -> Result<()> {
    let document = read(swagger)?;
    let definitions = document["definitions"].as_object().context("the document has no definitions")?;
    let defaults = read_defaults(swagger)?;
    let mut text = String::from(
        "# Derived from the OpenAPI document of Kubernetes v1.37 by `cargo xtask schema`; do not edit.\n",
    );
    let wanted = closure(definitions)?;
    for name in &wanted {
        write_definition(&mut text, name, &definitions[name], &defaults)?;
    }
    std::fs::write(root.join(OUT), &text).with_context(|| format!("write {OUT}"))?;
    println!("{OUT}: {} definitions, {} bytes", wanted.len(), text.len());
    Ok(())
}

fn read(path: &Path) -> Result<Value> {
    let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("parse {}", path.display()))
}

/// The v2 document has no defaults; the v3 documents beside it do.
fn read_defaults(swagger: &Path) -> Result<BTreeMap<(String, String), Value>> {
    let mut out = BTreeMap::new();
    let dir = swagger.with_file_name("v3");
    for entry in std::fs::read_dir(&dir).with_context(|| format!("read {}", dir.display()))? {
        let document = read(&entry?.path())?;
        for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
            for (field, property) in schema["properties"].as_object().into_iter().flatten() {
                if let Some(default) = property.get("default").filter(|d| !is_zero(d)) {
                    out.insert((name.clone(), field.clone()), default.clone());
                }
            }
        }
    }
    Ok(out)
}

/// The default of a Go zero value says nothing.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
    }
}

fn is_leaf(name: &str) -> bool {
    LEAVES.iter().any(|(leaf, _)| *leaf == name)
}

fn closure(definitions: &Map<String, Value>) -> Result<BTreeSet<String>> {
    let mut seen = BTreeSet::new();
    let mut todo: Vec<String> = ROOTS.iter().map(|s| (*s).to_owned()).collect();
    while let Some(name) = todo.pop() {
        if is_leaf(&name) || !seen.insert(name.clone()) {
            continue;
        }
        let definition = definitions.get(&name).with_context(|| format!("no definition {name}"))?;
        references(definition, &mut todo);
    }
    Ok(seen)
}

fn references(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(target)) = map.get("$ref") {
                out.push(target.trim_start_matches("#/definitions/").to_owned());
            }
            map.values().for_each(|v| references(v, out));
        }
        Value::Array(items) => items.iter().for_each(|v| references(v, out)),
        _ => {}
    }
}

fn write_definition(
    text: &mut String,
    name: &str,
    definition: &Value,
    defaults: &BTreeMap<(String, String), Value>,
) -> Result<()> {
    write!(text, "def {name}")?;
    if definition["x-kubernetes-map-type"] == "atomic" {
        text.push_str(" atomic");
    }
    for gvk in definition["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
        let part = |key: &str| gvk[key].as_str().unwrap_or_default();
        // Option types are registered in every group; the table names them once.
        if part("group").is_empty() || !name.starts_with("io.k8s.apimachinery") {
            write!(text, " gvk={}/{}/{}", part("group"), part("version"), part("kind"))?;
        }
    }
    text.push('\n');
    let required: Vec<&str> =
        definition["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (field, property) in definition["properties"].as_object().into_iter().flatten() {
        let mark = if required.contains(&field.as_str()) { "!" } else { "" };
        write!(text, " {field}{mark} {}", type_of(property)?)?;
        write_merge_facts(text, property)?;
        if let Some(default) = defaults.get(&(name.to_owned(), field.clone())) {
            write!(text, " default={default}")?;
        }
        text.push('\n');
    }
    Ok(())
}

fn write_merge_facts(text: &mut String, property: &Value) -> Result<()> {
    match property["x-kubernetes-list-type"].as_str() {
        Some("map") => {
            let keys =
                property["x-kubernetes-list-map-keys"].as_array().context("a map list without keys")?;
            let keys: Vec<&str> = keys.iter().filter_map(Value::as_str).collect();
            write!(text, " map={}", keys.join(","))?;
        }
        Some(other) => write!(text, " {other}")?,
        None => {}
    }
    if property["x-kubernetes-map-type"] == "atomic" {
        text.push_str(" atomic");
    }
    if let Some(strategy) = property["x-kubernetes-patch-strategy"].as_str() {
        write!(text, " patch={strategy}")?;
    }
    if let Some(key) = property["x-kubernetes-patch-merge-key"].as_str() {
        write!(text, " merge={key}")?;
    }
    Ok(())
}

fn type_of(property: &Value) -> Result<String> {
    if let Some(target) = property["$ref"].as_str() {
        let name = target.trim_start_matches("#/definitions/");
        let leaf = LEAVES.iter().find(|(leaf, _)| *leaf == name);
        return Ok(leaf.map_or_else(|| format!("@{name}"), |(_, short)| (*short).to_owned()));
    }
    let format = property["format"].as_str().unwrap_or_default();
    Ok(match (property["type"].as_str().unwrap_or_default(), format) {
        ("string", "byte") => "bytes".into(),
        ("string", "") => "string".into(),
        ("boolean", "") => "bool".into(),
        ("integer", "int32") => "int32".into(),
        ("integer", "int64") => "int64".into(),
        ("number", "double") => "double".into(),
        ("array", "") => format!("[]{}", type_of(&property["items"])?),
        ("object", "") if property["additionalProperties"].is_object() => {
            format!("{{}}{}", type_of(&property["additionalProperties"])?)
        }
        ("object", "") => "any".into(),
        (kind, format) => bail!("a type the table does not know: {kind} {format}"),
    })
}
