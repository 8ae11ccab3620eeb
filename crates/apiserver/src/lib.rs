//! The Kubernetes HTTP contract (v1.37) as a tower service; opens no socket.
//!
//! ```text
//!  request ─▶ server ─▶ authenticate ─▶ authorize ─▶ verb ─▶ admission ─▶ store ─┐
//!                                          │            ▲                         │ watch
//!                                          └── reads ── cache ◀───────────────────┘
//! ```
//! Writes go to the store and are answered when the cache has seen them; reads are served from the cache alone.
//! What an object *is* (defaults, validation, patches) belongs to `object` and `kinds`; this room owns what HTTP says.

mod admission;
mod answer;
mod api;
mod attributes;
mod authenticate;
mod bootstrap;
mod cache;
mod call;
mod config;
mod definitions;
mod discovery;
mod dispatch;
mod edition;
mod health;
mod held;
mod identity;
mod impersonate;
mod media;
mod metrics;
mod nodes;
mod openapi;
mod protobuf;
mod query;
mod rbac;
mod review;
mod server;
mod shape;
mod subresource;
mod token;
mod turns;
mod upkeep;
mod usage;
mod verb;

pub use answer::{Body, BoxError, full};
pub use config::{Config, MetricsText, Settled};
pub use identity::{
    Identity, PeerCertificate, SYSTEM_ANONYMOUS, SYSTEM_AUTHENTICATED, SYSTEM_MASTERS, SYSTEM_UNAUTHENTICATED,
};
pub use nodes::{NoNodes, Nodes};
pub use server::{ApiServer, InProcess, StartError};
