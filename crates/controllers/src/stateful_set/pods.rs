//! A StatefulSet with its numbered pods at one moment, and how a pod with a number is made. Pure.

use std::sync::Arc;

use object::time::Timestamp;
use serde_json::Value;

use super::claims;
use crate::pod::{self, Availability};
use crate::revisions::{self, History, REVISION_HASH};

const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

/// What a plan looks at.
pub(super) struct World<'a> {
    pub(super) set: &'a Value,
    /// The revision that the pods had before, as the status has it; the same as `update` when none is under way.
    pub(super) current: &'a Value,
    /// The revision that the pods are to have.
    pub(super) update: &'a Value,
    /// The pods by their place: the first has the number [`World::start`].
    pub(super) replicas: Vec<Option<Arc<Value>>>,
    /// Pods with other numbers, highest first.
    pub(super) condemned: Vec<Arc<Value>>,
    now: Timestamp,
}

/// The number in the name of a pod, if it is a name that this set gives.
fn ordinal(set: &Value, pod: &Value) -> Option<usize> {
    let name = pod["metadata"]["name"].as_str()?;
    let number = name.strip_prefix(set["metadata"]["name"].as_str()?)?.strip_prefix('-')?;
    let number: usize = number.parse().ok()?;
    // Neither `web-01` nor `web-+1`.
    (name == pod_name(set, number)).then_some(number)
}

fn pod_name(set: &Value, ordinal: usize) -> String {
    format!("{}-{ordinal}", set["metadata"]["name"].as_str().unwrap_or_default())
}

/// The name of a revision.
pub(super) fn name(revision: &Value) -> &str {
    revision["metadata"]["name"].as_str().unwrap_or_default()
}

/// The name of the revision that a pod is of.
pub(super) fn revision_of(pod: &Value) -> &str {
    pod["metadata"]["labels"][REVISION_HASH].as_str().unwrap_or_default()
}

fn count(value: &Value) -> usize {
    value.as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or_default()
}

impl<'a> World<'a> {
    pub(super) fn new(
        set: &'a Value,
        history: &'a History,
        pods: &[Arc<Value>],
        now: Timestamp,
    ) -> World<'a> {
        let before = set["status"]["currentRevision"].as_str();
        let known = history.old.iter().find(|revision| Some(name(revision)) == before);
        let mut world = World {
            set,
            current: known.unwrap_or(&history.current),
            update: &history.current,
            replicas: vec![None; count(&set["spec"]["replicas"])],
            condemned: Vec::new(),
            now,
        };
        let mut condemned = Vec::new();
        for (ordinal, pod) in pods.iter().filter_map(|pod| Some((ordinal(set, pod)?, pod.clone()))) {
            let place = ordinal.checked_sub(world.start());
            match place.and_then(|place| world.replicas.get_mut(place)) {
                Some(slot) => *slot = Some(pod),
                None => condemned.push((ordinal, pod)),
            }
        }
        condemned.sort_by_key(|(ordinal, _)| std::cmp::Reverse(*ordinal));
        world.condemned = condemned.into_iter().map(|(_, pod)| pod).collect();
        world
    }

    /// The first number.
    pub(super) fn start(&self) -> usize {
        count(&self.set["spec"]["ordinals"]["start"])
    }

    /// Whether one pod waits for the other.
    pub(super) fn is_ordered(&self) -> bool {
        self.set["spec"]["podManagementPolicy"] != "Parallel"
    }

    pub(super) fn rolling_update(&self) -> &Value {
        &self.set["spec"]["updateStrategy"]["rollingUpdate"]
    }

    /// The pods that have a place; those with a lower place keep their revision. `None` when the set does not say.
    pub(super) fn partition(&self) -> Option<usize> {
        self.rolling_update()["partition"].as_u64().and_then(|count| usize::try_from(count).ok())
    }

    pub(super) fn availability(&self, pod: &Value) -> Availability {
        let min_ready = self.set["spec"]["minReadySeconds"].as_i64().unwrap_or_default();
        pod::availability(pod, min_ready, self.now)
    }

    pub(super) fn is_unavailable(&self, pod: &Value) -> bool {
        pod::is_deleting(pod) || self.availability(pod) != Availability::Available
    }

    pub(super) fn is_updated(&self, pod: &Value) -> bool {
        revision_of(pod) == name(self.update)
    }

    /// The revision of a pod that is made now.
    fn revision_for(&self, ordinal: usize) -> &Value {
        let before = match self.partition() {
            Some(partition) => partition,
            None => count(&self.set["status"]["currentReplicas"]),
        };
        let rolling = self.set["spec"]["updateStrategy"]["type"] == "RollingUpdate";
        if rolling && ordinal < self.start() + before { self.current } else { self.update }
    }

    /// The pod with this number, owned by `reference`.
    pub(super) fn new_pod(&self, ordinal: usize, reference: Value) -> Value {
        let (set, revision) = (self.set, self.revision_for(ordinal));
        let name = pod_name(set, ordinal);
        let mut pod = pod::from_template(&revisions::template(revision), &format!("{name}-"), reference);
        if let Some(metadata) = pod["metadata"].as_object_mut() {
            metadata.remove("generateName");
        }
        pod["metadata"]["name"] = name.as_str().into();
        let labels = &mut pod["metadata"]["labels"];
        labels[POD_NAME] = name.as_str().into();
        labels[POD_INDEX] = ordinal.to_string().into();
        labels[REVISION_HASH] = self::name(revision).into();
        pod["spec"]["hostname"] = name.into();
        if let Some(service) = set["spec"]["serviceName"].as_str().filter(|service| !service.is_empty()) {
            pod["spec"]["subdomain"] = service.into();
        }
        claims::mount(set, &mut pod);
        pod
    }
}
