//! The claims, volumes and storage classes that decisions look at. Changes only by what it is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::{Change, Key};
use serde_json::Value;

/// What there is of storage.
#[derive(Clone, Debug, Default)]
pub struct Storage {
    claims: BTreeMap<Key, Arc<Value>>,
    volumes: BTreeMap<Key, Arc<Value>>,
    classes: BTreeMap<Key, Arc<Value>>,
}

/// Which of them an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A PersistentVolumeClaim.
    Claim,
    /// A PersistentVolume.
    Volume,
    /// A StorageClass.
    Class,
}

impl Storage {
    /// Takes in that an object is new, other, or gone.
    pub fn see(&mut self, part: Part, change: &Change) {
        let objects = match part {
            Part::Claim => &mut self.claims,
            Part::Volume => &mut self.volumes,
            Part::Class => &mut self.classes,
        };
        match &change.new {
            Some(object) => _ = objects.insert(change.key.clone(), object.clone()),
            None => _ = objects.remove(&change.key),
        }
    }

    pub(crate) fn claim(&self, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        self.claims.get(&Key::new(namespace, name))
    }

    pub(crate) fn volume(&self, name: &str) -> Option<&Arc<Value>> {
        self.volumes.get(&Key::cluster(name))
    }

    pub(crate) fn volumes(&self) -> impl Iterator<Item = &Arc<Value>> {
        self.volumes.values()
    }

    pub(crate) fn class(&self, name: &str) -> Option<&Arc<Value>> {
        self.classes.get(&Key::cluster(name))
    }
}
