//! A scripted API server: lists from a table, watches that say what the test feeds them, patches noted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use client::kube;
use futures::channel::mpsc;
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::{Value, json};
use tower::service_fn;
use tower::util::BoxCloneService;

use crate::answer::{Body, BoxError};

type Feed = mpsc::UnboundedSender<Result<Frame<Bytes>, BoxError>>;

#[derive(Default)]
struct State {
    lists: HashMap<String, Vec<Value>>,
    feeds: HashMap<String, Vec<Feed>>,
    patches: Vec<(String, Value)>,
}

/// The API as the test wants it to be.
#[derive(Clone, Default)]
pub(super) struct Api(Arc<Mutex<State>>);

impl Api {
    /// What a list of the plural has, from the start.
    pub(super) fn with(self, plural: &str, items: Vec<Value>) -> Api {
        self.0.lock().unwrap().lists.insert(plural.to_owned(), items);
        self
    }

    /// Tells every watch of the plural of a new object.
    pub(super) fn add(&self, plural: &str, object: &Value) {
        let line = json!({ "type": "ADDED", "object": object }).to_string() + "\n";
        let mut state = self.0.lock().unwrap();
        for feed in state.feeds.entry(plural.to_owned()).or_default() {
            feed.unbounded_send(Ok(Frame::data(Bytes::from(line.clone())))).unwrap();
        }
    }

    /// Whether somebody watches the plural.
    pub(super) fn is_watched(&self, plural: &str) -> bool {
        self.0.lock().unwrap().feeds.contains_key(plural)
    }

    /// The paths and bodies of patches so far.
    pub(super) fn patches(&self) -> Vec<(String, Value)> {
        self.0.lock().unwrap().patches.clone()
    }

    /// A client of it.
    pub(super) fn client(&self) -> kube::Client {
        let api = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move { Ok::<_, BoxError>(Response::new(api.answer(request).await)) }
        });
        client::in_process(BoxCloneService::new(service))
    }

    async fn answer(&self, request: Request<Body>) -> Body {
        let (parts, body) = request.into_parts();
        let whole =
            |value: Value| Full::from(value.to_string()).map_err(|never| match never {}).boxed_unsync();
        if parts.method == Method::PATCH {
            let body = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
            self.0.lock().unwrap().patches.push((parts.uri.path().to_owned(), body));
            return whole(json!({ "metadata": {} }));
        }
        let plural = parts.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
        let mut state = self.0.lock().unwrap();
        if parts.uri.query().unwrap_or_default().contains("watch=") {
            let (feed, lines) = mpsc::unbounded();
            state.feeds.entry(plural).or_default().push(feed);
            return StreamBody::new(lines).boxed_unsync();
        }
        let items = state.lists.get(&plural).cloned().unwrap_or_default();
        whole(
            json!({ "apiVersion": "v1", "kind": "List", "metadata": { "resourceVersion": "1" }, "items": items }),
        )
    }
}
