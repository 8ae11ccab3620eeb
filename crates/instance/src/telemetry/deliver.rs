//! The way of records to one listener inside the instance: over HTTP as arrays, or over TCP as lines. A batch that does not
//! arrive is tried again; what comes meanwhile waits in the queue, which is bounded.

use super::queue::{Next, Queue};
use super::subscription::Destination;
use crate::sandboxes::Sandbox;
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Between two tries: doubled each time, up to the greater.
const RETRY_MIN: Duration = Duration::from_millis(25);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// A batch that a listener refuses so often is not sent again.
const REFUSALS_MAX: u32 = 5;

/// What a listener answers is not looked at, but read, so that its connection can be used again.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

pub(super) struct Delivery {
    queue: Arc<Queue>,
    sandbox: Arc<dyn Sandbox>,
    http: Option<SendRequest<Full<Bytes>>>,
    tcp: Option<TcpStream>,
}

impl Delivery {
    pub(super) fn new(queue: Arc<Queue>, sandbox: Arc<dyn Sandbox>) -> Delivery {
        Delivery { queue, sandbox, http: None, tcp: None }
    }

    /// Delivers until the caller drops the future.
    pub(super) async fn run(mut self) {
        loop {
            match self.queue.next(Instant::now()) {
                Next::Send(batch) => self.send(&batch).await,
                Next::WaitUntil(due) => {
                    drop(tokio::time::timeout_at(due.into(), self.queue.changed.notified()).await);
                }
                Next::Wait => self.queue.changed.notified().await,
            }
        }
    }

    async fn send(&mut self, batch: &[String]) {
        let mut pause = RETRY_MIN;
        let mut refusals = 0;
        // A listener that is frozen with its instance is waited for: it reads on when it is thawed.
        while let Err(error) = self.try_send(batch).await {
            tracing::debug!(%error, "telemetry does not reach an extension yet");
            refusals += u32::from(error.kind() == io::ErrorKind::InvalidData);
            if refusals >= REFUSALS_MAX {
                return self.queue.lost(batch);
            }
            (self.http, self.tcp) = (None, None);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    async fn try_send(&mut self, batch: &[String]) -> io::Result<()> {
        match self.queue.subscription.destination.clone() {
            Destination::Tcp { port } => {
                let mut lines = batch.join("\n");
                lines.push('\n');
                let stream = match &mut self.tcp {
                    Some(stream) => stream,
                    none => none.insert(self.sandbox.connect(inside(port)).await?),
                };
                stream.write_all(lines.as_bytes()).await
            }
            Destination::Http { port, path, host, put } => {
                let method = if put { Method::PUT } else { Method::POST };
                let body = Bytes::from(format!("[{}]", batch.join(",")));
                let request = Request::builder()
                    .method(method)
                    .uri(path)
                    .header(header::HOST, host)
                    .header(header::CONTENT_TYPE, "application/json")
                    .body(Full::new(body))
                    .map_err(io::Error::other)?;
                self.post(port, request).await
            }
        }
    }

    async fn post(&mut self, port: u16, request: Request<Full<Bytes>>) -> io::Result<()> {
        let usable = match &mut self.http {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            let stream = TokioIo::new(self.sandbox.connect(inside(port)).await?);
            let (sender, connection) = handshake(stream).await.map_err(io::Error::other)?;
            // It ends with its sender.
            tokio::spawn(connection);
            self.http = Some(sender);
        }
        let Some(sender) = &mut self.http else { return Err(io::ErrorKind::NotConnected.into()) };
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status();
        // An answer that breaks off is an answer; the next batch then opens another connection.
        drop(Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await);
        match status.is_success() {
            true => Ok(()),
            false => {
                Err(io::Error::new(io::ErrorKind::InvalidData, format!("the extension answers {status}")))
            }
        }
    }
}

fn inside(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}
