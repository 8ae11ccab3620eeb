//! The OpenAPI documents, made of the schema table and the kinds that are given when somebody asks.
//!
//! They say what `kubectl` reads of them: types, keys and strategies for apply and explain, and for each resource the
//! parameters that its verbs take. Nothing here is kept: callers cache the bytes if they like.

mod paths;
mod protobuf;

use super::definitions::{Definition, Field, Topology, Type, table};
use crate::{Kind, custom};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";

/// The two versions differ in how they point to definitions and in a few leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    V2,
    V3,
}

impl Version {
    fn reference(self, name: &str) -> Value {
        match self {
            Version::V2 => json!({"$ref": format!("#/definitions/{name}")}),
            Version::V3 => json!({"$ref": format!("#/components/schemas/{name}")}),
        }
    }
}

/// The OpenAPI v3 document of one group and version, as JSON; `None` when it is not served.
pub fn openapi_v3(
    group: &str,
    version: &str,
    forms: &[&'static Kind],
    definitions: &[Value],
) -> Option<Vec<u8>> {
    let served: Vec<&'static Kind> =
        forms.iter().copied().filter(|k| k.group == group && k.version == version).collect();
    if served.is_empty() {
        return None;
    }
    let mut schemas = schemas(&served, Version::V3);
    schemas.extend(custom::openapi::schemas(definitions, Some((group, version)), false));
    let document = json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.37.0"},
        "paths": paths::of(&served, Version::V3),
        "components": {"schemas": schemas},
    });
    serde_json::to_vec(&document).ok()
}

/// The OpenAPI v2 document of all kinds, as JSON.
pub fn openapi_v2(forms: &[&'static Kind], definitions: &[Value]) -> Vec<u8> {
    serde_json::to_vec(&document_v2(forms, definitions)).unwrap_or_default()
}

/// The OpenAPI v2 document as `application/com.github.proto-openapi.spec.v2@v1.0+protobuf`, the only form that older
/// clients take.
pub fn openapi_v2_protobuf(forms: &[&'static Kind], definitions: &[Value]) -> Vec<u8> {
    protobuf::encode(&document_v2(forms, definitions))
}

fn document_v2(served: &[&'static Kind], definitions: &[Value]) -> Value {
    let mut schemas = schemas(served, Version::V2);
    schemas.extend(custom::openapi::schemas(definitions, None, true));
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "v1.37.0"},
        "paths": paths::of(served, Version::V2),
        "definitions": schemas,
    })
}

/// `/api/v1` or `/apis/apps/v1`.
fn root(kind: &Kind) -> String {
    if kind.group.is_empty() {
        format!("/api/{}", kind.version)
    } else {
        format!("/apis/{}/{}", kind.group, kind.version)
    }
}

fn gvk(kind: &Kind, name: &str) -> Value {
    json!({"group": kind.group, "version": kind.version, "kind": name})
}

/// Every definition that the kinds need.
fn schemas(served: &[&'static Kind], version: Version) -> Map<String, Value> {
    let mut names: BTreeSet<&'static str> = [STATUS, DELETE_OPTIONS, LIST_META, OBJECT_META].into();
    for kind in served {
        names.insert(kind.schema);
        for subresource in kind.subresources {
            names.extend(body_of(subresource.kind));
        }
    }
    let mut todo: Vec<&'static Definition> = names.iter().filter_map(|n| table().get(n)).collect();
    while let Some(definition) = todo.pop() {
        for field in &definition.fields {
            if let Some(next) = object_in(&field.ty).filter(|d| names.insert(d.name)) {
                todo.push(next);
            }
        }
    }
    let mut out: Map<String, Value> = names
        .iter()
        .filter_map(|n| table().get(n))
        .map(|d| (d.name.to_owned(), schema(d, version)))
        .collect();
    out.insert(PATCH.into(), json!({"type": "object"}));
    for kind in served {
        out.insert(format!("{}List", kind.schema), list_schema(kind, version));
    }
    out
}

/// The definition of a subresource's body, where it is not the parent's.
fn body_of(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "Binding" => "io.k8s.api.core.v1.Binding",
        "Eviction" => "io.k8s.api.policy.v1.Eviction",
        "Scale" => "io.k8s.api.autoscaling.v1.Scale",
        "TokenRequest" => "io.k8s.api.authentication.v1.TokenRequest",
        _ => return None,
    })
}

fn object_in(ty: &'static Type) -> Option<&'static Definition> {
    match ty {
        Type::Object(index) | Type::ObjectOrBool(index) => Some(table().at(*index)),
        Type::List(inner) | Type::Map(inner) => object_in(inner),
        _ => None,
    }
}

fn list_schema(kind: &Kind, version: Version) -> Value {
    json!({
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": version.reference(LIST_META),
            "items": {"type": "array", "items": version.reference(kind.schema)},
        },
        "x-kubernetes-group-version-kind": [gvk(kind, kind.list_kind)],
    })
}

fn schema(definition: &'static Definition, version: Version) -> Value {
    let properties: Map<String, Value> =
        definition.fields.iter().map(|f| (f.name.to_owned(), property(f, version))).collect();
    let required: Vec<&str> = definition.fields.iter().filter(|f| f.required).map(|f| f.name).collect();
    let mut out = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        out["required"] = required.into();
    }
    if definition.atomic {
        out["x-kubernetes-map-type"] = "atomic".into();
    }
    if !definition.kinds.is_empty() {
        let kinds = definition.kinds.iter().map(|k| {
            let mut parts = k.split('/');
            let mut next = || parts.next().unwrap_or_default();
            json!({"group": next(), "version": next(), "kind": next()})
        });
        out["x-kubernetes-group-version-kind"] = kinds.collect();
    }
    out
}

fn property(field: &'static Field, version: Version) -> Value {
    let mut out = value(&field.ty, version);
    let reference = out.get("$ref").is_some();
    let mut extensions = Map::new();
    if version == Version::V3
        && let Some(default) = field.default.and_then(|d| serde_json::from_str(d).ok())
    {
        extensions.insert("default".into(), default);
    }
    if field.atomic_map {
        extensions.insert("x-kubernetes-map-type".into(), "atomic".into());
    }
    match field.list {
        Some(Topology::Atomic) => _ = extensions.insert("x-kubernetes-list-type".into(), "atomic".into()),
        Some(Topology::Set) => _ = extensions.insert("x-kubernetes-list-type".into(), "set".into()),
        Some(Topology::Map(keys)) => {
            extensions.insert("x-kubernetes-list-type".into(), "map".into());
            let keys: Vec<&str> = keys.split(',').collect();
            extensions.insert("x-kubernetes-list-map-keys".into(), keys.into());
        }
        None => {}
    }
    if !field.patch_strategy.is_empty() {
        extensions.insert("x-kubernetes-patch-strategy".into(), field.patch_strategy.into());
    }
    if !field.merge_key.is_empty() {
        extensions.insert("x-kubernetes-patch-merge-key".into(), field.merge_key.into());
    }
    if extensions.is_empty() {
        return out;
    }
    // OpenAPI 3.0 allows nothing beside a $ref.
    if reference && version == Version::V3 {
        out = json!({"allOf": [out]});
    }
    if let Value::Object(map) = &mut out {
        map.extend(extensions);
    }
    out
}

fn value(ty: &'static Type, version: Version) -> Value {
    match (ty, version) {
        (Type::String, _) => json!({"type": "string"}),
        (Type::Bytes, _) => json!({"type": "string", "format": "byte"}),
        (Type::Time | Type::MicroTime, _) => json!({"type": "string", "format": "date-time"}),
        (Type::Bool, _) => json!({"type": "boolean"}),
        (Type::Int32, _) => json!({"type": "integer", "format": "int32"}),
        (Type::Int64, _) => json!({"type": "integer", "format": "int64"}),
        (Type::Double, _) => json!({"type": "number", "format": "double"}),
        (Type::Any, _) => json!({"type": "object"}),
        (Type::IntOrString, Version::V2) => json!({"type": "string", "format": "int-or-string"}),
        (Type::IntOrString, Version::V3) => {
            json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})
        }
        (Type::Quantity, Version::V2) => json!({"type": "string"}),
        (Type::Quantity, Version::V3) => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
        // Upstream says nothing of what is an object or a truth, either.
        (Type::ObjectOrBool(_), _) => json!({}),
        (Type::Object(index), _) => version.reference(table().at(*index).name),
        (Type::List(items), _) => json!({"type": "array", "items": value(items, version)}),
        (Type::Map(values), _) => json!({"type": "object", "additionalProperties": value(values, version)}),
    }
}
