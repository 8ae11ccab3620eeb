//! What a queue knows in memory: which messages there are and when each is visible. The store has the rest. Pure.
//!
//! Messages of one group are taken in the order in which they were sent, and none of them while an earlier take of the
//! group is out: only the first message of a group stands in the order of what can be taken next.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;

use super::record::{Sent, State};
use super::{Counts, Depth, Receipt};

#[derive(Default)]
pub(super) struct Book {
    entries: HashMap<u64, Entry>,
    /// What can be taken: messages without a group and the first of each group, by when they can be, then by age.
    order: BTreeSet<(u64, u64)>,
    groups: HashMap<Bytes, Group>,
    /// By the time of sending.
    ages: BTreeSet<(u64, u64)>,
    bytes: u64,
    /// Claims of messages that nobody has received since the process was started.
    first_claim: u64,
}

struct Entry {
    visible_ms: u64,
    sent_ms: u64,
    bytes: u64,
    group: Bytes,
    receive_count: u32,
    /// When it was received the first time; 0 before that.
    first_ms: u64,
    /// When it was received the last time.
    taken_ms: u64,
    /// Changes with every receive, and so tells the receipts of one message apart.
    claim: u64,
    /// Received, and neither ended nor given back, whether or not the time is over.
    held: bool,
    note: Bytes,
}

#[derive(Default)]
struct Group {
    members: BTreeSet<u64>,
    /// Those that were received and not given back.
    held: BTreeSet<u64>,
    /// Where the group stands in the order.
    place: (u64, u64),
}

/// What receiving found.
pub(super) struct Taken {
    pub(super) receipt: Receipt,
    pub(super) receive_count: u32,
    pub(super) first_ms: u64,
    pub(super) note: Bytes,
}

impl Book {
    pub(super) fn new(first_claim: u64) -> Book {
        Book { first_claim, ..Book::default() }
    }

    /// Takes in a message that the store holds.
    pub(super) fn restore(&mut self, number: u64, bytes: usize, sent: &Sent, state: Option<State>) {
        let bytes = bytes as u64;
        let state =
            state.unwrap_or(State { visible_ms: sent.visible_ms, receive_count: 0, note: Bytes::new() });
        let entry = Entry {
            visible_ms: state.visible_ms,
            sent_ms: sent.sent_ms,
            bytes,
            group: sent.group.clone(),
            receive_count: state.receive_count,
            first_ms: 0,
            taken_ms: 0,
            claim: self.first_claim,
            held: false,
            note: state.note,
        };
        self.lift(number, &entry.group, entry.visible_ms);
        if !entry.group.is_empty() {
            self.groups.entry(entry.group.clone()).or_default().members.insert(number);
        }
        self.ages.insert((entry.sent_ms, number));
        let group = entry.group.clone();
        self.entries.insert(number, entry);
        self.settle(number, &group);
        self.bytes += bytes;
    }

    /// Takes a message, or its group, out of the order, before something about it changes.
    fn lift(&mut self, number: u64, group: &Bytes, visible_ms: u64) {
        match group.is_empty() {
            true => self.order.remove(&(visible_ms, number)),
            false => self.groups.get(group).is_some_and(|group| self.order.remove(&group.place)),
        };
    }

    /// Puts it back to where it belongs now.
    fn settle(&mut self, number: u64, group: &Bytes) {
        let visible = |number: &u64| self.entries.get(number).map_or(0, |entry| entry.visible_ms);
        if group.is_empty() {
            self.order.insert((visible(&number), number));
            return;
        }
        let Some(found) = self.groups.get_mut(group) else { return };
        let Some(first) = found.members.first().copied() else {
            self.groups.remove(group);
            return;
        };
        // Those whose time is over do not count: they are as visible as the first.
        let out = found.held.iter().map(visible).max().unwrap_or(0);
        found.place = (visible(&first).max(out), first);
        self.order.insert(found.place);
    }

    /// Changes an entry and what follows from it; false if the message is not there.
    fn change(&mut self, number: u64, change: impl FnOnce(&mut Entry)) -> bool {
        let Some(entry) = self.entries.get(&number) else { return false };
        let (group, visible_ms) = (entry.group.clone(), entry.visible_ms);
        self.lift(number, &group, visible_ms);
        if let Some(entry) = self.entries.get_mut(&number) {
            change(entry);
            if let Some(group) = self.groups.get_mut(&group) {
                match entry.held {
                    true => group.held.insert(number),
                    false => group.held.remove(&number),
                };
            }
        }
        self.settle(number, &group);
        true
    }

    /// Messages and bytes, with so many more.
    pub(super) fn with(&self, messages: u64, bytes: u64) -> (u64, u64) {
        (self.entries.len() as u64 + messages, self.bytes + bytes)
    }

    /// When the next message can be taken.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.order.first().map(|(at, _)| *at)
    }

    /// The messages that have been visible longest, up to `max`; hidden from now on until `until_ms`. Of one group as
    /// many as there are, in order; one that is delayed holds up those behind it.
    pub(super) fn take(&mut self, now_ms: u64, until_ms: u64, max: usize) -> Vec<Taken> {
        let mut numbers = Vec::new();
        for (_, first) in self.order.range(..=(now_ms, u64::MAX)) {
            if numbers.len() >= max {
                break;
            }
            let group = self.entries.get(first).and_then(|entry| self.groups.get(&entry.group));
            let Some(group) = group else {
                numbers.push(*first);
                continue;
            };
            let visible =
                |number: &&u64| self.entries.get(*number).is_some_and(|entry| entry.visible_ms <= now_ms);
            numbers.extend(group.members.iter().take_while(visible).take(max - numbers.len()));
        }
        numbers.into_iter().filter_map(|number| self.hold(number, now_ms, until_ms)).collect()
    }

    fn hold(&mut self, number: u64, now_ms: u64, until_ms: u64) -> Option<Taken> {
        let mut taken = None;
        self.change(number, |entry| {
            entry.visible_ms = until_ms;
            entry.claim += 1;
            entry.held = true;
            entry.taken_ms = now_ms;
            entry.receive_count = entry.receive_count.saturating_add(1);
            if entry.first_ms == 0 {
                entry.first_ms = now_ms;
            }
            taken = Some(Taken {
                receipt: Receipt { number, claim: entry.claim },
                receive_count: entry.receive_count,
                first_ms: entry.first_ms,
                note: entry.note.clone(),
            });
        });
        taken
    }

    /// A receipt of an earlier process counts as long as nobody has received the message in this one.
    fn held_by(&self, receipt: Receipt) -> Option<&Entry> {
        let entry = self.entries.get(&receipt.number)?;
        let earlier = entry.claim == self.first_claim && receipt.claim < self.first_claim;
        (entry.claim == receipt.claim || earlier).then_some(entry)
    }

    pub(super) fn holds(&self, receipt: Receipt) -> bool {
        self.held_by(receipt).is_some()
    }

    /// When the message was received, if the receipt counts and its time is not over.
    pub(super) fn in_flight(&self, receipt: Receipt, now_ms: u64) -> Option<u64> {
        let entry = self.held_by(receipt)?;
        let earlier = receipt.claim < self.first_claim;
        match entry.held && entry.visible_ms > now_ms {
            true => Some(entry.taken_ms),
            // It cannot be known, and it cannot be long ago: nobody has come for it since.
            false => earlier.then_some(now_ms),
        }
    }

    pub(super) fn contains(&self, receipt: Receipt) -> bool {
        self.entries.contains_key(&receipt.number)
    }

    /// How often the message has been received, if the receipt still counts.
    pub(super) fn receive_count(&self, receipt: Receipt) -> Option<u32> {
        self.held_by(receipt).map(|entry| entry.receive_count)
    }

    /// Hides a message until another time; the receipt stays what it is. False if it has lapsed.
    pub(super) fn hide(&mut self, receipt: Receipt, now_ms: u64, until_ms: u64) -> bool {
        self.holds(receipt)
            && self.change(receipt.number, |entry| {
                entry.visible_ms = until_ms;
                entry.held = true;
                if entry.taken_ms == 0 {
                    entry.taken_ms = now_ms;
                }
            })
    }

    /// Makes a message visible at another time; false if the receipt has lapsed.
    pub(super) fn show(&mut self, receipt: Receipt, at_ms: u64, note: Option<Bytes>) -> bool {
        self.holds(receipt)
            && self.change(receipt.number, |entry| {
                entry.visible_ms = at_ms;
                entry.held = false;
                // The receipt is spent: whoever holds it cannot end what somebody else may be working on.
                entry.claim += 1;
                if let Some(note) = note {
                    entry.note = note;
                }
            })
    }

    /// Forgets a message; gives back its size, if it was there.
    pub(super) fn remove(&mut self, number: u64) -> Option<u64> {
        let entry = self.entries.get(&number)?;
        let (group, visible_ms) = (entry.group.clone(), entry.visible_ms);
        self.lift(number, &group, visible_ms);
        let entry = self.entries.remove(&number)?;
        if let Some(found) = self.groups.get_mut(&group) {
            found.members.remove(&number);
            found.held.remove(&number);
            self.settle(number, &group);
        }
        self.ages.remove(&(entry.sent_ms, number));
        self.bytes -= entry.bytes;
        Some(entry.bytes)
    }

    /// Some messages, whatever their state.
    pub(super) fn numbers(&self, count: usize) -> Vec<u64> {
        self.ages.iter().take(count).map(|(_, number)| *number).collect()
    }

    /// Some of those that were sent before a time.
    pub(super) fn sent_before(&self, before_ms: u64, count: usize) -> Vec<u64> {
        self.ages.range(..(before_ms, 0)).take(count).map(|(_, number)| *number).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn depth(&self) -> Depth {
        Depth {
            messages: self.entries.len() as u64,
            oldest_sent_ms: self.ages.first().map(|(sent_ms, _)| *sent_ms),
        }
    }

    /// Looks at every message: some milliseconds for a hundred thousand.
    pub(super) fn counts(&self, now_ms: u64) -> Counts {
        let mut counts = Counts::default();
        for entry in self.entries.values() {
            match (entry.visible_ms <= now_ms, entry.held) {
                (true, _) => counts.visible += 1,
                (false, true) => counts.in_flight += 1,
                (false, false) => counts.delayed += 1,
            }
        }
        counts
    }
}
