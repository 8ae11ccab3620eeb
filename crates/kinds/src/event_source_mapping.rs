//! EventSourceMapping: a queue whose messages a function gets, in batches; dory's own kind.

use super::{Kind, OWN};
use crate::Errors;
use object::json::{fill, items, text};
use object::path::Path;
use object::table::{AGE, Columns, NAME, age_of, name_of, number, or_none, text as column, wide};
use object::time::Timestamp;
use serde_json::Value;

/// Messages in one batch, and in one of a mapping that does not wait for more; seconds that it may wait; batches at the same
/// time; filters. All as on AWS.
const BATCH_MAX: i64 = 10_000;
const BATCH_AT_ONCE_MAX: i64 = 10;
const WINDOW_MAX: i64 = 300;
const CONCURRENCY: std::ops::RangeInclusive<i64> = 2..=1000;
const FILTERS_MAX: usize = 10;

pub(super) static KIND: Kind = Kind {
    kind: "EventSourceMapping",
    list_kind: "EventSourceMappingList",
    plural: "eventsourcemappings",
    singular: "eventsourcemapping",
    short_names: &["esm"],
    schema: "dev.dory.v1.EventSourceMapping",
    fields: &[
        ("spec.functionName", |o| text(&o["spec"]["functionName"]).into()),
        ("spec.eventSourceArn", |o| text(&o["spec"]["eventSourceArn"]).into()),
    ],
    columns: Columns {
        columns: &[
            NAME,
            column("Function"),
            column("Source"),
            column("Enabled"),
            AGE,
            wide("Qualifier"),
            wide("Batch"),
        ],
        row,
    },
    default: |object| {
        if let Some(spec) = object::json::child(object, "spec") {
            fill(spec, "batchSize", BATCH_AT_ONCE_MAX);
            fill(spec, "enabled", true);
            fill(spec, "maximumBatchingWindowInSeconds", 0);
        }
    },
    validate,
    ..OWN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let source = text(&spec["eventSourceArn"]);
    vec![
        name_of(object),
        text(&spec["functionName"]).into(),
        source.rsplit(':').next().unwrap_or(source).into(),
        spec["enabled"].to_string().into(),
        age_of(object, now),
        or_none(text(&spec["qualifier"])),
        number(&spec["batchSize"]),
    ]
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    let (spec, at) = (&new["spec"], Path::Root.field("spec"));
    if text(&spec["functionName"]).is_empty() {
        errors.required(&at.field("functionName"), "");
    }
    let arn = text(&spec["eventSourceArn"]);
    if !arn.starts_with("arn:aws:sqs:") {
        errors.invalid_text(&at.field("eventSourceArn"), arn, "must be the ARN of an SQS queue");
    }
    let mut within = |field: &str, bounds: std::ops::RangeInclusive<i64>| {
        if !spec[field].is_null() && !spec[field].as_i64().is_some_and(|value| bounds.contains(&value)) {
            let why = format!("must be between {} and {}, inclusive", bounds.start(), bounds.end());
            errors.invalid(&at.field(field), &spec[field], &why);
        }
    };
    within("batchSize", 1..=BATCH_MAX);
    within("maximumBatchingWindowInSeconds", 0..=WINDOW_MAX);
    within("maximumConcurrency", CONCURRENCY);
    let (batch, window) = (&spec["batchSize"], &spec["maximumBatchingWindowInSeconds"]);
    if batch.as_i64().is_some_and(|batch| batch > BATCH_AT_ONCE_MAX) && window.as_i64() == Some(0) {
        let why = "must be greater than 0 where batchSize is greater than 10";
        errors.invalid(&at.field("maximumBatchingWindowInSeconds"), window, why);
    }
    for (i, kind) in items(&spec["functionResponseTypes"]).iter().enumerate() {
        errors.one_of(&at.field("functionResponseTypes").index(i), kind, &["ReportBatchItemFailures"]);
    }
    let filters = items(&spec["filters"]).len();
    if filters > FILTERS_MAX {
        errors.too_many(&at.field("filters"), filters, FILTERS_MAX);
    }
    if let Some(old) = old {
        errors.immutable(
            &at.field("eventSourceArn"),
            &spec["eventSourceArn"],
            &old["spec"]["eventSourceArn"],
        );
    }
}
