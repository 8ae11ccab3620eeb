//! What other services put into queues: one letter, sent in their name.

use crate::Messaging;
use managed::{Letter, LetterError};
use wire::{Source, Undelivered};

/// Puts a document into a queue, by the queue's name.
pub async fn tell(
    messaging: &Messaging,
    name: &str,
    source: Source<'_>,
    body: String,
) -> Result<(), Undelivered> {
    let letter = Letter { body: body.into(), sender: source.service.to_owned(), ..Letter::default() };
    put(messaging, name, letter).await
}

/// Puts a letter into a queue, by the queue's name.
pub(crate) async fn put(messaging: &Messaging, name: &str, letter: Letter) -> Result<(), Undelivered> {
    let queue = messaging.config.functions.broker().get(name);
    let queue = queue.ok_or_else(|| Undelivered::Never("there is no such queue".to_owned()))?;
    match queue.send(letter).await {
        Ok(_) => Ok(()),
        Err(error @ (LetterError::Full(_) | LetterError::Store(_))) => {
            Err(Undelivered::Later(error.to_string()))
        }
        Err(error) => Err(Undelivered::Never(error.to_string())),
    }
}

/// Whether other services can put anything into a queue.
pub fn check(messaging: &Messaging, name: &str) -> Result<(), String> {
    match messaging.config.functions.broker().get(name) {
        None => Err("The destination queue does not exist".to_owned()),
        Some(queue) if queue.settings().fifo => Err("Destination SQS queue can not be FIFO".to_owned()),
        Some(_) => Ok(()),
    }
}
