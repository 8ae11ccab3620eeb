//! Which functions there are: the definitions read from the watched objects, each with its pool; and what a qualifier
//! of one of them leads to. A change of what instances are made of makes a new pool and lets the old one run dry; a
//! published version never changes and has a pool of its own as long as it exists. A change costs what it concerns, however
//! many functions there are.

use crate::Watched;
use crate::alias::Alias;
use crate::concurrency::{Account, Limits, Usage};
use crate::definition::{Definition, EventInvoke, LATEST};
use crate::machine::Machine;
use crate::pace::Growth;
use crate::pool::{Pool, Provisioned};
use client::Key;
use std::collections::{BTreeSet, HashMap, HashSet};
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
    /// New instances that each function may have in ten seconds.
    growth: Option<u32>,
    functions: RwLock<Functions>,
}

#[derive(Default)]
struct Functions {
    /// Boxed: a table has room for up to twice what is in it.
    by_key: HashMap<Key, Box<Family>>,
    by_url: HashMap<String, Key>,
    /// The objects of versions and aliases, with what they stand for.
    version_objects: HashMap<Key, (Key, String)>,
    alias_objects: HashMap<Key, (Key, String)>,
    /// What functions take off what all share, in all.
    claimed: u64,
    /// By namespace.
    totals: HashMap<String, Totals>,
}

/// The functions of one namespace together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) functions: u64,
    /// Of the archives of functions and their versions.
    pub(crate) code_bytes: u64,
}

/// A function with its versions and aliases. The three kinds are watched independently: a version may be known before its
/// function is.
struct Family {
    function: Option<Function>,
    versions: HashMap<String, (Arc<Definition>, Arc<Pool>)>,
    aliases: HashMap<String, Arc<Alias>>,
    version_objects: HashSet<Key>,
    alias_objects: HashSet<Key>,
    usage: Arc<Usage>,
    on_demand: Arc<Usage>,
    growth: Arc<Growth>,
    /// Versions that have something provisioned themselves, and aliases that have.
    provisioned_versions: BTreeSet<String>,
    provisioned_aliases: BTreeSet<String>,
    /// Instances that are kept ready now, by version.
    wanted: HashMap<String, u32>,
    /// What the function takes off what all share.
    claimed: u32,
    code_bytes: u64,
}

impl Catalog {
    pub(crate) fn new(machine: Arc<Machine>, account: Arc<Account>, growth: Option<u32>) -> Catalog {
        Catalog { machine, account, growth, functions: RwLock::default() }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Function> {
        self.read().by_key.get(key)?.function.clone()
    }

    /// What a call with this qualifier runs. An alias of two versions deals its calls out, so each call asks once.
    pub(crate) fn resolve(&self, key: &Key, qualifier: Option<&str>) -> Option<Function> {
        let functions = self.read();
        let family = functions.by_key.get(key)?;
        let function = family.function.as_ref()?;
        let ours = |uid: &str| uid.is_empty() || uid == function.definition.uid;
        let Some(qualifier) = qualifier.filter(|qualifier| *qualifier != LATEST) else {
            return Some(function.clone());
        };
        let alias = family.aliases.get(qualifier);
        let version = match alias.filter(|alias| ours(&alias.uid)) {
            Some(alias) if alias.version == LATEST => return Some(function.clone()),
            Some(alias) => alias.next(),
            None => qualifier,
        };
        let (definition, pool) = family.versions.get(version)?;
        ours(&definition.uid).then(|| Function {
            definition: definition.clone(),
            pool: pool.clone(),
            ..function.clone()
        })
    }

    /// The rules for events with this qualifier: those of the alias or the version itself, as on AWS, not the function's.
    pub(crate) fn event_rules(&self, key: &Key, qualifier: Option<&str>) -> Option<EventRules> {
        let functions = self.read();
        let family = functions.by_key.get(key)?;
        let function = family.function.as_ref()?;
        let latest = &function.definition;
        let qualifier = qualifier.filter(|qualifier| *qualifier != LATEST);
        let alias = qualifier.and_then(|name| family.aliases.get(name));
        let version = alias.map(|alias| alias.version.as_str()).or(qualifier);
        let definition = match version.filter(|version| *version != LATEST) {
            Some(version) => family.versions.get(version).map(|(definition, _)| definition)?,
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
        functions.by_key.get(functions.by_url.get(id)?)?.function.clone()
    }

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

    /// What is provisioned for this qualifier of a function, and how far that has come: an alias of two versions has
    /// instances of both.
    pub(crate) fn provisioned(&self, key: &Key, qualifier: &str) -> Option<Provisioned> {
        let functions = self.read();
        let Family { versions, aliases, .. } = &**functions.by_key.get(key)?;
        let Some(alias) = aliases.get(qualifier) else {
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

    /// The functions of a namespace together.
    pub(crate) fn totals(&self, namespace: &str) -> Totals {
        self.read().totals.get(namespace).copied().unwrap_or_default()
    }

    /// The objects of a function's versions or aliases.
    pub(crate) fn objects_of(&self, watched: Watched, key: &Key) -> Vec<Key> {
        let functions = self.read();
        let Some(family) = functions.by_key.get(key) else { return Vec::new() };
        match watched {
            Watched::Function => family.function.iter().map(|_| key.clone()).collect(),
            Watched::Version => family.version_objects.iter().cloned().collect(),
            Watched::Alias => family.alias_objects.iter().cloned().collect(),
        }
    }

    /// The code archives that functions and versions name.
    pub(crate) fn code(&self) -> HashSet<String> {
        let functions = self.read();
        let all = functions.by_key.values().flat_map(|family| {
            let latest = family.function.iter().map(|function| &function.definition);
            latest.chain(family.versions.values().map(|(definition, _)| definition))
        });
        all.flat_map(|definition| definition.revision.code()).collect()
    }

    /// The digests of the images that functions and versions are, or stay on.
    pub(crate) fn images(&self) -> HashSet<String> {
        let pools = self.pools();
        let digests = pools.iter().flat_map(|pool| pool.definition.revision.images());
        digests.cloned().collect()
    }

    /// Of functions and versions.
    pub(crate) fn pools(&self) -> Vec<Arc<Pool>> {
        let functions = self.read();
        let all = functions.by_key.values().flat_map(|family| {
            let latest = family.function.iter().map(|function| &function.pool);
            latest.chain(family.versions.values().map(|(_, pool)| pool))
        });
        all.cloned().collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Functions> {
        self.functions.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Functions> {
        self.functions.write().unwrap_or_else(PoisonError::into_inner)
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

impl Family {
    fn new(growth: Option<u32>) -> Family {
        Family {
            function: None,
            versions: HashMap::new(),
            aliases: HashMap::new(),
            usage: Arc::default(),
            on_demand: Arc::default(),
            growth: Arc::new(Growth::new(growth)),
            provisioned_versions: BTreeSet::new(),
            provisioned_aliases: BTreeSet::new(),
            wanted: HashMap::new(),
            claimed: 0,
            version_objects: HashSet::new(),
            alias_objects: HashSet::new(),
            code_bytes: 0,
        }
    }

    fn is_empty(&self) -> bool {
        self.function.is_none() && self.versions.is_empty() && self.aliases.is_empty()
    }

    /// Lets the pools of the versions keep ready what is asked for now, and counts what that takes off what others share.
    fn provision(&mut self) {
        let wanted = self.wanted();
        for version in self.wanted.keys().filter(|version| !wanted.contains_key(*version)) {
            if let Some((_, pool)) = self.versions.get(version) {
                pool.provision(0);
            }
        }
        for (version, wanted) in &wanted {
            self.versions[version].1.provision(*wanted);
        }
        let sum = wanted.values().copied().fold(0, u32::saturating_add);
        self.wanted = wanted;
        self.claimed = self.function.as_mut().map_or(0, |function| {
            function.provisioned_sum = sum;
            function.reserved_concurrency.unwrap_or(sum)
        });
    }

    /// Instances to keep ready, by version; only what belongs to the function that there is now counts.
    fn wanted(&self) -> HashMap<String, u32> {
        let Some(function) = &self.function else { return HashMap::new() };
        let ours = |uid: &str| uid.is_empty() || uid == function.definition.uid;
        let of_versions = self.provisioned_versions.iter().filter_map(|version| {
            let (definition, _) = self.versions.get(version)?;
            Some((version.clone(), definition.provisioned))
        });
        let of_aliases = self.provisioned_aliases.iter().filter_map(|name| self.aliases.get(name));
        let of_aliases = of_aliases.filter(|alias| ours(&alias.uid)).flat_map(|alias| {
            let additional = alias.additional.as_ref().map(|(version, _)| version);
            let led_to = std::iter::once(&alias.version).chain(additional);
            led_to.map(|version| (version.clone(), alias.provisioned_of(version)))
        });
        let mut wanted: HashMap<String, u32> = HashMap::new();
        for (version, count) in of_versions.chain(of_aliases) {
            if self.versions.get(&version).is_some_and(|(definition, _)| ours(&definition.uid)) {
                let all = wanted.entry(version).or_default();
                *all = all.saturating_add(count);
            }
        }
        wanted
    }
}
