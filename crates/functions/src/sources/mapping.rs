//! One mapping, read from its object. Pure.

use managed::Pattern;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// What an `EventSourceMapping` says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mapping {
    pub(super) namespace: String,
    /// The name of the `Function` object.
    pub(super) function: String,
    pub(super) qualifier: Option<String>,
    pub(super) source_arn: String,
    pub(super) enabled: bool,
    pub(super) batch_size: usize,
    pub(super) window: Duration,
    pub(super) concurrency: Option<usize>,
    /// Whether the function tells which messages failed.
    pub(super) reports_failures: bool,
    /// A message must match one of them, where there are any.
    pub(super) filters: Vec<Pattern>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    function_name: String,
    qualifier: Option<String>,
    event_source_arn: String,
    #[serde(default = "enabled")]
    enabled: bool,
    batch_size: Option<usize>,
    maximum_batching_window_in_seconds: Option<u64>,
    maximum_concurrency: Option<usize>,
    #[serde(default)]
    function_response_types: Vec<String>,
    #[serde(default)]
    filters: Vec<String>,
}

fn enabled() -> bool {
    true
}

impl Mapping {
    pub(super) fn read(object: &Value) -> Result<Mapping, String> {
        let spec = Spec::deserialize(&object["spec"]).map_err(|error| error.to_string())?;
        let filters = spec.filters.iter().map(|text| Pattern::read(text)).collect::<Result<_, _>>()?;
        Ok(Mapping {
            namespace: object["metadata"]["namespace"].as_str().unwrap_or("default").to_owned(),
            function: spec.function_name,
            qualifier: spec.qualifier,
            source_arn: spec.event_source_arn,
            enabled: spec.enabled,
            batch_size: spec.batch_size.unwrap_or(10).max(1),
            window: Duration::from_secs(spec.maximum_batching_window_in_seconds.unwrap_or(0)),
            concurrency: spec.maximum_concurrency,
            reports_failures: spec
                .function_response_types
                .iter()
                .any(|kind| kind == "ReportBatchItemFailures"),
            filters,
        })
    }
}
