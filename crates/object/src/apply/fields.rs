//! A set of fields: a tree whose steps are written as `fieldsV1` writes them.
//!
//! `f:name` is a field or map key, `k:{"name":"a"}` a list entry by its keys, `v:"x"` a member of a set.

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The set: whether this place is in it, and what is below.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) member: bool,
    pub(super) below: BTreeMap<String, Fields>,
}

impl Fields {
    pub(super) fn is_empty(&self) -> bool {
        !self.member && self.below.values().all(Fields::is_empty)
    }

    /// Puts what is below a step, if there is anything.
    pub(super) fn put(&mut self, step: String, below: Fields) {
        if !below.is_empty() {
            self.below.insert(step, below);
        }
    }

    /// The part below a step, made when it is missing.
    pub(super) fn step(&mut self, step: &str) -> &mut Fields {
        if !self.below.contains_key(step) {
            self.below.insert(step.to_owned(), Fields::default());
        }
        self.below.get_mut(step).expect("it was just put there")
    }

    /// Reads `fieldsV1`.
    pub(super) fn parse(json: &Value) -> Fields {
        let mut out = Fields::default();
        let Some(map) = json.as_object() else { return out };
        for (step, below) in map {
            if step == "." {
                out.member = true;
            } else {
                let mut child = Fields::parse(below);
                child.member |= child.below.is_empty();
                out.below.insert(step.clone(), child);
            }
        }
        out
    }

    /// Writes `fieldsV1`.
    pub(super) fn into_json(self) -> Value {
        let mut out = Map::new();
        for (step, below) in self.below.into_iter().filter(|(_, b)| !b.is_empty()) {
            let member = below.member;
            let mut json = below.into_json();
            if member
                && let Value::Object(map) = &mut json
                && !map.is_empty()
            {
                map.insert(".".into(), Value::Object(Map::new()));
            }
            out.insert(step, json);
        }
        Value::Object(out)
    }

    pub(super) fn add(&mut self, other: &Fields) {
        self.member |= other.member;
        for (step, below) in &other.below {
            self.step(step).add(below);
        }
    }

    /// Takes away the members of `other`; what is below them stays.
    pub(super) fn remove(&mut self, other: &Fields) {
        self.member &= !other.member;
        for (step, below) in &other.below {
            if let Some(mine) = self.below.get_mut(step) {
                mine.remove(below);
                if mine.is_empty() {
                    self.below.remove(step);
                }
            }
        }
    }

    /// Takes away the members of `other` with all that is below them.
    pub(super) fn remove_deep(&mut self, other: &Fields) {
        for (step, below) in &other.below {
            if below.member {
                self.below.remove(step);
            } else if let Some(mine) = self.below.get_mut(step) {
                mine.remove_deep(below);
                if mine.is_empty() {
                    self.below.remove(step);
                }
            }
        }
    }

    /// The members that both have.
    pub(super) fn common(&self, other: &Fields) -> Fields {
        let mut out = Fields { member: self.member && other.member, below: BTreeMap::new() };
        for (step, below) in &self.below {
            if let Some(theirs) = other.below.get(step) {
                let both = below.common(theirs);
                if !both.is_empty() {
                    out.below.insert(step.clone(), both);
                }
            }
        }
        out
    }

    /// The members as people read them: `.spec.containers[name="a"].image`.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.collect(&mut String::new(), &mut out);
        out
    }

    fn collect(&self, at: &mut String, out: &mut Vec<String>) {
        if self.member {
            out.push(at.clone());
        }
        for (step, below) in &self.below {
            let len = at.len();
            show(step, at);
            below.collect(at, out);
            at.truncate(len);
        }
    }
}

/// A step as people read it.
pub(super) fn show(step: &str, out: &mut String) {
    match step.split_at_checked(2) {
        Some(("f:", name)) => _ = write!(out, ".{name}"),
        Some(("k:", keys)) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let parts: Vec<String> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
            _ = write!(out, "[{}]", parts.join(","));
        }
        Some(("v:", value)) => _ = write!(out, "[={value}]"),
        _ => out.push_str(step),
    }
}
