//! What a CustomResourceDefinition says of one value and of all below it: its structural schema, read once into the parts
//! that decoding, defaulting, validation and apply ask for. Descriptions are left out: they are most of its size.

use super::rules::{Patterns, Rules};
use crate::json::{entries, items, text};
use serde_json::{Value, json};

/// What a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Json {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

impl Json {
    fn read(name: &str) -> Option<Json> {
        Some(match name {
            "object" => Json::Object,
            "array" => Json::Array,
            "string" => Json::String,
            "integer" => Json::Integer,
            "number" => Json::Number,
            "boolean" => Json::Boolean,
            _ => return None,
        })
    }

    /// Its name in schemas.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Json::Object => "object",
            Json::Array => "array",
            Json::String => "string",
            Json::Integer => "integer",
            Json::Number => "number",
            Json::Boolean => "boolean",
        }
    }
}

/// How a list is merged, and what may be in it twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listing {
    Atomic,
    Set,
    /// Comma-separated key fields.
    Map(Box<str>),
}

/// One value.
#[derive(Debug)]
pub struct Node {
    pub(crate) ty: Option<Json>,
    pub(crate) nullable: bool,
    /// Fields that the schema does not name are kept.
    pub(crate) preserve: bool,
    /// A whole object, with apiVersion, kind and metadata.
    pub(crate) embedded: bool,
    pub(crate) int_or_string: bool,
    pub(crate) atomic_map: bool,
    pub(crate) listing: Listing,
    /// Sorted by name.
    pub(crate) properties: Vec<(Box<str>, Node)>,
    /// What the other keys hold.
    pub(crate) additional: Option<Box<Node>>,
    pub(crate) items: Option<Box<Node>>,
    pub(crate) default: Option<Value>,
    pub(crate) rules: Option<Box<Rules>>,
}

/// What a schema says of a field.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Below<'a> {
    /// This.
    Known(&'a Node),
    /// Nothing, but the field stays.
    Kept,
    /// It does not exist.
    Unknown,
}

impl PartialEq for Below<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// Anything, field by field: what is below a place whose unknown fields are kept.
pub(crate) static ANYTHING: Node = Node {
    ty: None,
    nullable: true,
    preserve: true,
    embedded: false,
    int_or_string: false,
    atomic_map: false,
    listing: Listing::Atomic,
    properties: Vec::new(),
    additional: None,
    items: None,
    default: None,
    rules: None,
};

impl Node {
    /// Reads a schema that was validated; what is malformed nevertheless counts as not said.
    pub fn read(schema: &Value, patterns: &mut Patterns) -> Node {
        let flag = |key: &str| schema[key] == true;
        let mut properties: Vec<(Box<str>, Node)> = entries(&schema["properties"])
            .map(|(name, below)| (name.into(), Node::read(below, patterns)))
            .collect();
        properties.sort_by(|a, b| a.0.cmp(&b.0));
        properties.shrink_to_fit();
        let keys: Vec<&str> = items(&schema["x-kubernetes-list-map-keys"]).iter().map(text).collect();
        let mut below = |value: &Value| value.is_object().then(|| Box::new(Node::read(value, patterns)));
        Node {
            ty: Json::read(text(&schema["type"])),
            nullable: flag("nullable"),
            preserve: flag("x-kubernetes-preserve-unknown-fields"),
            embedded: flag("x-kubernetes-embedded-resource"),
            int_or_string: flag("x-kubernetes-int-or-string"),
            atomic_map: schema["x-kubernetes-map-type"] == "atomic",
            listing: match text(&schema["x-kubernetes-list-type"]) {
                "set" => Listing::Set,
                "map" => Listing::Map(keys.join(",").into()),
                _ => Listing::Atomic,
            },
            items: below(&schema["items"]),
            additional: match &schema["additionalProperties"] {
                Value::Bool(true) => {
                    let anything = json!({"nullable": true, "x-kubernetes-preserve-unknown-fields": true});
                    below(&anything)
                }
                schema => below(schema),
            },
            properties,
            default: schema.get("default").cloned(),
            rules: Rules::read(schema, patterns).map(Box::new),
        }
    }

    /// What it says of the field.
    pub(crate) fn below(&self, name: &str) -> Below<'_> {
        if let Some(node) = self.property(name) {
            return Below::Known(node);
        }
        match &self.additional {
            Some(node) => Below::Known(node),
            None if self.preserve => Below::Kept,
            None if self.embedded && matches!(name, "apiVersion" | "kind" | "metadata") => Below::Kept,
            None => Below::Unknown,
        }
    }

    /// The property that the schema names.
    pub(crate) fn property(&self, name: &str) -> Option<&Node> {
        self.properties.binary_search_by(|(own, _)| (**own).cmp(name)).ok().map(|at| &self.properties[at].1)
    }
}
