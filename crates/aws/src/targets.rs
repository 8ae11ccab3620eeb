//! Who one service tells of what happened in it, by ARN: a queue, a topic, or a function. The services do not see one another.

use futures::future::BoxFuture;
use lambda::Lambda;
use messaging::{Messaging, sns, sqs};
use std::sync::{Arc, Weak};
use wire::{Source, Undelivered};

/// Every queue, topic and function of the account.
pub(crate) struct Targets {
    pub(crate) functions: Arc<functions::Functions>,
    pub(crate) lambda: Arc<Lambda>,
    /// It has these targets, and so they cannot keep it.
    pub(crate) messaging: Weak<Messaging>,
}

const CLOSED: &str = "the platform is being closed";

impl wire::Targets for Targets {
    fn check<'a>(&'a self, target: &'a str, source: Source<'a>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let messaging = self.messaging.upgrade().ok_or(CLOSED)?;
            if let Some(name) = self.functions.queue_name(target) {
                return sqs::told::check(&messaging, name);
            }
            if sns::told::topic(&messaging, target).is_some() {
                return sns::told::check(&messaging, target, source);
            }
            if !target.starts_with("arn:aws:lambda:") {
                return Err("The ARN could not be parsed, or is not of this region and account".to_owned());
            }
            lambda::told::may_invoke(&self.lambda, target, source).await.map_err(|error| match error {
                Undelivered::Never(why) | Undelivered::Later(why) => why,
            })
        })
    }

    fn send<'a>(
        &'a self,
        target: &'a str,
        source: Source<'a>,
        body: String,
    ) -> BoxFuture<'a, Result<(), Undelivered>> {
        Box::pin(async move {
            let closed = || Undelivered::Later(CLOSED.to_owned());
            let messaging = self.messaging.upgrade().ok_or_else(closed)?;
            if let Some(name) = self.functions.queue_name(target) {
                return sqs::told::tell(&messaging, name, source, body).await;
            }
            if sns::told::topic(&messaging, target).is_some() {
                return sns::told::tell(&messaging, target, source, body).await;
            }
            lambda::told::tell(&self.lambda, target, source, body).await
        })
    }
}
