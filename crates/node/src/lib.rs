//! The pods of one machine: life cycle, volumes, probes, logs, exec, services.
//!
//! ```text
//!   API ── watch ──► pods ──► one task per pod: plan ─► actions ─► sandbox        status ──► API
//!                             ├─ volumes   ├─ probes   └─ hooks
//!   API server ── forward ──► server: logs, exec, attach, stats
//!   Services, EndpointSlices ──► services (net's tables) and zone (cluster DNS)
//!   register: the Node object and its lease
//! ```
//!
//! The room does what the kubelet and kube-proxy do on a real cluster, and follows their rules (v1.37). It reaches the
//! API through `client` alone and runs nothing itself: containers are `sandbox`'s, addresses `net`'s.
#![deny(missing_docs)]

mod claims;
mod container;
mod inotify;
mod logs;
mod machine;
mod metering;
mod node;
mod pod;
mod pods;
mod probe;
mod provision;
mod register;
mod resources;
mod runtime;
mod server;
mod services;
mod sources;
mod volume;

pub use node::{Body, Error, Node, NodeConfig, start, sweep};
