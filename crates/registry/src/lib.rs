//! Images from registries: the reading side of the OCI distribution protocol (v1.1), over HTTP with anonymous, basic and
//! token authentication.
//!
//! ```text
//!   Reference ─► manifest (of an index: this machine's) ─► configuration, layers ─► a tar in OCI layout
//! ```
//!
//! What comes out is for an image store to take in, which checks every digest again. Never unpacks anything, never writes
//! anywhere else, keeps nothing between two pulls. Called by `node` and by `dory image pull`.
#![deny(missing_docs)]

mod archive;
mod challenge;
mod credentials;
mod error;
mod fetch;
mod pull;

pub use credentials::{Credentials, docker_config};
pub use error::Error;
pub use pull::{Pulled, Reference, pull};
