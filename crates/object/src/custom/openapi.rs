//! The schemas of custom kinds as the OpenAPI documents have them: what the definition says, with the parts that every
//! object has.

use crate::json::text;
use serde_json::{Map, Value, json};

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The name of a kind's schema in the documents: `dev.example.v1.Widget` for `Widget` of `example.dev/v1`.
pub fn definition_name(group: &str, version: &str, kind: &str) -> String {
    let mut parts: Vec<&str> = group.split('.').rev().collect();
    parts.extend([version, kind]);
    parts.join(".")
}

/// The schema of one version of a definition. In the older document what that has no words for is left out.
pub(crate) fn schema(crd: &Value, version: &Value, kind: &Value, v2: bool) -> Value {
    let mut root = version["schema"]["openAPIV3Schema"].clone();
    if v2 {
        root = version_2_of(&root);
    }
    if !root.is_object() {
        root = json!({"type": "object"});
    }
    if !(v2 && root.get("properties").is_none()) {
        let meta = if v2 {
            json!({"$ref": format!("#/definitions/{OBJECT_META}")})
        } else {
            json!({"allOf": [{"$ref": format!("#/components/schemas/{OBJECT_META}")}], "default": {}})
        };
        let mut properties = root["properties"].as_object().cloned().unwrap_or_default();
        for (name, about) in [("apiVersion", API_VERSION), ("kind", KIND)] {
            properties.entry(name.to_owned()).or_insert(json!({"type": "string", "description": about}));
        }
        properties.insert("metadata".into(), meta);
        root["properties"] = Value::Object(properties);
    }
    root["x-kubernetes-group-version-kind"] = json!([
        {"group": crd["spec"]["group"], "version": version["name"], "kind": kind}
    ]);
    root
}

const API_VERSION: &str = "The versioned schema of this representation of an object.";
const KIND: &str = "The resource that this object represents.";

/// All schemas of the definitions' served versions, for one group and version or for all.
pub(crate) fn schemas<'a>(
    crds: impl IntoIterator<Item = &'a Value>,
    only: Option<(&str, &str)>,
    v2: bool,
) -> Map<String, Value> {
    let mut out = Map::new();
    for crd in crds {
        let group = text(&crd["spec"]["group"]);
        let kind = &crd["status"]["acceptedNames"]["kind"];
        for version in crate::json::items(&crd["spec"]["versions"]) {
            let name = text(&version["name"]);
            let wanted = only.is_none_or(|only| only == (group, name));
            if wanted && version["served"] == true {
                out.insert(definition_name(group, name, text(kind)), schema(crd, version, kind, v2));
            }
        }
    }
    out
}

/// A schema in the words of version 2: what clients of that would misread is left out, so that they let it pass.
fn version_2_of(schema: &Value) -> Value {
    const UNSAID: [&str; 6] = ["allOf", "anyOf", "oneOf", "not", "default", "nullable"];
    let Some(mut out) = schema.as_object().cloned() else { return schema.clone() };
    UNSAID.iter().for_each(|key| _ = out.remove(*key));
    let is = |key: &str| schema[key] == true;
    let free = is("x-kubernetes-preserve-unknown-fields");
    if free || is("nullable") || is("x-kubernetes-int-or-string") {
        ["type", "items", "properties", "additionalProperties"].iter().for_each(|key| _ = out.remove(*key));
    }
    for key in ["items", "additionalProperties"] {
        if let Some(below) = out.get_mut(key) {
            *below = version_2_of(below);
        }
    }
    if let Some(Value::Object(properties)) = out.get_mut("properties") {
        properties.values_mut().for_each(|below| *below = version_2_of(below));
    }
    Value::Object(out)
}
