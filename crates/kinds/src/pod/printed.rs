//! How `kubectl get pods` shows a pod: what state it is really in, as upstream works it out.

use object::json::{items, text};
use object::table::{age_of, name_of, or_none, since};
use object::time::Timestamp;
use serde_json::Value;

/// What the containers' statuses add up to.
#[derive(Default)]
struct Summary {
    ready: usize,
    reason: String,
    restarts: i64,
    last_restart: Value,
}

impl Summary {
    fn restarted(&mut self, container: &Value) {
        self.restarts += container["restartCount"].as_i64().unwrap_or(0);
        let finished = &container["lastState"]["terminated"]["finishedAt"];
        // RFC 3339 in UTC and whole seconds: text order is time order.
        if text(finished) > text(&self.last_restart) {
            self.last_restart = finished.clone();
        }
    }
}

pub(super) fn row(pod: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let sidecars = items(&spec["initContainers"]).iter().filter(|c| is_sidecar(c)).count();
    let total = items(&spec["containers"]).len() + sidecars;
    let summary = summarize(pod);
    let restarts = match text(&summary.last_restart) {
        "" => summary.restarts.to_string(),
        _ if summary.restarts == 0 => "0".into(),
        _ => format!("{} ({} ago)", summary.restarts, since(&summary.last_restart, now)),
    };
    let address = items(&status["podIPs"]).first().map_or(&status["podIP"], |a| &a["ip"]);
    vec![
        name_of(pod),
        format!("{}/{total}", summary.ready).into(),
        summary.reason.into(),
        restarts.into(),
        age_of(pod, now),
        or_none(text(address)),
        or_none(text(&spec["nodeName"])),
        or_none(text(&status["nominatedNodeName"])),
        readiness_gates(pod),
    ]
}

fn is_sidecar(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

fn condition_is_true(status: &Value, kind: &str) -> bool {
    items(&status["conditions"]).iter().any(|c| c["type"] == kind && c["status"] == "True")
}

fn summarize(pod: &Value) -> Summary {
    let status = &pod["status"];
    let mut summary = Summary { reason: text(&status["phase"]).to_owned(), ..Summary::default() };
    if !text(&status["reason"]).is_empty() {
        summary.reason = text(&status["reason"]).to_owned();
    }
    if items(&status["conditions"])
        .iter()
        .any(|c| c["type"] == "PodScheduled" && c["reason"] == "SchedulingGated")
    {
        summary.reason = "SchedulingGated".into();
    }
    let initializing = initialize(pod, &mut summary);
    if !initializing || condition_is_true(status, "Initialized") {
        let mut sidecars = Summary::default();
        for container in items(&status["initContainerStatuses"]) {
            if sidecar_of(pod, container) {
                sidecars.restarted(container);
            }
        }
        summary.restarts = sidecars.restarts;
        summary.last_restart = sidecars.last_restart;
        run(status, &mut summary);
    }
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        if status["reason"] == "NodeLost" {
            summary.reason = "Unknown".into();
        } else if !matches!(text(&status["phase"]), "Succeeded" | "Failed") {
            summary.reason = "Terminating".into();
        }
    }
    summary
}

fn sidecar_of(pod: &Value, container: &Value) -> bool {
    items(&pod["spec"]["initContainers"]).iter().any(|c| c["name"] == container["name"] && is_sidecar(c))
}

/// Goes through the init containers up to the first that is not done; true when there is one.
fn initialize(pod: &Value, summary: &mut Summary) -> bool {
    let total = items(&pod["spec"]["initContainers"]).len();
    for (i, container) in items(&pod["status"]["initContainerStatuses"]).iter().enumerate() {
        summary.restarted(container);
        let (terminated, waiting) =
            (&container["state"]["terminated"], text(&container["state"]["waiting"]["reason"]));
        if terminated["exitCode"] == 0 {
            continue;
        }
        if sidecar_of(pod, container) && container["started"] == true {
            summary.ready += usize::from(container["ready"] == true);
            continue;
        }
        summary.reason = if terminated.is_object() {
            format!("Init:{}", ended(terminated))
        } else if !waiting.is_empty() && waiting != "PodInitializing" {
            format!("Init:{waiting}")
        } else {
            format!("Init:{i}/{total}")
        };
        return true;
    }
    false
}

/// Why a container ended: its reason, else its signal, else its exit code.
fn ended(terminated: &Value) -> String {
    match (text(&terminated["reason"]), terminated["signal"].as_i64().unwrap_or(0)) {
        ("", 0) => format!("ExitCode:{}", terminated["exitCode"].as_i64().unwrap_or(0)),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

/// Goes through the containers, last first, so that the first one's reason wins.
fn run(status: &Value, summary: &mut Summary) {
    let mut running = false;
    let mut failure = String::new();
    for container in items(&status["containerStatuses"]).iter().rev() {
        summary.restarted(container);
        let state = &container["state"];
        let waiting = text(&state["waiting"]["reason"]);
        if !waiting.is_empty() {
            summary.reason = waiting.to_owned();
        } else if state["terminated"].is_object() {
            summary.reason = ended(&state["terminated"]);
            if state["terminated"]["exitCode"] != 0 {
                failure.clone_from(&summary.reason);
            }
        } else if container["ready"] == true && state["running"].is_object() {
            running = true;
            summary.ready += 1;
        }
    }
    if summary.reason == "Completed" {
        if running && condition_is_true(status, "Ready") {
            summary.reason = "Running".into();
        } else if !failure.is_empty() {
            summary.reason = failure;
        } else if running {
            summary.reason = "NotReady".into();
        }
    }
}

fn readiness_gates(pod: &Value) -> Value {
    let gates = items(&pod["spec"]["readinessGates"]);
    if gates.is_empty() {
        return "<none>".into();
    }
    let met = gates.iter().filter(|g| condition_is_true(&pod["status"], text(&g["conditionType"]))).count();
    format!("{met}/{}", gates.len()).into()
}
