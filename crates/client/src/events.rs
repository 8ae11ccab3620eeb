//! Recording core/v1 Events as `kubectl describe` shows them. Repeats of one event count up instead of
//! making new ones, each object has a budget, and recording never blocks: what does not fit in the
//! short queue is dropped, since an event is a courtesy and never a source of truth.

mod correlate;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use self::correlate::{Correlator, Decision};
use crate::key::Key;
use crate::objects::{Objects, Patch};

/// How many events may wait to be written.
const WAITING_MAX: usize = 1024;
/// The API refuses longer messages.
const MESSAGE_BYTES_MAX: usize = 1024;

/// What happened to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Happening {
    /// `involvedObject`.
    pub(crate) object: Reference,
    pub(crate) warning: bool,
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// The object that an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reference {
    api_version: String,
    kind: String,
    namespace: String,
    name: String,
    uid: String,
    field_path: Option<String>,
}

impl Reference {
    fn of(object: &Value, field_path: Option<String>) -> Reference {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &object["metadata"];
        Reference {
            api_version: text(&object["apiVersion"]),
            kind: text(&object["kind"]),
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"]),
            uid: text(&metadata["uid"]),
            field_path,
        }
    }

    /// Events about cluster-scoped objects live in `default`.
    fn event_namespace(&self) -> &str {
        if self.namespace.is_empty() { "default" } else { &self.namespace }
    }
}

/// Records events about objects; cheap to clone, never blocks.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Happening>,
}

impl Recorder {
    /// Records as `component`. Must be called inside a tokio runtime; ends with its last clone.
    #[must_use]
    pub fn start(client: &kube::Client, component: &'static str) -> Recorder {
        Recorder::start_on(client, component, "")
    }

    /// Records as `component` on a host, as kubelets do.
    #[must_use]
    pub fn start_on(client: &kube::Client, component: &'static str, host: &str) -> Recorder {
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        let writer = Writer { events: Objects::of::<Event>(client), component, host: host.into() };
        tokio::spawn(writer.run(waiting));
        Recorder { queue }
    }

    /// Something expected happened to an object.
    pub fn normal(&self, object: &Value, reason: &str, message: impl Into<String>) {
        self.record(Reference::of(object, None), false, reason, message.into());
    }

    /// Something went wrong with an object.
    pub fn warning(&self, object: &Value, reason: &str, message: impl Into<String>) {
        self.record(Reference::of(object, None), true, reason, message.into());
    }

    /// Something happened to a part of an object, such as `spec.containers{web}` of a pod.
    pub fn about(
        &self,
        object: &Value,
        field_path: &str,
        warning: bool,
        reason: &str,
        message: impl Into<String>,
    ) {
        self.record(Reference::of(object, Some(field_path.to_owned())), warning, reason, message.into());
    }

    fn record(&self, object: Reference, warning: bool, reason: &str, mut message: String) {
        if message.len() > MESSAGE_BYTES_MAX {
            let end = message.floor_char_boundary(MESSAGE_BYTES_MAX);
            message.truncate(end);
        }
        let happening = Happening { object, warning, reason: reason.to_owned(), message };
        if self.queue.try_send(happening).is_err() {
            tracing::debug!(reason, "an event was dropped: too many are waiting");
        }
    }
}

struct Writer {
    events: Objects,
    component: &'static str,
    host: Arc<str>,
}

impl Writer {
    async fn run(self, mut waiting: mpsc::Receiver<Happening>) {
        let mut correlator = Correlator::default();
        while let Some(happening) = waiting.recv().await {
            let now = Timestamp::now();
            match correlator.decide(&happening, now) {
                Decision::Drop => {}
                Decision::Create { name } => self.create(&happening, &name, now).await,
                Decision::Count { name, count } => {
                    let key = Key::new(happening.object.event_namespace(), name);
                    let patch = json!({ "count": count, "lastTimestamp": seconds(now) });
                    match self.events.patch(&key, Patch::Merge(patch)).await {
                        Err(error) if crate::is_not_found(&error) => {
                            // It expired, or went with its namespace: begin again.
                            correlator.forget(&happening);
                            if let Decision::Create { name } = correlator.decide(&happening, now) {
                                self.create(&happening, &name, now).await;
                            }
                        }
                        Err(error) => tracing::debug!(%error, "an event was not counted"),
                        Ok(_) => {}
                    }
                }
            }
        }
    }

    async fn create(&self, happening: &Happening, name: &str, now: Timestamp) {
        let event = event(happening, name, self.component, &self.host, now);
        if let Err(error) = self.events.create(happening.object.event_namespace(), &event).await {
            tracing::debug!(%error, reason = happening.reason, "an event was not recorded");
        }
    }
}

fn seconds(time: Timestamp) -> String {
    format!("{time:.0}")
}

fn event(happening: &Happening, name: &str, component: &str, host: &str, now: Timestamp) -> Value {
    let Happening { object, warning, reason, message } = happening;
    let mut event = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": { "name": name, "namespace": object.event_namespace() },
        "involvedObject": {
            "apiVersion": object.api_version, "kind": object.kind,
            "name": object.name, "uid": object.uid,
        },
        "type": if *warning { "Warning" } else { "Normal" },
        "reason": reason,
        "message": message,
        "count": 1,
        "firstTimestamp": seconds(now),
        "lastTimestamp": seconds(now),
        "source": { "component": component },
        "reportingComponent": component,
        "reportingInstance": host,
    });
    if !object.namespace.is_empty() {
        event["involvedObject"]["namespace"] = object.namespace.as_str().into();
    }
    if let Some(path) = &object.field_path {
        event["involvedObject"]["fieldPath"] = path.as_str().into();
    }
    if !host.is_empty() {
        event["source"]["host"] = host.into();
    }
    event
}
