//! One handle to an API server, in process or remote, and caches over it.
//!
//! ```text
//!   in_process(service) ─┐                       ┌─ Objects   get, create, patch, delete: JSON in, JSON out
//!   from_kubeconfig ─────┴── kube::Client ───────┼─ Cache     list + watch, kept in memory, shared
//!                                                │    └─ Changes   bounded, coalesced by key
//!                                                ├─ Follow    list + watch: changes alone, nothing kept
//!                                                └─ Recorder  events, aggregated and rate bound
//! ```
//!
//! Every room above reaches the API through this one and so runs unchanged against the embedded API
//! server and against a real, remote Kubernetes. It never interprets a kind and never opens a listener.
#![deny(missing_docs)]

mod cache;
mod changes;
mod connect;
mod diff;
pub mod events;
mod follow;
mod key;
mod objects;
pub mod owner;

pub use cache::{Cache, Caches, IndexFn, Selectors};
pub use changes::{Change, Changes};
pub use connect::{Body, BoxError, ConnectError, from_kubeconfig, in_process};
pub use diff::merge_patch;
pub use events::Recorder;
pub use follow::Follow;
pub use k8s_openapi;
pub use key::{Key, revision_of};
pub use kube;
pub use kube::api::ApiResource;
pub use objects::{
    Deletion, Objects, Patch, Propagation, is_already_exists, is_conflict, is_not_found, is_terminating,
    message,
};

/// The coordinates of a typed kind, for the erased interfaces of this room.
#[must_use]
pub fn resource<K>() -> ApiResource
where
    K: kube::Resource<DynamicType = ()>,
{
    ApiResource::erase::<K>(&())
}

/// Where objects of one of dory's own kinds are found.
#[must_use]
pub fn own_resource(kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: "dory.dev".to_owned(),
        version: "v1".to_owned(),
        api_version: "dory.dev/v1".to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

/// A typed view of an object; unknown fields are left out, so never write a view back.
pub fn parse<K: serde::de::DeserializeOwned>(object: &serde_json::Value) -> Result<K, serde_json::Error> {
    K::deserialize(object)
}
