//! Claims that ask for more than they have. A volume of dory's own provisioner is a directory, which grows as it is filled:
//! its size is what is written down. Pure.

use object::storage::{self, PROVISIONED_BY, PROVISIONER};
use serde_json::{Value, json};

use super::claim::{Plan, Situation};
use super::{Changes, Event};

/// What a bound claim that wants more needs; `None` when it does not, or all is said.
pub(super) fn plan_growth(claim: &Value, volume: &Value, around: &Situation<'_>) -> Option<Plan> {
    let (wanted, granted) = (storage::requested(claim), &claim["status"]["capacity"]["storage"]);
    let granted = object::quantity::Quantity::parse(granted.as_str()?).ok()?;
    if claim["status"]["phase"] != "Bound" || wanted <= granted {
        return None;
    }
    let class = storage::class_of(claim).and_then(|name| around.class(name));
    if class.is_none_or(|class| class["allowVolumeExpansion"] != true) {
        return None;
    }
    if volume["metadata"]["annotations"][PROVISIONED_BY] != PROVISIONER {
        let message = "waiting for an external controller to expand this PVC";
        let event = Some(Event::normal("ExternalExpanding", message));
        return Some(Plan { claim: Changes { event, ..Changes::default() }, ..Plan::default() });
    }
    let size = json!({ "storage": claim["spec"]["resources"]["requests"]["storage"] });
    let message = "Volume expanded";
    let mut plan = Plan {
        claim: Changes {
            status: Some(json!({ "capacity": size })),
            event: Some(Event::normal("VolumeResizeSuccessful", message)),
            ..Changes::default()
        },
        ..Plan::default()
    };
    if storage::capacity(volume) < wanted {
        let main = Some(json!({ "spec": { "capacity": size } }));
        plan.volume = Some((volume.clone(), Changes { main, ..Changes::default() }));
    }
    Some(plan)
}
