//! The kinds that definitions have made, by what makes one kind different from another.

use super::{Custom, Resource, Slot, build};
use crate::{Edition, Kind};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Makes the kinds of one server. A kind that goes and comes again is the same, so the memory that kinds take is bounded
/// by how many different ones there were.
#[derive(Debug, Default)]
pub struct Registry {
    kinds: Mutex<HashMap<String, &'static Kind>>,
    editions: Mutex<HashMap<String, &'static Edition>>,
}

impl Registry {
    /// What a CustomResourceDefinition makes served; `None` while it is not established.
    pub fn resource(&self, crd: &Value) -> Option<Resource> {
        build::resource(self, crd)
    }

    /// Lets go of what a definition said that is gone.
    pub fn retire(&self, resource: &Resource) {
        for kind in resource.forms.iter().chain([&resource.storage]) {
            if let Some(slot) = kind.custom {
                slot.set(Custom::retired());
            }
        }
    }

    pub(super) fn kind(
        &self,
        identity: &str,
        make: impl FnOnce() -> Kind,
        read: impl FnOnce() -> Custom,
    ) -> &'static Kind {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kind) = kinds.get(identity).copied() {
            if let Some(slot) = kind.custom {
                slot.set(read());
            }
            return kind;
        }
        let slot: &'static Slot = Box::leak(Box::new(Slot::new(read())));
        let kind: &'static Kind = Box::leak(Box::new(Kind { custom: Some(slot), ..make() }));
        kinds.insert(identity.to_owned(), kind);
        kind
    }

    pub(super) fn edition(&self, key: &str, form: &'static Kind, stored: &'static Kind) -> &'static Edition {
        let mut editions = self.editions.lock().unwrap_or_else(PoisonError::into_inner);
        editions
            .entry(key.to_owned())
            .or_insert_with(|| Box::leak(Box::new(Edition::renamed(Kind { ..*form }, stored))))
    }
}
