//! The name of an object within its resource. Owns nothing else; every erased interface speaks it.

use std::fmt;

use serde_json::Value;

/// Namespace and name; the namespace is empty for cluster-scoped objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The namespace, or empty.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Key {
    /// A key in a namespace.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Key {
        Key { namespace: namespace.into(), name: name.into() }
    }

    /// A key of a cluster-scoped object.
    pub fn cluster(name: impl Into<String>) -> Key {
        Key::new("", name)
    }

    /// The key of an object, from its metadata.
    #[must_use]
    pub fn of(object: &Value) -> Key {
        let metadata = &object["metadata"];
        let text = |field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
        Key { namespace: text("namespace"), name: text("name") }
    }
}

/// The resource version of an object as a number; 0 when it has none.
#[must_use]
pub fn revision_of(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default()
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}
