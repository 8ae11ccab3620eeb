//! What an update of a definition may not change.

use crate::Errors;
use object::custom::naming;
use object::path::Path;
use serde_json::Value;

pub(super) fn check(new: &Value, old: &Value, errors: &mut Errors) {
    let at = Path::Root.field("spec");
    let (spec, before) = (&new["spec"], &old["spec"]);
    errors.immutable(&at.field("group"), &spec["group"], &before["group"]);
    let names = at.field("names");
    errors.immutable(&names.field("plural"), &spec["names"]["plural"], &before["names"]["plural"]);
    if naming::is_true(old, "Established") {
        errors.immutable(&at.field("scope"), &spec["scope"], &before["scope"]);
        errors.immutable(&names.field("kind"), &spec["names"]["kind"], &before["names"]["kind"]);
    }
}
