//! Objects as users write them, and what becomes of them: defaults, or the words of the refusal.

mod anything;
mod autoscaling;
mod budgets;
mod cron_jobs;
mod jobs;
mod network;
mod others;
mod sets;
mod volumes;
mod workloads;

use super::*;
use expect_test::Expect;
use object::{Context, FieldValidation, Status, time, yaml};
use serde_json::Value;
use uuid::Uuid;

fn context(kind: &Kind) -> Context<'static> {
    Context {
        namespace: kind.namespaced.then_some("default"),
        now: time::Timestamp::from_second(1_790_000_000).expect("a time"),
        uid: Uuid::from_u128(7),
    }
}

fn read(manifest: &str) -> (&'static Kind, Value) {
    let mut object = yaml::parse(manifest.as_bytes()).expect(manifest);
    let named = |k: &&&Kind| object["kind"] == k.kind;
    let kind = kinds().iter().find(named).expect("a served kind");
    kind.conform(&mut object, FieldValidation::Strict).expect(manifest);
    (kind, object)
}

fn created(manifest: &str) -> Result<Value, Status> {
    let (kind, mut object) = read(manifest);
    kind.admit_create(&mut object, &context(kind)).map(|_| object)
}

/// What a create leaves, without what every object gets.
fn check(manifest: &str, want: Expect) {
    let shown = match created(manifest) {
        Ok(mut object) => {
            for field in ["apiVersion", "kind", "metadata"] {
                object.as_object_mut().map(|o| o.remove(field));
            }
            yaml::print(&object).expect("printable")
        }
        Err(status) => format!("{} {}\n", status.code, status.message),
    };
    want.assert_eq(&shown);
}

/// What an update of `old` by `new` says or changes.
fn check_update(old: &str, new: &str, want: Expect) {
    let old = created(old).expect(old);
    let (kind, mut new) = read(new);
    let shown = match kind.admit_update(&mut new, &old, None, &context(kind)) {
        Ok(_) => {
            let generation = &new["metadata"]["generation"];
            let status = &new["status"];
            format!("generation {generation}, spec changed {}, status {status}\n", new["spec"] != old["spec"])
        }
        Err(status) => format!("{} {}\n", status.code, status.message),
    };
    want.assert_eq(&shown);
}
