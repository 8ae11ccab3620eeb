//! One function with what belongs to it, and what of that is kept ready.

use super::Function;
use crate::alias::Alias;
use crate::concurrency::Usage;
use crate::definition::Definition;
use crate::pace::Growth;
use crate::pool::Pool;
use client::Key;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// A function with its versions and aliases. The three kinds are watched independently: a version may be known before its
/// function is.
pub(super) struct Family {
    pub(super) function: Option<Function>,
    pub(super) versions: HashMap<String, (Arc<Definition>, Arc<Pool>)>,
    pub(super) aliases: HashMap<String, Arc<Alias>>,
    pub(super) version_objects: HashSet<Key>,
    pub(super) alias_objects: HashSet<Key>,
    pub(super) usage: Arc<Usage>,
    pub(super) on_demand: Arc<Usage>,
    pub(super) growth: Arc<Growth>,
    /// Versions that have something provisioned themselves, and aliases that have.
    pub(super) provisioned_versions: BTreeSet<String>,
    pub(super) provisioned_aliases: BTreeSet<String>,
    /// Instances that are kept ready now, by version.
    wanted: HashMap<String, u32>,
    /// What the function takes off what all share.
    pub(super) claimed: u32,
    pub(super) code_bytes: u64,
}

impl Family {
    pub(super) fn new(growth: Option<u32>) -> Family {
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

    pub(super) fn is_empty(&self) -> bool {
        self.function.is_none() && self.versions.is_empty() && self.aliases.is_empty()
    }

    /// Lets the pools of the versions keep ready what is asked for now, and counts what that takes off what others share.
    pub(super) fn provision(&mut self) {
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
