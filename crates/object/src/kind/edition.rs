//! Editions: other versions in which the objects of a kind are served too. Objects are stored as their kind has them; an
//! edition says what they look like in its own version, and what an object in that version means.
//!
//! Called by `apiserver`, which does everything else with the kind itself.

use super::Kind;
use serde_json::Value;

/// Another version of a kind.
#[derive(Debug)]
pub struct Edition {
    /// Names, schema and verbs of this version.
    pub form: Kind,
    /// What is stored.
    pub kind: &'static Kind,
    /// What an object of the kind looks like in this version; may be given one without spec, as bookmarks are.
    pub show: fn(&mut Value),
    /// What an object in this version means; what it cannot say stays as `old` has it.
    pub read: fn(&mut Value, old: Option<&Value>),
}

impl Edition {
    /// A version in which objects are what they are when they are stored, but for the apiVersion.
    pub(crate) fn renamed(form: Kind, kind: &'static Kind) -> Edition {
        Edition { form, kind, show: |_| {}, read: |_, _| {} }
    }

    /// Turns an object of the kind into this version.
    pub fn show(&self, object: &mut Value) {
        (self.show)(object);
        object["apiVersion"] = self.form.api_version.into();
    }

    /// Turns an object in this version into one of the kind; what this version cannot say stays as `old` has it.
    pub fn read(&self, object: &mut Value, old: Option<&Value>) {
        (self.read)(object, old);
        object["apiVersion"] = self.kind.api_version.into();
    }
}
