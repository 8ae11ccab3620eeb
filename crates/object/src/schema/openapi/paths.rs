//! The paths of the OpenAPI documents: which verbs each resource has, and what parameters they take.

use super::{DELETE_OPTIONS, PATCH, STATUS, Version, body_of, gvk, root};
use crate::{Kind, Subresource};
use serde_json::{Map, Value, json};

const LISTING: [(&str, &str); 8] = [
    ("allowWatchBookmarks", "boolean"),
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("resourceVersion", "string"),
    ("timeoutSeconds", "integer"),
    ("watch", "boolean"),
];
const WRITING: [(&str, &str); 3] =
    [("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string")];
const FORCING: [(&str, &str); 1] = [("force", "boolean")];
const DELETING: [(&str, &str); 3] =
    [("dryRun", "string"), ("gracePeriodSeconds", "integer"), ("propagationPolicy", "string")];
/// The last one is for kinds of the table alone: kubectl looks here whether it may send it.
const PATCHES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// All paths of some kinds.
pub(super) fn of(kinds: &[&'static Kind], version: Version) -> Value {
    let mut out = Map::new();
    for kind in kinds {
        let root = root(kind);
        let namespaced = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
        let list = format!("{root}{namespaced}/{}", kind.plural);
        let one = format!("{list}/{{name}}");
        if kind.namespaced {
            out.insert(format!("{root}/{}", kind.plural), everywhere(kind, version));
        }
        for subresource in kind.subresources {
            out.insert(format!("{one}/{}", subresource.name), below(kind, subresource, version));
        }
        out.insert(list, collection(kind, version));
        out.insert(one, single(kind, version));
    }
    Value::Object(out)
}

/// One operation: what is sent and what comes back, by definition name.
struct Operation<'a> {
    action: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    body: Option<&'a str>,
    answer: &'a str,
}

impl Operation<'_> {
    fn document(&self, kind: &Kind, gvk: &Value, version: Version) -> Value {
        let name = format!("{}{}{}", self.action, kind.version, kind.kind);
        let mut parameters: Vec<Value> =
            self.parameters.iter().map(|(name, ty)| parameter("query", name, ty, version)).collect();
        let answer = version.reference(self.answer);
        let mut out = json!({
            "operationId": name,
            "x-kubernetes-action": self.action,
            "x-kubernetes-group-version-kind": gvk,
        });
        match version {
            Version::V2 => {
                if let Some(body) = self.body {
                    let schema = version.reference(body);
                    parameters
                        .push(json!({"in": "body", "name": "body", "required": true, "schema": schema}));
                }
                out["responses"] = json!({"200": {"description": "OK", "schema": answer}});
            }
            Version::V3 => {
                if let Some(body) = self.body {
                    let types: &[&str] = match self.action {
                        "patch" if kind.is_custom() => &PATCHES[..3],
                        "patch" => &PATCHES,
                        _ => &["*/*"],
                    };
                    let schema = json!({"schema": version.reference(body)});
                    let content: Map<String, Value> =
                        types.iter().map(|t| ((*t).to_owned(), schema.clone())).collect();
                    out["requestBody"] = json!({"content": content, "required": self.action != "delete"});
                }
                let content = json!({"application/json": {"schema": answer}});
                out["responses"] = json!({"200": {"description": "OK", "content": content}});
            }
        }
        out["parameters"] = parameters.into();
        out
    }
}

fn parameter(place: &str, name: &str, ty: &str, version: Version) -> Value {
    let mut out = json!({"in": place, "name": name});
    match version {
        Version::V2 => out["type"] = ty.into(),
        Version::V3 => out["schema"] = json!({"type": ty}),
    }
    if place == "path" {
        out["required"] = true.into();
    }
    out
}

fn path_parameters(kind: &Kind, name: bool, version: Version) -> Value {
    let mut out = Vec::new();
    if name {
        out.push(parameter("path", "name", "string", version));
    }
    if kind.namespaced {
        out.push(parameter("path", "namespace", "string", version));
    }
    out.into()
}

fn listing<'a>(kind: &'a Kind, answer: &'a str, version: Version) -> Value {
    let operation = Operation { action: "list", parameters: LISTING.to_vec(), body: None, answer };
    operation.document(kind, &gvk(kind, kind.kind), version)
}

fn everywhere(kind: &Kind, version: Version) -> Value {
    json!({"get": listing(kind, &format!("{}List", kind.schema), version)})
}

fn collection(kind: &Kind, version: Version) -> Value {
    let own = gvk(kind, kind.kind);
    let create = Operation {
        action: "post",
        parameters: WRITING.to_vec(),
        body: Some(kind.schema),
        answer: kind.schema,
    };
    let delete = Operation {
        action: "deletecollection",
        parameters: [&LISTING[..], &DELETING[..]].concat(),
        body: Some(DELETE_OPTIONS),
        answer: STATUS,
    };
    json!({
        "get": listing(kind, &format!("{}List", kind.schema), version),
        "post": create.document(kind, &own, version),
        "delete": delete.document(kind, &own, version),
        "parameters": path_parameters(kind, false, version),
    })
}

fn single(kind: &Kind, version: Version) -> Value {
    let own = gvk(kind, kind.kind);
    let mut out = reads_and_writes(kind, kind.schema, &["get", "put", "patch"], &own, version);
    let delete = Operation {
        action: "delete",
        parameters: DELETING.to_vec(),
        body: Some(DELETE_OPTIONS),
        answer: STATUS,
    };
    out["delete"] = delete.document(kind, &own, version);
    out
}

fn reads_and_writes(kind: &Kind, schema: &str, methods: &[&str], gvk: &Value, version: Version) -> Value {
    let mut out = Map::new();
    for method in methods {
        let (parameters, body) = match *method {
            "get" => (Vec::new(), None),
            "patch" => ([&WRITING[..], &FORCING[..]].concat(), Some(PATCH)),
            _ => (WRITING.to_vec(), Some(schema)),
        };
        let operation = Operation { action: method, parameters, body, answer: schema };
        out.insert((*method).to_owned(), operation.document(kind, gvk, version));
    }
    out.insert("parameters".into(), path_parameters(kind, true, version));
    Value::Object(out)
}

fn below(kind: &Kind, subresource: &Subresource, version: Version) -> Value {
    let methods: Vec<&str> = subresource
        .verbs
        .iter()
        .map(|verb| match *verb {
            "create" => "post",
            "update" => "put",
            other => other,
        })
        .collect();
    let own = subresource.kind.is_empty() || subresource.kind == kind.kind;
    let name = if own { kind.kind } else { subresource.kind };
    let (group, api_version) = match subresource.group_version {
        ("", "") => (kind.group, kind.version),
        other => other,
    };
    let gvk = json!({"group": group, "version": api_version, "kind": name});
    // Streams (log, exec) have no body that a schema could describe.
    let schema = if own { Some(kind.schema) } else { body_of(subresource.kind) };
    reads_and_writes(kind, schema.unwrap_or(STATUS), &methods, &gvk, version)
}
