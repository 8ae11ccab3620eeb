//! Which operation a request means: the table of the service model (2015-03-31), matched by method and path. Pure.
//! Operations that are in the table and not served are refused by name.

use http::Method;
use percent_encoding::percent_decode_str;
use std::collections::HashMap;
use std::sync::LazyLock;

/// Name, method and path of every operation of the model; `{…}` stands for one segment.
const OPERATIONS: &[(&str, &str, &str)] = &[
    ("AddLayerVersionPermission", "POST", "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}/policy"),
    ("AddPermission", "POST", "/2015-03-31/functions/{FunctionName}/policy"),
    ("CheckpointDurableExecution", "POST", "/2025-12-01/durable-executions/{DurableExecutionArn}/checkpoint"),
    ("CreateAlias", "POST", "/2015-03-31/functions/{FunctionName}/aliases"),
    ("CreateCapacityProvider", "POST", "/2025-11-30/capacity-providers"),
    ("CreateCodeSigningConfig", "POST", "/2020-04-22/code-signing-configs"),
    ("CreateEventSourceMapping", "POST", "/2015-03-31/event-source-mappings"),
    ("CreateFunction", "POST", "/2015-03-31/functions"),
    ("CreateFunctionUrlConfig", "POST", "/2021-10-31/functions/{FunctionName}/url"),
    ("DeleteAlias", "DELETE", "/2015-03-31/functions/{FunctionName}/aliases/{Name}"),
    ("DeleteCapacityProvider", "DELETE", "/2025-11-30/capacity-providers/{CapacityProviderName}"),
    ("DeleteCodeSigningConfig", "DELETE", "/2020-04-22/code-signing-configs/{CodeSigningConfigArn}"),
    ("DeleteEventSourceMapping", "DELETE", "/2015-03-31/event-source-mappings/{UUID}"),
    ("DeleteDurableExecution", "DELETE", "/2025-12-01/durable-executions/{DurableExecutionArn}"),
    ("DeleteFunction", "DELETE", "/2015-03-31/functions/{FunctionName}"),
    ("DeleteFunctionCodeSigningConfig", "DELETE", "/2020-06-30/functions/{FunctionName}/code-signing-config"),
    ("DeleteFunctionConcurrency", "DELETE", "/2017-10-31/functions/{FunctionName}/concurrency"),
    ("DeleteFunctionEventInvokeConfig", "DELETE", "/2019-09-25/functions/{FunctionName}/event-invoke-config"),
    ("DeleteFunctionUrlConfig", "DELETE", "/2021-10-31/functions/{FunctionName}/url"),
    ("DeleteLayerVersion", "DELETE", "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}"),
    (
        "DeleteProvisionedConcurrencyConfig",
        "DELETE",
        "/2019-09-30/functions/{FunctionName}/provisioned-concurrency",
    ),
    ("DeleteResourcePolicy", "DELETE", "/2026-07-09/resource-policy/{ResourceArn}"),
    ("GetAccountSettings", "GET", "/2016-08-19/account-settings"),
    ("GetAlias", "GET", "/2015-03-31/functions/{FunctionName}/aliases/{Name}"),
    ("GetCapacityProvider", "GET", "/2025-11-30/capacity-providers/{CapacityProviderName}"),
    ("GetCodeSigningConfig", "GET", "/2020-04-22/code-signing-configs/{CodeSigningConfigArn}"),
    ("GetDurableExecution", "GET", "/2025-12-01/durable-executions/{DurableExecutionArn}"),
    ("GetDurableExecutionHistory", "GET", "/2025-12-01/durable-executions/{DurableExecutionArn}/history"),
    ("GetDurableExecutionState", "GET", "/2025-12-01/durable-executions/{DurableExecutionArn}/state"),
    ("GetEventSourceMapping", "GET", "/2015-03-31/event-source-mappings/{UUID}"),
    ("GetFunction", "GET", "/2015-03-31/functions/{FunctionName}"),
    ("GetFunctionCodeSigningConfig", "GET", "/2020-06-30/functions/{FunctionName}/code-signing-config"),
    ("GetFunctionConcurrency", "GET", "/2019-09-30/functions/{FunctionName}/concurrency"),
    ("GetFunctionConfiguration", "GET", "/2015-03-31/functions/{FunctionName}/configuration"),
    ("GetFunctionEventInvokeConfig", "GET", "/2019-09-25/functions/{FunctionName}/event-invoke-config"),
    ("GetFunctionRecursionConfig", "GET", "/2024-08-31/functions/{FunctionName}/recursion-config"),
    ("GetFunctionScalingConfig", "GET", "/2025-11-30/functions/{FunctionName}/function-scaling-config"),
    ("GetFunctionUrlConfig", "GET", "/2021-10-31/functions/{FunctionName}/url"),
    ("GetLayerVersion", "GET", "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}"),
    ("GetLayerVersionByArn", "GET", "/2018-10-31/layers?find=LayerVersion"),
    ("GetLayerVersionPolicy", "GET", "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}/policy"),
    ("GetPolicy", "GET", "/2015-03-31/functions/{FunctionName}/policy"),
    (
        "GetProvisionedConcurrencyConfig",
        "GET",
        "/2019-09-30/functions/{FunctionName}/provisioned-concurrency",
    ),
    ("GetResourcePolicy", "GET", "/2026-07-09/resource-policy/{ResourceArn}"),
    ("GetRuntimeManagementConfig", "GET", "/2021-07-20/functions/{FunctionName}/runtime-management-config"),
    ("Invoke", "POST", "/2015-03-31/functions/{FunctionName}/invocations"),
    ("InvokeAsync", "POST", "/2014-11-13/functions/{FunctionName}/invoke-async"),
    (
        "InvokeWithResponseStream",
        "POST",
        "/2021-11-15/functions/{FunctionName}/response-streaming-invocations",
    ),
    ("ListAliases", "GET", "/2015-03-31/functions/{FunctionName}/aliases"),
    ("ListCapacityProviders", "GET", "/2025-11-30/capacity-providers"),
    ("ListCodeSigningConfigs", "GET", "/2020-04-22/code-signing-configs"),
    ("ListDurableExecutionsByFunction", "GET", "/2025-12-01/functions/{FunctionName}/durable-executions"),
    ("ListEventSourceMappings", "GET", "/2015-03-31/event-source-mappings"),
    (
        "ListFunctionEventInvokeConfigs",
        "GET",
        "/2019-09-25/functions/{FunctionName}/event-invoke-config/list",
    ),
    ("ListFunctionUrlConfigs", "GET", "/2021-10-31/functions/{FunctionName}/urls"),
    (
        "ListFunctionVersionsByCapacityProvider",
        "GET",
        "/2025-11-30/capacity-providers/{CapacityProviderName}/function-versions",
    ),
    ("ListFunctions", "GET", "/2015-03-31/functions"),
    (
        "ListFunctionsByCodeSigningConfig",
        "GET",
        "/2020-04-22/code-signing-configs/{CodeSigningConfigArn}/functions",
    ),
    ("ListLayerVersions", "GET", "/2018-10-31/layers/{LayerName}/versions"),
    ("ListLayers", "GET", "/2018-10-31/layers"),
    (
        "ListProvisionedConcurrencyConfigs",
        "GET",
        "/2019-09-30/functions/{FunctionName}/provisioned-concurrency?List=ALL",
    ),
    ("ListTags", "GET", "/2017-03-31/tags/{Resource}"),
    ("ListVersionsByFunction", "GET", "/2015-03-31/functions/{FunctionName}/versions"),
    ("PauseDurableExecution", "POST", "/2025-12-01/durable-executions/{DurableExecutionArn}/pause"),
    ("PublishLayerVersion", "POST", "/2018-10-31/layers/{LayerName}/versions"),
    ("PublishVersion", "POST", "/2015-03-31/functions/{FunctionName}/versions"),
    ("PutFunctionCodeSigningConfig", "PUT", "/2020-06-30/functions/{FunctionName}/code-signing-config"),
    ("PutFunctionConcurrency", "PUT", "/2017-10-31/functions/{FunctionName}/concurrency"),
    ("PutFunctionEventInvokeConfig", "PUT", "/2019-09-25/functions/{FunctionName}/event-invoke-config"),
    ("PutFunctionRecursionConfig", "PUT", "/2024-08-31/functions/{FunctionName}/recursion-config"),
    ("PutFunctionScalingConfig", "PUT", "/2025-11-30/functions/{FunctionName}/function-scaling-config"),
    (
        "PutProvisionedConcurrencyConfig",
        "PUT",
        "/2019-09-30/functions/{FunctionName}/provisioned-concurrency",
    ),
    ("PutResourcePolicy", "PUT", "/2026-07-09/resource-policy/{ResourceArn}"),
    ("PutRuntimeManagementConfig", "PUT", "/2021-07-20/functions/{FunctionName}/runtime-management-config"),
    (
        "RemoveLayerVersionPermission",
        "DELETE",
        "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}/policy/{StatementId}",
    ),
    ("RemovePermission", "DELETE", "/2015-03-31/functions/{FunctionName}/policy/{StatementId}"),
    ("ResumeDurableExecution", "POST", "/2025-12-01/durable-executions/{DurableExecutionArn}/resume"),
    (
        "SendDurableExecutionCallbackFailure",
        "POST",
        "/2025-12-01/durable-execution-callbacks/{CallbackId}/fail",
    ),
    (
        "SendDurableExecutionCallbackHeartbeat",
        "POST",
        "/2025-12-01/durable-execution-callbacks/{CallbackId}/heartbeat",
    ),
    (
        "SendDurableExecutionCallbackSuccess",
        "POST",
        "/2025-12-01/durable-execution-callbacks/{CallbackId}/succeed",
    ),
    ("StopDurableExecution", "POST", "/2025-12-01/durable-executions/{DurableExecutionArn}/stop"),
    ("TagResource", "POST", "/2017-03-31/tags/{Resource}"),
    ("UntagResource", "DELETE", "/2017-03-31/tags/{Resource}"),
    ("UpdateAlias", "PUT", "/2015-03-31/functions/{FunctionName}/aliases/{Name}"),
    ("UpdateCapacityProvider", "PUT", "/2025-11-30/capacity-providers/{CapacityProviderName}"),
    ("UpdateCodeSigningConfig", "PUT", "/2020-04-22/code-signing-configs/{CodeSigningConfigArn}"),
    ("UpdateEventSourceMapping", "PUT", "/2015-03-31/event-source-mappings/{UUID}"),
    ("UpdateFunctionCode", "PUT", "/2015-03-31/functions/{FunctionName}/code"),
    ("UpdateFunctionConfiguration", "PUT", "/2015-03-31/functions/{FunctionName}/configuration"),
    ("UpdateFunctionEventInvokeConfig", "POST", "/2019-09-25/functions/{FunctionName}/event-invoke-config"),
    ("UpdateFunctionUrlConfig", "PUT", "/2021-10-31/functions/{FunctionName}/url"),
];

/// One of them taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Template {
    operation: &'static str,
    segments: Vec<&'static str>,
    /// The parameter of the query that tells it from another operation at the same path.
    asked: Option<&'static str>,
}

/// By method and number of segments.
static TEMPLATES: LazyLock<HashMap<(Method, usize), Vec<Template>>> = LazyLock::new(|| {
    let mut all: HashMap<_, Vec<Template>> = HashMap::new();
    for (operation, method, path) in OPERATIONS {
        let (path, asked) = path.split_once('?').map_or((*path, None), |(path, asked)| (path, Some(asked)));
        let segments: Vec<&str> = path[1..].split('/').collect();
        // Every method of the table is one of HTTP.
        let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
        all.entry((method, segments.len())).or_default().push(Template { operation, segments, asked });
    }
    all
});

/// A request that the table knows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) operation: &'static str,
    /// The decoded values of the path's parameters, in order.
    pub(crate) parameters: Vec<String>,
    template: &'static Template,
}

impl Route {
    /// The value of a parameter of the path; empty where it has fewer.
    pub(crate) fn parameter(&self, index: usize) -> &str {
        self.parameters.get(index).map(String::as_str).unwrap_or_default()
    }

    /// The parameters of the path with their names.
    pub(crate) fn named(&self) -> Vec<(&'static str, &str)> {
        let segments = self.template.segments.iter();
        let names = segments.filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
        names.zip(self.parameters.iter().map(String::as_str)).collect()
    }
}

/// The operation at this path. Where two share a path, the one whose template asks for a parameter of the query is meant
/// when the parameter is there.
pub(crate) fn route(method: &Method, path: &str, query: Option<&str>) -> Option<Route> {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let asked = |template: &Template| {
        let asked = template.asked;
        asked.is_none_or(|asked| query.unwrap_or_default().split('&').any(|pair| pair == asked))
    };
    let templates = TEMPLATES.get(&(method.clone(), segments.len()))?;
    let fits = templates.iter().filter(|template| template.fits(&segments) && asked(template));
    let template = fits.max_by_key(|template| template.asked.is_some())?;
    Some(Route { operation: template.operation, parameters: template.parameters(&segments)?, template })
}

impl Template {
    /// Whether a path of as many segments has its form. The ends of paths differ most, so they are looked at first.
    fn fits(&self, segments: &[&str]) -> bool {
        let fit = |(wanted, segment): (&&str, &&str)| wanted == segment || wanted.starts_with('{');
        self.segments.iter().zip(segments).rev().all(fit)
    }

    /// The decoded parameters of a path that has its form.
    fn parameters(&self, segments: &[&str]) -> Option<Vec<String>> {
        let both = self.segments.iter().zip(segments);
        let parameters = both.filter(|(wanted, _)| wanted.starts_with('{'));
        let decoded = |text: &str| Some(percent_decode_str(text).decode_utf8().ok()?.into_owned());
        parameters.map(|(_, segment)| decoded(segment)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_operations() {
        let at = |method: Method, path: &str| {
            route(&method, path, None).map(|route| (route.operation, route.parameters))
        };
        assert_eq!(at(Method::GET, "/2015-03-31/functions/"), Some(("ListFunctions", vec![])));
        assert_eq!(at(Method::POST, "/2015-03-31/functions"), Some(("CreateFunction", vec![])));
        assert_eq!(
            at(Method::POST, "/2015-03-31/functions/arn%3Aaws%3Alambda/invocations"),
            Some(("Invoke", vec!["arn:aws:lambda".to_owned()]))
        );
        assert_eq!(
            at(Method::DELETE, "/2015-03-31/functions/hello/policy/one"),
            Some(("RemovePermission", vec!["hello".to_owned(), "one".to_owned()]))
        );
        assert_eq!(at(Method::PUT, "/2015-03-31/functions"), None);
        assert_eq!(at(Method::DELETE, "/2015-03-31/functions/hello/policy/one/more"), None);
        assert_eq!(at(Method::GET, "/"), None);
    }
}
