//! Kinds that are made at run time, by a CustomResourceDefinition. Such a [`Kind`] is one like all others; what its
//! definition says of its fields is in a [`Slot`], because that may change while the kind is in use.
//!
//! `apiserver` keeps a [`Registry`] and asks it for the [`Resource`] of every definition that is established.

mod build;
mod columns;
mod json_path;
pub mod naming;
pub mod openapi;
mod registry;

pub use build::Resource;
pub use json_path::JsonPath;
pub use registry::Registry;

use crate::kind::Errors;
use crate::path::Path;
use crate::schema::Findings;
use crate::schema::check::check;
use crate::schema::definitions::{Definition, definition};
use crate::schema::fill::fill;
use crate::schema::node::{Below, Node};
use crate::schema::prune::prune;
use crate::schema::rules::Patterns;
pub(crate) use columns::{Printed, cells};
use serde_json::Value;
use std::sync::{Arc, PoisonError, RwLock};

/// What a definition says of one version of its kind, as it is now.
#[derive(Debug)]
pub struct Slot(RwLock<Arc<Custom>>);

impl Slot {
    fn new(custom: Custom) -> Slot {
        Slot(RwLock::new(Arc::new(custom)))
    }

    pub(crate) fn get(&self) -> Arc<Custom> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, custom: Custom) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(custom);
    }
}

/// Where a kind keeps what its scale subresource shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScalePaths {
    pub(crate) replicas: Vec<String>,
    pub(crate) status_replicas: Vec<String>,
    pub(crate) selector: Option<Vec<String>>,
}

/// One version of a custom kind.
#[derive(Debug)]
pub(crate) struct Custom {
    pub(crate) definition: Definition,
    pub(crate) columns: Vec<Printed>,
    pub(crate) scale: Option<ScalePaths>,
    /// What whoever uses the version is told.
    pub(crate) warning: Option<String>,
}

impl Custom {
    /// Reads a version of a definition.
    fn read(names: &build::Names<'_>, version: &Value) -> Custom {
        let schema = &version["schema"]["openAPIV3Schema"];
        let root = Node::read(schema, &mut Patterns::default());
        Custom {
            definition: Definition { rest: Some(Box::new(root)), ..frame() },
            columns: columns::of(&version["additionalPrinterColumns"]),
            scale: build::scale_paths(&version["subresources"]["scale"]),
            warning: build::warning(names, version),
        }
    }

    /// That of a kind which is no longer served.
    fn retired() -> Custom {
        Custom { definition: frame(), columns: Vec::new(), scale: None, warning: None }
    }

    fn root(&self) -> Option<&Node> {
        self.definition.rest.as_deref()
    }

    /// Fills in what was left out.
    pub(crate) fn fill(&self, object: &mut Value) {
        if let Some(root) = self.root() {
            fill(object, root);
        }
    }

    /// Drops the fields that the schema does not have.
    pub(crate) fn prune(&self, object: &mut Value) {
        let (Some(root), Value::Object(object)) = (self.root(), object) else { return };
        let mut ignored = Findings::default();
        object.retain(|key, value| match root.below(key) {
            _ if self.definition.field(key).is_some() => true,
            Below::Known(node) => {
                prune(value, node, &Path::Root.field(key), &mut ignored);
                true
            }
            Below::Kept => true,
            Below::Unknown => false,
        });
    }

    /// Checks a whole object.
    pub(crate) fn check(&self, new: &Value, old: Option<&Value>, errors: &mut Errors) {
        if let Some(root) = self.root() {
            check(new, old, root, &Path::Root, errors);
        }
    }
}

/// What every object has: apiVersion, kind and metadata, read as those of the kinds of the table are.
fn frame() -> Definition {
    let some = definition("io.k8s.api.core.v1.Namespace");
    let mut fields = some.fields.clone();
    fields.retain(|field| matches!(field.name, "apiVersion" | "kind" | "metadata"));
    Definition { name: "CustomResource", atomic: false, kinds: Vec::new(), fields, rest: None }
}
