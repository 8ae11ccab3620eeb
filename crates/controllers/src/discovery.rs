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

/// All resources in the preferred version of their group.
pub(crate) async fn discover(client: &kube::Client) -> Result<Vec<Resource>, kube::Error> {
    let discovery = Discovery::new(client.clone()).run().await?;
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

/// The resources by group and kind, as owner references name them.
pub(crate) fn by_kind(resources: &[Resource]) -> HashMap<(String, String), Resource> {
    let named = resources
        .iter()
        .map(|resource| ((resource.api.group.clone(), resource.api.kind.clone()), resource.clone()));
    named.collect()
}
