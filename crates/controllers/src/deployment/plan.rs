//! What a Deployment does next with its ReplicaSets: pure decisions, in the order in which they are to be
//! carried out. The rules are upstream's: a rollout never has fewer available pods than `maxUnavailable`
//! allows, nor more pods than `maxSurge` allows.

use std::cmp::Reverse;
use std::sync::Arc;

use client::{ApiResource, Key};
use serde_json::Value;

use super::set::{REVISION, Set, annotation, follow_patch, new_set, same_template};

/// One write.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Makes the ReplicaSet of the current template.
    Create { object: Value, replicas: i64 },
    /// Brings annotations of the current ReplicaSet in line (a merge patch).
    Follow { name: String, patch: Value },
    /// Sizes a ReplicaSet.
    Scale { object: Arc<Value>, from: i64, to: i64, desired: i64, max: i64 },
    /// Deletes a ReplicaSet that history needs no longer.
    Forget { object: Arc<Value> },
    /// Records the revision on the Deployment.
    Revision { revision: i64 },
}

/// How a rollout went about its work; tells the status how to judge progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Paused or just resized: no progress is expected.
    Resize,
    Rollout,
}

/// The decisions of one turn, and the ReplicaSets as they will be sized.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) sets: Vec<Set>,
    /// The place of the current ReplicaSet in `sets`.
    pub(super) current: Option<usize>,
    pub(super) mode: Mode,
}

/// The sizes that a Deployment asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) replicas: i64,
    pub(super) surge: i64,
    pub(super) unavailable: i64,
}

impl Sizes {
    pub(super) fn of(deployment: &Value) -> Sizes {
        let replicas = deployment["spec"]["replicas"].as_i64().unwrap_or(1);
        if is_recreate(deployment) {
            return Sizes { replicas, surge: 0, unavailable: 0 };
        }
        let rolling = &deployment["spec"]["strategy"]["rollingUpdate"];
        let surge = portion(&rolling["maxSurge"], replicas, true).unwrap_or(1);
        let mut unavailable = portion(&rolling["maxUnavailable"], replicas, false).unwrap_or(0);
        // With neither, a rollout could not make a single step.
        if surge == 0 && unavailable == 0 {
            unavailable = 1;
        }
        Sizes { replicas, surge, unavailable: unavailable.min(replicas) }
    }

    /// As many pods as there may be.
    pub(super) fn max(self) -> i64 {
        self.replicas + self.surge
    }
}

pub(super) fn is_recreate(deployment: &Value) -> bool {
    deployment["spec"]["strategy"]["type"] == "Recreate"
}

/// A number, or a percentage of `whole`.
pub(crate) fn portion(value: &Value, whole: i64, round_up: bool) -> Option<i64> {
    if let Some(count) = value.as_i64() {
        return Some(count);
    }
    let percent: i64 = value.as_str()?.strip_suffix('%')?.parse().ok()?;
    Some(if round_up { (percent * whole + 99) / 100 } else { percent * whole / 100 })
}

/// The next steps of a Deployment. `old_pods` tells whether pods of old templates still run.
pub(super) fn plan(deployment: &Value, resource: &ApiResource, sets: Vec<Set>, old_pods: bool) -> Plan {
    let sizes = Sizes::of(deployment);
    let mut work = Work::new(deployment, resource, sets, sizes);
    let paused = deployment["spec"]["paused"] == true;
    let mode = if paused || work.was_resized() { Mode::Resize } else { Mode::Rollout };
    work.follow();
    match mode {
        Mode::Resize => {
            work.resize();
            if paused {
                work.forget_history();
            }
        }
        Mode::Rollout if is_recreate(deployment) => work.recreate(old_pods),
        Mode::Rollout => work.roll(),
    }
    work.record_revision();
    Plan { steps: work.steps, sets: work.sets, current: work.current, mode }
}

struct Work<'a> {
    deployment: &'a Value,
    resource: &'a ApiResource,
    sizes: Sizes,
    sets: Vec<Set>,
    current: Option<usize>,
    steps: Vec<Step>,
}

impl<'a> Work<'a> {
    fn new(deployment: &'a Value, resource: &'a ApiResource, mut sets: Vec<Set>, sizes: Sizes) -> Work<'a> {
        // Of several sets with the current template the oldest is the current one, as upstream decides.
        sets.sort_by(|a, b| a.created().cmp(&b.created()));
        let template = &deployment["spec"]["template"];
        let current = sets.iter().position(|set| same_template(&set.object["spec"]["template"], template));
        Work { deployment, resource, sizes, sets, current, steps: Vec::new() }
    }

    fn old(&self) -> impl Iterator<Item = usize> + use<> {
        let current = self.current;
        (0..self.sets.len()).filter(move |index| Some(*index) != current)
    }

    fn total(&self) -> i64 {
        self.sets.iter().map(|set| set.replicas).sum()
    }

    /// The pods that may be counted on: a set that was just shrunk still reports those that are about to go.
    fn available(&self) -> i64 {
        self.sets.iter().map(|set| set.available.min(set.replicas)).sum()
    }

    fn revision(&self) -> i64 {
        let old = self.old().map(|index| self.sets[index].revision).max().unwrap_or_default();
        self.current.map_or(old + 1, |index| self.sets[index].revision.max(old + 1))
    }

    /// Whether the Deployment was resized since its sets were sized.
    fn was_resized(&self) -> bool {
        let active = self.sets.iter().filter(|set| set.replicas > 0);
        active.filter_map(Set::desired).any(|desired| desired != self.sizes.replicas)
    }

    fn follow(&mut self) {
        let Some(index) = self.current else { return };
        let (set, revision) = (&self.sets[index], self.revision());
        if let Some(patch) = follow_patch(self.deployment, set, revision) {
            self.steps.push(Step::Follow { name: set.name.clone(), patch });
            self.sets[index].revision = revision;
        }
    }

    fn record_revision(&mut self) {
        let Some(index) = self.current else { return };
        let revision = self.sets[index].revision;
        if annotation(self.deployment, REVISION) != Some(revision.to_string().as_str()) {
            self.steps.push(Step::Revision { revision });
        }
    }

    /// Sizes one set; `mark` also when only the record of the Deployment's size is out of date.
    fn scale(&mut self, index: usize, to: i64, mark: bool) -> bool {
        let (desired, max) = (self.sizes.replicas, self.sizes.max());
        let set = &mut self.sets[index];
        let from = set.replicas;
        let marked = set.desired() == Some(desired) && set.max() == Some(max);
        if from == to && (!mark || marked) {
            return false;
        }
        set.replicas = to;
        // A set that this very plan makes is made at its size.
        let made = self.steps.iter_mut().find_map(|step| match step {
            Step::Create { object, replicas } if Key::of(object) == Key::of(&set.object) => {
                Some((object, replicas))
            }
            _ => None,
        });
        if let Some((object, replicas)) = made {
            object["spec"]["replicas"] = to.into();
            *replicas = to;
            return true;
        }
        self.steps.push(Step::Scale { object: set.object.clone(), from, to, desired, max });
        from != to
    }

    fn create(&mut self) -> usize {
        let replicas = if is_recreate(self.deployment) {
            self.sizes.replicas
        } else {
            (self.sizes.max() - self.total()).clamp(0, self.sizes.replicas)
        };
        let object = new_set(self.deployment, self.resource, self.revision(), replicas, self.sizes.max());
        self.steps.push(Step::Create { object: object.clone(), replicas });
        self.sets.push(Set::of(Arc::new(object)));
        self.current = Some(self.sets.len() - 1);
        self.sets.len() - 1
    }

    fn roll(&mut self) {
        let current = match self.current {
            Some(index) => index,
            None => self.create(),
        };
        // What is taken from old sets is free for the new one in the same turn.
        self.grow(current);
        if self.shrink_old(current) {
            self.grow(current);
        }
        self.forget_history_when_complete();
    }

    fn grow(&mut self, current: usize) {
        let (have, want) = (self.sets[current].replicas, self.sizes.replicas);
        let room = (self.sizes.max() - self.total()).max(0);
        let to = if have > want { want } else { have + room.min(want - have) };
        self.scale(current, to, false);
    }

    /// Takes from the old sets what may go: first what is not available anyway, then as much as the
    /// available pods of all sets allow.
    fn shrink_old(&mut self, current: usize) -> bool {
        let minimum = self.sizes.replicas - self.sizes.unavailable;
        let unavailable_new = self.sets[current].replicas - self.sets[current].available;
        let mut unhealthy = self.total() - minimum - unavailable_new;
        let old: Vec<usize> = self.old().collect();
        let mut shrunk = false;
        if unhealthy <= 0 {
            return false;
        }
        for &index in &old {
            let set = &self.sets[index];
            let broken = (set.replicas - set.available).clamp(0, unhealthy.max(0));
            if broken > 0 {
                unhealthy -= broken;
                let to = set.replicas - broken;
                shrunk |= self.scale(index, to, false);
            }
        }
        let mut spare = self.available() - minimum;
        for &index in &old {
            let less = self.sets[index].replicas.clamp(0, spare.max(0));
            if less > 0 {
                spare -= less;
                let to = self.sets[index].replicas - less;
                shrunk |= self.scale(index, to, false);
            }
        }
        shrunk
    }

    fn recreate(&mut self, old_pods: bool) {
        let old: Vec<usize> = self.old().collect();
        let mut stopped = false;
        for &index in &old {
            stopped |= self.scale(index, 0, false);
        }
        if stopped || old_pods || old.iter().any(|index| self.sets[*index].actual > 0) {
            return;
        }
        let current = match self.current {
            Some(index) => index,
            None => self.create(),
        };
        self.scale(current, self.sizes.replicas, false);
        self.forget_history_when_complete();
    }

    /// Resizes without rolling on: one active set takes the whole size, several share it.
    fn resize(&mut self) {
        let active: Vec<usize> =
            (0..self.sets.len()).filter(|index| self.sets[*index].replicas > 0).collect();
        match active[..] {
            [] => {
                let newest = self.current.or_else(|| self.sets.len().checked_sub(1));
                if let Some(index) = newest {
                    self.scale(index, self.sizes.replicas, false);
                }
            }
            [only] => {
                self.scale(only, self.sizes.replicas, true);
            }
            _ if self.is_saturated() => {
                let old: Vec<usize> = self.old().collect();
                for index in old {
                    self.scale(index, 0, false);
                }
            }
            _ if !is_recreate(self.deployment) => self.share(active),
            _ => {}
        }
    }

    /// Whether the current set is complete for the size of the Deployment.
    fn is_saturated(&self) -> bool {
        self.current.is_some_and(|index| {
            let set = &self.sets[index];
            set.replicas == self.sizes.replicas
                && set.desired() == Some(self.sizes.replicas)
                && set.available == self.sizes.replicas
        })
    }

    /// Spreads a change of size over the active sets in proportion to their sizes, so that a resize in the
    /// middle of a rollout does not hasten it.
    fn share(&mut self, mut active: Vec<usize>) {
        let allowed = if self.sizes.replicas > 0 { self.sizes.max() } else { 0 };
        let change = allowed - active.iter().map(|index| self.sets[*index].replicas).sum::<i64>();
        // Growing favours the newer of two equal sets, shrinking takes from the older first.
        if change > 0 {
            active.sort_by_key(|index| (Reverse(self.sets[*index].replicas), Reverse(*index)));
        } else {
            active.sort_by_key(|index| (Reverse(self.sets[*index].replicas), *index));
        }
        let mut left = change;
        let mut sizes: Vec<i64> = Vec::new();
        for index in &active {
            let set = &self.sets[*index];
            let portion = self.fair_portion(set, allowed, change, left);
            left -= portion;
            sizes.push(set.replicas + portion);
        }
        if let Some(first) = sizes.first_mut() {
            *first = (*first + left).max(0);
        }
        for (index, to) in active.into_iter().zip(sizes) {
            self.scale(index, to, true);
        }
    }

    /// The part of `change` that falls to one set, never more than what is `left`.
    fn fair_portion(&self, set: &Set, allowed: i64, change: i64, left: i64) -> i64 {
        if set.replicas == 0 || change == 0 || left == 0 {
            return 0;
        }
        if self.sizes.replicas == 0 {
            return -set.replicas;
        }
        // The size when the set was last sized is the measure: sizes since then are in motion.
        let measure = set.max().filter(|max| *max > 0).unwrap_or_else(|| self.total().max(1));
        let fair = (set.replicas * allowed + measure / 2) / measure - set.replicas;
        if change > 0 { fair.clamp(0, left) } else { fair.clamp(left, 0) }
    }

    fn forget_history_when_complete(&mut self) {
        if super::status::is_complete(self.deployment, &self.deployment["status"]) {
            self.forget_history();
        }
    }

    /// Deletes the oldest empty sets beyond the history limit.
    fn forget_history(&mut self) {
        let Some(limit) = self.deployment["spec"]["revisionHistoryLimit"].as_i64() else { return };
        let mut old: Vec<&Set> = self.old().map(|index| &self.sets[index]).collect();
        old.retain(|set| !crate::pod::is_deleting(&set.object));
        let surplus = usize::try_from(old.len() as i64 - limit.max(0)).unwrap_or_default();
        old.sort_by_key(|set| (set.revision, crate::pod::created(&set.object)));
        let empty = |set: &&Set| {
            let observed = set.object["status"]["observedGeneration"].as_i64().unwrap_or_default();
            set.replicas == 0
                && set.actual == 0
                && set.object["metadata"]["generation"].as_i64().unwrap_or_default() <= observed
        };
        let forgotten: Vec<Step> = old
            .into_iter()
            .take(surplus)
            .filter(empty)
            .map(|set| Step::Forget { object: set.object.clone() })
            .collect();
        self.steps.extend(forgotten);
    }
}
