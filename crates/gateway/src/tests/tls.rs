//! HTTPS: certificates by name, both versions of HTTP.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::endpoint::Endpoint;
use super::house::{House, api, ingress};

async fn connect(
    house: &House,
    name: &'static str,
    trusted: &CertificateDer<'static>,
    protocol: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(house.https).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name).unwrap(), stream).await
}

fn secret(made: &rcgen::CertifiedKey<rcgen::KeyPair>) -> Value {
    let encode = |text: String| STANDARD.encode(text);
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": { "name": "web-tls", "namespace": "default", "uid": "tls", "resourceVersion": "1" },
        "data": { "tls.crt": encode(made.cert.pem()), "tls.key": encode(made.signing_key.serialize_pem()) },
    })
}

#[tokio::test]
async fn the_secret_of_an_ingress_serves_its_hosts_and_http2_is_spoken() {
    let endpoint = Endpoint::start("one").await;
    let made = rcgen::generate_simple_self_signed(["web.test".to_owned()]).unwrap();
    let mut web = ingress("web");
    web["spec"]["tls"] = json!([{ "hosts": ["web.test"], "secretName": "web-tls" }]);
    let api = api(&[endpoint.address])
        .with("ingresses", vec![web, ingress("ready")])
        .with("secrets", vec![secret(&made)]);
    let house = House::open(&api).await;

    let stream = connect(&house, "web.test", made.cert.der(), b"h2").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("https://web.test/over").body(Empty::<bytes::Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let seen = response.into_body().collect().await.unwrap().to_bytes();
    let seen = String::from_utf8_lossy(&seen);
    assert!(seen.contains("one GET /over") && seen.contains("x-forwarded-proto: https"), "{seen}");
    assert!(seen.contains("host: web.test"), "{seen}");

    assert!(connect(&house, "web.test", made.cert.der(), b"http/1.1").await.is_ok());
    let stranger = connect(&house, "other.test", made.cert.der(), b"h2").await.unwrap_err();
    assert!(stranger.to_string().contains("invalid peer certificate"), "{stranger}");
}
