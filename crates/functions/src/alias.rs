//! An alias: a name for one version of a function, or for two with the share of requests that each gets. Pure but for a
//! counter of requests.
//!
//! Requests are dealt out, not drawn: the n-th goes to the additional version when the fractional part of n times the
//! golden ratio lies below its weight. That sequence fills the unit interval as evenly as any can, so after n requests
//! the shares are right up to some log n requests (drawing lots would be off by √n), in every stretch of them and
//! whatever pattern the callers have.

use crate::definition::{EventInvoke, EventInvokeSpec};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// 2^64 divided by the golden ratio: multiples of it, modulo 2^64, are the sequence.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

#[derive(Debug)]
pub(crate) struct Alias {
    pub(crate) namespace: String,
    /// The name of the `Function` object.
    pub(crate) function: String,
    pub(crate) uid: String,
    pub(crate) name: String,
    pub(crate) version: String,
    /// The additional version and its weight, from 0 to 1.
    pub(crate) additional: Option<(String, f64)>,
    /// Instances to keep ready of the versions it leads to.
    pub(crate) provisioned: u32,
    /// What becomes of events for it; the settings of the version do not count.
    pub(crate) event_invoke: EventInvoke,
    requests: AtomicU64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    function_name: String,
    name: String,
    function_version: String,
    #[serde(default)]
    routing: BTreeMap<String, f64>,
    provisioned_concurrency: Option<u32>,
    #[serde(default)]
    event_invoke: EventInvokeSpec,
}

impl Alias {
    /// Reads a `FunctionAlias` object.
    pub(crate) fn read(object: &Value) -> Result<Alias, String> {
        let spec = Spec::deserialize(&object["spec"]).map_err(|error| error.to_string())?;
        Ok(Alias {
            namespace: object["metadata"]["namespace"].as_str().unwrap_or("default").to_owned(),
            function: spec.function_name,
            uid: client::owner::controller_uid(object).unwrap_or_default().to_owned(),
            name: spec.name,
            version: spec.function_version,
            additional: spec.routing.into_iter().next(),
            provisioned: spec.provisioned_concurrency.unwrap_or(0),
            event_invoke: spec.event_invoke.into(),
            requests: AtomicU64::new(1),
        })
    }

    /// The version that the next request goes to.
    pub(crate) fn next(&self) -> &str {
        match &self.additional {
            Some((version, weight)) if falls(self.requests.fetch_add(1, Ordering::Relaxed), *weight) => {
                version
            }
            _ => &self.version,
        }
    }

    /// How many of its provisioned instances are of this version: as many as its share of the calls needs.
    pub(crate) fn provisioned_of(&self, version: &str) -> u32 {
        let share = match &self.additional {
            Some((additional, weight)) if additional == version => *weight,
            Some((_, weight)) if self.version == version => 1.0 - weight,
            None if self.version == version => 1.0,
            _ => return 0,
        };
        (f64::from(self.provisioned) * share).ceil() as u32
    }
}

/// Whether the n-th request falls into the part of this weight.
fn falls(n: u64, weight: f64) -> bool {
    // Rounding could make one of the largest values exactly 1.
    weight >= 1.0 || (n.wrapping_mul(GOLDEN) as f64) < weight * 2_f64.powi(64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_an_alias() {
        let alias = Alias::read(&json!({
            "metadata": {"name": "f.live", "namespace": "team", "ownerReferences": [{"uid": "u", "controller": true}]},
            "spec": {"functionName": "f", "name": "live", "functionVersion": "2", "routing": {"3": 0.25}},
        }))
        .expect("a well-formed alias");
        assert_eq!((alias.function.as_str(), alias.uid.as_str(), alias.version.as_str()), ("f", "u", "2"));
        assert_eq!(alias.additional, Some(("3".to_owned(), 0.25)));
        assert!(
            Alias::read(&json!({"metadata": {"name": "f.live"}, "spec": {"functionName": "f"}})).is_err()
        );
    }

    #[test]
    fn every_stretch_of_requests_keeps_the_ratio() {
        for weight in [0.01, 0.1, 0.25, 0.5, 0.9] {
            for start in [1, 77, 12_345, u64::MAX - 500] {
                for length in [100_u64, 1000] {
                    let hits = (0..length).filter(|n| falls(start.wrapping_add(*n), weight)).count();
                    let off = (hits as f64 - weight * length as f64).abs();
                    assert!(off <= 4.0, "{hits} of {length} from {start} at {weight}");
                }
            }
        }
    }

    #[test]
    fn every_other_caller_sees_the_ratio_too() {
        let hits = (0..1000).filter(|n| falls(n * 2, 0.3)).count();
        assert!(hits.abs_diff(300) <= 4, "{hits}");
    }

    #[test]
    fn provisioned_instances_are_shared_as_the_calls_are() {
        let alias = Alias::read(&json!({
            "metadata": {"name": "f.live"},
            "spec": {
                "functionName": "f", "name": "live", "functionVersion": "2", "routing": {"3": 0.25},
                "provisionedConcurrency": 5,
            },
        }))
        .expect("a well-formed alias");
        assert_eq!(["1", "2", "3"].map(|version| alias.provisioned_of(version)), [0, 4, 2]);
    }

    #[test]
    fn nothing_and_everything() {
        assert!(!(0..1000).any(|n| falls(n, 0.0)));
        assert!((0..1000).all(|n| falls(n, 1.0)));
    }
}
