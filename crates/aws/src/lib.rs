//! The AWS door: SigV4, wire protocols, error shapes; one module per service. Keeps no state of its own: functions are
//! objects behind `client`, code and instances are behind `functions`. It opens no socket; the composition root serves
//! it, and the AWS CLI, the SDKs and `dory` itself call it.
//!
//! ```text
//!   Door ─ verify the signature ─┬─ lambda   rest-json, 2015-03-31 and the dates after it
//!                                ├─ sqs      awsJson1.0 and query, 2012-11-05: queues
//!                                ├─ s3       REST with XML, 2006-03-01: buckets; verified head first, bodies as they come
//!                                ├─ iam      query, 2010-05-08: roles and policies
//!                                ├─ sts      query, 2011-06-15: who calls, temporary credentials
//!                                ├─ logs     awsJson1.1, Logs_20140328
//!                                ├─ cloudwatch  CBOR, awsJson1.0 and query, 2010-08-01: metrics
//!                                └─ dory     /_dory/: code downloads, a function's log
//!   event_stream ─ answers that come as a stream of events
//!   Fault ─ one error, in the shape of the protocol that it is answered in
//! ```

mod bodies;
mod cloudwatch;
mod door;
mod dory;
mod event_stream;
mod fault;
mod iam;
mod lambda;
mod logs;
mod query;
mod reply;
mod s3;
mod session;
mod sqs;
mod sts;

pub use door::{Config, Door};
pub use reply::Body;
pub use session::FromInstance;

#[cfg(test)]
mod tests;
