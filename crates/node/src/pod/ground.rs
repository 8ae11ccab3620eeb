//! What all pods of the node stand on: the API, the machine, the sources, and facts about the node.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use client::k8s_openapi::api::core::v1 as api;
use client::{Cache, Objects, Recorder};
use serde_json::Value;

use super::status::Host;
use crate::claims::Claims;
use crate::container::downward::Surroundings;
use crate::container::resolv::Resolver;
use crate::runtime::Runtime;
use crate::sources::Sources;

/// Shared by every pod's task; never changes.
pub(crate) struct Ground {
    pub(crate) node: String,
    pub(crate) host: Host,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) client: client::kube::Client,
    pub(crate) pods: Objects,
    pub(crate) sources: Sources,
    pub(crate) claims: Claims,
    pub(crate) services: Cache,
    pub(crate) recorder: Recorder,
    /// Below it each pod has `<uid>/{logs,volumes,messages}`.
    pub(crate) dir: PathBuf,
    pub(crate) cluster_dns: Ipv4Addr,
    pub(crate) resolver: Resolver,
    pub(crate) cpu_milli: i64,
    pub(crate) memory_bytes: i64,
}

/// The zone that cluster names lie in.
pub(crate) const DOMAIN: &str = "cluster.local";

impl Ground {
    pub(crate) fn pod_dir(&self, uid: &str) -> PathBuf {
        self.dir.join(uid)
    }

    /// Where one run of a container logs.
    pub(crate) fn log_path(&self, uid: &str, container: &str, attempt: u32) -> PathBuf {
        self.pod_dir(uid).join("logs").join(container).join(format!("{attempt}.log"))
    }

    /// Where one run of a container may leave its last words.
    pub(crate) fn message_path(&self, uid: &str, container: &str, attempt: u32) -> PathBuf {
        self.pod_dir(uid).join("messages").join(container).join(attempt.to_string())
    }

    pub(crate) fn surroundings(&self, pod_ip: Option<Ipv4Addr>) -> Surroundings {
        Surroundings {
            pod_ip: pod_ip.map_or_else(|| self.host.address.clone(), |address| address.to_string()),
            host_ip: self.host.address.clone(),
            allocatable_cpu_milli: self.cpu_milli,
            allocatable_memory_bytes: self.memory_bytes,
        }
    }

    /// An event about the pod.
    pub(crate) fn event(&self, pod: &api::Pod, warning: bool, reason: &str, message: impl Into<String>) {
        let object = reference(pod);
        if warning {
            self.recorder.warning(&object, reason, message);
        } else {
            self.recorder.normal(&object, reason, message);
        }
    }

    /// An event about one of its containers.
    pub(crate) fn container_event(
        &self,
        pod: &api::Pod,
        container: &str,
        warning: bool,
        reason: &str,
        message: impl Into<String>,
    ) {
        let init = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
        let list =
            if init.into_iter().any(|init| init.name == container) { "initContainers" } else { "containers" };
        let path = format!("spec.{list}{{{container}}}");
        self.recorder.about(&reference(pod), &path, warning, reason, message);
    }
}

/// As much of a pod as events need.
fn reference(pod: &api::Pod) -> Value {
    let metadata = &pod.metadata;
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": metadata.name, "namespace": metadata.namespace, "uid": metadata.uid },
    })
}
