//! Merging an applied configuration into the live object, and taking out what it no longer names.

use super::fields::Fields;
use super::walk::{Form, entry_step, form_below};
use crate::json::items;
use serde_json::Value;

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
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && !new_keys.contains(&old_keys[i]) {
            out.push(old[i].clone());
            i += 1;
        } else if i < old.len() && new_keys[..j].contains(&old_keys[i]) {
            i += 1; // already placed, by the new order
        } else if j < new.len() {
            let current = old_keys.iter().position(|k| *k == new_keys[j]);
            if !new_keys[..j].contains(&new_keys[j]) {
                out.push(current.map_or_else(|| new[j].clone(), |at| merge(&old[at], &new[j])));
            }
            j += 1;
        } else {
            i += 1;
        }
    }
    Value::Array(out)
}

/// Takes out of `value` what the manager named last time and nobody names now.
pub(super) fn prune(value: &mut Value, last: &Fields, owned: &Fields, form: Form) {
    for (step, last) in &last.below {
        let owned = owned.below.get(step).filter(|o| !o.is_empty());
        match (step.split_at_checked(2), form) {
            (Some(("f:", key)), Form::Struct(_) | Form::Map(_) | Form::Custom(_)) => {
                let Some(map) = value.as_object_mut() else { continue };
                match (owned, map.get_mut(key)) {
                    (None, _) => _ = map.remove(key),
                    (Some(owned), Some(below)) => prune(below, last, owned, form_below(form, key)),
                    (Some(_), None) => {}
                }
            }
            (Some(("k:", _)), Form::Entries(item, keys)) => {
                let found = items(value).iter().position(|v| entry_step(v, item, keys) == *step);
                let (Some(at), Some(list)) = (found, value.as_array_mut()) else { continue };
                match owned {
                    None => _ = list.remove(at),
                    Some(owned) => prune(&mut list[at], last, owned, form_below(form, "")),
                }
            }
            (Some(("v:", text)), Form::Set) => {
                if let (None, Some(list)) = (owned, value.as_array_mut()) {
                    let gone: Value = serde_json::from_str(text).unwrap_or_default();
                    list.retain(|v| *v != gone);
                }
            }
            _ => {}
        }
    }
}
