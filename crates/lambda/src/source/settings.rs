//! What a mapping is told about its batches: read from a request, checked, and shown. Pure.

use serde_json::{Map, Value, json};
use wire::Fault;

/// Messages in a batch of a FIFO queue, and of any that does not wait for more.
const BATCH_AT_ONCE_MAX: u64 = 10;

/// Filters of one mapping, as on AWS without asking for more.
const FILTERS_MAX: usize = 5;

/// Members with the fields that hold them as they are.
const PLAIN: [(&str, &str); 4] = [
    ("Enabled", "enabled"),
    ("BatchSize", "batchSize"),
    ("MaximumBatchingWindowInSeconds", "maximumBatchingWindowInSeconds"),
    ("FunctionResponseTypes", "functionResponseTypes"),
];

/// What else is understood.
const KNOWN: [&str; 4] = ["EventSourceArn", "FunctionName", "FilterCriteria", "ScalingConfig"];

/// The fields that a request sets; null for one that it takes away.
pub(super) fn read(input: &Map<String, Value>) -> Result<Value, Fault> {
    let plain = |name: &str| PLAIN.iter().any(|(member, _)| *member == name);
    let asks = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Object(members) => !members.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    };
    let unknown =
        |(name, value): &(&String, &Value)| !plain(name) && !KNOWN.contains(&name.as_str()) && asks(value);
    if let Some((name, _)) = input.iter().find(unknown) {
        return Err(Fault::unsupported(&format!("{name} of an event source that is a queue")));
    }
    let mut spec = json!({});
    for (member, field) in PLAIN {
        if let Some(value) = input.get(member).filter(|value| !value.is_null()) {
            spec[field] = value.clone();
        }
    }
    if let Some(scaling) = input.get("ScalingConfig").filter(|scaling| !scaling.is_null()) {
        spec["maximumConcurrency"] = scaling["MaximumConcurrency"].clone();
    }
    if let Some(criteria) = input.get("FilterCriteria").filter(|criteria| !criteria.is_null()) {
        spec["filters"] = filters(criteria)?;
    }
    Ok(spec)
}

fn filters(criteria: &Value) -> Result<Value, Fault> {
    let filters = criteria["Filters"].as_array().map(Vec::as_slice).unwrap_or_default();
    if filters.len() > FILTERS_MAX {
        return Err(Fault::invalid_parameter(format!(
            "Filter criteria must have at most {FILTERS_MAX} filters."
        )));
    }
    let pattern = |filter: &Value| {
        let pattern = filter["Pattern"].as_str().unwrap_or_default();
        functions::check_filter(pattern)
            .map_err(|why| Fault::invalid_parameter(format!("Invalid filter pattern definition: {why}.")))?;
        Ok(json!(pattern))
    };
    Ok(Value::Array(filters.iter().map(pattern).collect::<Result<_, Fault>>()?))
}

/// What is not said of a new mapping.
pub(super) fn fill(spec: &mut Value) {
    for (field, value) in
        [("enabled", json!(true)), ("batchSize", json!(10)), ("maximumBatchingWindowInSeconds", json!(0))]
    {
        if spec[field].is_null() {
            spec[field] = value;
        }
    }
    drop_nulls(spec);
}

pub(super) fn merge(spec: &mut Value, wanted: &Value) {
    if let (Some(spec), Some(wanted)) = (spec.as_object_mut(), wanted.as_object()) {
        spec.extend(wanted.clone());
    }
    drop_nulls(spec);
}

fn drop_nulls(spec: &mut Value) {
    if let Some(spec) = spec.as_object_mut() {
        spec.retain(|_, value| !value.is_null());
    }
}

/// What depends on the queue.
pub(super) fn check(spec: &Value, fifo: bool) -> Result<(), Fault> {
    let batch = spec["batchSize"].as_u64().unwrap_or(0);
    let window = spec["maximumBatchingWindowInSeconds"].as_u64().unwrap_or(0);
    let refuse = |why: &str| Err(Fault::invalid_parameter(why));
    match (batch > BATCH_AT_ONCE_MAX, window > 0, fifo) {
        (true, _, true) => refuse("Maximum batch size for FIFO queues is 10."),
        (_, true, true) => refuse("Batching window is not supported for FIFO queues."),
        (true, false, false) => refuse(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
        ),
        _ => Ok(()),
    }
}

pub(super) fn show(spec: &Value, shown: &mut Value) {
    for (member, field) in PLAIN.iter().skip(1) {
        if !spec[field].is_null() {
            shown[member] = spec[field].clone();
        }
    }
    if let Some(most) = spec["maximumConcurrency"].as_u64() {
        shown["ScalingConfig"] = json!({ "MaximumConcurrency": most });
    }
    if let Some(filters) = spec["filters"].as_array().filter(|filters| !filters.is_empty()) {
        let filters: Vec<Value> = filters.iter().map(|pattern| json!({ "Pattern": pattern })).collect();
        shown["FilterCriteria"] = json!({ "Filters": filters });
    }
}
