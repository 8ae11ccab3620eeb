//! watch: an endless answer of changes, read from the ring of the resource's shelf at the client's own pace. A
//! client that falls behind the ring gets 410 and lists again; nothing is queued for it but one piece.

use crate::{
    answer::{self, Reply},
    api::Api,
    cache::{Cache, Event, Item, Selector, encode},
    call::{Call, Target},
    held::{Held, PIECE_BYTES},
    media::Shape,
    metrics::OpenWatch,
    shape,
    verb::list,
};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{FutureExt, stream};
use http::StatusCode;
use object::Status;
use serde_json::{Value, json};
use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Duration};
use store::Revision;
use tokio::{sync::watch, time::Instant};

/// Shortest life of a watch whose client does not say, in seconds; the real one is up to twice as long, so that
/// many clients do not come back at the same moment.
const LIFE_SECONDS_MIN: u64 = 1800;
/// How often a watch says which revision it has reached, when that is news.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// Changes that go into one piece of the answer, as long as they are no more than [`PIECE_BYTES`].
const BATCH: usize = 256;

/// How a watch begins.
#[derive(Debug, PartialEq, Eq)]
enum Start {
    /// With an ADDED for every object that is there.
    Everything,
    /// The same, and a bookmark that says where these end.
    EverythingMarked,
    /// With the changes after a revision.
    After(Revision),
}

struct Watcher {
    cache: Arc<Cache>,
    call: Call,
    target: Target,
    selector: Selector,
    prefix: String,
    notices: watch::Receiver<Revision>,
    /// Every change up to this revision has been sent.
    cursor: Revision,
    /// What is there when it begins, and has still to be sent.
    initial: Option<Arc<Held>>,
    marked: bool,
    bookmarks: bool,
    bookmarked: Revision,
    deadline: Instant,
    headers_sent: bool,
    ended: bool,
    counted: OpenWatch,
}

/// Answers a watch.
pub(crate) async fn watch(api: &Api, call: &Call, target: &Target) -> Reply {
    let start = start(call)?;
    let selector = call.selector(target.kind)?;
    list::fresh(api, list::asked_revision(call)?).await?;
    let life = match call.query.number("timeoutSeconds")? {
        Some(seconds) if seconds > 0 => seconds,
        _ => LIFE_SECONDS_MIN + u64::from(uuid::Uuid::new_v4().as_bytes()[0]) * LIFE_SECONDS_MIN / 255,
    };
    let mut watcher = Watcher {
        cache: api.cache.clone(),
        call: call.clone(),
        target: target.clone(),
        selector,
        prefix: target.shelf.range(&target.namespace),
        notices: target.shelf.subscribe(),
        cursor: 0,
        initial: None,
        marked: start == Start::EverythingMarked,
        bookmarks: call.query.flag("allowWatchBookmarks"),
        bookmarked: 0,
        deadline: Instant::now() + Duration::from_secs(life),
        headers_sent: false,
        ended: false,
        counted: api.metrics.watching(),
    };
    watcher.begin(&start);
    let stream = stream::unfold(watcher, |mut watcher| async move {
        match AssertUnwindSafe(watcher.next()).catch_unwind().await {
            Ok(bytes) => Some((Ok::<_, Infallible>(bytes?), watcher)),
            Err(_) => {
                watcher.counted.panicked();
                None
            }
        }
    });
    let media = if call.media.yaml { "application/yaml" } else { "application/json" };
    Ok(answer::typed(StatusCode::OK, media, answer::streamed(stream)))
}

fn start(call: &Call) -> Result<Start, Status> {
    let asked = list::asked_revision(call)?;
    let matched = call.query.get("resourceVersionMatch");
    let invalid = |why: &str| Err(Status::bad_request(why));
    if call.query.has("sendInitialEvents") {
        if matched != "NotOlderThan" {
            return invalid(
                "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to \
                 NotOlderThan",
            );
        }
        if call.query.flag("sendInitialEvents") {
            return Ok(Start::EverythingMarked);
        }
    } else if !matched.is_empty() {
        return invalid(
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents \
             is provided",
        );
    }
    Ok(match asked {
        None | Some(0) => Start::Everything,
        Some(revision) => Start::After(revision),
    })
}

impl Watcher {
    fn begin(&mut self, start: &Start) {
        if let Start::After(revision) = start {
            self.cursor = *revision;
            return;
        }
        let state = self.target.shelf.read();
        self.cursor = self.cache.revision().max(state.revision());
        let wanted = state.under(&self.prefix, None).filter(|item| self.wants(item));
        let wanted: Vec<Arc<Item>> = wanted.cloned().collect();
        drop(state);
        self.initial = Some(Held::new(wanted));
    }

    fn wants(&self, item: &Item) -> bool {
        self.selector.matches(item) && (self.target.name.is_empty() || self.target.name == item.name())
    }

    /// The next piece of the answer; `None` is its end.
    async fn next(&mut self) -> Option<Bytes> {
        let mut out = BytesMut::new();
        if let Some(initial) = self.initial.take() {
            let Ok(items) = initial.take(BATCH) else { return Some(self.expire()) };
            if !items.is_empty() {
                self.initial = Some(initial);
                for item in items {
                    self.write(&mut out, "ADDED", &item, item.revision);
                }
                return Some(out.freeze());
            }
        }
        if std::mem::take(&mut self.marked) {
            self.write_bookmark(&mut out, true);
            return Some(out.freeze());
        }
        loop {
            if self.ended {
                return None;
            }
            self.notices.borrow_and_update();
            // Read before the ring: whatever is not in the ring then has not happened up to here.
            let reached = self.cache.revision();
            let since = self.target.shelf.read().since(self.cursor, &self.prefix, &self.selector, BATCH);
            let Ok((events, seen)) = since else { return Some(self.expire()) };
            self.cursor = if events.len() < BATCH { seen.max(reached) } else { seen };
            for (index, event) in events.iter().enumerate() {
                self.write_event(&mut out, event);
                // What is left is read again from the ring, but a transaction is not cut apart.
                let next = events.get(index + 1).filter(|next| next.revision != event.revision);
                if next.is_some() && out.len() >= PIECE_BYTES {
                    self.cursor = event.revision;
                    break;
                }
            }
            if !out.is_empty() {
                return Some(out.freeze());
            }
            if self.wait().await {
                self.write_bookmark(&mut out, false);
                return Some(out.freeze());
            }
        }
    }

    /// Waits for news; true when it is time for a bookmark.
    async fn wait(&mut self) -> bool {
        // A shelf is closed behind its last change, which was sent before.
        if self.target.shelf.is_closed() {
            self.ended = true;
            return false;
        }
        let bookmark = Instant::now() + BOOKMARK_EVERY;
        let wake = if self.bookmarks { self.deadline.min(bookmark) } else { self.deadline };
        tokio::select! {
            changed = self.notices.changed() => {
                self.ended = changed.is_err();
                false
            }
            () = tokio::time::sleep_until(wake) => {
                self.ended = wake == self.deadline;
                // Between waking and here the ring was not looked at: the cursor, not the cache, says how far. The
                // last word of a watch that ends is a bookmark too, from which the client goes on.
                self.bookmarks && self.cursor > self.bookmarked
            }
        }
    }

    fn write_event(&mut self, out: &mut BytesMut, event: &Event) {
        let before = event.previous.as_deref().is_some_and(|item| self.wants(item));
        let after = !event.deletion && self.wants(&event.item);
        match (before, after) {
            (false, true) => self.write(out, "ADDED", &event.item, event.revision),
            (true, true) => self.write(out, "MODIFIED", &event.item, event.revision),
            (true, false) if event.deletion => self.write(out, "DELETED", &event.item, event.revision),
            (true, false) => {
                // No longer selected: the client gets the version that was, with the revision of the change.
                let last = event.previous.as_ref().map_or(&event.item, |item| item);
                self.write(out, "DELETED", last, event.revision);
            }
            (false, false) => {}
        }
    }

    /// Writes a version of an object as it is seen at this revision, which is its own but for what is selected no longer.
    fn write(&mut self, out: &mut BytesMut, kind: &str, item: &Item, revision: Revision) {
        out.reserve(item.stored.len() + encode::SPLICE_LEN_MAX + 40);
        out.put_slice(br#"{"type":""#);
        out.put_slice(kind.as_bytes());
        out.put_slice(br#"","object":"#);
        match self.call.media.shape {
            Shape::Object => encode::put_with_revision(out, &item.stored, revision),
            Shape::Metadata => {
                out.put_slice(&shape::metadata_only(&encode::with_revision(&item.stored, revision)));
            }
            Shape::Table => out.put_slice(&self.row(&encode::with_revision(&item.stored, revision))),
        }
        out.put_slice(b"}\n");
    }

    fn row(&mut self, bytes: &[u8]) -> Bytes {
        let value: Value = serde_json::from_slice(bytes).unwrap_or(Value::Null);
        let metadata = json!({"resourceVersion": value["metadata"]["resourceVersion"]});
        let headers = !std::mem::replace(&mut self.headers_sent, true);
        let call = Call { now: jiff::Timestamp::now(), ..self.call.clone() };
        let table = shape::table_of(&call, self.target.kind, std::iter::once(&value), metadata, headers);
        table.unwrap_or_else(|status| status.to_json()).to_string().into()
    }

    fn write_bookmark(&mut self, out: &mut BytesMut, end_of_initial: bool) {
        self.bookmarked = self.cursor;
        let mut metadata = json!({"resourceVersion": self.cursor.to_string(), "creationTimestamp": null});
        if end_of_initial {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let kind = self.target.kind;
        let (name, version) = match self.call.media.shape {
            Shape::Object => (kind.kind, kind.api_version),
            Shape::Metadata => ("PartialObjectMetadata", "meta.k8s.io/v1"),
            Shape::Table => ("Table", "meta.k8s.io/v1"),
        };
        let mut object = json!({"kind": name, "apiVersion": version, "metadata": metadata});
        if self.call.media.shape == Shape::Table {
            object["rows"] = json!([]);
        }
        out.put_slice(json!({"type": "BOOKMARK", "object": object}).to_string().as_bytes());
        out.put_slice(b"\n");
    }

    fn expire(&mut self) -> Bytes {
        self.ended = true;
        let status = Status::expired(format!("too old resource version: {}", self.cursor));
        let mut text = json!({"type": "ERROR", "object": status.to_json()}).to_string();
        text.push('\n');
        text.into()
    }
}
