//! Which of the nodes that do is best: the least allocated one, away from pods of the same controller,
//! with what the pod prefers on top. Every part is brought to 0..=100 before the weights apply (they are
//! upstream's).

use object::placement::preference;

use crate::filter::{spread, taints, together};
use crate::snapshot::{NodeInfo, PodInfo, Snapshot};

const BEST: i64 = 100;
const WEIGHT_TAINTS: i64 = 3;
const WEIGHT_AFFINITY: i64 = 2;
const WEIGHT_SPREAD: i64 = 2;

/// The best of `nodes`; of equals the one with the fewest pods, then the first by name.
pub(crate) fn best<'a>(
    pod: &PodInfo,
    nodes: &[(&'a String, &'a NodeInfo)],
    snapshot: &Snapshot,
) -> Option<&'a str> {
    let part =
        |read: &dyn Fn(&NodeInfo) -> i64| -> Vec<i64> { nodes.iter().map(|(_, node)| read(node)).collect() };
    let free = part(&|node| least_allocated(pod, node));
    let disliked = inverted(part(&|node| taints::dislikes(&pod.object, &node.object)));
    let preferred = normalized(part(&|node| preference(&pod.object, &node.object)));
    let company = normalized(part(&|node| together::preference(pod, node, snapshot)));
    let siblings = inverted(part(&|node| siblings(pod, node) + spread::crowd(pod, node, snapshot)));
    let score = |index: usize| {
        free[index]
            + WEIGHT_TAINTS * disliked[index]
            + WEIGHT_AFFINITY * (preferred[index] + company[index])
            + WEIGHT_SPREAD * siblings[index]
    };
    (0..nodes.len())
        .max_by_key(|index| (score(*index), std::cmp::Reverse((nodes[*index].1.pods.len(), *index))))
        .map(|index| nodes[index].0.as_str())
}

/// The mean of the free shares of CPU and memory after the pod is placed.
fn least_allocated(pod: &PodInfo, node: &NodeInfo) -> i64 {
    let share = |name: &str| {
        let (has, used) = (node.allocatable.get(name), node.requested.get(name) + pod.requests.get(name));
        if has <= 0 { 0 } else { ((has - used).max(0)).saturating_mul(BEST) / has }
    };
    (share("cpu") + share("memory")) / 2
}

fn siblings(pod: &PodInfo, node: &NodeInfo) -> i64 {
    let Some(controller) = pod.controller() else { return 0 };
    let same =
        node.pods.values().filter(|other| other.controller() == Some(controller) && !other.is_deleting());
    i64::try_from(same.count()).unwrap_or(i64::MAX)
}

/// To 0..=100, the most is best.
fn normalized(values: Vec<i64>) -> Vec<i64> {
    let (Some(least), Some(most)) = (values.iter().min().copied(), values.iter().max().copied()) else {
        return values;
    };
    let range = most - least;
    values.into_iter().map(|value| if range == 0 { 0 } else { (value - least) * BEST / range }).collect()
}

/// To 0..=100, the least is best.
fn inverted(values: Vec<i64>) -> Vec<i64> {
    normalized(values.into_iter().map(|value| -value).collect())
}
