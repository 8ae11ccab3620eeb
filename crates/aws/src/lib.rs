//! The AWS door: requests read, their signatures verified, and each handed to its service. The large services are rooms of
//! their own below; the small ones are modules here. Keeps no state of its own: functions are objects behind `client`, code and
//! instances are behind `functions`. It opens no socket; the composition root serves it, and the AWS CLI, the SDKs and `dory`
//! itself call it.
//!
//! ```text
//!   Door ─ verify the signature ─┬─ room lambda     rest-json, 2015-03-31 and the dates after it
//!                                ├─ room messaging  sqs: awsJson1.0 and query, 2012-11-05: queues
//!                                │                  sns: query, 2010-03-31: topics
//!                                ├─ room s3         REST with XML, 2006-03-01: buckets; verified head first, bodies as they come
//!                                ├─ room iam        query, 2010-05-08: roles and policies
//!                                │                  sts: query, 2011-06-15: who calls, temporary credentials
//!                                ├─ logs            awsJson1.1, Logs_20140328
//!                                ├─ cloudwatch      CBOR, awsJson1.0 and query, 2010-08-01: metrics
//!                                └─ dory            /_dory/: code downloads, a function's log
//!   Targets ─ what the services tell one another, by ARN
//! ```

mod cloudwatch;
mod door;
mod dory;
mod logs;
mod targets;

pub use door::{Config, Door};
pub use wire::{Body, FromInstance};

#[cfg(test)]
mod tests;
