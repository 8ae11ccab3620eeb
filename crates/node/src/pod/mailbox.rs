//! What the outside tells a pod's task. Slots instead of a queue: news of the same kind replace each other, so that a
//! busy task never holds more than the newest of each.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::sync::Notify;

/// What has happened since the task last looked.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// The newest version of the API object.
    pub(crate) pod: Option<Arc<Value>>,
    /// The object is gone.
    pub(crate) gone: bool,
    /// A ConfigMap or Secret that the pod draws from changed.
    pub(crate) sources: bool,
    /// An image was added to the store.
    pub(crate) images: bool,
    /// The node ends; the pod runs on.
    pub(crate) leave: bool,
}

/// One task's slots.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    news: Mutex<News>,
    bell: Notify,
}

impl Mailbox {
    /// Changes the slots and wakes the task.
    pub(crate) fn post(&self, change: impl FnOnce(&mut News)) {
        change(&mut self.news.lock().expect("nothing panics while holding the slots"));
        self.bell.notify_one();
    }

    /// Waits for news and takes them.
    pub(crate) async fn take(&self) -> News {
        self.bell.notified().await;
        std::mem::take(&mut *self.news.lock().expect("nothing panics while holding the slots"))
    }
}
