//! The rules of a Job's status: its counters only grow, and an end is an end. They hold for whoever manages the Job. What
//! was wrong before and is not touched is left alone.

use super::spec::{completions, is_indexed};
use crate::Errors;
use object::indexes::Indexes;
use object::json::{items, text};
use object::path::Path;
use object::time;
use serde_json::Value;

/// The status before and after, and what was said of it.
struct Change<'a> {
    job: &'a Value,
    new: &'a Value,
    old: &'a Value,
}

impl Change<'_> {
    fn is(&self, kind: &str) -> bool {
        is_true(self.new, kind)
    }

    fn was(&self, kind: &str) -> bool {
        is_true(self.old, kind)
    }

    fn turned(&self, kind: &str) -> bool {
        self.is(kind) != self.was(kind)
    }

    fn differs(&self, field: &str) -> bool {
        self.new[field] != self.old[field]
    }

    fn count(&self, field: &str) -> i64 {
        self.new[field].as_i64().unwrap_or(0)
    }

    fn finished(&self) -> bool {
        self.is("Complete") || self.is("Failed")
    }

    fn ended(&self) -> bool {
        self.turned("Complete") || self.turned("Failed")
    }
}

fn is_true(status: &Value, kind: &str) -> bool {
    items(&status["conditions"]).iter().any(|c| c["type"] == kind && c["status"] == "True")
}

pub(super) fn validate(job: &Value, old: Option<&Value>, errors: &mut Errors) {
    let Some(old) = old else { return };
    let change = Change { job, new: &job["status"], old: &old["status"] };
    let at = Path::Root.field("status");
    for field in ["active", "succeeded", "failed", "ready", "terminating"] {
        errors.non_negative(&at.field(field), &change.new[field]);
    }
    uncounted(&change, &at, errors);
    conditions(&change, &at.field("conditions"), errors);
    times(&change, &at, errors);
    pods(&change, &at, errors);
    counters(&change, &at, errors);
    indexes(&change, &at, errors);
}

/// Every pod is listed once.
fn uncounted(change: &Change<'_>, at: &Path<'_>, errors: &mut Errors) {
    let at = at.field("uncountedTerminatedPods");
    let mut seen: Vec<&Value> = Vec::new();
    for list in ["succeeded", "failed"] {
        let here = at.field(list);
        for (i, uid) in items(&change.new["uncountedTerminatedPods"][list]).iter().enumerate() {
            if text(uid).is_empty() {
                errors.invalid(&here.index(i), uid, "must not be empty");
            } else if seen.contains(&uid) {
                errors.duplicate(&here.index(i), uid);
            }
            seen.push(uid);
        }
    }
    let left: usize = ["succeeded", "failed"]
        .iter()
        .map(|list| items(&change.new["uncountedTerminatedPods"][list]).len())
        .sum();
    if change.finished() && left > 0 && (change.ended() || change.differs("uncountedTerminatedPods")) {
        let why = "must be empty for finished job";
        errors.invalid(&at, &change.new["uncountedTerminatedPods"], why);
    }
}

fn conditions(change: &Change<'_>, at: &Path<'_>, errors: &mut Errors) {
    let (complete, failed) = (change.is("Complete"), change.is("Failed"));
    let (target, met) = (change.is("FailureTarget"), change.is("SuccessCriteriaMet"));
    let mut refuse = |holds: bool, why: &str| {
        if holds {
            errors.invalid_whole(at, why);
        }
    };
    refuse(complete && failed && change.ended(), "cannot set Complete=True and Failed=true conditions");
    refuse(
        complete && target && (change.turned("Complete") || change.turned("FailureTarget")),
        "cannot set Complete=True and FailureTarget=true conditions",
    );
    refuse(
        failed && !target && (change.turned("Failed") || change.differs("failedIndexes")),
        "cannot set Failed=True condition without the FailureTarget=true condition",
    );
    refuse(
        complete && !met && (change.turned("Complete") || change.turned("SuccessCriteriaMet")),
        "cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
    );
    refuse(met && failed, "cannot set SuccessCriteriaMet=True and Failed=true conditions");
    refuse(met && target, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions");
    for kind in ["Failed", "Complete", "FailureTarget"] {
        let why = format!("cannot disable the terminal {kind}=True condition");
        refuse(change.was(kind) && !change.is(kind), &why);
    }
    let why = "cannot disable the SuccessCriteriaMet=True condition";
    refuse(change.was("SuccessCriteriaMet") && !met, why);
    let why = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
    refuse(change.was("Complete") && !change.was("SuccessCriteriaMet") && met, why);
}

fn times(change: &Change<'_>, at: &Path<'_>, errors: &mut Errors) {
    let (start, end) = (&change.new["startTime"], &change.new["completionTime"]);
    let (here, complete) = (at.field("completionTime"), change.is("Complete"));
    let touched = change.turned("Complete") || change.differs("completionTime");
    if !end.is_null() && !complete && touched {
        let why = "cannot set completionTime when there is no Complete=True condition";
        errors.invalid(&here, end, why);
    }
    if end.is_null() && complete && touched {
        errors.required(&here, "completionTime is required for Complete jobs");
    }
    let read = |value: &Value| time::parse(text(value));
    let backwards = read(end).zip(read(start)).is_some_and(|(end, start)| end < start);
    if backwards && (change.differs("startTime") || change.differs("completionTime")) {
        errors.invalid(&here, end, "must be equal to or after `startTime`");
    }
    if !end.is_null() && !change.old["completionTime"].is_null() {
        errors.immutable(&here, end, &change.old["completionTime"]);
    }
    let here = at.field("startTime");
    let nothing_to_do = change.job["spec"]["suspend"] == true && change.job["spec"]["completions"] == 0;
    let touched = change.ended() || change.differs("startTime");
    if start.is_null() && change.finished() && touched && !nothing_to_do {
        errors.required(&here, "startTime is required for finished job");
    }
    let resumes = change.was("Suspended") && !change.is("Suspended");
    let moved = !change.old["startTime"].is_null() && change.differs("startTime");
    if moved && change.job["spec"]["suspend"] != true && !resumes {
        errors.invalid(&here, start, "field is immutable for unsuspended job once set");
    }
}

fn pods(change: &Change<'_>, at: &Path<'_>, errors: &mut Errors) {
    for field in ["active", "terminating"] {
        let touched = change.ended() || change.differs(field);
        if change.finished() && change.count(field) > 0 && touched {
            let why = format!("{field}>0 is invalid for finished job");
            errors.invalid(&at.field(field), &change.new[field], &why);
        }
    }
    let touched = change.differs("ready") || change.differs("active");
    if change.count("ready") > change.count("active") && touched {
        let why = "cannot set more ready pods than active";
        errors.invalid(&at.field("ready"), &change.new["ready"], why);
    }
}

fn counters(change: &Change<'_>, at: &Path<'_>, errors: &mut Errors) {
    let spec = &change.job["spec"];
    // An Indexed Job may be made smaller, and with it the number of its successes.
    let elastic = is_indexed(spec) && spec["completions"] == spec["parallelism"];
    for field in ["failed", "succeeded"] {
        let fewer = change.count(field) < change.old[field].as_i64().unwrap_or(0);
        if fewer && !(field == "succeeded" && elastic) {
            let why = format!("cannot decrease the {field} counter");
            errors.invalid(&at.field(field), &change.count(field).into(), &why);
        }
    }
}

fn indexes(change: &Change<'_>, at: &Path<'_>, errors: &mut Errors) {
    let spec = &change.job["spec"];
    for field in ["completedIndexes", "failedIndexes"] {
        let (here, own) = (at.field(field), &change.new[field]);
        if !change.differs(field) || own.is_null() {
            continue;
        }
        if let Err(why) = Indexes::check(text(own), completions(spec))
            && !spec["completions"].is_null()
        {
            errors.invalid(&here, own, &format!("error parsing {field}: {why}"));
        }
        let per_index = !spec["backoffLimitPerIndex"].is_null();
        if field == "completedIndexes" && !is_indexed(spec) && !text(own).is_empty() {
            let why = "cannot set non-empty completedIndexes when non-indexed completion mode";
            errors.invalid(&here, own, why);
        } else if field == "failedIndexes" && !per_index {
            let why = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
            errors.invalid(&here, own, why);
        }
    }
    if change.differs("completedIndexes") || change.differs("failedIndexes") {
        let read = |field: &str| Indexes::read(text(&change.new[field]), completions(spec));
        if let Some(both) = read("completedIndexes").intersection(&read("failedIndexes")).first() {
            let why = format!("failedIndexes and completedIndexes overlap at index: {both}");
            errors.invalid(&at.field("failedIndexes"), &change.new["failedIndexes"], &why);
        }
    }
}
