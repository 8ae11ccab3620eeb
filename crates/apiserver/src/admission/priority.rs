//! How important a new pod is: its priority and whether it may push others out, from its PriorityClass or from the
//! class that is the default. Also that there is one default at most.

use crate::{api::Api, cache::Item, call::Target};
use object::Status;
use serde_json::Value;
use std::sync::Arc;

const GROUP: &str = "scheduling.k8s.io";
const PREEMPT: &str = "PreemptLowerPriority";

/// Classes that are marked as the default.
fn defaults(api: &Api) -> Vec<(Arc<Item>, Value)> {
    let shelf = api.cache.resource(GROUP, "priorityclasses");
    let all = shelf.all("").into_iter().map(|item| {
        let value = item.value();
        (item, value)
    });
    all.filter(|(_, class)| class["globalDefault"] == true).collect()
}

/// The class of a pod: the one it names, else the default one with the lowest value.
fn class_of(api: &Api, name: &str) -> Result<Option<Value>, String> {
    if name.is_empty() {
        let mut classes: Vec<Value> = defaults(api).into_iter().map(|(_, class)| class).collect();
        classes.sort_by_key(|class| class["value"].as_i64());
        return Ok(classes.into_iter().next());
    }
    let found = api.cache.resource(GROUP, "priorityclasses").get("", name);
    found.map(|item| Some(item.value())).ok_or_else(|| format!("no PriorityClass with name {name} was found"))
}

/// Gives a new pod its priority; a figure of its own that differs is refused.
pub(super) fn set(api: &Api, pod: &mut Value) -> Result<(), String> {
    let spec = &mut pod["spec"];
    let class = class_of(api, spec["priorityClassName"].as_str().unwrap_or_default())?;
    let (priority, policy) = match &class {
        Some(class) => {
            let policy = class["preemptionPolicy"].as_str().unwrap_or(PREEMPT).to_owned();
            (class["value"].as_i64().unwrap_or(0), policy)
        }
        None => (0, PREEMPT.to_owned()),
    };
    if spec["priority"].as_i64().is_some_and(|given| given != priority) {
        return Err(format!(
            "the integer value of priority ({}) must not be provided in pod spec; priority admission controller \
             computed {priority} from the given PriorityClass name",
            spec["priority"]
        ));
    }
    if let Some(given) = spec["preemptionPolicy"].as_str().filter(|given| *given != policy) {
        return Err(format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission \
             controller computed {policy} from the given PriorityClass name"
        ));
    }
    if let Some(class) = class {
        spec["priorityClassName"] = class["metadata"]["name"].clone();
    }
    spec["priority"] = priority.into();
    spec["preemptionPolicy"] = policy.into();
    Ok(())
}

/// Refuses a second default class.
pub(super) fn check_default(api: &Api, target: &Target, class: &Value) -> Result<(), Status> {
    if class["globalDefault"] != true {
        return Ok(());
    }
    let own = class["metadata"]["name"].as_str().unwrap_or_default();
    match defaults(api).into_iter().find(|(item, _)| item.name() != own) {
        None => Ok(()),
        Some((item, _)) => {
            let why = format!(
                "PriorityClass {} is already marked as default. Only one default can exist",
                item.name()
            );
            Err(Status::forbidden(target.kind.group, target.kind.plural, own, &why))
        }
    }
}
