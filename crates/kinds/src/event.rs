//! Event: something that happened to an object.

use super::{Kind, PLAIN};
use crate::Errors;
use object::json::text;
use object::name::Rule;
use object::path::Path;
use object::table::{Column, Columns, since, text as column, wide};
use object::time::Timestamp;
use serde_json::Value;

pub(super) static KIND: Kind = Kind {
    kind: "Event",
    list_kind: "EventList",
    plural: "events",
    singular: "event",
    short_names: &["ev"],
    schema: "io.k8s.api.core.v1.Event",
    fields: &[
        ("involvedObject.kind", |o| text(&o["involvedObject"]["kind"]).into()),
        ("involvedObject.namespace", |o| text(&o["involvedObject"]["namespace"]).into()),
        ("involvedObject.name", |o| text(&o["involvedObject"]["name"]).into()),
        ("involvedObject.uid", |o| text(&o["involvedObject"]["uid"]).into()),
        ("involvedObject.apiVersion", |o| text(&o["involvedObject"]["apiVersion"]).into()),
        ("involvedObject.resourceVersion", |o| text(&o["involvedObject"]["resourceVersion"]).into()),
        ("involvedObject.fieldPath", |o| text(&o["involvedObject"]["fieldPath"]).into()),
        ("reason", |o| text(&o["reason"]).into()),
        ("reportingComponent", |o| text(&o["reportingComponent"]).into()),
        ("source", |o| source(o).0.to_owned().into()),
        ("type", |o| text(&o["type"]).into()),
    ],
    columns: Columns {
        columns: &[
            column("Last Seen"),
            column("Type"),
            column("Reason"),
            column("Object"),
            wide("Subobject"),
            wide("Source"),
            column("Message"),
            wide("First Seen"),
            wide("Count"),
            Column { priority: 1, ..object::table::NAME },
        ],
        row,
    },
    name_rule: Rule::PathSegment,
    validate,
    ..PLAIN
};

fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let or =
        |a: &str, b: &str| if object[a].is_null() { since(&object[b], now) } else { since(&object[a], now) };
    let first = or("firstTimestamp", "eventTime");
    let mut last =
        if object["lastTimestamp"].is_null() { first.clone() } else { since(&object["lastTimestamp"], now) };
    let mut count = object["count"].as_i64().unwrap_or(0).max(1);
    if let Some(series) = object.get("series").filter(|s| s.is_object()) {
        last = since(&series["lastObservedTime"], now);
        count = series["count"].as_i64().unwrap_or(0);
    }
    let about = &object["involvedObject"];
    let kind = text(&about["kind"]).to_lowercase();
    let target = match text(&about["name"]) {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    let source = match source(object) {
        (component, "") => component.to_owned(),
        (component, host) => format!("{component}, {host}"),
    };
    vec![
        last.into(),
        text(&object["type"]).into(),
        text(&object["reason"]).into(),
        target.into(),
        text(&about["fieldPath"]).into(),
        source.into(),
        text(&object["message"]).trim().into(),
        first.into(),
        count.into(),
        object::table::name_of(object),
    ]
}

/// Who reported: component and host, by the old fields or the new.
fn source(object: &Value) -> (&str, &str) {
    let first = |a, b| if text(a).is_empty() { text(b) } else { text(a) };
    let source = &object["source"];
    (
        first(&source["component"], &object["reportingComponent"]),
        first(&source["host"], &object["reportingInstance"]),
    )
}

fn validate(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    let about = text(&new["involvedObject"]["namespace"]);
    let own = text(&new["metadata"]["namespace"]);
    // Events of things without a namespace lie in `default` (or kube-system).
    if old.is_none() && !about.is_empty() && about != own {
        let at = Path::Root.field("involvedObject");
        errors.invalid_text(&at.field("namespace"), about, "does not match event.namespace");
    }
}
