//! What a cache holds and how it changes: pure data behind the cache's lock, no watch and no client.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Weak};

use serde_json::Value;

use super::IndexFn;
use crate::changes::{Change, Mailbox};
use crate::key::Key;

#[derive(Default)]
pub(super) struct State {
    pub(super) objects: BTreeMap<Key, Arc<Value>>,
    pub(super) revision: u64,
    indexes: BTreeMap<&'static str, Index>,
    subscribers: Vec<Weak<Mailbox>>,
}

struct Index {
    words: IndexFn,
    keys: HashMap<String, BTreeSet<Key>>,
}

impl Index {
    fn update(&mut self, key: &Key, old: Option<&Value>, new: Option<&Value>) {
        for word in old.map(self.words).unwrap_or_default() {
            if let Some(keys) = self.keys.get_mut(&word) {
                keys.remove(key);
                if keys.is_empty() {
                    self.keys.remove(&word);
                }
            }
        }
        for word in new.map(self.words).unwrap_or_default() {
            self.keys.entry(word).or_default().insert(key.clone());
        }
    }
}

impl State {
    pub(super) fn put(&mut self, object: Arc<Value>) {
        self.advance(&object);
        let key = Key::of(&object);
        let old = self.objects.insert(key.clone(), object.clone());
        self.tell(Change { key, old, new: Some(object) });
    }

    fn advance(&mut self, object: &Value) {
        self.revision = self.revision.max(crate::revision_of(object));
    }

    /// Takes an object out; `last` is the state in which it was deleted.
    pub(super) fn remove(&mut self, last: Value) {
        self.advance(&last);
        let key = Key::of(&last);
        let old = self.objects.remove(&key);
        if old.is_some() {
            self.tell(Change { key, old, new: None });
        }
    }

    /// Takes over a complete list and tells the differences.
    pub(super) fn replace(&mut self, list: BTreeMap<Key, Arc<Value>>) {
        let gone: Vec<Key> = self.objects.keys().filter(|key| !list.contains_key(*key)).cloned().collect();
        for key in gone {
            let old = self.objects.remove(&key);
            self.tell(Change { key, old, new: None });
        }
        for (key, object) in list {
            let version = |object: &Value| object["metadata"]["resourceVersion"].as_str().map(str::to_owned);
            let same = self.objects.get(&key).is_some_and(|old| version(old) == version(&object));
            if !same {
                self.put(object);
            }
        }
    }

    pub(super) fn add_index(&mut self, name: &'static str, words: IndexFn) {
        if self.indexes.contains_key(name) {
            return;
        }
        let mut index = Index { words, keys: HashMap::new() };
        for (key, object) in &self.objects {
            index.update(key, None, Some(object));
        }
        self.indexes.insert(name, index);
    }

    pub(super) fn by_index(&self, name: &'static str, word: &str) -> Vec<Arc<Value>> {
        let keys = self.indexes.get(name).and_then(|index| index.keys.get(word));
        keys.into_iter().flatten().filter_map(|key| self.objects.get(key)).cloned().collect()
    }

    pub(super) fn subscribe(&mut self, mailbox: &Arc<Mailbox>) {
        for (key, object) in &self.objects {
            mailbox.push(Change { key: key.clone(), old: None, new: Some(object.clone()) });
        }
        self.subscribers.push(Arc::downgrade(mailbox));
    }

    pub(super) fn close(&mut self) {
        for mailbox in self.subscribers.drain(..).filter_map(|mailbox| mailbox.upgrade()) {
            mailbox.close();
        }
    }

    fn tell(&mut self, change: Change) {
        for index in self.indexes.values_mut() {
            index.update(&change.key, change.old.as_deref(), change.new.as_deref());
        }
        self.subscribers.retain(|mailbox| match mailbox.upgrade() {
            Some(mailbox) => {
                mailbox.push(change.clone());
                true
            }
            None => false,
        });
    }
}
