//! Which functions there are: the definitions read from the watched objects, each with its pool. A change of what
//! instances are made of makes a new pool and lets the old one run dry.

use crate::concurrency::{Account, Usage};
use crate::definition::Definition;
use crate::machine::Machine;
use crate::pool::Pool;
use client::Key;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// One function as it is now.
#[derive(Clone)]
pub(crate) struct Function {
    pub(crate) definition: Arc<Definition>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) usage: Arc<Usage>,
}

pub(crate) struct Catalog {
    machine: Arc<Machine>,
    account: Arc<Account>,
    functions: RwLock<Functions>,
}

#[derive(Default)]
struct Functions {
    by_key: HashMap<Key, Function>,
    by_url: HashMap<String, Key>,
}

impl Catalog {
    pub(crate) fn new(machine: Arc<Machine>, account: Arc<Account>) -> Catalog {
        Catalog { machine, account, functions: RwLock::default() }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Function> {
        self.read().by_key.get(key).cloned()
    }

    pub(crate) fn by_url(&self, id: &str) -> Option<Function> {
        let functions = self.read();
        functions.by_key.get(functions.by_url.get(id)?).cloned()
    }

    /// Takes in a new or changed definition.
    pub(crate) fn put(&self, definition: Definition) {
        let key = Key::new(definition.namespace.clone(), definition.object.clone());
        let definition = Arc::new(definition);
        let replaced = {
            let mut functions = self.functions.write().unwrap_or_else(PoisonError::into_inner);
            let old = functions.by_key.get(&key);
            let usage = old.map(|old| old.usage.clone()).unwrap_or_default();
            let kept = old.filter(|old| old.definition.revision == definition.revision);
            let pool = match kept {
                Some(old) => old.pool.clone(),
                None => Pool::new(self.machine.clone(), definition.clone()),
            };
            let function = Function { definition, pool, usage };
            let old = functions.by_key.insert(key, function.clone());
            functions.index();
            self.account.reserve(functions.reserved());
            old.filter(|old| !Arc::ptr_eq(&old.pool, &function.pool))
        };
        if let Some(old) = replaced {
            old.pool.close();
        }
    }

    /// A function was deleted.
    pub(crate) fn remove(&self, key: &Key) {
        let removed = {
            let mut functions = self.functions.write().unwrap_or_else(PoisonError::into_inner);
            let removed = functions.by_key.remove(key);
            functions.index();
            self.account.reserve(functions.reserved());
            removed
        };
        if let Some(removed) = removed {
            removed.pool.close();
        }
    }

    /// The code archives that functions name.
    pub(crate) fn code(&self) -> HashSet<String> {
        let functions = self.read();
        functions.by_key.values().flat_map(|function| function.definition.revision.code()).collect()
    }

    pub(crate) fn pools(&self) -> Vec<Arc<Pool>> {
        self.read().by_key.values().map(|function| function.pool.clone()).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Functions> {
        self.functions.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Functions {
    fn index(&mut self) {
        let url = |(key, function): (&Key, &Function)| {
            function.definition.url.as_ref().map(|url| (url.id.clone(), key.clone()))
        };
        self.by_url = self.by_key.iter().filter_map(url).collect();
    }

    fn reserved(&self) -> u32 {
        let reserved = self.by_key.values().filter_map(|function| function.definition.reserved_concurrency);
        reserved.fold(0, u32::saturating_add)
    }
}
