//! The gateway over the real API server: what it watches is really served, and what it writes is accepted.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use client::k8s_openapi::api::core::v1::{Secret, Service};
use client::k8s_openapi::api::discovery::v1::EndpointSlice;
use client::k8s_openapi::api::networking::v1::Ingress;
use client::{Key, Objects, kube};
use functions::{Invocation, InvokeError, Outcome};
use futures::future::BoxFuture;
use gateway::{Config, Gateway, Invoke};
use serde_json::{Value, json};
use testing::house;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PATIENCE: Duration = Duration::from_secs(120);

/// Answers every invocation with its event, and notes it.
#[derive(Default)]
struct Mirror(Mutex<Vec<Invocation>>);

impl Invoke for Mirror {
    fn invoke(self: Arc<Self>, invocation: Invocation) -> BoxFuture<'static, Result<Outcome, InvokeError>> {
        let payload = invocation.payload.clone();
        self.0.lock().expect("no test panics holding it").push(invocation);
        let outcome = Outcome {
            request_id: "r".into(),
            payload,
            content_type: None,
            error: None,
            log_tail: None,
            executed_version: "$LATEST".into(),
        };
        Box::pin(std::future::ready(Ok(outcome)))
    }
}

async fn start(client: &kube::Client) -> Result<(Gateway, u16)> {
    let (http, https) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
    let port = http.local_addr()?.port();
    let config = Config {
        client: client.clone(),
        functions: Arc::new(Mirror::default()),
        http,
        https,
        region: "us-east-1".into(),
        account_id: "000000000000".into(),
        keys: Arc::new(sigv4::Keys::new(Vec::new(), b"seed")),
    };
    Ok((gateway::start(config).await?, port))
}

/// Asks until the answer contains the text.
async fn until(port: u16, host: &str, path: &str, text: &str) -> Result<String> {
    let began = Instant::now();
    loop {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        if answer.contains(text) {
            return Ok(answer);
        }
        anyhow::ensure!(began.elapsed() < PATIENCE, "still {answer}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn create<K: kube::Resource<DynamicType = ()>>(client: &kube::Client, object: Value) -> Result<Value> {
    Ok(Objects::of::<K>(client).create("default", &object).await?)
}

#[tokio::test]
async fn an_ingress_is_served_told_and_taken_away() -> Result<()> {
    let server = house::bare_server().await?;
    let client = house::as_user(&server, "admin");
    let (_gateway, port) = start(&client).await?;
    until(port, "web.test", "/", "404").await?;

    create::<Service>(
        &client,
        json!({ "metadata": { "name": "web" }, "spec": { "ports": [{ "port": 80 }] } }),
    )
    .await?;
    let backend = json!({ "service": { "name": "web", "port": { "number": 80 } } });
    let paths = json!([{ "path": "/", "pathType": "Prefix", "backend": backend }]);
    let rules = json!([{ "host": "web.test", "http": { "paths": paths } }]);
    create::<Ingress>(&client, json!({ "metadata": { "name": "web" }, "spec": { "rules": rules } })).await?;
    until(port, "web.test", "/", "no endpoint of default/web:80 is ready").await?;

    // An address nobody has (RFC 5737): that it is tried shows that the slice was read.
    let slice = json!({
        "metadata": { "name": "web-1", "labels": { "kubernetes.io/service-name": "web" } },
        "addressType": "IPv4", "ports": [{ "name": "", "port": 8080 }],
        "endpoints": [{ "addresses": ["192.0.2.1"], "conditions": { "ready": true } }],
    });
    create::<EndpointSlice>(&client, slice).await?;
    until(port, "web.test", "/", "no endpoint of default/web:80 could be reached").await?;

    let (ingresses, key) = (Objects::of::<Ingress>(&client), Key::new("default", "web"));
    let began = Instant::now();
    while ingresses.get(&key).await?["status"]["loadBalancer"]["ingress"][0]["ip"] != "127.0.0.1" {
        anyhow::ensure!(began.elapsed() < PATIENCE, "the Ingress has no address");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    ingresses.delete(&key, &client::Deletion::default()).await?;
    until(port, "web.test", "/", "404").await?;
    Ok(())
}

/// Lets anybody call by URL.
const OPEN: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunctionUrl","Resource":"*"},
    {"Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunction","Resource":"*"}]}"#;

#[tokio::test]
async fn a_function_with_a_url_and_routes_is_called() -> Result<()> {
    let server = house::bare_server().await?;
    let client = house::as_user(&server, "admin");
    let (_gateway, port) = start(&client).await?;
    let resource = house::resource("dory.dev/v1", "Function", "functions");
    let functions = Objects::new(client.clone(), resource);
    let url = json!({ "id": "abc123", "routes": ["GET /users/{userId}"] });
    let spec = json!({ "runtime": "provided.al2023", "handler": "bootstrap", "url": url, "policy": OPEN });
    let function = json!({
        "apiVersion": "dory.dev/v1", "kind": "Function", "metadata": { "name": "users" }, "spec": spec,
    });
    functions.create("default", &function).await?;
    let answer = until(port, "abc123.lambda-url.us-east-1.localhost", "/users/42", "200 OK").await?;
    assert!(answer.contains("\"pathParameters\":{\"userId\":\"42\"}"), "{answer}");
    until(port, "localhost", "/_/default/users/users/7", "\"userId\":\"7\"").await?;
    until(port, "localhost", "/_/default/users/", "Not Found").await?;
    Ok(())
}

/// How the gateway watches certificates: a field selector that the API server must know.
#[tokio::test]
async fn tls_secrets_are_selected_by_type() -> Result<()> {
    let server = house::bare_server().await?;
    let client = house::as_user(&server, "admin");
    let made = rcgen::generate_simple_self_signed(["web.test".to_owned()])?;
    let data = json!({ "tls.crt": made.cert.pem(), "tls.key": made.signing_key.serialize_pem() });
    let secret = json!({ "metadata": { "name": "web" }, "type": "kubernetes.io/tls", "stringData": data });
    create::<Secret>(&client, secret).await?;
    let tls = client::Selectors { fields: Some("type=kubernetes.io/tls".into()), ..Default::default() };
    let cache = client::Cache::start(&client, client::resource::<Secret>(), tls);
    tokio::time::timeout(PATIENCE, cache.synced()).await?;
    assert_eq!(cache.len(), 1);
    Ok(())
}
