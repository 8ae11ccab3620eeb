//! `/portForward/{namespace}/{pod}`: connections of a client to ports of a pod, as seen from inside it. Over SPDY, or SPDY
//! in WebSocket messages (KEP-4006); each connection has two streams, one for data and one that says what went wrong.

mod relay;
mod tunnel;

use std::collections::HashMap;
use std::path::PathBuf;

use bytes::Bytes;
use http::Response;
use hyper_util::rt::TokioIo;
use object::Status;
use tokio::sync::mpsc;

use self::relay::{Relay, Streams};
use super::Call;
use super::spdy::{self, Event, Id, Sender};
use super::upgrade::{self, Agreed, Offer};
use crate::node::Body;

const OFFER: Offer = Offer { websocket: &["SPDY/3.1+portforward.k8s.io"], spdy: "portforward.k8s.io" };
/// Pieces of data that wait for a pod that reads slowly; all connections of the client wait with it, as upstream.
const PIECES_MAX: usize = 16;
/// Connections that a client has begun without completing them.
const HALVES_MAX: usize = 256;

/// The pod that is meant.
#[derive(Clone, Debug)]
struct Pod {
    /// Its network namespace; `None` on the host's network.
    netns: Option<PathBuf>,
    name: String,
    uid: String,
}

pub(super) fn forward(mut call: Call) -> Result<Response<Body>, Status> {
    let view = call.pods.find(&call.key).ok_or_else(|| Status::not_found("", "pods", &call.key.name))?;
    let Some(sandbox) = view.sandbox.filter(|sandbox| sandbox.is_live()) else {
        return Err(Status::bad_request(format!("pod {} is not running", call.key.name)));
    };
    let uid = view.pod.metadata.uid.clone().unwrap_or_default();
    let pod = Pod { netns: sandbox.netns(), name: call.key.to_string(), uid };
    let (response, agreed) = upgrade::open(&mut call.request, &OFFER)?;
    tokio::spawn(async move {
        let (reader, writer) = match agreed {
            Agreed::Spdy(upgrade) => {
                let Ok(upgraded) = upgrade.await else { return };
                let (reader, writer) = tokio::io::split(TokioIo::new(upgraded));
                (Box::new(reader) as spdy::Reader, Box::new(writer) as spdy::Writer)
            }
            Agreed::WebSocket(upgrade) => {
                let Ok(socket) = upgrade::socket(upgrade).await else { return };
                tunnel::open(socket)
            }
        };
        let (events, sender) = spdy::serve(reader, writer);
        Forward { pod, sender, halves: HashMap::new(), data: HashMap::new() }.run(events).await;
    });
    Ok(response)
}

/// One of a connection's two streams, while the other is not there yet.
#[derive(Debug, PartialEq, Eq)]
struct Half {
    id: Id,
    is_error: bool,
}

/// One client's port-forward.
struct Forward {
    pod: Pod,
    sender: Sender,
    /// By the client's name for the connection.
    halves: HashMap<String, Half>,
    /// Where the data of a stream goes; an empty piece is its end.
    data: HashMap<Id, mpsc::Sender<Bytes>>,
}

impl Forward {
    async fn run(mut self, mut events: mpsc::Receiver<Event>) {
        while let Some(event) = events.recv().await {
            match event {
                Event::Opened { id, headers } => self.opened(id, &headers).await,
                Event::Data { id, data } => self.pass(id, data).await,
                Event::Ended { id } => {
                    self.pass(id, Bytes::new()).await;
                    self.data.remove(&id);
                }
            }
        }
        self.sender.shutdown().await;
    }

    async fn pass(&mut self, id: Id, data: Bytes) {
        if let Some(stream) = self.data.get(&id)
            && stream.send(data).await.is_err()
        {
            // The pod's side is closed: the rest goes nowhere.
            self.data.remove(&id);
        }
    }

    async fn opened(&mut self, id: Id, headers: &[(String, String)]) {
        let get = |name: &str| {
            let found = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let port = get("port").parse::<u16>().ok().filter(|port| *port > 0);
        let is_error = match get("streamtype").as_str() {
            "error" => true,
            "data" => false,
            other => return self.refuse(id, &format!("invalid stream type {other:?}")).await,
        };
        let Some(port) = port else {
            return self.refuse(id, &format!("invalid port {:?}", get("port"))).await;
        };
        // Clients older than Kubernetes 1.2 gave connections no name; their streams come in pairs.
        let name = get("requestid");
        match self.halves.remove(&name) {
            Some(other) if other.is_error != is_error => {
                let (error, data) = if is_error { (id, other.id) } else { (other.id, id) };
                self.begin(Streams { error, data }, port);
            }
            Some(_) => self.refuse(id, "the connection has this stream already").await,
            None if self.halves.len() >= HALVES_MAX => self.refuse(id, "too many connections").await,
            None => {
                if !is_error {
                    self.refuse(id, "the error stream must be opened first").await;
                    return;
                }
                self.halves.insert(name, Half { id, is_error });
            }
        }
    }

    async fn refuse(&self, id: Id, why: &str) {
        // A client that has left is told nothing.
        let _ = self.sender.data(id, why.as_bytes(), true).await;
    }

    fn begin(&mut self, streams: Streams, port: u16) {
        let (pieces, data) = mpsc::channel(PIECES_MAX);
        self.data.retain(|_, stream| !stream.is_closed());
        self.data.insert(streams.data, pieces);
        let relay = Relay { pod: self.pod.clone(), port, streams, sender: self.sender.clone() };
        tokio::spawn(relay.run(data));
    }
}
