//! The pods of a Job, made of its template.

use client::Key;
use serde_json::{Value, json};

use super::plan::Creation;
use super::policy;
use super::read::{
    FINALIZER, INDEX, INDEX_FAILURES, INDEX_IGNORED_FAILURES, backoff_limit_per_index, index_failures,
    index_ignored_failures,
};
use crate::pod;

/// A name that the server makes has at most so many characters before its suffix.
const GENERATE_NAME_MAX: usize = 58;
/// In it the containers of an Indexed Job find their index.
const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";

/// The pod for one creation, owned by the Job as `owner` says.
pub(super) fn pod_for(job: &Value, creation: &Creation, owner: &Value) -> Value {
    let name = Key::of(job).name;
    let mut pod = pod::from_template(&job["spec"]["template"], &format!("{name}-"), owner.clone());
    let finalizers = &mut pod["metadata"]["finalizers"];
    match finalizers.as_array_mut() {
        Some(list) if list.iter().any(|own| own == FINALIZER) => {}
        Some(list) => list.push(FINALIZER.into()),
        None => *finalizers = json!([FINALIZER]),
    }
    let Some(index) = creation.index else { return pod };
    pod["metadata"]["generateName"] = indexed_name(&name, index).into();
    pod["metadata"]["labels"][INDEX] = index.to_string().into();
    pod["metadata"]["annotations"][INDEX] = index.to_string().into();
    pod["spec"]["hostname"] = format!("{name}-{index}").into();
    for list in ["initContainers", "containers"] {
        pod["spec"][list].as_array_mut().into_iter().flatten().for_each(tell_index);
    }
    if backoff_limit_per_index(job).is_some() {
        count_failures(job, creation, &mut pod["metadata"]["annotations"]);
    }
    pod
}

/// The name of an index's pods before their suffix; a long name of a Job is cut, never the index.
fn indexed_name(job: &str, index: u32) -> String {
    let end = format!("-{index}-");
    let stem: String = job.chars().take(GENERATE_NAME_MAX - end.len()).collect();
    stem + &end
}

fn tell_index(container: &mut Value) {
    let path = format!("metadata.labels['{INDEX}']");
    let variable = json!({ "name": INDEX_VARIABLE, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    match container["env"].as_array_mut() {
        Some(list) if list.iter().any(|own| own["name"] == INDEX_VARIABLE) => {}
        Some(list) => list.push(variable),
        None => container["env"] = json!([variable]),
    }
}

/// The index's failures so far go from pod to pod.
fn count_failures(job: &Value, creation: &Creation, annotations: &mut Value) {
    let (mut failures, mut ignored) = (0, 0);
    if let Some(last) = &creation.replaces {
        (failures, ignored) = (index_failures(last), index_ignored_failures(last));
        let count = if policy::judge(job, last).counts { &mut failures } else { &mut ignored };
        *count += 1;
    }
    annotations[INDEX_FAILURES] = failures.to_string().into();
    if ignored > 0 {
        annotations[INDEX_IGNORED_FAILURES] = ignored.to_string().into();
    }
}
