//! What a namespace that is going away says about what still holds it: pure.

use std::collections::BTreeMap;
use std::time::Duration;

use object::time::{self, Timestamp};
use serde_json::Value;

use crate::conditions::{self, Condition};

/// What is left of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remainder {
    /// `pods`, `deployments.apps`.
    pub(super) resource: String,
    pub(super) count: usize,
    /// The finalizers found, and on how many objects.
    pub(super) finalizers: BTreeMap<String, usize>,
}

/// The first look comes soon, since most content goes at once; later ones spread out.
const SOONEST: Duration = Duration::from_millis(20);
const LATEST: Duration = Duration::from_secs(5);

/// When to look again: a quarter of the time that it takes already.
pub(super) fn again_after(namespace: &Value, now: Timestamp) -> Duration {
    let since = namespace["metadata"]["deletionTimestamp"].as_str().and_then(time::parse);
    let millis = since.map_or(0, |since| (now.as_millisecond() - since.as_millisecond()).max(0) / 4);
    Duration::from_millis(u64::try_from(millis).unwrap_or_default()).clamp(SOONEST, LATEST)
}

/// The conditions of a namespace, upstream's in name and words.
pub(super) fn plan_conditions(
    namespace: &Value,
    failures: &[String],
    remainders: &[Remainder],
    now: Timestamp,
) -> Vec<Value> {
    let mut list = conditions::of(namespace);
    let mut set = |kind, status, reason: &str, message: String| {
        conditions::set(&mut list, &Condition::new(kind, status, reason, message), now);
    };
    let found = "All resources successfully discovered";
    set("NamespaceDeletionDiscoveryFailure", "False", "ResourcesDiscovered", found.into());
    let parsed = "All legacy kube types successfully parsed";
    set("NamespaceDeletionGroupVersionParsingFailure", "False", "ParsedGroupVersions", parsed.into());
    if failures.is_empty() {
        let deleted = "All content successfully deleted, may be waiting on finalization";
        set("NamespaceDeletionContentFailure", "False", "ContentDeleted", deleted.into());
    } else {
        let message = format!(
            "Failed to delete all resource types, {} remaining: {}",
            failures.len(),
            failures.join(", ")
        );
        set("NamespaceDeletionContentFailure", "True", "ContentDeletionFailed", message);
    }
    if remainders.is_empty() {
        set(
            "NamespaceContentRemaining",
            "False",
            "ContentRemoved",
            "All content successfully removed".into(),
        );
    } else {
        let one = |left: &Remainder| format!("{} has {} resource instances", left.resource, left.count);
        let all: Vec<String> = remainders.iter().map(one).collect();
        let message = format!("Some resources are remaining: {}", all.join(", "));
        set("NamespaceContentRemaining", "True", "SomeResourcesRemain", message);
    }
    let mut finalizers: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, count) in remainders.iter().flat_map(|left| &left.finalizers) {
        *finalizers.entry(name).or_default() += count;
    }
    if finalizers.is_empty() {
        let finished = "All content-preserving finalizers finished";
        set("NamespaceFinalizersRemaining", "False", "ContentHasNoFinalizers", finished.into());
    } else {
        let one = |(name, count): (&&str, &usize)| format!("{name} in {count} resource instances");
        let all: Vec<String> = finalizers.iter().map(one).collect();
        let message = format!("Some content in the namespace has finalizers remaining: {}", all.join(", "));
        set("NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain", message);
    }
    list
}
