//! Which functions there are: the definitions read from the watched objects, each with its pool; and what a qualifier
//! of one of them leads to. A change of what instances are made of makes a new pool and lets the old one run dry; a
//! published version never changes and has a pool of its own as long as it exists.

use crate::alias::Alias;
use crate::concurrency::{Account, Limits, Usage};
use crate::definition::{Definition, EventInvoke};
use crate::machine::Machine;
use crate::pool::{Pool, Provisioned};
use crate::report::LATEST;
use client::Key;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// One function, or one version of it, as it is now.
#[derive(Clone)]
pub(crate) struct Function {
    pub(crate) definition: Arc<Definition>,
    pub(crate) pool: Arc<Pool>,
    /// The function's, over all its versions.
    pub(crate) usage: Arc<Usage>,
    /// Those of them that are not on provisioned instances.
    pub(crate) on_demand: Arc<Usage>,
    /// The function's, over all its versions.
    pub(crate) reserved_concurrency: Option<u32>,
    /// Instances provisioned for versions of the function.
    pub(crate) provisioned_sum: u32,
}

impl Function {
    /// What limits its invocations.
    pub(crate) fn limits(&self) -> Limits<'_> {
        Limits {
            running: &self.usage,
            on_demand: &self.on_demand,
            reserved: self.reserved_concurrency,
            provisioned_sum: self.provisioned_sum,
            provisioned: (&self.pool.provisioned_usage, self.pool.wanted()),
        }
    }
}

/// What holds for the events of a function, a version or an alias.
pub(crate) struct EventRules {
    /// The function's.
    pub(crate) uid: String,
    /// The function's.
    pub(crate) reserved_concurrency: Option<u32>,
    pub(crate) event_invoke: EventInvoke,
    pub(crate) dead_letter_arn: Option<String>,
}

pub(crate) struct Catalog {
    machine: Arc<Machine>,
    account: Arc<Account>,
    functions: RwLock<Functions>,
}

/// The versions of one function, by number.
type Versions = HashMap<String, (Arc<Definition>, Arc<Pool>)>;

/// The three kinds are watched independently: a version may be known before its function is.
#[derive(Default)]
struct Functions {
    by_key: HashMap<Key, Function>,
    by_url: HashMap<String, Key>,
    /// Of each function, by version and by name of the alias.
    versions: HashMap<Key, Versions>,
    aliases: HashMap<Key, HashMap<String, Arc<Alias>>>,
    /// The objects of versions and aliases, with what they stand for.
    version_objects: HashMap<Key, (Key, String)>,
    alias_objects: HashMap<Key, (Key, String)>,
}

impl Catalog {
    pub(crate) fn new(machine: Arc<Machine>, account: Arc<Account>) -> Catalog {
        Catalog { machine, account, functions: RwLock::default() }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Function> {
        self.read().by_key.get(key).cloned()
    }

    /// What a call with this qualifier runs. An alias of two versions deals its calls out, so each call asks once.
    pub(crate) fn resolve(&self, key: &Key, qualifier: Option<&str>) -> Option<Function> {
        let functions = self.read();
        let function = functions.by_key.get(key)?;
        let ours = |uid: &str| uid.is_empty() || uid == function.definition.uid;
        let Some(qualifier) = qualifier.filter(|qualifier| *qualifier != LATEST) else {
            return Some(function.clone());
        };
        let alias = functions.aliases.get(key).and_then(|aliases| aliases.get(qualifier));
        let version = match alias.filter(|alias| ours(&alias.uid)) {
            Some(alias) if alias.version == LATEST => return Some(function.clone()),
            Some(alias) => alias.next(),
            None => qualifier,
        };
        let (definition, pool) = functions.versions.get(key)?.get(version)?;
        ours(&definition.uid).then(|| Function {
            definition: definition.clone(),
            pool: pool.clone(),
            ..function.clone()
        })
    }

    /// The rules for events with this qualifier: those of the alias or the version itself, as on AWS, not the function's.
    pub(crate) fn event_rules(&self, key: &Key, qualifier: Option<&str>) -> Option<EventRules> {
        let functions = self.read();
        let function = functions.by_key.get(key)?;
        let latest = &function.definition;
        let qualifier = qualifier.filter(|qualifier| *qualifier != LATEST);
        let alias = qualifier.and_then(|name| functions.aliases.get(key)?.get(name));
        let version = alias.map(|alias| alias.version.as_str()).or(qualifier);
        let definition = match version.filter(|version| *version != LATEST) {
            Some(version) => functions.versions.get(key)?.get(version).map(|(definition, _)| definition)?,
            None => latest,
        };
        Some(EventRules {
            uid: latest.uid.clone(),
            reserved_concurrency: function.reserved_concurrency,
            event_invoke: alias.map_or(&definition.event_invoke, |alias| &alias.event_invoke).clone(),
            dead_letter_arn: definition.dead_letter_arn.clone(),
        })
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
            let mut functions = self.write();
            let old = functions.by_key.get(&key);
            let (usage, on_demand) =
                old.map(|old| (old.usage.clone(), old.on_demand.clone())).unwrap_or_default();
            let kept = old.filter(|old| old.definition.revision == definition.revision);
            let pool = match kept {
                Some(old) => old.pool.clone(),
                None => Pool::new(self.machine.clone(), definition.clone()),
            };
            let reserved_concurrency = definition.reserved_concurrency;
            let provisioned_sum = 0;
            let function =
                Function { definition, pool, usage, on_demand, reserved_concurrency, provisioned_sum };
            let old = functions.by_key.insert(key.clone(), function.clone());
            functions.index();
            self.provision(&mut functions, &key);
            old.filter(|old| !Arc::ptr_eq(&old.pool, &function.pool))
        };
        if let Some(old) = replaced {
            old.pool.close();
        }
    }

    /// Takes in a published version from this object.
    pub(crate) fn put_version(&self, object: &Key, definition: Definition) {
        let key = Key::new(definition.namespace.clone(), definition.object.clone());
        let version = definition.version.clone();
        let definition = Arc::new(definition);
        let replaced = {
            let mut functions = self.write();
            functions.version_objects.insert(object.clone(), (key.clone(), version.clone()));
            let versions = functions.versions.entry(key.clone()).or_default();
            let kept = versions
                .get(&version)
                .filter(|(old, _)| old.uid == definition.uid && old.revision == definition.revision);
            let pool = match kept {
                Some((_, pool)) => pool.clone(),
                None => Pool::new(self.machine.clone(), definition.clone()),
            };
            let old = versions.insert(version, (definition, pool.clone()));
            self.provision(&mut functions, &key);
            old.map(|(_, old)| old).filter(|old| !Arc::ptr_eq(old, &pool))
        };
        if let Some(old) = replaced {
            old.close();
        }
    }

    /// Takes in a new or changed alias from this object. The calls that come after this go where it leads now; those
    /// under way end where they are.
    pub(crate) fn put_alias(&self, object: &Key, alias: Alias) {
        let key = Key::new(alias.namespace.clone(), alias.function.clone());
        let mut functions = self.write();
        functions.alias_objects.insert(object.clone(), (key.clone(), alias.name.clone()));
        functions.aliases.entry(key.clone()).or_default().insert(alias.name.clone(), Arc::new(alias));
        self.provision(&mut functions, &key);
    }

    /// A function was deleted.
    pub(crate) fn remove(&self, key: &Key) {
        let removed = {
            let mut functions = self.write();
            let removed = functions.by_key.remove(key);
            functions.index();
            self.provision(&mut functions, key);
            removed
        };
        if let Some(removed) = removed {
            removed.pool.close();
        }
    }

    /// A version was deleted.
    pub(crate) fn remove_version(&self, object: &Key) {
        let removed = {
            let mut functions = self.write();
            let Some((key, version)) = functions.version_objects.remove(object) else { return };
            let removed = take(&mut functions.versions, &key, &version);
            self.provision(&mut functions, &key);
            removed
        };
        if let Some((_, pool)) = removed {
            pool.close();
        }
    }

    /// An alias was deleted.
    pub(crate) fn remove_alias(&self, object: &Key) {
        let mut functions = self.write();
        if let Some((key, name)) = functions.alias_objects.remove(object) {
            take(&mut functions.aliases, &key, &name);
            self.provision(&mut functions, &key);
        }
    }

    /// What is provisioned for this qualifier of a function, and how far that has come: an alias of two versions has
    /// instances of both.
    pub(crate) fn provisioned(&self, key: &Key, qualifier: &str) -> Option<Provisioned> {
        let functions = self.read();
        let versions = functions.versions.get(key)?;
        let Some(alias) = functions.aliases.get(key).and_then(|aliases| aliases.get(qualifier)) else {
            return versions.get(qualifier).map(|(_, pool)| pool.provisioned());
        };
        let led_to = [Some(&alias.version), alias.additional.as_ref().map(|(version, _)| version)];
        let mut sum = Provisioned { wanted: alias.provisioned, ready: 0, failure: None };
        for (_, pool) in led_to.into_iter().flatten().filter_map(|version| versions.get(version)) {
            let of_one = pool.provisioned();
            sum.ready = (sum.ready + of_one.ready).min(sum.wanted);
            sum.failure = sum.failure.or(of_one.failure);
        }
        Some(sum)
    }

    /// Lets the pools of a function's versions keep ready what is asked for now, and takes that off what others share.
    fn provision(&self, functions: &mut Functions, key: &Key) {
        let uid = functions.by_key.get(key).map(|function| function.definition.uid.clone());
        let ours = |theirs: &str| uid.as_ref().is_some_and(|uid| theirs.is_empty() || theirs == uid);
        let mut sum: u32 = 0;
        for (version, (definition, pool)) in functions.versions.get(key).into_iter().flatten() {
            let aliases = functions.aliases.get(key).into_iter().flat_map(HashMap::values);
            let by_alias: u32 =
                aliases.filter(|alias| ours(&alias.uid)).map(|alias| alias.provisioned_of(version)).sum();
            let wanted = if ours(&definition.uid) { definition.provisioned + by_alias } else { 0 };
            pool.provision(wanted);
            sum = sum.saturating_add(wanted);
        }
        if let Some(function) = functions.by_key.get_mut(key) {
            function.provisioned_sum = sum;
        }
        self.account.reserve(functions.reserved());
    }

    /// The code archives that functions and versions name.
    pub(crate) fn code(&self) -> HashSet<String> {
        let functions = self.read();
        let latest = functions.by_key.values().map(|function| &function.definition);
        let versions =
            functions.versions.values().flat_map(HashMap::values).map(|(definition, _)| definition);
        latest.chain(versions).flat_map(|definition| definition.revision.code()).collect()
    }

    /// Of functions and versions.
    pub(crate) fn pools(&self) -> Vec<Arc<Pool>> {
        let functions = self.read();
        let versions = functions.versions.values().flat_map(HashMap::values).map(|(_, pool)| pool);
        functions.by_key.values().map(|function| &function.pool).chain(versions).cloned().collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Functions> {
        self.functions.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Functions> {
        self.functions.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes one of a function's versions or aliases out, and the function's map with the last one.
fn take<T>(all: &mut HashMap<Key, HashMap<String, T>>, key: &Key, name: &str) -> Option<T> {
    let of_function = all.get_mut(key)?;
    let taken = of_function.remove(name);
    if of_function.is_empty() {
        all.remove(key);
    }
    taken
}

impl Functions {
    fn index(&mut self) {
        let url = |(key, function): (&Key, &Function)| {
            function.definition.url.as_ref().map(|url| (url.id.clone(), key.clone()))
        };
        self.by_url = self.by_key.iter().filter_map(url).collect();
    }

    fn reserved(&self) -> u32 {
        let reserved = self
            .by_key
            .values()
            .map(|function| function.reserved_concurrency.unwrap_or(function.provisioned_sum));
        reserved.fold(0, u32::saturating_add)
    }
}
