//! Strategic merge: a merge patch that knows which lists are maps in disguise.
//!
//! Directives: `$patch` (replace, delete, merge), `$retainKeys`, `$setElementOrder/<list>`,
//! `$deleteFromPrimitiveList/<list>`.

use crate::Status;
use crate::json::items;
use crate::schema::definitions::{Definition, Field, Type, table};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

const PATCH: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE: &str = "$deleteFromPrimitiveList/";

/// The type of the map that is merged.
#[derive(Clone, Copy)]
enum Shape<'a> {
    Known(&'a Definition),
    Map(&'a Type),
    Unknown,
}

impl<'a> Shape<'a> {
    fn of(ty: &'a Type) -> Shape<'a> {
        match ty {
            Type::Object(index) | Type::ObjectOrBool(index) => Shape::Known(table().at(*index)),
            Type::Map(values) => Shape::Map(values),
            _ => Shape::Unknown,
        }
    }

    fn field(self, name: &str) -> Option<&'a Field> {
        match self {
            Shape::Known(definition) => definition.field(name),
            _ => None,
        }
    }

    fn below(self, name: &str) -> Shape<'a> {
        match self {
            Shape::Known(definition) => definition.field(name).map_or(Shape::Unknown, |f| Shape::of(&f.ty)),
            Shape::Map(values) => Shape::of(values),
            Shape::Unknown => Shape::Unknown,
        }
    }
}

pub(super) fn apply(definition: &Definition, target: &Value, patch: &Value) -> Result<Value, Status> {
    let (Value::Object(target), Value::Object(patch)) = (target, patch) else {
        return Err(Status::bad_request("error decoding patch: a strategic merge patch is an object"));
    };
    merge_map(target.clone(), patch, Shape::Known(definition)).map(Value::Object)
}

fn bad(why: String) -> Status {
    Status::bad_request(why)
}

fn merge_map(
    mut out: Map<String, Value>,
    patch: &Map<String, Value>,
    shape: Shape,
) -> Result<Map<String, Value>, Status> {
    match patch.get(PATCH).map(|d| d.as_str().unwrap_or_default()) {
        None | Some("merge") => {}
        Some("replace") => return Ok(without_directives(patch)),
        Some("delete") => return Ok(Map::new()),
        Some(other) => return Err(bad(format!("unrecognized {PATCH} directive: {other}"))),
    }
    retain(&mut out, patch)?;
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix(DELETE) {
            delete_values(&mut out, list, value);
        }
    }
    for (key, order) in patch {
        if let Some(list) = key.strip_prefix(ORDER)
            && patch.get(list).is_none_or(|p| !p.is_array())
        {
            merge_list_field(&mut out, list, &[], Some(order), shape)?;
        }
    }
    for (key, value) in patch.iter().filter(|(key, _)| !key.starts_with('$')) {
        match value {
            Value::Null => _ = out.remove(key),
            Value::Object(below) => merge_object_field(&mut out, key, below, shape)?,
            Value::Array(list) => {
                merge_list_field(&mut out, key, list, patch.get(&format!("{ORDER}{key}")), shape)?
            }
            scalar => _ = out.insert(key.clone(), scalar.clone()),
        }
    }
    Ok(out)
}

/// `$retainKeys`: what is not listed goes; what is patched must be listed.
fn retain(out: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), Status> {
    let Some(keep) = patch.get(RETAIN) else { return Ok(()) };
    let Some(keep) = keep.as_array() else { return Err(bad(format!("{RETAIN} must be a list"))) };
    let listed = |key: &str| keep.iter().any(|k| k == key);
    if let Some((key, _)) = patch.iter().find(|(k, v)| !k.starts_with('$') && !v.is_null() && !listed(k)) {
        return Err(bad(format!(
            "invalid patch format of {RETAIN}: the patch sets {key}, which is not in the list"
        )));
    }
    out.retain(|key, _| listed(key));
    Ok(())
}

fn delete_values(out: &mut Map<String, Value>, list: &str, values: &Value) {
    if let Some(Value::Array(current)) = out.get_mut(list) {
        current.retain(|v| !items(values).contains(v));
    }
}

fn merge_object_field(
    out: &mut Map<String, Value>,
    key: &str,
    patch: &Map<String, Value>,
    shape: Shape,
) -> Result<(), Status> {
    let replace = shape.field(key).is_some_and(|f| f.patch_strategy.split(',').any(|s| s == "replace"));
    let current = match out.remove(key) {
        Some(Value::Object(current)) if !replace => current,
        _ => Map::new(),
    };
    let merged = merge_map(current, patch, shape.below(key))?;
    out.insert(key.to_owned(), Value::Object(merged));
    Ok(())
}

fn merge_list_field(
    out: &mut Map<String, Value>,
    key: &str,
    patch: &[Value],
    order: Option<&Value>,
    shape: Shape,
) -> Result<(), Status> {
    let field = shape.field(key).filter(|f| f.patch_strategy.split(',').any(|s| s == "merge"));
    let Some(field) = field else {
        // No strategy: the list is replaced as a whole.
        if order.is_none() || !patch.is_empty() {
            out.insert(key.to_owned(), Value::Array(patch.iter().map(cleaned).collect()));
        }
        return Ok(());
    };
    let current = match out.remove(key) {
        Some(Value::Array(current)) => current,
        None if patch.is_empty() => return Ok(()),
        _ => Vec::new(),
    };
    let merged = if field.merge_key.is_empty() {
        merge_values(current, patch, order)
    } else {
        let Type::List(item) = &field.ty else { return Ok(()) };
        merge_entries(current, patch, order, field.merge_key, Shape::of(item))?
    };
    out.insert(key.to_owned(), Value::Array(merged));
    Ok(())
}

/// A list of scalars that is a set.
fn merge_values(current: Vec<Value>, patch: &[Value], order: Option<&Value>) -> Vec<Value> {
    let server = current.clone();
    let mut there: HashSet<String> = current.iter().map(Value::to_string).collect();
    let mut out = current;
    out.extend(patch.iter().filter(|value| there.insert(value.to_string())).cloned());
    match order {
        Some(order) => ordered(out, items(order), &server, &|v| v.clone()),
        None => out,
    }
}

fn merge_entries(
    current: Vec<Value>,
    patch: &[Value],
    order: Option<&Value>,
    key: &str,
    shape: Shape,
) -> Result<Vec<Value>, Status> {
    if patch.iter().any(|p| p[PATCH] == "replace") {
        let kept =
            patch.iter().filter(|p| p[PATCH] != "replace" || p.as_object().is_some_and(|o| o.len() > 1));
        return Ok(kept.map(cleaned).collect());
    }
    let server: Vec<Value> = current.iter().map(|v| v[key].clone()).collect();
    let mut out = current;
    let mut places: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, value) in out.iter().enumerate() {
        places.entry(value[key].to_string()).or_default().push(at);
    }
    for entry in patch {
        let Some(fields) = entry.as_object() else {
            return Err(bad(format!("the list with merge key {key} holds something that is not an object")));
        };
        let Some(id) = fields.get(key) else {
            return Err(bad(format!("map: {entry} does not contain declared merge key: {key}")));
        };
        let own = places.entry(id.to_string()).or_default();
        match (fields.get(PATCH).and_then(Value::as_str), own.first().copied()) {
            (Some("delete"), _) => own.drain(..).for_each(|at| out[at] = Value::Null),
            (None | Some("merge"), Some(at)) => {
                let Value::Object(current) = out[at].take() else { continue };
                out[at] = Value::Object(merge_map(current, fields, shape)?);
            }
            (None | Some("merge"), None) => {
                own.push(out.len());
                out.push(Value::Object(merge_map(Map::new(), fields, shape)?));
            }
            (Some(other), _) => return Err(bad(format!("unrecognized {PATCH} directive: {other}"))),
        }
    }
    out.retain(|v| !v.is_null());
    Ok(match order {
        Some(order) => {
            let wanted: Vec<Value> = items(order).iter().map(|o| o[key].clone()).collect();
            ordered(out, &wanted, &server, &|v| v[key].clone())
        }
        None => out,
    })
}

/// Puts the entries that `wanted` names in its order; the others stay where the server had them, relative to what
/// followed them there.
fn ordered(list: Vec<Value>, wanted: &[Value], server: &[Value], id: &dyn Fn(&Value) -> Value) -> Vec<Value> {
    let places = |ids: &[Value]| -> HashMap<String, usize> {
        ids.iter().enumerate().rev().map(|(at, id)| (id.to_string(), at)).collect()
    };
    let (wanted, server) = (places(wanted), places(server));
    let place = |ids: &HashMap<String, usize>, v: &Value| ids.get(&id(v).to_string()).copied();
    let (mut named, others): (Vec<Value>, Vec<Value>) =
        list.into_iter().partition(|v| place(&wanted, v).is_some());
    named.sort_by_cached_key(|v| place(&wanted, v));
    let mut out = Vec::with_capacity(named.len() + others.len());
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    loop {
        let first_is_other = match (others.peek(), named.peek()) {
            (Some(other), Some(next)) => match (place(&server, other), place(&server, next)) {
                (Some(a), Some(b)) => a < b,
                _ => false,
            },
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => return out,
        };
        out.extend(if first_is_other { others.next() } else { named.next() });
    }
}

/// A value that is put where nothing was: its directives mean nothing there, its nulls delete nothing.
fn cleaned(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(without_directives(map)),
        Value::Array(list) => Value::Array(list.iter().map(cleaned).collect()),
        other => other.clone(),
    }
}

fn without_directives(map: &Map<String, Value>) -> Map<String, Value> {
    let kept = map.iter().filter(|(k, v)| !k.starts_with('$') && !v.is_null());
    kept.map(|(k, v)| (k.clone(), cleaned(v))).collect()
}
