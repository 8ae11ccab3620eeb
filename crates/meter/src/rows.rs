//! The rows of the ledger, and how they become fewer: what is deleted keeps its row for a month and then is one of the deleted
//! ones of its namespace; when there are too many rows all the same, those that were used longest ago are summed up. No total
//! is ever lost, only whose it was.

use crate::lambda::Durations;
use crate::ledger::{DELETED, FunctionUsage, OTHERS, PodUsage};
use crate::meter::Invoked;
use std::collections::{BTreeMap, BTreeSet};

/// Rows of functions, and of owners of pods. More than a machine has at a time; what is gone would be kept for ever.
pub(crate) const ROWS_MAX: usize = 10_000;

/// Rows of functions that do not exist any more, and a tenth beyond: all of them are written each time that something changes.
pub(crate) const DELETED_ROWS_MAX: usize = 1000;

/// How long such a row is kept: what a bill goes back to.
pub(crate) const DELETED_KEPT_MS: i64 = 31 * 24 * 3_600_000;

/// Namespace, function and version.
pub(crate) type Row = (String, String, String);

#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) functions: BTreeMap<Row, Account>,
    pub(crate) pods: BTreeMap<(String, String), PodUsage>,
}

/// One version's totals.
#[derive(Default)]
pub(crate) struct Account {
    pub(crate) usage: FunctionUsage,
    pub(crate) durations: Durations,
}

impl Ledger {
    /// Counts something on the row of who was invoked.
    pub(crate) fn count(&mut self, invoked: &Invoked, now_ms: i64, change: impl FnOnce(&mut Account)) {
        let count = |account: &mut Account| {
            account.usage.last_ms = now_ms;
            change(account);
        };
        match self.functions.get_mut(&invoked.row) {
            Some(account) => count(account),
            None => {
                let mut account = Account::of(&invoked.row);
                account.usage.since_ms = now_ms;
                count(&mut account);
                self.functions.insert(invoked.row.clone(), account);
            }
        }
    }

    /// A function exists, perhaps again.
    pub(crate) fn exists(&mut self, namespace: &str, function: &str) {
        self.versions(namespace, function).for_each(|usage| usage.deleted_ms = 0);
    }

    /// A function was deleted.
    pub(crate) fn deleted(&mut self, namespace: &str, function: &str, now_ms: i64) {
        self.versions(namespace, function).for_each(|usage| usage.deleted_ms = now_ms);
        self.fold_deleted(now_ms);
    }

    /// A version was deleted, and its function was not.
    pub(crate) fn version_deleted(&mut self, namespace: &str, function: &str, version: &str) {
        let key = (namespace.to_owned(), function.to_owned(), version.to_owned());
        if version != DELETED && self.functions.contains_key(&key) {
            let row = (key.0.clone(), key.1.clone(), DELETED.to_owned());
            self.sum_up(&key, row);
        }
    }

    /// All functions that exist: the others were deleted while nobody looked.
    pub(crate) fn functions_are(&mut self, known: &BTreeSet<(String, String)>, now_ms: i64) {
        let mut last = None;
        for ((namespace, function, _), account) in &mut self.functions {
            let at = (namespace.clone(), function.clone());
            let (_, exists) =
                last.take().filter(|(of, _)| *of == at).unwrap_or_else(|| (at.clone(), known.contains(&at)));
            let usage = &mut account.usage;
            usage.deleted_ms = match (exists, usage.deleted_ms) {
                (true, _) => 0,
                (false, 0) if !is_sum(function) => now_ms,
                (false, deleted_ms) => deleted_ms,
            };
            last = Some((at, exists));
        }
        self.fold_deleted(now_ms);
    }

    fn versions(&mut self, namespace: &str, function: &str) -> impl Iterator<Item = &mut FunctionUsage> {
        let first = (namespace.to_owned(), function.to_owned(), String::new());
        let (namespace, function) = (first.0.clone(), first.1.clone());
        let rows = self.functions.range_mut(first..);
        let own = rows.take_while(move |(key, _)| key.0 == namespace && key.1 == function);
        own.map(|(_, account)| &mut account.usage)
    }

    /// Sums up what was deleted long ago, or before many others.
    fn fold_deleted(&mut self, now_ms: i64) {
        let rows = self.functions.iter();
        let deleted = rows.filter(|(_, account)| account.usage.deleted_ms > 0);
        let times = || deleted.clone().map(|(_, account)| account.usage.deleted_ms);
        // Many at a time, so that most deletions only look.
        let too_many = times().count() > DELETED_ROWS_MAX + DELETED_ROWS_MAX / 10;
        if !too_many && times().all(|deleted_ms| deleted_ms > now_ms - DELETED_KEPT_MS) {
            return;
        }
        let mut deleted: Vec<(i64, Row)> =
            deleted.map(|(key, account)| (account.usage.deleted_ms, key.clone())).collect();
        deleted.sort_unstable();
        let many = if too_many { deleted.len() - DELETED_ROWS_MAX } else { 0 };
        for (index, (deleted_ms, key)) in deleted.into_iter().enumerate() {
            if index >= many && deleted_ms > now_ms - DELETED_KEPT_MS {
                break;
            }
            let row = (key.0.clone(), DELETED.to_owned(), String::new());
            self.sum_up(&key, row);
        }
    }

    /// Sums up what was used longest ago, when there are too many rows.
    pub(crate) fn fold(&mut self) {
        if self.functions.len() > ROWS_MAX {
            let rows =
                |sums| self.functions.iter().filter(move |((_, function, _), _)| is_sum(function) == sums);
            let own = rows(false).map(|(key, account)| (age(&account.usage), key.clone()));
            let sums = rows(true).filter(|(key, _)| key.0 != OTHERS);
            let sums = sums.map(|(key, account)| (age(&account.usage), key.clone()));
            for (key, namespace) in plan(own, sums, |key| key.0.clone()) {
                self.sum_up(&key, (namespace, OTHERS.to_owned(), String::new()));
            }
        }
        if self.pods.len() > ROWS_MAX {
            let rows = |sums| self.pods.iter().filter(move |((_, owner), _)| (owner == OTHERS) == sums);
            let own = rows(false).filter(|(_, usage)| usage.open.is_empty());
            let own = own.map(|(key, usage)| (usage.since_ms, key.clone()));
            let sums = rows(true).filter(|(key, _)| key.0 != OTHERS);
            let sums = sums.map(|(key, usage)| (usage.since_ms, key.clone()));
            for (key, namespace) in plan(own, sums, |key| key.0.clone()) {
                let Some(gone) = self.pods.remove(&key) else { continue };
                let owner = OTHERS.to_owned();
                let others = self.pods.entry((namespace.clone(), owner.clone()));
                let new = || PodUsage { namespace, owner, ..PodUsage::default() };
                others.or_insert_with(new).take_in(&gone);
            }
        }
    }

    fn sum_up(&mut self, key: &Row, into: Row) {
        let Some(gone) = self.functions.remove(key) else { return };
        let sum = self.functions.entry(into).or_insert_with_key(Account::of);
        sum.usage.take_in(&gone.usage);
        sum.durations.take_in(&gone.durations);
    }
}

impl Account {
    fn of((namespace, function, version): &Row) -> Account {
        let (namespace, function, version) = (namespace.clone(), function.clone(), version.clone());
        Account {
            usage: FunctionUsage { namespace, function, version, ..FunctionUsage::default() },
            ..Account::default()
        }
    }
}

fn is_sum(function: &str) -> bool {
    function == OTHERS || function == DELETED
}

/// What was deleted goes first.
fn age(usage: &FunctionUsage) -> (bool, i64) {
    (usage.deleted_ms == 0, usage.last_ms)
}

/// Which rows to sum up when there are too many, and in which namespace: a tenth of those that are somebody's own, in theirs; if
/// these are not half of all, a tenth of the sums of namespaces in one of all. Those that were used longest ago.
fn plan<A: Ord, K>(
    own: impl Iterator<Item = (A, K)>,
    sums: impl Iterator<Item = (A, K)>,
    namespace: impl Fn(&K) -> String,
) -> Vec<(K, String)> {
    let mut rows: Vec<(A, K)> = own.collect();
    let of_all = rows.len() < ROWS_MAX / 2;
    if of_all {
        rows = sums.collect();
    }
    let excess = rows.len().min(ROWS_MAX / 10);
    if excess > 0 && excess < rows.len() {
        rows.select_nth_unstable_by(excess, |(a, _), (b, _)| a.cmp(b));
        rows.truncate(excess);
    }
    let place = |key: &K| if of_all { OTHERS.to_owned() } else { namespace(key) };
    rows.into_iter().map(|(_, key)| (place(&key), key)).map(|(namespace, key)| (key, namespace)).collect()
}
