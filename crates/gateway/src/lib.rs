//! The public door: HTTP and HTTPS to pods by Ingress, and to functions by URL.
//!
//! ```text
//!   listener ─► Handler ─┬─ function   …lambda-url…  or  /_/<namespace>/<name>/…   ─► functions::invoke
//!       │         │      └─ proxy      Ingress route ─► a ready endpoint of its Service
//!   certificates  └─ Table (immutable, swapped whole) ◄─ watch: Ingress, Service, EndpointSlice, Secret, Function
//! ```
//!
//! It never starts a pod and keeps no state of its own: the table is what the API says, compiled.
#![deny(missing_docs)]

mod answer;

mod function;
mod gateway;
mod handler;
mod invoke;
mod limits;
mod listen;
mod metrics;
mod peer;
mod proxy;
mod table;
mod watch;

#[cfg(test)]
mod tests;

pub use gateway::{Config, Error, Gateway, start};
pub use invoke::Invoke;
pub use metrics::Metrics;
