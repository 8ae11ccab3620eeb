//! Messages to http and https addresses ("HTTP/HTTPS headers", SNS developer guide): a POST on a connection of its own.

use super::envelope::Notice;
use crate::Messaging;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderName, HeaderValue, Request, StatusCode, Uri, header};
use hyper::client::conn::http1;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use managed::Subscription;
use rustls::{ClientConfig, RootCertStore};
use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tower::ServiceExt;
use wire::{Body, Undelivered, reply};

/// How long an address may take to answer, as on AWS.
const ANSWER_MAX: Duration = Duration::from_secs(15);
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// The way outside; made when it is first needed, because that reads the machine's certificates.
#[derive(Default)]
pub(crate) struct Outside(OnceLock<HttpsConnector<HttpConnector>>);

impl Outside {
    fn connector(&self) -> HttpsConnector<HttpConnector> {
        self.0.get_or_init(connector).clone()
    }
}

fn connector() -> HttpsConnector<HttpConnector> {
    let mut http = HttpConnector::new();
    http.set_connect_timeout(Some(CONNECT_MAX));
    http.enforce_http(false);
    let provider = rustls::crypto::ring::default_provider();
    let native = HttpsConnectorBuilder::new().with_provider_and_native_roots(provider.clone());
    let builder = native.unwrap_or_else(|error| {
        tracing::warn!(%error, "this machine has no certificates of authorities: no https address can be trusted");
        let config = ClientConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions();
        let config = config.expect("the provider knows TLS 1.2 and 1.3");
        let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        HttpsConnectorBuilder::new().with_tls_config(config)
    });
    builder.https_or_http().enable_http1().wrap_connector(http)
}

/// Posts a document to the address of a subscription.
pub(super) async fn post(
    messaging: &Messaging,
    topic: &str,
    one: &Subscription,
    notice: &Notice,
    body: String,
) -> Result<(), Undelivered> {
    let (uri, request) = request(messaging, topic, one, notice, body)
        .ok_or_else(|| Undelivered::Never("it is no address to send to".to_owned()))?;
    let answered = tokio::time::timeout(ANSWER_MAX, send(messaging, uri, request)).await;
    let status = answered.map_err(|_| Undelivered::Later("no answer within 15 s".to_owned()))?;
    match status.map_err(Undelivered::Later)? {
        status if status.is_success() => Ok(()),
        // What the receiver calls the sender's fault does not get better.
        status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
            Err(Undelivered::Never(format!("it answered {status}")))
        }
        status => Err(Undelivered::Later(format!("it answered {status}"))),
    }
}

fn request(
    messaging: &Messaging,
    topic: &str,
    one: &Subscription,
    notice: &Notice,
    body: String,
) -> Option<(Uri, Request<Body>)> {
    let uri: Uri = one.endpoint.parse().ok()?;
    let authority = uri.authority().map(Authority::as_str)?;
    let (user, host) =
        authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let mut request = Request::post(path)
        .header(header::HOST, host)
        .header(header::CONTENT_TYPE, "text/plain; charset=UTF-8")
        .header(header::USER_AGENT, "Amazon Simple Notification Service Agent")
        .header(header::CONNECTION, "close");
    if let Some(user) = user {
        request = request.header(header::AUTHORIZATION, format!("Basic {}", BASE64_STANDARD.encode(user)));
    }
    let mut request = request.body(reply::full(body)).ok()?;
    let mut set = |name: &'static str, value: &str| {
        let value = HeaderValue::from_str(value).ok()?;
        request.headers_mut().insert(HeaderName::from_static(name), value);
        Some(())
    };
    set("x-amz-sns-message-type", notice.kind())?;
    set("x-amz-sns-message-id", &notice.id)?;
    set("x-amz-sns-topic-arn", &messaging.topic_arn(topic))?;
    if notice.token.is_none() {
        set("x-amz-sns-subscription-arn", &messaging.subscription_arn(topic, &one.id))?;
        if one.raw {
            set("x-amz-sns-rawdelivery", "true")?;
        }
    }
    Some((uri, request))
}

async fn send(messaging: &Messaging, uri: Uri, request: Request<Body>) -> Result<StatusCode, String> {
    let stream =
        messaging.deliveries.outside.connector().oneshot(uri).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(stream).await.map_err(|error| error.to_string())?;
    // Both, for as long as the answer takes; what is in its body is of no interest. A connection may end before its answer is
    // looked at, and then has it still.
    let driven = async {
        connection.await.ok();
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        answer = sender.send_request(request) => answer.map(|answer| answer.status()).map_err(|error| error.to_string()),
        never = driven => match never {},
    }
}
