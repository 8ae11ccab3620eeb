//! `GET /stats/summary`: what the node, its pods and their containers use, in the kubelet's shape. Rates are taken between
//! two looks: one before, when it is recent, else two that are a moment apart. Nobody looks while nobody asks.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sandbox::Usage;
use serde_json::{Value, json};

use crate::pods::Pods;

/// Looks that are closer than this say little about a rate; older ones say what was, not what is.
const WINDOW_MIN: Duration = Duration::from_millis(500);
const WINDOW_MAX: Duration = Duration::from_secs(60);

/// `/proc/stat` counts hundredths of a second.
const TICK_NANOS: u64 = 10_000_000;

/// The name of the whole machine among the CPU times.
const MACHINE: &str = "";

/// The looks before, newest first: where several ask at once, all of them get rates since the one before these.
#[derive(Default)]
pub(crate) struct Samples(Mutex<Vec<Look>>);

/// The newest, and one that is older by [`WINDOW_MIN`] at least.
const LOOKS_KEPT: usize = 2;

#[derive(Clone)]
struct Look {
    at: Instant,
    cpu_nanos: HashMap<String, u64>,
}

/// One pod as it was seen.
struct Seen {
    podref: Value,
    uid: String,
    whole: Usage,
    containers: BTreeMap<String, Usage>,
}

/// CPU and memory of the node and of every pod here.
pub(super) async fn summary(pods: &Pods) -> Value {
    let mut seen = look(pods).await;
    let mut now = times(&seen);
    let looks = pods.samples.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let before = match looks.into_iter().find(|look| look.serves(&now)) {
        Some(before) => before,
        None => {
            let before = now;
            tokio::time::sleep(WINDOW_MIN).await;
            seen = look(pods).await;
            now = times(&seen);
            before
        }
    };
    let summary = shown(pods, &seen, &before, &now);
    pods.samples.keep(now);
    summary
}

impl Samples {
    /// One that follows the newest too closely would push out the one that rates can be told from.
    fn keep(&self, look: Look) {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.first().is_none_or(|newest| look.at - newest.at >= WINDOW_MIN) {
            looks.insert(0, look);
            looks.truncate(LOOKS_KEPT);
        }
    }
}

impl Look {
    /// Whether rates can be told from this look on to the other.
    fn serves(&self, now: &Look) -> bool {
        let age = now.at - self.at;
        let known = now.cpu_nanos.keys().all(|name| self.cpu_nanos.contains_key(name));
        known && (WINDOW_MIN..=WINDOW_MAX).contains(&age)
    }

    /// Billionths of a CPU that were used meanwhile.
    fn nano_cores(&self, now: &Look, name: &str) -> u64 {
        let time = |look: &Look| look.cpu_nanos.get(name).copied();
        let (Some(before), Some(after)) = (time(self), time(now)) else { return 0 };
        let used = u128::from(after.saturating_sub(before)) * 1_000_000_000;
        u64::try_from(used / (now.at - self.at).as_nanos().max(1)).unwrap_or(0)
    }
}

async fn look(pods: &Pods) -> Vec<Seen> {
    let mut list = Vec::new();
    for view in pods.all() {
        let Some(sandbox) = &view.sandbox else { continue };
        let Ok((whole, containers)) = sandbox.usage().await else { continue };
        let metadata = &view.pod.metadata;
        let uid = metadata.uid.clone().unwrap_or_default();
        let podref = json!({ "name": metadata.name, "namespace": metadata.namespace, "uid": metadata.uid });
        list.push(Seen { podref, uid, whole, containers });
    }
    list
}

fn times(seen: &[Seen]) -> Look {
    let machine = fs::read_to_string("/proc/stat").map_or(0, |stat| busy_nanos(&stat));
    let mut cpu_nanos = HashMap::from([(MACHINE.to_owned(), machine)]);
    for pod in seen {
        cpu_nanos.insert(pod.uid.clone(), pod.whole.cpu_nanos);
        let containers = pod.containers.iter();
        cpu_nanos.extend(containers.map(|(name, usage)| (of(pod, name), usage.cpu_nanos)));
    }
    Look { at: Instant::now(), cpu_nanos }
}

fn of(pod: &Seen, container: &str) -> String {
    format!("{}/{container}", pod.uid)
}

fn shown(pods: &Pods, seen: &[Seen], before: &Look, now: &Look) -> Value {
    let time = object::time::seconds(Timestamp::now());
    let cpu = |usage: &Usage, name: &str| {
        json!({
            "time": time,
            "usageNanoCores": before.nano_cores(now, name),
            "usageCoreNanoSeconds": usage.cpu_nanos,
        })
    };
    let list: Vec<Value> = seen
        .iter()
        .map(|pod| {
            let containers = pod.containers.iter().map(|(name, usage)| {
                json!({ "name": name, "cpu": cpu(usage, &of(pod, name)), "memory": memory(usage, &time) })
            });
            json!({
                "podRef": pod.podref,
                "cpu": cpu(&pod.whole, &pod.uid),
                "memory": memory(&pod.whole, &time),
                "process_stats": { "process_count": pod.whole.pids },
                "containers": containers.collect::<Vec<_>>(),
            })
        })
        .collect();
    let used = fs::read_to_string("/proc/meminfo").map_or(0, |meminfo| used_bytes(&meminfo));
    let node = json!({
        "nodeName": pods.ground().node,
        "cpu": { "time": time, "usageNanoCores": before.nano_cores(now, MACHINE) },
        "memory": { "time": time, "workingSetBytes": used },
    });
    json!({ "node": node, "pods": list, "windowSeconds": (now.at - before.at).as_secs_f64() })
}

fn memory(usage: &Usage, now: &str) -> Value {
    json!({
        "time": now,
        "usageBytes": usage.memory_bytes,
        "workingSetBytes": usage.memory_working_set_bytes,
        "rssBytes": usage.memory_rss_bytes,
    })
}

/// CPU time that was not idle, of the first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal.
fn busy_nanos(stat: &str) -> u64 {
    let line = stat.lines().next().and_then(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).take(8).collect();
    let idle = |at: &usize| *at == 3 || *at == 4;
    let busy: u64 = ticks.iter().enumerate().filter(|(at, _)| !idle(at)).map(|(_, ticks)| ticks).sum();
    busy * TICK_NANOS
}

/// What is neither free nor can be freed at once, of /proc/meminfo.
fn used_bytes(meminfo: &str) -> u64 {
    let kib = |name: &str| -> u64 {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    kib("MemTotal:").saturating_sub(kib("MemAvailable:")) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_read_from_proc() {
        assert_eq!(busy_nanos("cpu  10 2 3 1000 500 1 1 1 7 7\ncpu0 1"), 18 * TICK_NANOS);
        assert_eq!(used_bytes("MemTotal: 100 kB\nMemFree: 1 kB\nMemAvailable: 40 kB\n"), 60 * 1024);
    }

    #[test]
    fn two_who_ask_at_once_see_the_same_past() {
        let start = Instant::now();
        let look = |after_ms: u64| Look {
            at: start + Duration::from_millis(after_ms),
            cpu_nanos: HashMap::from([("a".to_owned(), after_ms)]),
        };
        let samples = Samples::default();
        for after_ms in [0, 15_000, 15_010, 15_020] {
            samples.keep(look(after_ms));
        }
        let looks = samples.0.into_inner().expect("nobody panicked");
        let found = looks.iter().find(|before| before.serves(&look(15_030))).expect("a look");
        assert_eq!((looks.len(), found.at), (2, start));
    }

    #[test]
    fn rates_are_taken_between_two_looks() {
        let look = |after_ms: u64, used: u64, start: Instant| Look {
            at: start + Duration::from_millis(after_ms),
            cpu_nanos: HashMap::from([("a".to_owned(), used)]),
        };
        let start = Instant::now();
        let (first, second) = (look(0, 0, start), look(2000, 1_000_000_000, start));
        assert_eq!(first.nano_cores(&second, "a"), 500_000_000);
        assert_eq!(first.nano_cores(&second, "b"), 0);
        assert!(first.serves(&second));
        assert!(!first.serves(&look(10, 0, start)), "too close");
        assert!(!first.serves(&look(70_000, 0, start)), "too long ago");
        let other = Look { cpu_nanos: HashMap::from([("b".to_owned(), 1)]), ..second };
        assert!(!first.serves(&other), "a pod that was not there");
    }
}
