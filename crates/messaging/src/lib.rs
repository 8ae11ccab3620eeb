//! Services that carry messages: SQS. Their queues and rules are `managed`'s; here is what the APIs call them, and what they
//! accept. A topic's service would be the file beside `sqs`.
//!
//! ```text
//!  sqs ─ awsJson1.0 and query, 2012-11-05: queues; `told` ─ what other services put into them
//! ```

pub mod sqs;

use functions::Functions;
use std::sync::Arc;

/// What the services need.
pub struct Config {
    /// Whose queues these are.
    pub functions: Arc<Functions>,
    /// Who sends.
    pub iam: Arc<iam::Iam>,
    /// Such as `us-east-1`.
    pub region: String,
    /// Such as `000000000000`.
    pub account_id: String,
    /// Where clients reach the door, such as `http://127.0.0.1:4566`: addresses of queues point there.
    pub endpoint: String,
}

/// The queues of one account.
pub struct Messaging {
    config: Config,
}

impl Messaging {
    /// Makes the services.
    pub fn new(config: Config) -> Messaging {
        Messaging { config }
    }
}
