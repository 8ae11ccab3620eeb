//! From what pods use to how many there should be: upstream's arithmetic, with what it assumes of pods that are not
//! ready yet and of those that nobody measured. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use object::quantity::Quantity;
use object::selector::LabelSelector;
use object::time::{self, Timestamp};
use serde_json::Value;

use crate::conditions;
use crate::pod;

/// So long after its start a pod's CPU counts only while it is ready: starting is work (upstream's figure).
const CPU_INITIALIZATION: Duration = Duration::from_secs(300);
/// A pod that turned unready so soon after its start has never been ready (upstream's figure).
const INITIAL_READINESS: Duration = Duration::from_secs(30);

/// What one pod uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) milli: i64,
    pub(super) at: Timestamp,
    /// The time over which it was measured.
    pub(super) window: Duration,
}

/// The samples by the name of their pod.
pub(super) type Samples = BTreeMap<String, Sample>;

/// What a metric should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// Percent of what the pods request.
    Utilization(i64),
    /// So much per pod, in thousandths.
    AverageMilli(i64),
}

/// By how much a metric may miss its goal before anything is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tolerances {
    pub(super) up: f64,
    pub(super) down: f64,
}

impl Tolerances {
    fn allow(self, ratio: f64) -> bool {
        (1.0 - self.down..=1.0 + self.up).contains(&ratio)
    }
}

/// A metric of pods and its goal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) resource: &'a str,
    /// Only this container counts.
    pub(super) container: Option<&'a str>,
    pub(super) goal: Goal,
    pub(super) current: i64,
    pub(super) tolerances: Tolerances,
}

/// How many pods a metric asks for, and what it was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) replicas: i64,
    pub(super) utilization: Option<i64>,
    pub(super) average_milli: i64,
}

/// What the pods of a selector use of a resource, from the items of a PodMetricsList. A pod of which one container was
/// not measured has no sample.
pub(super) fn samples(
    metrics: &[Value],
    selector: &LabelSelector,
    resource: &str,
    container: Option<&str>,
) -> Samples {
    let selected = metrics.iter().filter(|one| selector.matches(&one["metadata"]["labels"]));
    let sample = |one: &Value| {
        let containers = one["containers"].as_array()?;
        let mut wanted = containers
            .iter()
            .filter(|found| container.is_none_or(|name| found["name"] == name))
            .map(|found| amount(&found["usage"][resource]))
            .peekable();
        wanted.peek()?;
        Some(Sample {
            milli: wanted.sum::<Option<i64>>()?,
            at: time::parse(one["timestamp"].as_str()?)?,
            window: time::duration(one["window"].as_str()?)?,
        })
    };
    let named = selected.filter_map(|one| Some((one["metadata"]["name"].as_str()?.to_owned(), sample(one)?)));
    named.collect()
}

/// A quantity in thousandths.
pub(super) fn amount(quantity: &Value) -> Option<i64> {
    Quantity::parse(quantity.as_str()?).ok().map(Quantity::milli_value)
}

/// How many pods there should be; the error says in upstream's words why nobody can tell.
pub(super) fn plan_replicas(
    question: &Question<'_>,
    pods: &[Arc<Value>],
    samples: &Samples,
    now: Timestamp,
) -> Result<Answer, String> {
    if pods.is_empty() {
        return Err("no pods returned by selector while calculating replica count".to_owned());
    }
    let groups = Groups::of(pods, samples, question.resource, now);
    let mut used = groups.ready.clone();
    if used.is_empty() {
        return Err("did not receive metrics for targeted pods (pods might be unready)".to_owned());
    }
    let goal = Measure::of(question, pods)?;
    let found = goal.compare(&used)?;
    let answer = |replicas| {
        Ok(Answer { replicas, utilization: found.utilization, average_milli: found.average_milli })
    };
    let growing_unready = !groups.unready.is_empty() && found.ratio > 1.0;
    if !growing_unready && groups.missing.is_empty() {
        let kept = question.tolerances.allow(found.ratio);
        return answer(if kept { question.current } else { ceil(found.ratio, used.len()) });
    }
    // What is not known is taken for what keeps the change small.
    for name in &groups.missing {
        if found.ratio < 1.0 {
            used.insert(name, goal.assumed(name));
        } else if found.ratio > 1.0 {
            used.insert(name, 0);
        }
    }
    if growing_unready {
        used.extend(groups.unready.iter().map(|name| (*name, 0)));
    }
    let ratio = goal.compare(&used)?.ratio;
    let turned = (found.ratio < 1.0 && ratio > 1.0) || (found.ratio > 1.0 && ratio < 1.0);
    if question.tolerances.allow(ratio) || turned {
        return answer(question.current);
    }
    let replicas = ceil(ratio, used.len());
    let against =
        (ratio < 1.0 && replicas > question.current) || (ratio > 1.0 && replicas < question.current);
    answer(if against { question.current } else { replicas })
}

/// `ratio` times a number of pods, and no more pods than anybody can count.
fn ceil(ratio: f64, pods: usize) -> i64 {
    ((ratio * pods as f64).ceil() as i64).min(i64::from(i32::MAX))
}

/// The pods by what is known of them; those that are ending are in none.
#[derive(Debug, Default)]
struct Groups<'a> {
    /// What each ready pod uses.
    ready: BTreeMap<&'a str, i64>,
    unready: Vec<&'a str>,
    /// Pods that were not measured.
    missing: Vec<&'a str>,
}

impl<'a> Groups<'a> {
    fn of(pods: &'a [Arc<Value>], samples: &Samples, resource: &str, now: Timestamp) -> Groups<'a> {
        let mut groups = Groups::default();
        for pod in pods {
            let name = name(pod);
            let phase = &pod["status"]["phase"];
            if pod::is_deleting(pod) || phase == "Failed" {
                continue;
            }
            match samples.get(name) {
                _ if phase == "Pending" => groups.unready.push(name),
                None => groups.missing.push(name),
                Some(sample) if resource == "cpu" && !counts(pod, sample, now) => groups.unready.push(name),
                Some(sample) => _ = groups.ready.insert(name, sample.milli),
            }
        }
        groups
    }
}

fn name(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap_or_default()
}

/// Whether what a pod uses of the CPU tells what it will use: not while it starts, and not for a window that reaches
/// back to before it was ready.
fn counts(pod: &Value, sample: &Sample, now: Timestamp) -> bool {
    let conditions = conditions::of(pod);
    let time = |value: &Value| value.as_str().and_then(time::parse);
    let ready = conditions::find(&conditions, "Ready");
    let (Some(ready), Some(started)) = (ready, time(&pod["status"]["startTime"])) else { return false };
    let Some(since) = time(&ready["lastTransitionTime"]) else { return false };
    let is_ready = ready["status"] != "False";
    if after(started, CPU_INITIALIZATION) > now {
        return is_ready && sample.at >= after(since, sample.window);
    }
    is_ready || after(started, INITIAL_READINESS) <= since
}

fn after(time: Timestamp, duration: Duration) -> Timestamp {
    time.saturating_add(duration).unwrap_or(time)
}

/// A goal together with what it is measured by.
enum Measure<'a> {
    Utilization { percent: i64, requests: BTreeMap<&'a str, i64> },
    Average { milli: i64 },
}

/// What was found, and its ratio to the goal.
struct Found {
    ratio: f64,
    utilization: Option<i64>,
    average_milli: i64,
}

impl<'a> Measure<'a> {
    fn of(question: &Question<'_>, pods: &'a [Arc<Value>]) -> Result<Measure<'a>, String> {
        match question.goal {
            Goal::AverageMilli(milli) => Ok(Measure::Average { milli }),
            Goal::Utilization(percent) => {
                let request = |pod: &'a Arc<Value>| Ok((name(pod), request(pod, question)?));
                let requests = pods.iter().map(request).collect::<Result<_, String>>()?;
                Ok(Measure::Utilization { percent, requests })
            }
        }
    }

    fn compare(&self, used: &BTreeMap<&str, i64>) -> Result<Found, String> {
        let total: i64 = used.values().sum();
        let average_milli = total / i64::try_from(used.len()).unwrap_or(i64::MAX).max(1);
        match self {
            Measure::Average { milli } => {
                let ratio = average_milli as f64 / *milli as f64;
                Ok(Found { ratio, utilization: None, average_milli })
            }
            Measure::Utilization { percent, requests } => {
                let requested: i64 = used.keys().filter_map(|name| requests.get(name)).sum();
                if requested == 0 {
                    return Err("no metrics returned matched known pods".to_owned());
                }
                let utilization = total.saturating_mul(100) / requested;
                let ratio = utilization as f64 / *percent as f64;
                Ok(Found { ratio, utilization: Some(utilization), average_milli })
            }
        }
    }

    /// What a pod is taken to use that was not measured, where fewer pods are wanted.
    fn assumed(&self, pod: &str) -> i64 {
        match self {
            Measure::Average { milli } => *milli,
            Measure::Utilization { percent, requests } => {
                requests.get(pod).copied().unwrap_or_default() * (*percent).max(100) / 100
            }
        }
    }
}

/// What a pod, or one container of it, requests of the resource.
fn request(pod: &Value, question: &Question<'_>) -> Result<i64, String> {
    let list = |field: &str| pod["spec"][field].as_array().into_iter().flatten();
    let sidecars = list("initContainers").filter(|container| container["restartPolicy"] == "Always");
    let wanted = |container: &&Value| question.container.is_none_or(|name| container["name"] == name);
    let mut containers = list("containers").chain(sidecars).filter(wanted).peekable();
    if let (Some(container), None) = (question.container, containers.peek()) {
        return Err(format!("container {container} not found in Pod {}", name(pod)));
    }
    let requests = containers.map(|container| {
        amount(&container["resources"]["requests"][question.resource]).ok_or_else(|| {
            let container = container["name"].as_str().unwrap_or_default();
            format!("missing request for {} in container {container} of Pod {}", question.resource, name(pod))
        })
    });
    requests.sum()
}
