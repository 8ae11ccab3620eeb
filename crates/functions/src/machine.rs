//! What all pools share: where sandboxes come from, code, runtimes, logs, and the platform's own names.

use crate::code::Codes;
use crate::credentials::Aws;
use crate::images::Images;
use crate::metering::Metering;
use crate::preboot::Stock;
use crate::runtimes::{RuntimeImages, Runtimes};
use instance::{Sandboxes, Terms};
use managed::Logs;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

pub(crate) struct Machine {
    pub(crate) host: Arc<dyn Sandboxes>,
    pub(crate) codes: Codes,
    pub(crate) runtimes: Runtimes,
    pub(crate) images: Images,
    pub(crate) runtime_images: RuntimeImages,
    pub(crate) logs: Logs,
    pub(crate) metering: Metering,
    pub(crate) aws: Aws,
    pub(crate) keep_alive: Duration,
    /// Whether instances reach the world.
    pub(crate) egress: bool,
    /// Whether streamed answers are held back as on AWS.
    pub(crate) stream_brake: bool,
    pub(crate) account_id: String,
    pub(crate) region: String,
    /// Starts under way. More at once than the machine has hands only makes each of them slower.
    pub(crate) starts: Semaphore,
    pub(crate) stock: Stock,
}

impl Machine {
    /// What holds for all instances.
    pub(crate) fn terms(&self) -> Terms {
        Terms {
            keep_alive: self.keep_alive,
            rotate_after: self.aws.rotate_after(),
            stream_brake: self.stream_brake,
            door: self.aws.door.clone(),
        }
    }

    /// `arn:aws:lambda:us-east-1:000000000000:function:hello`
    pub(crate) fn function_arn(&self, name: &str) -> String {
        // Each invocation has it twice: in one piece of memory, without the machinery of `format!`.
        ["arn:aws:lambda:", &self.region, ":", &self.account_id, ":function:", name].concat()
    }

    /// `arn:aws:sqs:us-east-1:000000000000:orders`
    pub(crate) fn queue_arn(&self, name: &str) -> String {
        ["arn:aws:sqs:", &self.region, ":", &self.account_id, ":", name].concat()
    }

    /// The queue's name, if the ARN is of one of this account and region.
    pub(crate) fn queue_name<'a>(&self, arn: &'a str) -> Option<&'a str> {
        arn.strip_prefix(&self.queue_arn("")).filter(|name| !name.is_empty() && !name.contains(':'))
    }

    /// The function's ARN with a version or an alias, if there is one.
    pub(crate) fn qualified_arn(&self, name: &str, qualifier: Option<&str>) -> String {
        let arn = self.function_arn(name);
        match qualifier {
            Some(qualifier) => format!("{arn}:{qualifier}"),
            None => arn,
        }
    }
}
