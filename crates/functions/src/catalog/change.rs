//! What the watch brings: functions, versions and aliases come, change and go. A change of what instances are made of makes
//! a new pool and lets the old one run dry; a published version never changes and has a pool of its own as long as it exists.
//! A change costs what it concerns, however many functions there are.

use super::family::Family;
use super::{Catalog, Function, Functions, Totals};
use crate::alias::Alias;
use crate::definition::Definition;
use crate::pool::Pool;
use client::Key;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Catalog {
    /// Takes in a new or changed definition.
    pub(crate) fn put(&self, definition: Definition) {
        let key = Key::new(definition.namespace.clone(), definition.object.clone());
        let definition = Arc::new(definition);
        let replaced = self.change(&key, |functions, family| {
            let old = family.function.take();
            let kept = old.as_ref().filter(|old| old.definition.revision == definition.revision);
            let pool = match kept {
                Some(old) => old.pool.clone(),
                None => Pool::new(self.machine.clone(), definition.clone(), family.growth.clone()),
            };
            functions.forget_url(&key, old.as_ref());
            family.code_bytes -= old.as_ref().map_or(0, |old| old.definition.code_bytes);
            family.code_bytes += definition.code_bytes;
            if let Some(url) = &definition.url {
                functions.by_url.insert(url.id.clone(), key.clone());
            }
            family.function = Some(Function {
                reserved_concurrency: definition.reserved_concurrency,
                may_loop: definition.may_loop,
                definition,
                pool: pool.clone(),
                usage: family.usage.clone(),
                on_demand: family.on_demand.clone(),
                provisioned_sum: 0,
            });
            old.map(|old| old.pool).filter(|old| !Arc::ptr_eq(old, &pool))
        });
        close(replaced);
    }

    /// Takes in a published version from this object.
    pub(crate) fn put_version(&self, object: &Key, definition: Definition) {
        let key = Key::new(definition.namespace.clone(), definition.object.clone());
        let version = definition.version.clone();
        let definition = Arc::new(definition);
        let replaced = self.change(&key, |functions, family| {
            functions.version_objects.insert(object.clone(), (key.clone(), version.clone()));
            let kept = family
                .versions
                .get(&version)
                .filter(|(old, _)| old.uid == definition.uid && old.revision == definition.revision);
            let pool = match kept {
                Some((_, pool)) => pool.clone(),
                None => Pool::new(self.machine.clone(), definition.clone(), family.growth.clone()),
            };
            note(&mut family.provisioned_versions, &version, definition.provisioned);
            family.version_objects.insert(object.clone());
            family.code_bytes += definition.code_bytes;
            let old = family.versions.insert(version, (definition, pool.clone()));
            family.code_bytes -= old.as_ref().map_or(0, |(old, _)| old.code_bytes);
            old.map(|(_, old)| old).filter(|old| !Arc::ptr_eq(old, &pool))
        });
        close(replaced);
    }

    /// Takes in a new or changed alias from this object. The calls that come after this go where it leads now; those
    /// under way end where they are.
    pub(crate) fn put_alias(&self, object: &Key, alias: Alias) {
        let key = Key::new(alias.namespace.clone(), alias.function.clone());
        self.change(&key, |functions, family| {
            functions.alias_objects.insert(object.clone(), (key.clone(), alias.name.clone()));
            note(&mut family.provisioned_aliases, &alias.name, alias.provisioned);
            family.alias_objects.insert(object.clone());
            family.aliases.insert(alias.name.clone(), Arc::new(alias));
        });
    }

    /// A function was deleted; gives what it was.
    pub(crate) fn remove(&self, key: &Key) -> Option<Arc<Definition>> {
        let removed = self.change(key, |functions, family| {
            let removed = family.function.take();
            functions.forget_url(key, removed.as_ref());
            family.code_bytes -= removed.as_ref().map_or(0, |removed| removed.definition.code_bytes);
            removed.map(|removed| removed.pool)
        });
        ended(removed)
    }

    /// A version was deleted; gives what it was.
    pub(crate) fn remove_version(&self, object: &Key) -> Option<Arc<Definition>> {
        let (key, version) = self.write().version_objects.remove(object)?;
        let removed = self.change(&key, |_, family| {
            family.provisioned_versions.remove(&version);
            family.version_objects.remove(object);
            let removed = family.versions.remove(&version);
            family.code_bytes -= removed.as_ref().map_or(0, |(removed, _)| removed.code_bytes);
            removed.map(|(_, pool)| pool)
        });
        ended(removed)
    }

    /// An alias was deleted.
    pub(crate) fn remove_alias(&self, object: &Key) {
        let Some((key, name)) = self.write().alias_objects.remove(object) else { return };
        self.change(&key, |_, family| {
            family.provisioned_aliases.remove(&name);
            family.alias_objects.remove(object);
            family.aliases.remove(&name);
        });
    }

    /// Changes one function, its versions or its aliases, and what follows from that for what is kept ready and shared.
    fn change<T>(&self, key: &Key, change: impl FnOnce(&mut Functions, &mut Family) -> T) -> T {
        let mut functions = self.write();
        let mut family = functions.by_key.remove(key).unwrap_or_else(|| Box::new(Family::new(self.growth)));
        let (before, had, bytes) = (family.claimed, family.function.is_some(), family.code_bytes);
        let result = change(&mut functions, &mut family);
        family.provision();
        functions.claimed = functions.claimed - u64::from(before) + u64::from(family.claimed);
        self.account.reserve(u32::try_from(functions.claimed).unwrap_or(u32::MAX));
        let totals = functions.totals.entry(key.namespace.clone()).or_default();
        totals.functions = totals.functions - u64::from(had) + u64::from(family.function.is_some());
        totals.code_bytes = totals.code_bytes - bytes + family.code_bytes;
        if *totals == Totals::default() {
            functions.totals.remove(&key.namespace);
        }
        if !family.is_empty() {
            functions.by_key.insert(key.clone(), family);
        }
        result
    }
}

impl Functions {
    /// The URL of a function leads nowhere, unless it is another function's by now.
    fn forget_url(&mut self, key: &Key, function: Option<&Function>) {
        if let Some(url) = function.and_then(|function| function.definition.url.as_ref())
            && self.by_url.get(&url.id) == Some(key)
        {
            self.by_url.remove(&url.id);
        }
    }
}

/// Ends a pool that nothing leads to any more.
fn close(pool: Option<Arc<Pool>>) {
    if let Some(pool) = pool {
        pool.close();
    }
}

/// Ends the pool of what was deleted.
fn ended(pool: Option<Arc<Pool>>) -> Option<Arc<Definition>> {
    let definition = pool.as_ref().map(|pool| pool.definition.clone());
    close(pool);
    definition
}

/// Remembers those that have something provisioned.
fn note(all: &mut BTreeSet<String>, name: &str, provisioned: u32) {
    match provisioned {
        0 => all.remove(name),
        _ => all.insert(name.to_owned()),
    };
}
