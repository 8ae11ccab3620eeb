//! From a message to those who get it. Queues and functions take it at once, where it is durable; what goes elsewhere, and what
//! they cannot take now, waits in the queue of its subscription. When all that is done, the message is accepted.

use super::envelope::Notice;
use super::{Fault, deliver};
use crate::Messaging;
use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use managed::{Matter, SendError, Subscription, Topic};
use serde_json::{Map, Value};
use std::time::Duration;
use wire::Undelivered;

/// So many of one message are delivered at the same time.
const AT_ONCE: usize = 16;

/// What is said, to each protocol.
pub(super) struct Texts {
    pub(super) default: String,
    pub(super) own: Map<String, Value>,
}

impl Texts {
    pub(super) fn of(&self, protocol: &str) -> &str {
        self.own.get(protocol).and_then(Value::as_str).unwrap_or(&self.default)
    }
}

pub(super) async fn publish(
    messaging: &Messaging,
    name: &str,
    topic: &Topic,
    notice: &Notice,
    texts: &Texts,
) -> Result<(), Fault> {
    let mut wanted: Vec<&Subscription> = Vec::new();
    {
        let matter = Matter::of(&notice.attributes, &texts.default);
        let all = topic.subscriptions.values().filter(|one| one.token.is_none() && one.wants(&matter));
        wanted.extend(all.map(|one| &**one));
    }
    // What may be refused comes first, so that less comes twice when the publisher tries again.
    wanted.sort_by_key(|one| !one.protocol.starts_with("http"));
    let handed: Vec<BoxFuture<'_, Result<(), Fault>>> =
        wanted.into_iter().map(|one| hand(messaging, name, one, notice, texts.of(&one.protocol))).collect();
    let results: Vec<Result<(), Fault>> = stream::iter(handed).buffered(AT_ONCE).collect().await;
    results.into_iter().collect()
}

fn hand<'a>(
    messaging: &'a Messaging,
    topic: &'a str,
    one: &'a Subscription,
    notice: &'a Notice,
    text: &'a str,
) -> BoxFuture<'a, Result<(), Fault>> {
    Box::pin(async move {
        if one.protocol.starts_with("http") {
            return wait(messaging, topic, one, notice, text).await;
        }
        match deliver::attempt(messaging, topic, one, notice, text).await {
            Ok(()) => Ok(()),
            Err(Undelivered::Later(_)) => wait(messaging, topic, one, notice, text).await,
            Err(Undelivered::Never(why)) => {
                match deliver::give_up(messaging, topic, one, notice, text, &why).await {
                    Ok(()) => Ok(()),
                    Err(_) => wait(messaging, topic, one, notice, text).await,
                }
            }
        }
    })
}

/// Puts a message into the queue of a subscription, to be delivered from there.
pub(super) async fn wait(
    messaging: &Messaging,
    topic: &str,
    one: &Subscription,
    notice: &Notice,
    text: &str,
) -> Result<(), Fault> {
    let queue = messaging.config.topics.queue(topic, &one.id);
    let sent = queue.send(notice.write(), text.to_owned().into(), Duration::ZERO).await;
    sent.map_err(|error| match error {
        SendError::Full(_) => {
            let endpoint = &one.endpoint;
            Fault::new(
                429,
                "Throttled",
                format!("Too much waits for the subscription of {endpoint}: {error}"),
            )
        }
        SendError::TooLarge(_) => Fault::new(400, "InvalidParameter", format!("Invalid parameter: {error}")),
        SendError::Store(_) => Fault { code: "InternalError", ..Fault::service(error.to_string()) },
    })?;
    messaging.work_on(&queue);
    Ok(())
}
