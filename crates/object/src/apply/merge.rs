//! Merging an applied configuration into the live object, and taking out what it no longer names.

use super::fields::Fields;
use super::walk::{Form, entry_step, form_below, set_step};
use serde_json::Value;
use std::collections::HashMap;

/// `config` over `live`.
pub(super) fn merge(live: &Value, config: &Value, form: Form) -> Value {
    match (form, live, config) {
        (Form::Struct(_) | Form::Map(_) | Form::Custom(_), Value::Object(old), Value::Object(new)) => {
            let mut out = old.clone();
            for (key, value) in new {
                let merged = match old.get(key) {
                    Some(current) => merge(current, value, form_below(form, key)),
                    None => value.clone(),
                };
                out.insert(key.clone(), merged);
            }
            Value::Object(out)
        }
        (Form::Entries(item, keys), Value::Array(old), Value::Array(new)) => {
            let step = |v: &Value| entry_step(v, item, keys);
            merge_lists(old, new, &step, &|a, b| merge(a, b, form_below(form, "")))
        }
        (Form::Set, Value::Array(old), Value::Array(new)) => {
            merge_lists(old, new, &Value::to_string, &|_, b| b.clone())
        }
        _ => config.clone(),
    }
}

/// The new list's order holds; what only the old list has stays behind what it followed.
fn merge_lists(
    old: &[Value],
    new: &[Value],
    key: &dyn Fn(&Value) -> String,
    merge: &dyn Fn(&Value, &Value) -> Value,
) -> Value {
    let old_keys: Vec<String> = old.iter().map(key).collect();
    let new_keys: Vec<String> = new.iter().map(key).collect();
    let mut out = Vec::with_capacity(old.len() + new.len());
    let (old_places, new_places) = (places(&old_keys), places(&new_keys));
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        let place = old_keys.get(i).map(|key| new_places.get(key.as_str()));
        if place == Some(None) {
            out.push(old[i].clone());
            i += 1;
        } else if place.flatten().is_some_and(|at| *at < j) {
            i += 1; // already placed, by the new order
        } else if j < new.len() {
            let key = new_keys[j].as_str();
            if new_places[key] == j {
                let current = old_places.get(key).map(|at| &old[*at]);
                out.push(current.map_or_else(|| new[j].clone(), |current| merge(current, &new[j])));
            }
            j += 1;
        } else {
            i += 1;
        }
    }
    Value::Array(out)
}

/// Where each key comes first.
fn places(keys: &[String]) -> HashMap<&str, usize> {
    keys.iter().enumerate().rev().map(|(at, key)| (key.as_str(), at)).collect()
}

/// Takes out of `value` what the manager named last time and nobody names now.
pub(super) fn prune(value: &mut Value, last: &Fields, owned: &Fields, form: Form) {
    let named = |step: &str| last.below.get(step);
    let still = |step: &str| owned.below.get(step).filter(|owned| !owned.is_empty());
    match (form, value) {
        (Form::Struct(_) | Form::Map(_) | Form::Custom(_), Value::Object(map)) => {
            for (step, last) in &last.below {
                let Some(key) = step.strip_prefix("f:") else { continue };
                match (still(step), map.get_mut(key)) {
                    (None, _) => _ = map.remove(key),
                    (Some(owned), Some(below)) => prune(below, last, owned, form_below(form, key)),
                    (Some(_), None) => {}
                }
            }
        }
        (Form::Entries(item, keys), Value::Array(list)) => list.retain_mut(|entry| {
            let step = entry_step(entry, item, keys);
            let (Some(last), Some(owned)) = (named(&step), still(&step)) else {
                return named(&step).is_none();
            };
            prune(entry, last, owned, form_below(form, ""));
            true
        }),
        (Form::Set, Value::Array(list)) => list.retain(|entry| {
            let step = set_step(entry);
            named(&step).is_none() || still(&step).is_some()
        }),
        _ => {}
    }
}
