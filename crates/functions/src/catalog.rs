//! Which functions there are: the definitions read from the watched objects, each with its pool; and what a qualifier of one
//! of them leads to. How that changes is `change`, one function with what belongs to it `family`.

mod change;
mod family;

use crate::Watched;
use crate::concurrency::{Account, Limits, Usage};
use crate::definition::{Definition, EventInvoke, LATEST};
use crate::machine::Machine;
use crate::pool::{Pool, Provisioned};
use client::Key;
use family::Family;
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
    /// Whether the function, with all its versions, may call itself round and round.
    pub(crate) may_loop: bool,
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
            // They name their functions; they are not of them.
            Watched::Mapping => Vec::new(),
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
