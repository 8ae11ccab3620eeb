//! The server inside an instance: whether it is ready, and one connection to it, which is kept for the next request as
//! long as servers usually keep theirs. An instance serves one request at a time, so one is enough.

use super::Settings;
use super::request::own_name;
use crate::sandboxes::Sandbox;
use bytes::Bytes;
use http::header::HOST;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a readiness check may answer and keep its connection.
const CHECK_BYTES_MAX: usize = 64 * 1024;

/// A way to ask the server.
pub(super) type Line = SendRequest<Full<Bytes>>;

pub(super) struct Server {
    settings: Settings,
    sandbox: Arc<dyn Sandbox>,
    kept: Option<(Line, Instant)>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    #[error("the server cannot be reached: {0}")]
    Unreachable(#[from] io::Error),
    #[error("the server broke the connection off: {0}")]
    Broken(#[from] hyper::Error),
}

impl Server {
    pub(super) fn new(settings: Settings, sandbox: Arc<dyn Sandbox>) -> Server {
        Server { settings, sandbox, kept: None }
    }

    /// Whether it is ready now.
    pub(super) async fn is_ready(&mut self) -> bool {
        let readiness = &self.settings.readiness;
        let address = SocketAddrV4::new(self.settings.host, readiness.port);
        let Ok(stream) = self.sandbox.connect(address).await else { return false };
        let Some(path) = &readiness.path else { return true };
        let healthy = readiness.healthy.clone();
        let Ok(mut line) = self.speak(stream).await else { return false };
        let mut request = Request::new(Full::default());
        // A path that no request can have never becomes healthy, as with the adapter.
        let Ok(uri) = path.parse() else { return false };
        *request.uri_mut() = uri;
        request.headers_mut().insert(HOST, own_name(&self.settings));
        let Ok(response) = line.send_request(request).await else { return false };
        let status = response.status().as_u16();
        let read = Limited::new(response.into_body(), CHECK_BYTES_MAX).collect().await.is_ok();
        if read && address.port() == self.settings.port {
            self.keep(line);
        }
        healthy.contains(status)
    }

    /// Asks, over the connection that is kept or a fresh one. The connection goes to whoever reads the answer: to be
    /// given back by [`Server::keep`] after its end.
    pub(super) async fn ask(
        &mut self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Line), Unanswered> {
        if let Some((mut line, since)) = self.kept.take()
            && since.elapsed() < self.settings.pool_idle
            && line.ready().await.is_ok()
        {
            match line.try_send_request(request).await {
                Ok(response) => return Ok((response, line)),
                // Closed before it was sent: nobody has seen it.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().into()),
                },
            }
        }
        let address = SocketAddrV4::new(self.settings.host, self.settings.port);
        let stream = self.sandbox.connect(address).await?;
        let mut line = self.speak(stream).await?;
        let response = line.send_request(request).await?;
        Ok((response, line))
    }

    /// For the next request.
    pub(super) fn keep(&mut self, line: Line) {
        if !line.is_closed() {
            self.kept = Some((line, Instant::now()));
        }
    }

    async fn speak(&self, stream: tokio::net::TcpStream) -> Result<Line, hyper::Error> {
        // Requests are waited for; a failure to say so only costs time.
        drop(stream.set_nodelay(true));
        let (line, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the connection or when nobody holds the line any more.
        tokio::spawn(async move { drop(connection.await) });
        Ok(line)
    }
}

/// How long to wait between two looks at a server that has been starting for so long: soon enough for those that start in
/// a millisecond, and without taking the processor from those that take long.
pub(super) fn pause(waited: Duration) -> Duration {
    match waited.as_millis() {
        0..5 => Duration::from_micros(300),
        5..100 => Duration::from_millis(1),
        100..1000 => Duration::from_millis(5),
        _ => Duration::from_millis(10),
    }
}

/// Waits for less than the runtime's timers can tell apart, too.
pub(super) async fn rest(pause: Duration) {
    if pause >= Duration::from_millis(1) {
        return tokio::time::sleep(pause).await;
    }
    // Fails only when the platform ends.
    drop(tokio::task::spawn_blocking(move || std::thread::sleep(pause)).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_become_rarer() {
        let pauses = [0, 4, 5, 99, 100, 1000, 60_000].map(|waited| pause(Duration::from_millis(waited)));
        assert!(pauses.is_sorted());
        assert_eq!(pauses[6], Duration::from_millis(10));
    }
}
