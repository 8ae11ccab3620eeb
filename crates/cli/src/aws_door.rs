//! Signed requests to the AWS endpoint of the platform.

use anyhow::{Context, Result, bail};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::Platform;

/// One platform's AWS endpoint, with the keys to sign for it.
pub(crate) struct AwsDoor {
    base: String,
    region: String,
    credentials: sigv4::Credentials,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// An error as the AWS API gives it: a type and a message.
#[derive(Debug)]
pub(crate) struct AwsError {
    pub(crate) status: StatusCode,
    pub(crate) kind: String,
    pub(crate) message: String,
}

impl AwsDoor {
    pub(crate) fn open(platform: &Platform) -> Result<AwsDoor> {
        let endpoints = platform.endpoints()?;
        let keys = platform.keys()?;
        Ok(AwsDoor {
            base: format!("http://127.0.0.1:{}", endpoints.aws_port),
            region: endpoints.region,
            credentials: sigv4::Credentials {
                access_key_id: keys.access_key_id,
                secret_access_key: keys.secret_access_key,
                session_token: None,
            },
            client: Client::builder(TokioExecutor::new()).build_http(),
        })
    }

    /// A signed request to the Lambda service; the answer may be an AWS error.
    pub(crate) async fn lambda(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Result<Value, AwsError>> {
        let response = self.send(method, path, body).await?;
        let status = response.status();
        let kind = header(&response, "x-amzn-errortype");
        let bytes = response.into_body().collect().await?.to_bytes();
        let value: Value = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes)? };
        if status.is_success() {
            return Ok(Ok(value));
        }
        let message = ["message", "Message"].iter().find_map(|key| value[*key].as_str()).unwrap_or_default();
        Ok(Err(AwsError { status, kind, message: message.to_owned() }))
    }

    /// A signed request whose body is read as it comes.
    pub(crate) async fn stream(&self, path: &str) -> Result<Incoming> {
        let response = self.send(Method::GET, path, None).await?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        let bytes = response.into_body().collect().await?.to_bytes();
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        bail!("{}", value["message"].as_str().or(value["Message"].as_str()).unwrap_or("the platform refused"))
    }

    /// A signed question to the platform itself.
    pub(crate) async fn json(&self, path: &str) -> Result<Value> {
        let bytes = self.stream(path).await?.collect().await?.to_bytes();
        serde_json::from_slice(&bytes).with_context(|| format!("the answer of {path} cannot be read"))
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<Response<Incoming>> {
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let host = self.base.trim_start_matches("http://");
        let (mut parts, ()) = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("host", host)
            .header("content-type", "application/json")
            .body(())?
            .into_parts();
        let digest = sigv4::hex_sha256(&body);
        sigv4::sign(&mut parts, &digest, &self.credentials, &self.region, "lambda", jiff::Timestamp::now());
        let request = Request::from_parts(parts, Full::new(body));
        let sent = self.client.request(request).await;
        sent.with_context(|| format!("the AWS endpoint at {} does not answer; see `dory status`", self.base))
    }
}

fn header(response: &Response<Incoming>, name: &str) -> String {
    let value = response.headers().get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().split(':').next().unwrap_or_default().to_owned()
}
