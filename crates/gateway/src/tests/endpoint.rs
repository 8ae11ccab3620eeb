//! A pod's server that does what the path says.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::answer::{Body, BoxError, full};

/// A running endpoint; it ends with the test's runtime.
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    /// Lets one `/wait` answer.
    pub(super) go: Arc<Notify>,
    /// Told when a `/wait` has arrived.
    pub(super) waiting: Arc<Notify>,
}

impl Endpoint {
    pub(super) async fn start(name: &'static str) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (go, waiting) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let signals = (go.clone(), waiting.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (go, waiting) = signals.clone();
                let service = service_fn(move |request| answer(name, request, go.clone(), waiting.clone()));
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades();
                tokio::spawn(connection);
            }
        });
        Endpoint { address, go, waiting }
    }
}

async fn answer(
    name: &'static str,
    mut request: Request<Incoming>,
    go: Arc<Notify>,
    waiting: Arc<Notify>,
) -> Result<Response<Body>, BoxError> {
    match request.uri().path() {
        "/break" => Err("as the path says".into()),
        "/hang" => std::future::pending().await,
        "/wait" => {
            waiting.notify_one();
            go.notified().await;
            Ok(Response::new(full("waited")))
        }
        // Every piece of the request's body at once.
        "/echo" => Ok(Response::new(request.into_body().map_err(BoxError::from).boxed_unsync())),
        // One piece, then silence.
        "/stall" => {
            let pieces = futures::stream::unfold(0, |turn| async move {
                if turn > 0 {
                    tokio::time::sleep(Duration::from_secs(3600)).await;
                }
                Some((Ok::<_, Infallible>(Frame::data(Bytes::from("piece"))), turn + 1))
            });
            Ok(Response::new(StreamBody::new(pieces).map_err(|never| match never {}).boxed_unsync()))
        }
        "/socket" => {
            let upgrading = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut stream = TokioIo::new(upgrading.await.unwrap());
                let mut buffer = [0; 64];
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    stream.write_all(&buffer[..length]).await.unwrap();
                }
            });
            let switching = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
            Ok(switching.header(CONNECTION, "upgrade").header(UPGRADE, "echo").body(full("")).unwrap())
        }
        _ => describe(name, request).await,
    }
}

/// What arrived, as text.
async fn describe(name: &str, request: Request<Incoming>) -> Result<Response<Body>, BoxError> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let mut text = format!("{name} {} {} {:?}\n", parts.method, parts.uri, String::from_utf8_lossy(&body));
    for (header, value) in &parts.headers {
        text.push_str(&format!("{header}: {}\n", value.to_str()?));
    }
    Ok(Response::builder().header("keep-alive", "timeout=5").header("x-from", name).body(full(text))?)
}
