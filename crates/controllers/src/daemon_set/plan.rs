//! On which nodes a DaemonSet has a pod, and which pods are replaced next: pure decisions in upstream's order.

use std::collections::BTreeMap;
use std::sync::Arc;

use object::placement;
use object::time::Timestamp;
use serde_json::{Value, json};

use crate::deployment::portion;
use crate::pod::{self, Availability};
use crate::revisions::REVISION_HASH;

/// What a turn changes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// The names of nodes that get a pod.
    pub(super) create: Vec<String>,
    pub(super) delete: Vec<Arc<Value>>,
    /// Pods that have ended, by the name of their node: they are deleted, though not in quick succession.
    pub(super) failed: Vec<(String, Arc<Value>)>,
}

impl Plan {
    pub(super) fn is_empty(&self) -> bool {
        self.create.is_empty() && self.delete.is_empty() && self.failed.is_empty()
    }
}

/// What a DaemonSet does on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Runs,
    /// A pod that is there stays, a new one is not made.
    MayStay,
    /// Not even that.
    No,
}

/// Whether the pods of this set go to a node: what the template selects, and the taints that they tolerate.
pub(super) fn fit(set: &Value, node: &Value) -> Fit {
    let template = &set["spec"]["template"];
    let name = template["spec"]["nodeName"].as_str().unwrap_or_default();
    if (!name.is_empty() && node["metadata"]["name"] != name) || !placement::selects(template, node) {
        return Fit::No;
    }
    let pod = tolerant(template.clone());
    let repels = |effects: &[&str]| {
        let mut taints = node["spec"]["taints"].as_array().into_iter().flatten();
        taints.any(|taint| {
            effects.iter().any(|effect| taint["effect"] == *effect) && !placement::tolerates(&pod, taint)
        })
    };
    if !repels(&["NoSchedule", "NoExecute"]) {
        Fit::Runs
    } else if !repels(&["NoExecute"]) {
        Fit::MayStay
    } else {
        Fit::No
    }
}

/// A template with what every pod of a DaemonSet tolerates: it runs where nothing else does.
fn tolerant(mut template: Value) -> Value {
    const TOLERATED: [(&str, &str); 6] = [
        ("node.kubernetes.io/not-ready", "NoExecute"),
        ("node.kubernetes.io/unreachable", "NoExecute"),
        ("node.kubernetes.io/disk-pressure", "NoSchedule"),
        ("node.kubernetes.io/memory-pressure", "NoSchedule"),
        ("node.kubernetes.io/pid-pressure", "NoSchedule"),
        ("node.kubernetes.io/unschedulable", "NoSchedule"),
    ];
    let host = template["spec"]["hostNetwork"] == true;
    let network = host.then_some(("node.kubernetes.io/network-unavailable", "NoSchedule"));
    let mut list = template["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
    for (key, effect) in TOLERATED.into_iter().chain(network) {
        let toleration = json!({ "key": key, "operator": "Exists", "effect": effect });
        if !list.contains(&toleration) {
            list.push(toleration);
        }
    }
    template["spec"]["tolerations"] = list.into();
    template
}

/// The template of the pod for one node: by its affinity the scheduler can put it nowhere else.
pub(super) fn template_for(set: &Value, node: &str, hash: &str) -> Value {
    let mut template = tolerant(set["spec"]["template"].clone());
    let field = json!({ "key": "metadata.name", "operator": "In", "values": [node] });
    template["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
        json!({ "nodeSelectorTerms": [{ "matchFields": [field] }] });
    template["metadata"]["labels"][REVISION_HASH] = hash.into();
    template
}

/// The node that a pod is on, or will be on as soon as it is scheduled.
fn target(pod: &Value) -> Option<&str> {
    let terms = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
    let wanted = || terms.pointer("/0/matchFields/0/values/0").and_then(Value::as_str);
    pod::node(pod).or_else(wanted)
}

/// Whether a pod is of the template with this hash.
fn is_of(pod: &Value, hash: &str) -> bool {
    pod["metadata"]["labels"][REVISION_HASH] == hash
}

/// One set, its nodes and its pods at one moment.
pub(super) struct World<'a> {
    pub(super) set: &'a Value,
    /// The hash of the current template.
    pub(super) hash: &'a str,
    pub(super) now: Timestamp,
    nodes: BTreeMap<String, Fit>,
    pods: BTreeMap<String, Vec<Arc<Value>>>,
}

impl<'a> World<'a> {
    pub(super) fn new(
        set: &'a Value,
        hash: &'a str,
        nodes: &[Arc<Value>],
        pods: &[Arc<Value>],
        now: Timestamp,
    ) -> World<'a> {
        let name = |node: &Value| node["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let nodes = nodes.iter().map(|node| (name(node), fit(set, node))).collect();
        let mut by_node: BTreeMap<String, Vec<Arc<Value>>> = BTreeMap::new();
        // One that has ended and is being deleted has nothing more to do with the set.
        for pod in pods.iter().filter(|pod| !(pod::is_terminal(pod) && pod::is_deleting(pod))) {
            if let Some(node) = target(pod) {
                by_node.entry(node.to_owned()).or_default().push(pod.clone());
            }
        }
        for pods in by_node.values_mut() {
            // Oldest first. Times are whole seconds: of two with the same, the one of the old template is older.
            pods.sort_by_cached_key(|pod| {
                let name = pod["metadata"]["name"].to_string();
                (pod::node(pod).is_none(), pod::created(pod), is_of(pod, hash), name)
            });
        }
        World { set, hash, now, nodes, pods: by_node }
    }

    fn pods_on(&self, node: &str) -> &[Arc<Value>] {
        self.pods.get(node).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn is_updated(&self, pod: &Value) -> bool {
        is_of(pod, self.hash)
    }

    pub(super) fn availability(&self, pod: &Value) -> Availability {
        let min_ready = self.set["spec"]["minReadySeconds"].as_i64().unwrap_or_default();
        pod::availability(pod, min_ready, self.now)
    }

    fn is_available(&self, pod: &Value) -> bool {
        self.availability(pod) == Availability::Available
    }

    /// How many nodes the set runs on.
    pub(super) fn desired(&self) -> usize {
        self.nodes.values().filter(|fit| **fit == Fit::Runs).count()
    }

    /// The nodes with what the set does there and its pods there, oldest first.
    pub(super) fn sites(&self) -> impl Iterator<Item = (&str, Fit, &[Arc<Value>])> {
        self.nodes.iter().map(|(name, fit)| (name.as_str(), *fit, self.pods_on(name)))
    }

    fn limit(&self, field: &str) -> usize {
        let rolling = &self.set["spec"]["updateStrategy"]["rollingUpdate"];
        let desired = i64::try_from(self.desired()).unwrap_or(i64::MAX);
        let count = portion(&rolling[field], desired, true).unwrap_or_default();
        usize::try_from(count).unwrap_or_default()
    }

    fn surge(&self) -> usize {
        self.limit("maxSurge")
    }
}

/// One pod on every node that takes it, none elsewhere.
pub(super) fn plan_nodes(world: &World<'_>) -> Plan {
    let mut plan = Plan::default();
    for (node, fit, pods) in world.sites() {
        match fit {
            Fit::Runs if pods.is_empty() => plan.create.push(node.to_owned()),
            Fit::Runs | Fit::MayStay => settle_node(world, node, fit, pods, &mut plan),
            Fit::No => plan.delete.extend(pods.iter().filter(|pod| !pod::is_deleting(pod)).cloned()),
        }
    }
    // Nobody else would ever remove a pod that waits for a node that is gone.
    let gone = world.pods.iter().filter(|(node, _)| !world.nodes.contains_key(*node));
    let waiting = gone.flat_map(|(_, pods)| pods).filter(|pod| pod::node(pod).is_none());
    plan.delete.extend(waiting.filter(|pod| !pod::is_deleting(pod)).cloned());
    plan
}

fn settle_node(world: &World<'_>, node: &str, fit: Fit, pods: &[Arc<Value>], plan: &mut Plan) {
    let present = pods.iter().filter(|pod| !pod::is_deleting(pod));
    let (ended, running): (Vec<&Arc<Value>>, Vec<&Arc<Value>>) =
        present.partition(|pod| pod::is_terminal(pod));
    plan.failed.extend(ended.into_iter().map(|pod| (node.to_owned(), pod.clone())));
    if world.surge() == 0 {
        plan.delete.extend(running.into_iter().skip(1).cloned());
        return;
    }
    if running.is_empty() && fit == Fit::Runs {
        plan.create.push(node.to_owned());
    }
    // An old one and a new one may be there together, until one of them is of no use any more.
    let (new, old): (Vec<&Arc<Value>>, Vec<&Arc<Value>>) =
        running.into_iter().partition(|pod| world.is_updated(pod));
    plan.delete.extend(new.iter().skip(1).copied().cloned());
    plan.delete.extend(old.iter().skip(1).copied().cloned());
    if let (Some(new), Some(old)) = (new.first(), old.first())
        && (!pod::is_ready(old) || world.is_available(new))
    {
        plan.delete.push((*old).clone());
    }
}

/// The pods of a node that are not being deleted.
struct Pair<'a> {
    new: Option<&'a Arc<Value>>,
    old: Option<&'a Arc<Value>>,
}

/// `None` when there are too many of one kind, which [`plan_nodes`] sees to.
fn pair<'a>(world: &World<'_>, pods: &'a [Arc<Value>]) -> Option<Pair<'a>> {
    let present = pods.iter().filter(|pod| !pod::is_deleting(pod));
    let (new, old): (Vec<&Arc<Value>>, Vec<&Arc<Value>>) = present.partition(|pod| world.is_updated(pod));
    let pair = Pair { new: new.first().copied(), old: old.first().copied() };
    (new.len() < 2 && old.len() < 2).then_some(pair)
}

/// The next pods of a rolling update; to be asked when [`plan_nodes`] has nothing to do.
pub(super) fn plan_update(world: &World<'_>) -> Plan {
    if world.set["spec"]["updateStrategy"]["type"] != "RollingUpdate" {
        return Plan::default();
    }
    if world.surge() == 0 { replace(world) } else { surge(world) }
}

/// Nodes that have pods, or should have.
fn concerned<'a>(world: &'a World<'_>) -> impl Iterator<Item = (&'a str, Fit, &'a [Arc<Value>])> {
    world.sites().filter(|(_, fit, pods)| *fit == Fit::Runs || !pods.is_empty())
}

/// Deletes old pods, as many as may be missing at once; new ones are made when they are gone.
fn replace(world: &World<'_>) -> Plan {
    let mut missing = 0;
    let (mut broken, mut candidates) = (Vec::new(), Vec::new());
    for (_, _, pods) in concerned(world) {
        match pair(world, pods) {
            Some(Pair { new: Some(new), old: None }) => missing += usize::from(!world.is_available(new)),
            Some(Pair { new: None, old: Some(old) }) if world.is_available(old) => {
                candidates.push(old.clone())
            }
            // It is missing already, so nothing is lost with it.
            Some(Pair { new: None, old: Some(old) }) => {
                broken.push(old.clone());
                missing += 1;
            }
            _ => missing += 1,
        }
    }
    // One at least, or an update could never begin.
    let allowed = world.limit("maxUnavailable").max(1).saturating_sub(missing);
    broken.extend(candidates.into_iter().take(allowed));
    Plan { delete: broken, ..Plan::default() }
}

/// Makes new pods beside old ones, as many as there may be too many at once.
fn surge(world: &World<'_>) -> Plan {
    let mut plan = Plan::default();
    let (mut surging, mut available) = (0, 0);
    let (mut candidates, mut misplaced) = (Vec::new(), Vec::new());
    for (node, fit, pods) in concerned(world) {
        let Some(Pair { new, old }) = pair(world, pods) else {
            surging += 1;
            continue;
        };
        available += usize::from(old.or(new).is_some_and(|pod| world.is_available(pod)));
        match (new, old) {
            (_, None) => {}
            (Some(new), Some(old)) if world.is_available(new) => plan.delete.push(old.clone()),
            (Some(_), Some(_)) => surging += 1,
            (None, Some(old)) => match (fit, world.is_available(old)) {
                (Fit::Runs, false) => plan.create.push(node.to_owned()),
                (Fit::Runs, true) => candidates.push(node.to_owned()),
                (_, false) => plan.delete.push(old.clone()),
                (_, true) => misplaced.push(old.clone()),
            },
        }
    }
    // Pods of nodes that are no longer wanted go when others have taken their part.
    let spare = available.saturating_sub(world.desired());
    plan.delete.extend(misplaced.into_iter().take(spare));
    plan.create.extend(candidates.into_iter().take(world.surge().saturating_sub(surging)));
    plan
}
