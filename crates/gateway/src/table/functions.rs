//! The functions that there are, as far as the gateway asks: each by its name, and those with a URL in full. There may be
//! thousands that have none, so of these hardly more than the key is kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::{Change, Key};
use serde_json::Value;

use super::Function;

/// All functions, by the key of their objects.
#[derive(Clone, Default)]
pub(crate) struct Functions(BTreeMap<Key, Known>);

#[derive(Clone, PartialEq)]
enum Known {
    WithUrl(Arc<Function>),
    /// The name that AWS clients use, where it is not the object's.
    Without(Option<Box<str>>),
}

impl Functions {
    /// Takes in a change of a `Function` object; tells whether a table would be another one now.
    pub(crate) fn see(&mut self, change: &Change) -> bool {
        let Some(object) = &change.new else { return self.0.remove(&change.key).is_some() };
        let now = match Function::read(object) {
            Some(function) => Known::WithUrl(Arc::new(function)),
            None => Known::Without(called(object)),
        };
        if self.0.get(&change.key) == Some(&now) {
            return false;
        }
        self.0.insert(change.key.clone(), now);
        true
    }

    /// Those with a URL.
    pub(crate) fn with_url(&self) -> impl Iterator<Item = (&Key, &Arc<Function>)> {
        self.0.iter().filter_map(|(key, known)| match known {
            Known::WithUrl(function) => Some((key, function)),
            Known::Without(_) => None,
        })
    }

    /// What AWS clients call the function of this key; `None` when there is no such function.
    pub(crate) fn name<'a>(&'a self, key: &'a Key) -> Option<&'a str> {
        Some(match self.0.get(key)? {
            Known::WithUrl(function) => &function.name,
            Known::Without(called) => called.as_deref().unwrap_or(&key.name),
        })
    }
}

fn called(object: &Value) -> Option<Box<str>> {
    object["metadata"]["annotations"][::functions::NAME_ANNOTATION].as_str().map(Into::into)
}
