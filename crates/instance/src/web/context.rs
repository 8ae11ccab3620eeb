//! What the adapter tells a server of each invocation, in the words of the runtime client that it is made with
//! (`lambda_runtime::Context`). Pure.

use crate::instance::Work;
use serde_json::{Value, json};

/// What is the same for all invocations of an instance.
pub(super) struct Context {
    environment: Value,
}

impl Context {
    pub(super) fn of(environment: &[(String, String)]) -> Context {
        let get = |name: &str| {
            let found = environment.iter().find(|(one, _)| one == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let memory: u32 = get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").parse().unwrap_or_default();
        Context {
            environment: json!({
                "function_name": get("AWS_LAMBDA_FUNCTION_NAME"),
                "memory": memory,
                "version": get("AWS_LAMBDA_FUNCTION_VERSION"),
                "log_stream": get("AWS_LAMBDA_LOG_STREAM_NAME"),
                "log_group": get("AWS_LAMBDA_LOG_GROUP_NAME"),
            }),
        }
    }

    /// As one line of JSON.
    pub(super) fn of_invocation(&self, work: &Work) -> String {
        let client: Option<Value> =
            work.client_context.as_deref().and_then(|text| serde_json::from_str(text).ok());
        json!({
            "request_id": &*work.request_id,
            "deadline": work.deadline_ms,
            "invoked_function_arn": &*work.invoked_arn,
            "xray_trace_id": work.trace_id,
            "client_context": client,
            "identity": null,
            "env_config": self.environment,
        })
        .to_string()
    }
}
