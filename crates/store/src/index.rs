//! The readable side of a store: current values and enough history for lists at a revision and resumed watches.
//! Pure memory: never waits, never fails on I/O. The writer applies to it what is durable; reads share it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::log::{Row, RowId};
use crate::{Change, Entry, Error, Page, Range, Revision};

/// Memory that history may take before the store compacts itself to half of it: minutes of ordinary churn, and
/// more than a client needs to page through a list or to reconnect a watch.
pub(crate) const HISTORY_BYTES_MAX: usize = 32 << 20;

/// What a change costs in history beside the value it replaced: the change, its version, their allocations.
const CHANGE_BYTES: usize = 160;

/// All changes of one revision.
pub(crate) type Changes = Arc<Vec<Change>>;

#[derive(Default)]
pub(crate) struct Index {
    keys: BTreeMap<Arc<str>, Versions>,
    history: VecDeque<Changes>,
    history_bytes: usize,
    revision: Revision,
    oldest: Revision,
}

struct Versions {
    last: Version,
    /// Ascending. Empty for most keys, and then without an allocation.
    older: Vec<Version>,
}

#[derive(Clone)]
struct Version {
    id: RowId,
    created: Revision,
    value: Option<Bytes>,
}

impl Version {
    fn entry(&self, key: &Arc<str>) -> Option<Entry> {
        let value = self.value.clone()?;
        Some(Entry { key: key.clone(), value, created: self.created, modified: self.id.revision })
    }
}

impl Versions {
    fn at(&self, revision: Revision) -> Option<&Version> {
        if self.last.id.revision <= revision {
            return Some(&self.last);
        }
        self.older.iter().rev().find(|version| version.id.revision <= revision)
    }
}

impl Index {
    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    pub(crate) fn oldest(&self) -> Revision {
        self.oldest
    }

    pub(crate) fn get(&self, key: &str) -> Option<Entry> {
        let (key, versions) = self.keys.get_key_value(key)?;
        versions.last.entry(key)
    }

    pub(crate) fn list(&self, range: &Range) -> Result<Page, Error> {
        let revision = range.at.unwrap_or(self.revision);
        self.check(revision)?;
        let from = match &range.after {
            Some(after) if after.as_ref() >= range.prefix.as_ref() => Bound::Excluded(after.clone()),
            _ => Bound::Included(range.prefix.clone()),
        };
        let limit = range.limit.unwrap_or(usize::MAX);
        let mut page = Page { entries: Vec::new(), revision, more: false };
        for (key, versions) in self.keys.range::<str, _>((as_str(&from), Bound::Unbounded)) {
            if !key.starts_with(range.prefix.as_ref()) {
                break;
            }
            let Some(entry) = versions.at(revision).and_then(|version| version.entry(key)) else { continue };
            if page.entries.len() == limit {
                page.more = true;
                break;
            }
            page.entries.push(entry);
        }
        Ok(page)
    }

    /// Changes under `prefix` after `from`, up to now.
    pub(crate) fn changes(&self, prefix: &str, from: Revision) -> Result<VecDeque<Changes>, Error> {
        self.check(from)?;
        let start = self.history.partition_point(|changes| changes[0].revision <= from);
        Ok(self.history.range(start..).filter_map(|changes| under(prefix, changes)).collect())
    }

    fn check(&self, revision: Revision) -> Result<(), Error> {
        if revision < self.oldest {
            return Err(Error::Compacted { oldest: self.oldest });
        }
        if revision > self.revision {
            return Err(Error::Future { asked: revision, current: self.revision });
        }
        Ok(())
    }

    /// Takes in the rows of one revision, which is greater than all before it. `rows` is not empty.
    pub(crate) fn apply(&mut self, rows: &[Row]) -> Changes {
        self.revision = rows[0].id.revision;
        let changes: Changes = Arc::new(rows.iter().map(|row| self.apply_row(row)).collect());
        self.history_bytes += weight(&changes);
        self.history.push_back(changes.clone());
        changes
    }

    fn apply_row(&mut self, row: &Row) -> Change {
        let version = Version { id: row.id, created: row.created, value: row.value.clone() };
        let previous = match self.keys.get_mut(&row.key) {
            Some(versions) => {
                let before = std::mem::replace(&mut versions.last, version);
                let previous = before.value.clone();
                versions.older.push(before);
                previous
            }
            None => {
                self.keys.insert(row.key.clone(), Versions { last: version, older: Vec::new() });
                None
            }
        };
        Change { revision: row.id.revision, key: row.key.clone(), value: row.value.clone(), previous }
    }

    /// Forgets what cannot be seen from `oldest` on, and names the rows that the log need not keep any more.
    pub(crate) fn compact(&mut self, oldest: Revision) -> Vec<RowId> {
        self.oldest = self.oldest.max(oldest);
        self.revision = self.revision.max(oldest);
        let mut garbage = Vec::new();
        while self.history.front().is_some_and(|changes| changes[0].revision <= self.oldest) {
            let Some(changes) = self.history.pop_front() else { break };
            self.history_bytes -= weight(&changes);
            for change in changes.iter() {
                self.prune(&change.key, &mut garbage);
            }
        }
        if self.history.capacity() > 4 * self.history.len() {
            self.history.shrink_to(2 * self.history.len());
        }
        garbage
    }

    fn prune(&mut self, key: &Arc<str>, garbage: &mut Vec<RowId>) {
        let Some(versions) = self.keys.get_mut(key) else { return };
        let superseded = if versions.last.id.revision <= self.oldest {
            versions.older.len()
        } else {
            versions.older.partition_point(|version| version.id.revision <= self.oldest).saturating_sub(1)
        };
        garbage.extend(versions.older.drain(..superseded).map(|version| version.id));
        // A deletion says nothing that the absence of the key does not.
        let buried = |version: &Version, oldest| version.id.revision <= oldest && version.value.is_none();
        if versions.older.first().is_some_and(|version| buried(version, self.oldest)) {
            garbage.push(versions.older.remove(0).id);
        }
        if versions.older.is_empty() {
            versions.older = Vec::new();
            if buried(&versions.last, self.oldest) {
                garbage.push(versions.last.id);
                self.keys.remove(key);
            }
        }
    }

    /// The revision to compact to when history has outgrown `bytes_max`: the one that leaves half of it.
    pub(crate) fn overgrown(&self, bytes_max: usize) -> Option<Revision> {
        if self.history_bytes <= bytes_max {
            return None;
        }
        let mut left = self.history_bytes;
        self.history.iter().find_map(|changes| {
            left -= weight(changes);
            (left <= bytes_max / 2).then(|| changes[0].revision)
        })
    }
}

fn as_str(bound: &Bound<Arc<str>>) -> Bound<&str> {
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}

/// What history alone keeps alive of a revision: the values that it replaced.
fn weight(changes: &Changes) -> usize {
    changes.iter().map(|change| CHANGE_BYTES + change.previous.as_ref().map_or(0, Bytes::len)).sum()
}

/// The part of a revision that a watch of `prefix` shows; the whole of it is shared, not copied.
pub(crate) fn under(prefix: &str, changes: &Changes) -> Option<Changes> {
    let hits = changes.iter().filter(|change| change.key.starts_with(prefix)).count();
    match hits {
        0 => None,
        all if all == changes.len() => Some(changes.clone()),
        _ => Some(Arc::new(changes.iter().filter(|c| c.key.starts_with(prefix)).cloned().collect())),
    }
}
