//! Which names a CustomResourceDefinition gets, and whether it is served: its status, planned from what there is.

use crate::json::{items, text};
use crate::time::{self, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Held by a definition until its objects are gone.
pub const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// A condition of a definition.
#[derive(Debug, Clone, Copy)]
pub struct Condition<'a> {
    /// `Established`, …
    pub ty: &'a str,
    /// Whether it holds.
    pub holds: bool,
    /// In one word.
    pub reason: &'a str,
    /// For people.
    pub message: &'a str,
}

fn find<'a>(crd: &'a Value, ty: &str) -> Option<&'a Value> {
    items(&crd["status"]["conditions"]).iter().find(|condition| condition["type"] == ty)
}

/// Whether a condition holds.
pub fn is_true(crd: &Value, ty: &str) -> bool {
    find(crd, ty).is_some_and(|condition| condition["status"] == "True")
}

/// Sets a condition; nothing changes when it says the same already.
pub fn set(crd: &mut Value, condition: &Condition<'_>, now: Timestamp) {
    let status = if condition.holds { "True" } else { "False" };
    let before = find(crd, condition.ty);
    let same = before.is_some_and(|own| own["status"] == status);
    let since = before.filter(|_| same).map(|own| own["lastTransitionTime"].clone());
    let new = json!({
        "type": condition.ty, "status": status, "reason": condition.reason, "message": condition.message,
        "lastTransitionTime": since.unwrap_or_else(|| time::seconds(now).into()),
    });
    if !crd["status"]["conditions"].is_array() {
        crd["status"]["conditions"] = json!([]);
    }
    let Some(list) = crd["status"]["conditions"].as_array_mut() else { return };
    match list.iter_mut().find(|own| own["type"] == condition.ty) {
        Some(own) => *own = new,
        None => list.push(new),
    }
}

/// The names that other definitions of the group have.
struct Taken {
    resources: BTreeSet<String>,
    kinds: BTreeSet<String>,
}

impl Taken {
    fn of(group: &str, name: &str, others: &[Value]) -> Taken {
        let (mut resources, mut kinds) = (BTreeSet::new(), BTreeSet::new());
        let same = |own: &&Value| own["spec"]["group"] == group && own["metadata"]["name"] != name;
        for other in others.iter().filter(same) {
            let names = &other["status"]["acceptedNames"];
            let short = items(&names["shortNames"]).iter();
            let all = [&names["plural"], &names["singular"]].into_iter().chain(short).map(text);
            resources.extend(all.filter(|name| !name.is_empty()).map(str::to_owned));
            let all = [&names["kind"], &names["listKind"]].into_iter().map(text);
            kinds.extend(all.filter(|name| !name.is_empty()).map(str::to_owned));
        }
        Taken { resources, kinds }
    }
}

/// Whether a definition has the names that it wants and is served: there is nothing to plan.
pub fn is_settled(crd: &Value) -> bool {
    let same = crd["spec"]["names"] == crd["status"]["acceptedNames"];
    same && is_true(crd, "NamesAccepted") && is_true(crd, "Established")
}

/// The definition with its status as it should be, seen beside all others; `None` when it is that already.
pub fn plan_status(crd: &Value, others: &[Value], now: Timestamp) -> Option<Value> {
    let mut new = crd.clone();
    let (wanted, accepted) = (&crd["spec"]["names"], &crd["status"]["acceptedNames"]);
    let taken = Taken::of(text(&crd["spec"]["group"]), text(&crd["metadata"]["name"]), others);
    let (mut names, mut refused) = (accepted.clone(), None);
    let mut settle = |key: &str, taken: &BTreeSet<String>, reason: &'static str| {
        let clash = wanted[key] != accepted[key] && taken.contains(text(&wanted[key]));
        if clash {
            refused = Some((reason, format!("{} is already in use", wanted[key])));
        } else {
            crate::json::put(&mut names, key, wanted.get(key).cloned());
        }
    };
    settle("plural", &taken.resources, "PluralConflict");
    settle("singular", &taken.resources, "SingularConflict");
    settle("kind", &taken.kinds, "KindConflict");
    settle("listKind", &taken.kinds, "ListKindConflict");
    let own = items(&accepted["shortNames"]);
    let clash = |name: &&Value| !own.contains(name) && taken.resources.contains(text(name));
    match items(&wanted["shortNames"]).iter().find(clash) {
        Some(name) => refused = Some(("ShortNamesConflict", format!("{name} is already in use"))),
        None => crate::json::put(&mut names, "shortNames", wanted.get("shortNames").cloned()),
    }
    crate::json::put(&mut names, "categories", wanted.get("categories").cloned());
    new["status"]["acceptedNames"] = names;
    let (holds, reason, message) = match &refused {
        None => (true, "NoConflicts", "no conflicts found"),
        Some((reason, message)) => (false, *reason, message.as_str()),
    };
    set(&mut new, &Condition { ty: "NamesAccepted", holds, reason, message }, now);
    // What was established stays so: its objects are there.
    if !is_true(crd, "Established") {
        let (reason, message) = match holds {
            true => ("InitialNamesAccepted", "the initial names have been accepted"),
            false => ("NotAccepted", "not all names are accepted"),
        };
        set(&mut new, &Condition { ty: "Established", holds, reason, message }, now);
    }
    (new != *crd).then_some(new)
}
