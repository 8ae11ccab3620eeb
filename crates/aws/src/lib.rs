//! The AWS door: SigV4, wire protocols, error shapes; one module per service. Keeps no state of its own: functions are
//! objects behind `client`, code and instances are behind `functions`. It opens no socket; the composition root serves
//! it, and the AWS CLI, the SDKs and `dory` itself call it.
//!
//! ```text
//!   Door ─ verify the signature ─┬─ lambda   rest-json, 2015-03-31 and the dates after it
//!                                ├─ sts      query, 2011-06-15: GetCallerIdentity
//!                                └─ dory     /_dory/: code downloads, a function's log
//!   Fault ─ one error, in the shape of the protocol that it is answered in
//! ```

mod door;
mod dory;
mod fault;
mod lambda;
mod reply;
mod sts;

pub use door::{Config, Door};
pub use reply::Body;

#[cfg(test)]
mod tests;
