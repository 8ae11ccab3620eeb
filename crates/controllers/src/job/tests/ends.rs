//! When a Job is at its end, and why.

use object::indexes::Indexes;
use serde_json::{Value, json};

use super::super::policy::{judge, success};
use super::super::tally::Verdict;
use super::{deleted, failed, indexed, job, pod, tallied, text, with_index};

fn reason(job: &Value, pods: &[Value], second: i64) -> String {
    match tallied(job, pods, second).verdict {
        Some(Verdict { success: true, reason, message }) => format!("success {reason}: {message}"),
        Some(Verdict { reason, message, .. }) => format!("{reason}: {message}"),
        None => String::new(),
    }
}

#[test]
fn too_many_failures() {
    let limit = |n: u32| job(json!({ "completions": 3, "backoffLimit": n }));
    let exceeded = "BackoffLimitExceeded: Job has reached the specified backoff limit";
    let pods = [failed("a", 1, 1), failed("b", 1, 2)];
    assert_eq!(reason(&limit(2), &pods, 9), "");
    assert_eq!(reason(&limit(1), &pods, 9), exceeded);
    let mut earlier = limit(4);
    earlier["status"]["failed"] = 2.into();
    earlier["status"]["uncountedTerminatedPods"] = json!({ "failed": ["a", "z"] });
    assert_eq!(reason(&earlier, &pods, 9), exceeded, "two counted, two listed and one more");
    earlier["spec"]["backoffLimit"] = 5.into();
    assert_eq!(reason(&earlier, &pods, 9), "");
    assert_eq!(reason(&limit(0), &[deleted(pod("a", "Running"))], 9), exceeded, "a deleted pod has failed");
}

#[test]
fn restarts_count_where_pods_restart() {
    let mut restarted = pod("a", "Running");
    restarted["status"]["containerStatuses"] = json!([{ "restartCount": 2 }]);
    restarted["status"]["initContainerStatuses"] = json!([{ "restartCount": 1 }]);
    let mut job = job(json!({ "completions": 1, "backoffLimit": 3 }));
    assert_eq!(reason(&job, std::slice::from_ref(&restarted), 9), "");
    job["spec"]["template"]["spec"]["restartPolicy"] = "OnFailure".into();
    assert!(reason(&job, std::slice::from_ref(&restarted), 9).starts_with("BackoffLimitExceeded"));
    job["spec"]["backoffLimit"] = 4.into();
    assert_eq!(reason(&job, std::slice::from_ref(&restarted), 9), "");
}

#[test]
fn a_deadline_passes_unless_the_job_is_suspended() {
    let mut job = job(json!({ "completions": 1, "activeDeadlineSeconds": 60 }));
    assert_eq!(tallied(&job, &[], 45).deadline, Some(std::time::Duration::from_secs(15)));
    assert_eq!(reason(&job, &[], 60), "DeadlineExceeded: Job was active longer than specified deadline");
    job["spec"]["suspend"] = true.into();
    assert_eq!((reason(&job, &[], 60), tallied(&job, &[], 60).deadline), (String::new(), None));
}

#[test]
fn what_was_decided_stays() {
    let mut job = job(json!({ "completions": 1, "activeDeadlineSeconds": 60 }));
    job["status"]["conditions"] =
        json!([{ "type": "FailureTarget", "status": "True", "reason": "PodFailurePolicy", "message": "m" }]);
    assert_eq!(reason(&job, &[], 99), "PodFailurePolicy: m");
    job["status"]["conditions"][0]["type"] = "SuccessCriteriaMet".into();
    assert_eq!(reason(&job, &[], 99), "success PodFailurePolicy: m");
}

#[test]
fn rules_for_failed_pods() {
    let rules = |rules: Value| job(json!({ "podFailurePolicy": { "rules": rules } }));
    let codes = |action: &str, operator: &str, values: &[i64]| json!({ "action": action, "onExitCodes": { "operator": operator, "values": values } });
    let job = rules(json!([
        codes("Count", "In", &[7]),
        codes("FailJob", "NotIn", &[1, 2]),
        codes("Ignore", "In", &[2])
    ]));
    assert!(judge(&job, &failed("a", 7, 0)).counts, "the first rule that matches");
    assert!(judge(&job, &failed("a", 1, 0)).counts, "no rule matches");
    assert!(!judge(&job, &failed("a", 2, 0)).counts);
    let why = "Container c for pod n/a failed with exit code 9 matching FailJob rule at index 1";
    assert_eq!(judge(&job, &failed("a", 9, 0)).fails_job.as_deref(), Some(why));
    assert_eq!(reason(&job, &[failed("a", 9, 0)], 9), format!("PodFailurePolicy: {why}"));
    let mut other = codes("FailJob", "In", &[1]);
    other["onExitCodes"]["containerName"] = "other".into();
    assert_eq!(judge(&rules(json!([other])), &failed("a", 1, 0)).fails_job, None);
    let disrupted = rules(json!([{ "action": "FailJob",
        "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] }]));
    let mut pod = failed("a", 1, 0);
    pod["status"]["conditions"] = json!([{ "type": "DisruptionTarget", "status": "True" }]);
    let why = "Pod n/a has condition DisruptionTarget matching FailJob rule at index 0";
    assert_eq!(judge(&disrupted, &pod).fails_job.as_deref(), Some(why));
}

#[test]
fn indexes_that_fail_for_good() {
    let mut four =
        indexed(4, json!({ "backoffLimitPerIndex": 1, "backoffLimit": 99, "maxFailedIndexes": 2 }));
    let again = |name: &str, index: u32| {
        let mut pod = with_index(failed(name, 1, 0), index);
        pod["metadata"]["annotations"]["batch.kubernetes.io/job-index-failure-count"] = "1".into();
        pod
    };
    let pods = [again("a", 0), with_index(failed("b", 1, 0), 1), again("c", 2)];
    let tally = tallied(&four, &pods, 9).indexed.expect("indexed");
    assert_eq!(tally.failed.map(|failed| failed.to_string()).as_deref(), Some("0,2"));
    assert_eq!(tally.last.keys().collect::<Vec<_>>(), [&1], "it is to be tried again");
    assert_eq!(reason(&four, &pods, 9), "");
    let why = "MaxFailedIndexesExceeded: Job has exceeded the specified maximal number of failed indexes";
    assert_eq!(reason(&four, &[again("a", 0), again("b", 1), again("c", 2)], 9), why);
    four["status"]["completedIndexes"] = "1,3".into();
    assert_eq!(reason(&four, &pods, 9), "FailedIndexes: Job has failed indexes");
    four["spec"]["podFailurePolicy"] =
        json!({ "rules": [{ "action": "FailIndex", "onExitCodes": { "operator": "In", "values": [1] } }] });
    four["status"] = json!({ "startTime": text(0) });
    let once = tallied(&four, &[with_index(failed("b", 1, 0), 1)], 9).indexed.expect("indexed");
    assert_eq!(once.failed.map(|failed| failed.to_string()).as_deref(), Some("1"));
}

#[test]
fn successes_that_are_enough() {
    let rules = |rules: Value| indexed(6, json!({ "successPolicy": { "rules": rules } }));
    let met = |job: &Value, text: &str| success(job, 6, &Indexes::read(text, 6));
    let both = rules(json!([{ "succeededIndexes": "0-2", "succeededCount": 2 }, { "succeededCount": 4 }]));
    assert_eq!(met(&both, "0"), None);
    assert_eq!(met(&both, "0,3-4"), None);
    assert_eq!(met(&both, "0,2").as_deref(), Some("Matched rules at index 0"));
    assert_eq!(met(&both, "2-5").as_deref(), Some("Matched rules at index 1"));
    let leader = rules(json!([{ "succeededIndexes": "0" }]));
    assert_eq!(reason(&leader, &[with_index(pod("a", "Succeeded"), 1)], 9), "");
    let pods = [with_index(pod("a", "Succeeded"), 0)];
    assert_eq!(reason(&leader, &pods, 9), "success SuccessPolicy: Matched rules at index 0");
}
