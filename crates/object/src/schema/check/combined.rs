//! Rules made of rules: allOf, anyOf, oneOf, not.

use super::super::node::Node;
use super::super::rules::Rules;
use super::check as check_one;
use crate::kind::Errors;
use crate::path::Path;
use serde_json::Value;

pub(super) fn check(value: &Value, rules: &Rules, at: &Path<'_>, errors: &mut Errors) {
    let tried = |node: &Node| {
        let mut found = Errors::default();
        check_one(value, None, node, at, &mut found);
        found
    };
    let name = at.to_string();
    if !rules.all_of.is_empty() {
        let failed: Vec<Errors> = rules.all_of.iter().map(tried).filter(|e| !e.causes.is_empty()).collect();
        if !failed.is_empty() {
            let mut why = format!("{name:?} must validate all the schemas (allOf)");
            if failed.len() == rules.all_of.len() {
                why.push_str(". None validated");
            }
            errors.invalid(at, value, &why);
            failed.into_iter().for_each(|found| errors.extend(found));
        }
    }
    if !rules.any_of.is_empty() {
        let tries: Vec<Errors> = rules.any_of.iter().map(tried).collect();
        if tries.iter().all(|found| !found.causes.is_empty()) {
            errors.invalid(at, value, &format!("{name:?} must validate at least one schema (anyOf)"));
            extend_best(tries, errors);
        }
    }
    if !rules.one_of.is_empty() {
        let tries: Vec<Errors> = rules.one_of.iter().map(tried).collect();
        let valid = tries.iter().filter(|found| found.causes.is_empty()).count();
        let head = format!("{name:?} must validate one and only one schema (oneOf).");
        match valid {
            1 => {}
            0 => {
                errors.invalid(at, value, &format!("{head} Found none valid"));
                extend_best(tries, errors);
            }
            many => errors.invalid(at, value, &format!("{head} Found {many} valid alternatives")),
        }
    }
    if let Some(not) = &rules.not
        && tried(not).causes.is_empty()
    {
        errors.invalid(at, value, &format!("{name:?} must not validate the schema (not)"));
    }
}

/// What was wrong with the alternative that came nearest.
fn extend_best(tries: Vec<Errors>, errors: &mut Errors) {
    if let Some(best) = tries.into_iter().min_by_key(|found| found.causes.len()) {
        errors.extend(best);
    }
}
