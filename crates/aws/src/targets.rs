//! Who one service tells of what happened in it, by ARN: a queue, or a function. The services do not see one another.

use futures::FutureExt;
use futures::future::BoxFuture;
use lambda::Lambda;
use messaging::Messaging;
use std::sync::Arc;
use wire::{Source, Undelivered};

/// Every queue and function of the account.
pub(crate) struct Targets {
    pub(crate) functions: Arc<functions::Functions>,
    pub(crate) lambda: Arc<Lambda>,
    pub(crate) messaging: Arc<Messaging>,
}

impl wire::Targets for Targets {
    fn check<'a>(&'a self, target: &'a str, source: Source<'a>) -> BoxFuture<'a, Result<(), String>> {
        if let Some(name) = self.functions.queue_name(target) {
            return futures::future::ready(messaging::sqs::told::check(&self.messaging, name)).boxed();
        }
        Box::pin(async move {
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
        match self.functions.queue_name(target) {
            Some(name) => messaging::sqs::told::tell(&self.messaging, name, source, body).boxed(),
            None => lambda::told::tell(&self.lambda, target, source, body).boxed(),
        }
    }
}
