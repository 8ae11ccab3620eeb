//! exec over a real connection: the upgrade of the client's request reaches the node, which then owns both directions.

use apiserver::{ApiServer, Body, BoxError, Config, Identity, Nodes};
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::json;
use std::{convert::Infallible, sync::Arc};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// A node that takes every upgrade and answers in capitals.
struct Shouting;

impl Nodes for Shouting {
    fn forward(&self, node: &str, mut request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        assert_eq!(node, "n1");
        assert_eq!(request.headers()["sec-websocket-protocol"], "v5.channel.k8s.io");
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgrade.await.expect("an upgrade"));
            let mut text = [0; 5];
            stream.read_exact(&mut text).await.expect("five bytes");
            stream.write_all(&text.to_ascii_uppercase()).await.expect("written");
        });
        Box::pin(async move {
            let mut response = Response::new(apiserver::full(""));
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert("upgrade", "websocket".parse().expect("a value"));
            headers.insert("connection", "upgrade".parse().expect("a value"));
            response
        })
    }
}

async fn server() -> Arc<ApiServer> {
    let random = ring::rand::SystemRandom::new();
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
    let config = Config::new(store::memory(), key.as_ref().to_vec(), "CA".to_owned());
    let server =
        ApiServer::start(Config { nodes: Arc::new(Shouting), ..config }).await.expect("the server starts");
    for (plural, body) in [
        ("serviceaccounts", json!({"metadata": {"name": "default"}})),
        (
            "pods",
            json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n1", "containers": [{"name": "a", "image": "a"}]}}),
        ),
    ] {
        let request = Request::post(format!("/api/v1/namespaces/default/{plural}"));
        let request = request.extension(Identity::master("test")).body(apiserver::full(body.to_string()));
        assert_eq!(server.handle(request.expect("a request")).await.status(), 201);
    }
    server
}

fn serve(server: Arc<ApiServer>, identity: Identity) -> DuplexStream {
    let (client, stream) = tokio::io::duplex(1024);
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let server = server.clone();
        let mut request = request.map(|body| body.map_err(BoxError::from).boxed_unsync());
        request.extensions_mut().insert(identity.clone());
        async move { Ok::<_, Infallible>(server.handle(request).await) }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::spawn(connection.with_upgrades());
    client
}

const REQUEST: &str = "GET /api/v1/namespaces/default/pods/p/exec?command=sh&stdin=true HTTP/1.1\r\nhost: x\r\n\
    connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: v5.channel.k8s.io\r\n\r\n";

async fn head(client: &mut DuplexStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.expect("more of the head"));
    }
    String::from_utf8(head).expect("text")
}

#[tokio::test]
async fn the_node_takes_the_upgrade() {
    let mut client = serve(server().await, Identity::master("admin"));
    client.write_all(REQUEST.as_bytes()).await.expect("sent");
    let answer = head(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    client.write_all(b"hello").await.expect("sent");
    let mut text = [0; 5];
    client.read_exact(&mut text).await.expect("an answer");
    assert_eq!(&text, b"HELLO");
}

#[tokio::test]
async fn who_may_only_get_may_not_exec() {
    let mut client = serve(server().await, Identity::new("eve", &[]));
    client.write_all(REQUEST.as_bytes()).await.expect("sent");
    assert!(head(&mut client).await.starts_with("HTTP/1.1 403"));
}
