//! Which resources the API serves, by its own account. Asked when needed, never on a clock.

use std::collections::HashMap;

use client::kube::discovery::{Discovery, Scope, verbs};
use client::{ApiResource, kube};

/// A resource whose objects can be listed and deleted.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(crate) api: ApiResource,
    pub(crate) namespaced: bool,
    pub(crate) watchable: bool,
}

/// How often all is asked for when groups go meanwhile.
const TRIES: usize = 5;

/// All resources in the preferred version of their group.
pub(crate) async fn discover(client: &kube::Client) -> Result<Vec<Resource>, kube::Error> {
    let discovery = discovery(client).await?;
    let all = discovery.groups().flat_map(|group| group.recommended_resources());
    let deletable =
        all.filter(|(_, can)| can.supports_operation(verbs::DELETE) && can.supports_operation(verbs::LIST));
    let resources = deletable.map(|(api, can)| Resource {
        api,
        namespaced: can.scope == Scope::Namespaced,
        watchable: can.supports_operation(verbs::WATCH),
    });
    Ok(resources.collect())
}

/// A group that goes after the groups were listed and before its resources are is not found, and nothing is known of the
/// others either: the next list is without it.
async fn discovery(client: &kube::Client) -> Result<Discovery, kube::Error> {
    for _ in 1..TRIES {
        match Discovery::new(client.clone()).run().await {
            Err(error) if ::client::is_not_found(&error) => {}
            answer => return answer,
        }
    }
    Discovery::new(client.clone()).run().await
}

/// The resources by group and kind, as owner references name them.
pub(crate) fn by_kind(resources: &[Resource]) -> HashMap<(String, String), Resource> {
    let named = resources
        .iter()
        .map(|resource| ((resource.api.group.clone(), resource.api.kind.clone()), resource.clone()));
    named.collect()
}

#[cfg(test)]
mod tests {
    use client::{Body, BoxError};
    use futures::future::ready;
    use http::{Request, Response};
    use http_body_util::{BodyExt, Full};
    use serde_json::json;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tower::util::BoxCloneService;

    use super::*;

    /// An API with one group that goes while it is asked for, as often as is said.
    fn api(goes: usize) -> kube::Client {
        let left = std::sync::Arc::new(AtomicUsize::new(goes));
        let service = tower::service_fn(move |request: Request<Body>| {
            let version = json!({"groupVersion": "house.example.com/v1", "version": "v1"});
            let gears = json!({"name": "gears", "singularName": "gear", "namespaced": true, "kind": "Gear",
                "verbs": ["delete", "list", "watch"]});
            let answer = match request.uri().path() {
                "/apis" => json!({"groups": [{"name": "house.example.com", "versions": [version]}]}),
                "/api" => json!({"versions": ["v1"], "serverAddressByClientCIDRs": []}),
                "/api/v1" => json!({"groupVersion": "v1", "resources": []}),
                _ if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() => {
                    json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "message": "gone", "code": 404})
                }
                _ => json!({"groupVersion": "house.example.com/v1", "resources": [gears]}),
            };
            let status = answer["code"].as_u64().map_or(200, |_| 404);
            let body = Full::from(answer.to_string()).map_err(|never| match never {}).boxed_unsync();
            let response = Response::builder().status(status).body(body);
            ready(response.map_err(BoxError::from))
        });
        client::in_process(BoxCloneService::new(service))
    }

    #[tokio::test]
    async fn a_group_that_goes_meanwhile_hides_no_other() {
        let found = discover(&api(2)).await.expect("all is asked for again");
        assert_eq!(found.iter().map(|one| one.api.plural.as_str()).collect::<Vec<_>>(), ["gears"]);
        let error = discover(&api(TRIES)).await.expect_err("not for ever");
        assert!(client::is_not_found(&error), "{error}");
    }
}
