//! A client of the AWS door: a connection pool and what is needed to sign.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use base64::prelude::{BASE64_STANDARD, Engine};
use http::{Method, Request, request};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use testing::binary::Dory;

/// Where functions are.
pub(super) const FUNCTIONS: &str = "/2015-03-31/functions";

pub(crate) struct Door {
    client: Client<HttpConnector, Full<Bytes>>,
    host: String,
    region: String,
    credentials: sigv4::Credentials,
}

/// What a request brought, and how long it took from before signing to the last byte.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) failed: bool,
    /// The version that ran.
    pub(crate) version: Option<String>,
    pub(crate) body: Bytes,
    pub(crate) took: Duration,
}

impl Answer {
    /// The body of a success; anything else is an error.
    pub(crate) fn ok(self) -> Result<Answer> {
        if self.status / 100 != 2 || self.failed {
            bail!("{}: {}", self.status, String::from_utf8_lossy(&self.body));
        }
        Ok(self)
    }
}

impl Door {
    pub(crate) fn open(dory: &Dory) -> Result<Arc<Door>> {
        let endpoints = dory.endpoints()?;
        let host = format!("127.0.0.1:{}", endpoints.aws_port);
        Ok(Door::at(host, endpoints.region, dory.credentials()?))
    }

    /// A Lambda at this address, as `host:port`.
    pub(crate) fn at(host: String, region: String, credentials: sigv4::Credentials) -> Arc<Door> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Arc::new(Door { client, host, region, credentials })
    }

    /// The same client, of another server.
    pub(super) fn elsewhere(&self, address: SocketAddr) -> Arc<Door> {
        Door::at(address.to_string(), self.region.clone(), self.credentials.clone())
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Answer> {
        let request = Request::builder().method(method).uri(format!("http://{}{path}", self.host));
        self.signed("lambda", request, body).await
    }

    /// An operation of SQS; gives what it answers.
    pub(crate) async fn queue(&self, operation: &str, document: &Value) -> Result<Value> {
        let request = Request::post(format!("http://{}/", self.host))
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("AmazonSQS.{operation}"));
        let answer = self.signed("sqs", request, document.to_string().into()).await?.ok()?;
        Ok(if answer.body.is_empty() { Value::Null } else { serde_json::from_slice(&answer.body)? })
    }

    async fn signed(&self, service: &str, request: request::Builder, body: Bytes) -> Result<Answer> {
        let began = Instant::now();
        let (mut parts, ()) = request.header("host", &self.host).body(())?.into_parts();
        let hash = sigv4::hex_sha256(&body);
        sigv4::sign(&mut parts, &hash, &self.credentials, &self.region, service, jiff::Timestamp::now());
        let response = self.client.request(Request::from_parts(parts, Full::new(body))).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        let version = parts.headers.get("x-amz-executed-version");
        let version = version.and_then(|version| version.to_str().ok()).map(str::to_owned);
        let failed = parts.headers.contains_key("x-amz-function-error");
        Ok(Answer { status: parts.status.as_u16(), failed, version, body, took: began.elapsed() })
    }

    pub(crate) async fn call(&self, method: Method, path: &str, document: &Value) -> Result<Answer> {
        self.send(method, path, document.to_string().into()).await?.ok()
    }

    /// One synchronous invocation that succeeds.
    pub(crate) async fn invoke(&self, function: &str) -> Result<Duration> {
        Ok(self.invoke_with(function, br#"{"name":"bench"}"#).await?.ok()?.took)
    }

    /// One synchronous invocation, whatever comes of it.
    pub(crate) async fn invoke_with(&self, function: &str, event: &'static [u8]) -> Result<Answer> {
        let path = format!("{FUNCTIONS}/{function}/invocations");
        self.send(Method::POST, &path, Bytes::from_static(event)).await
    }

    /// Replaces the code, inline; gives how long the answer took.
    pub(crate) async fn update_code(&self, name: &str, zip: &[u8]) -> Result<Duration> {
        let document = json!({ "ZipFile": BASE64_STANDARD.encode(zip) });
        Ok(self.call(Method::PUT, &format!("{FUNCTIONS}/{name}/code"), &document).await?.took)
    }
}

/// A zip archive of these files, executable.
pub(crate) fn zip(files: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default()
        .unix_permissions(0o755)
        .compression_method(zip::CompressionMethod::Stored);
    for (name, content) in files {
        archive.start_file(*name, options)?;
        archive.write_all(content)?;
    }
    Ok(archive.finish()?.into_inner())
}
