//! What a kind is: one static [`Kind`] for each, made by the room `kinds` or, at run time, by a definition (`custom`).
//!
//! The server holds no code path that names a kind; what differs between kinds is data and function pointers. Called by
//! `apiserver` for every request.

mod admit;
mod edition;
mod errors;
pub mod meta;

pub use admit::{Context, Decoded};
pub use edition::Edition;

use crate::custom::{Custom, Slot};
use crate::name::Rule;
use crate::selector::{self, FieldValue};
use crate::table::Columns;
use crate::time::Timestamp;
pub use errors::Errors;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// A resource below an object, `deployments/scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subresource {
    /// `status`, `scale`, `log`, …
    pub name: &'static str,
    /// Group and version of the body, `("", "")` when it is the parent's own.
    pub group_version: (&'static str, &'static str),
    /// Kind of the body, as discovery says it.
    pub kind: &'static str,
    /// Verbs, as discovery says them.
    pub verbs: &'static [&'static str],
}

/// Fills in what the user left out.
type Default = fn(&mut Value);
/// Adds one cause per broken rule; `old` is given on updates, for immutable fields.
type Validate = fn(new: &Value, old: Option<&Value>, errors: &mut Errors);
/// Changes before defaults: what a new object starts with, what an update may not take away.
type Prepare = fn(new: &mut Value, old: Option<&Value>);
/// What is noted in an object when it is deleted and stays for a while.
type Deleting = fn(&mut Value, Timestamp);

/// What `.metadata.generation` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// The kind has none.
    None,
    /// Changes of everything but metadata and status.
    Spec,
    /// Those, and changes of annotations.
    SpecAndAnnotations,
    /// Changes of everything but metadata.
    All,
}

/// One kind of object: what discovery says of it, and how it behaves.
pub struct Kind {
    /// API group, empty for core.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// `apps/v1`, or `v1` for core.
    pub api_version: &'static str,
    /// `Deployment`
    pub kind: &'static str,
    /// `DeploymentList`
    pub list_kind: &'static str,
    /// `deployments`
    pub plural: &'static str,
    /// `deployment`
    pub singular: &'static str,
    /// `deploy`
    pub short_names: &'static [&'static str],
    /// `all`
    pub categories: &'static [&'static str],
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// Verbs of the main resource.
    pub verbs: &'static [&'static str],
    /// Subresources, in discovery order.
    pub subresources: &'static [Subresource],
    /// Name of the definition in the schema table.
    pub schema: &'static str,
    /// Field labels that field selectors may use, beyond metadata.name and metadata.namespace.
    pub fields: &'static [(&'static str, FieldValue)],
    /// Paths to more such fields; a path without its first dot is the label.
    pub paths: &'static [&'static str],
    /// Columns of `kubectl get`.
    pub columns: Columns,
    /// What its names must be.
    pub name_rule: Rule,
    /// What its generation counts.
    pub generation: Generation,
    /// A new object's status is dropped.
    pub status: bool,
    /// Writes to the main resource do not touch the status.
    pub keeps_status: bool,
    /// What a new object starts with, and what an update may not take away.
    pub prepare: Prepare,
    /// What is filled in where the user left it out.
    pub default: Default,
    /// Its rules.
    pub validate: Validate,
    /// The rules of its status, when that is written.
    pub validate_status: Validate,
    /// A deletion that does not say what becomes of dependents leaves them, without this owner.
    pub orphans: bool,
    /// What is noted in an object that is deleted and stays for a while.
    pub deleting: Deleting,
    /// What a CustomResourceDefinition says of it, as it is now.
    pub custom: Option<&'static Slot>,
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kind({}/{} {})", self.group, self.version, self.kind)
    }
}

impl Kind {
    /// What a CustomResourceDefinition says of it; `None` for the kinds of the table.
    pub(crate) fn custom(&self) -> Option<Arc<Custom>> {
        self.custom.map(Slot::get)
    }

    /// Its name when it is a kind of the table, else "": somebody else's `Service` has nothing in common with ours.
    pub fn built_in(&self) -> &'static str {
        if self.is_custom() { "" } else { self.kind }
    }

    /// Whether it is a CustomResourceDefinition that made it.
    pub fn is_custom(&self) -> bool {
        self.custom.is_some()
    }

    /// What whoever uses it in this version is told: that it is deprecated.
    pub fn warning(&self) -> Option<String> {
        self.custom()?.warning.clone()
    }

    /// The fields that field selectors may use, beyond metadata.name and metadata.namespace.
    pub fn field_labels(&self) -> impl Iterator<Item = &'static str> {
        self.fields.iter().map(|(label, _)| *label).chain(self.paths.iter().copied())
    }

    /// What these fields hold in an object, in the same order.
    pub fn field_texts<'a>(&self, object: &'a Value) -> impl Iterator<Item = Cow<'a, str>> {
        let read = self.fields.iter().map(|(_, read)| read(object));
        read.chain(self.paths.iter().map(|path| selector::at_path(object, path)))
    }

    /// Notes in an object that it is to be deleted.
    pub fn note_deletion(&self, object: &mut Value, now: Timestamp) {
        (self.deleting)(object, now);
    }

    /// The subresource of that name, if the kind has it.
    pub fn subresource(&self, name: &str) -> Option<&'static Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }
}

/// The verbs of most kinds.
pub const ALL_VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// What most kinds are, for a kind to say only what it is beside that: objects of the core group in a namespace, that have
/// no status and whose names are subdomains. Names, schema and columns are each kind's own.
pub const PLAIN: Kind = Kind {
    group: "",
    version: "v1",
    api_version: "v1",
    kind: "",
    list_kind: "",
    plural: "",
    singular: "",
    short_names: &[],
    categories: &[],
    namespaced: true,
    verbs: ALL_VERBS,
    subresources: &[],
    schema: "",
    fields: &[],
    paths: &[],
    columns: Columns { columns: &[], row: |_, _| Vec::new() },
    name_rule: Rule::Subdomain,
    generation: Generation::None,
    status: false,
    keeps_status: false,
    prepare: |_, _| {},
    default: |_| {},
    validate: |_, _, _| {},
    validate_status: |_, _, _| {},
    orphans: false,
    deleting: |_, _| {},
    custom: None,
};

/// The subresource that the status is written through.
pub const STATUS: Subresource =
    Subresource { name: "status", group_version: ("", ""), kind: "", verbs: &["get", "patch", "update"] };

/// The subresource that the number of replicas is read and written through.
pub const SCALE: Subresource = Subresource {
    name: "scale",
    group_version: ("autoscaling", "v1"),
    kind: "Scale",
    verbs: &["get", "patch", "update"],
};
