//! Services that carry messages: SQS and SNS. Their queues, topics and rules are `managed`'s; here is what the APIs call them, and
//! what they accept.
//!
//! ```text
//!  sqs ─ awsJson1.0 and query, 2012-11-05: queues; `told` ─ what other services put into them
//!  sns ─ query, 2010-03-31: topics, and their deliveries; `told` ─ what other services publish to them
//! ```

pub mod sns;
pub mod sqs;

use functions::Functions;
use std::sync::{Arc, Weak};
use wire::Targets;

/// What the services need.
pub struct Config {
    /// Whose queues these are.
    pub functions: Arc<Functions>,
    /// The topics, and what waits for their subscribers.
    pub topics: Arc<managed::Topics>,
    /// Who sends.
    pub iam: Arc<iam::Iam>,
    /// Such as `us-east-1`.
    pub region: String,
    /// Such as `000000000000`.
    pub account_id: String,
    /// Where clients reach the door, such as `http://127.0.0.1:4566`: addresses of queues point there.
    pub endpoint: String,
}

/// The queues and topics of one account.
pub struct Messaging {
    config: Config,
    /// Functions, as far as topics tell them anything.
    targets: Arc<dyn Targets>,
    deliveries: sns::Deliveries,
    this: Weak<Messaging>,
}

impl Messaging {
    /// Makes the services. The targets lead back to them.
    pub fn new(config: Config, targets: &dyn Fn(&Weak<Messaging>) -> Arc<dyn Targets>) -> Arc<Messaging> {
        Arc::new_cyclic(|this| Messaging {
            config,
            targets: targets(this),
            deliveries: sns::Deliveries::default(),
            this: this.clone(),
        })
    }
}
