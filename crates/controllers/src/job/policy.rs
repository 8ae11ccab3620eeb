//! A Job's policies, decided for one pod or for what has succeeded so far.

use client::Key;
use object::indexes::Indexes;
use serde_json::Value;

/// What a failed pod means to its Job.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    /// Whether it counts towards the limits.
    pub(super) counts: bool,
    /// Whether its index has failed for good.
    pub(super) fails_index: bool,
    /// Why the whole Job has failed.
    pub(super) fails_job: Option<String>,
}

/// What the first rule of `podFailurePolicy` that matches says of a failed pod; without one a failure counts.
pub(super) fn judge(job: &Value, pod: &Value) -> Judgement {
    let mut judgement = Judgement { counts: true, fails_index: false, fails_job: None };
    let rules = job["spec"]["podFailurePolicy"]["rules"].as_array();
    let rules = rules.into_iter().flatten().enumerate();
    let Some((at, rule, what)) = rules.filter_map(|(at, rule)| Some((at, rule, matched(rule, pod)?))).next()
    else {
        return judgement;
    };
    match rule["action"].as_str() {
        Some("Ignore") => judgement.counts = false,
        Some("FailIndex") => judgement.fails_index = true,
        Some("FailJob") => {
            judgement.fails_job = Some(format!("{what} matching FailJob rule at index {at}"));
        }
        _ => {}
    }
    judgement
}

/// What of the pod a rule matches.
fn matched(rule: &Value, pod: &Value) -> Option<String> {
    let name = Key::of(pod);
    if let Some(codes) = rule.get("onExitCodes").filter(|codes| !codes.is_null()) {
        let (container, code) = matched_container(codes, &pod["status"])?;
        return Some(format!("Container {container} for pod {name} failed with exit code {code}"));
    }
    let patterns = rule["onPodConditions"].as_array()?;
    let conditions = pod["status"]["conditions"].as_array()?;
    let fits = |condition: &&Value| {
        patterns
            .iter()
            .any(|pattern| pattern["type"] == condition["type"] && pattern["status"] == condition["status"])
    };
    let kind = conditions.iter().find(fits)?["type"].as_str()?;
    Some(format!("Pod {name} has condition {kind}"))
}

/// The first container that failed with a code that the rule means.
fn matched_container<'a>(codes: &Value, status: &'a Value) -> Option<(&'a str, i64)> {
    let values = codes["values"].as_array()?;
    let lists = ["containerStatuses", "initContainerStatuses"];
    lists.iter().filter_map(|list| status[*list].as_array()).flatten().find_map(|container| {
        let code = container["state"]["terminated"]["exitCode"].as_i64()?;
        let named = codes["containerName"].is_null() || codes["containerName"] == container["name"];
        let among = values.iter().any(|value| value.as_i64() == Some(code));
        let fits = among == (codes["operator"] == "In");
        (code != 0 && named && fits).then_some((container["name"].as_str()?, code))
    })
}

/// Which rule of `successPolicy` is met, in upstream's words.
pub(super) fn success(job: &Value, completions: u32, succeeded: &Indexes) -> Option<String> {
    let rules = job["spec"]["successPolicy"]["rules"].as_array()?;
    let at = rules.iter().position(|rule| is_met(rule, completions, succeeded))?;
    Some(format!("Matched rules at index {at}"))
}

fn is_met(rule: &Value, completions: u32, succeeded: &Indexes) -> bool {
    let enough =
        |count: u32| rule["succeededCount"].as_u64().is_some_and(|wanted| u64::from(count) >= wanted);
    match rule["succeededIndexes"].as_str() {
        Some(text) => {
            let wanted = Indexes::read(text, completions);
            let there = wanted.intersection(succeeded).count();
            !wanted.is_empty() && (there == wanted.count() || enough(there))
        }
        None => enough(succeeded.count()),
    }
}
