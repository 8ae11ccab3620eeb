//! Node selectors and node affinity.

use object::placement::selects;
use serde_json::Value;

use crate::message::Reject;

pub(super) fn check(pod: &Value, node: &Value) -> Result<(), Reject> {
    if selects(pod, node) {
        Ok(())
    } else {
        Err(Reject::final_for("node(s) didn't match Pod's node affinity/selector"))
    }
}
