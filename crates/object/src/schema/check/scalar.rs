//! The rules that look at one value alone: lengths, bounds, patterns, formats, choices.

use super::super::rules::{Bound, Rules};
use super::super::value_format::Format;
use crate::kind::Errors;
use crate::path::Path;
use serde_json::{Number, Value};
use std::cmp::Ordering;

pub(super) fn check(value: &Value, rules: &Rules, at: &Path<'_>, errors: &mut Errors) {
    if !rules.allowed.is_empty() && !rules.allowed.iter().any(|one| is_same(one, value)) {
        errors.unsupported_value(at, value, &rules.allowed);
    }
    match value {
        Value::String(text) => text_rules(text, rules, at, errors),
        Value::Number(number) => number_rules(value, number, rules, at, errors),
        Value::Array(list) => {
            counted(list.len(), rules.min_items, rules.max_items, "items", at, errors);
        }
        Value::Object(map) => {
            counted(map.len(), rules.min_properties, rules.max_properties, "properties", at, errors);
        }
        Value::Null | Value::Bool(_) => {}
    }
}

/// Numbers are the same when they mean the same.
fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare(a, b) == Ordering::Equal,
        _ => a == b,
    }
}

fn compare(a: &Number, b: &Number) -> Ordering {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
    }
}

fn text_rules(text: &str, rules: &Rules, at: &Path<'_>, errors: &mut Errors) {
    let chars = || text.chars().count() as u64;
    if let Some(max) = rules.max_length.filter(|max| chars() > *max) {
        errors.too_long(at, usize::try_from(max).unwrap_or(usize::MAX));
    }
    if let Some(min) = rules.min_length.filter(|min| chars() < *min) {
        errors.invalid_text(at, text, &format!("{at} in body should be at least {min} chars long"));
    }
    if let Some(pattern) = rules.pattern.as_ref().filter(|pattern| !pattern.matches(text)) {
        errors.invalid_text(at, text, &format!("{at} in body should match '{}'", pattern.text));
    }
    if let Some(format) = rules.format.filter(|format| !format.admits(text)) {
        let why = format!("{at} in body must be of type {}: {text:?}", format.name());
        errors.invalid_text(at, text, &why);
    }
}

fn number_rules(value: &Value, number: &Number, rules: &Rules, at: &Path<'_>, errors: &mut Errors) {
    let beyond = |bound: &Option<Bound>, wrong: Ordering| {
        let bound = bound.as_ref()?;
        let order = compare(number, &bound.value);
        (order == wrong || (bound.exclusive && order == Ordering::Equal))
            .then(|| (bound.value.clone(), bound.exclusive))
    };
    if let Some((bound, exclusive)) = beyond(&rules.minimum, Ordering::Less) {
        let than = if exclusive { "greater than" } else { "greater than or equal to" };
        errors.invalid(at, value, &format!("{at} in body should be {than} {bound}"));
    }
    if let Some((bound, exclusive)) = beyond(&rules.maximum, Ordering::Greater) {
        let than = if exclusive { "less than" } else { "less than or equal to" };
        errors.invalid(at, value, &format!("{at} in body should be {than} {bound}"));
    }
    if let Some(step) = rules.multiple_of.as_ref().filter(|step| !is_multiple(number, step)) {
        errors.invalid(at, value, &format!("{at} in body should be a multiple of {step}"));
    }
    let too_big = match rules.format {
        Some(Format::Int32) => number.as_i64().is_none_or(|n| i32::try_from(n).is_err()),
        Some(Format::Int64) => number.is_u64() && number.as_i64().is_none(),
        _ => false,
    };
    if let Some(format) = rules.format.filter(|_| too_big) {
        let why = format!("Checked value must be of type integer with format {}", format.name());
        errors.invalid(at, value, &why);
    }
}

fn is_multiple(number: &Number, step: &Number) -> bool {
    match (number.as_i128(), step.as_i128()) {
        (Some(_), Some(0)) => true,
        (Some(number), Some(step)) => number % step == 0,
        _ => {
            let parts = number.as_f64().unwrap_or(0.0) / step.as_f64().unwrap_or(1.0);
            parts.fract() == 0.0
        }
    }
}

fn counted(count: usize, min: Option<u64>, max: Option<u64>, what: &str, at: &Path<'_>, errors: &mut Errors) {
    if let Some(max) = max.filter(|max| count as u64 > *max) {
        errors.too_many(at, count, usize::try_from(max).unwrap_or(usize::MAX));
    }
    if let Some(min) = min.filter(|min| (count as u64) < *min) {
        let why = format!("{at} in body should have at least {min} {what}");
        errors.invalid(at, &count.into(), &why);
    }
}
