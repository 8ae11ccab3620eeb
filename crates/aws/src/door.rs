//! The door itself: reads a request, checks its signature, and hands it to its service. Answers every failure in the
//! shape that the clients of that service read.

use crate::targets::Targets;
use crate::{cloudwatch, dory, logs};
use bytes::{Bytes, BytesMut};
use functions::ThrottleReason;
use futures::FutureExt;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use iam::{Iam, session, sts};
use jiff::Timestamp;
use lambda::Lambda;
use messaging::{Messaging, sns, sqs};
use s3::S3;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};
use wire::{Bodies, Body, Call, Fault, REQUEST_BYTES_MAX, REQUEST_ID, Reply, Share};

// A name in this form is looked up without being read first.
static TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// What the door needs.
pub struct Config {
    /// The keys that clients sign with, and that sessions are made of.
    pub keys: Arc<sigv4::Keys>,
    /// Instances, code and logs.
    pub functions: Arc<functions::Functions>,
    /// Objects.
    pub buckets: Arc<managed::Buckets>,
    /// Topics.
    pub topics: Arc<managed::Topics>,
    /// Where function objects are written.
    pub client: client::kube::Client,
    /// Such as `us-east-1`.
    pub region: String,
    /// Such as `000000000000`.
    pub account_id: String,
    /// Where clients reach this door, such as `http://127.0.0.1:4566`: code downloads point there.
    pub endpoint: String,
    /// Host and port of the gateway, such as `localhost:8080`: function URLs are served on
    /// `<id>.lambda-url.<region>.<url_base>`.
    pub url_base: String,
}

/// How long callers stay away whose requests there was no room for.
const FULL_S: u64 = 1;

/// The whole body, if it is not too large and there is room for it.
async fn read(mut body: Body, share: &mut Share) -> Result<Bytes, Fault> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Fault::bad_content(format!("The request was cut off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > REQUEST_BYTES_MAX {
            return Err(Fault::too_large(format!(
                "Request must be smaller than {REQUEST_BYTES_MAX} bytes for the CreateFunction operation"
            )));
        }
        if !share.grow(data.len()) {
            let limit = ThrottleReason::CallerRateLimitExceeded.as_str();
            return Err(Fault::throttled("Too many bytes of requests are in flight", limit, FULL_S));
        }
        // Most come in one piece, which need not be copied.
        if bytes.is_empty() && body.is_end_stream() {
            return Ok(data);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

/// The AWS endpoint of dory.
pub struct Door {
    pub(crate) config: Config,
    iam: Arc<Iam>,
    lambda: Arc<Lambda>,
    messaging: Arc<Messaging>,
    s3: S3,
    bodies: Arc<Bodies>,
}

/// How errors are spelled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Json,
    /// XML, in this namespace.
    Query(&'static str),
    /// CloudWatch's, whichever of its three it is.
    Metrics,
    /// awsJson: the code is in the document.
    Target,
}

impl Door {
    /// Makes the door, and the services behind it.
    pub fn new(config: Config) -> Door {
        let bodies = Arc::default();
        let iam = Arc::new(iam(&config));
        let lambda = Arc::new(lambda(&config, &iam));
        let targets = |messaging: &Weak<Messaging>| {
            let (functions, lambda) = (config.functions.clone(), lambda.clone());
            Arc::new(Targets { functions, lambda, messaging: messaging.clone() }) as Arc<dyn wire::Targets>
        };
        let messaging = messaging(&config, &iam, &targets);
        let s3 = s3(&config, &iam, targets(&Arc::downgrade(&messaging)), &bodies);
        Door { config, iam, lambda, messaging, s3, bodies }
    }

    /// Makes the role of functions that nobody made one for, if it is not there. The platform calls this as it starts.
    pub async fn make_default_role(&self) -> Result<(), client::kube::Error> {
        self.iam.make_default_role().await
    }

    /// Answers one request. Never fails: what goes wrong is answered in the shape that the service's clients expect.
    pub async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let request_id = functions::new_request_id();
        if sns::is_open(&parts) {
            return Box::pin(sns::serve_open(&self.messaging, &parts, &request_id)).await;
        }
        let signed_for = signed_for(&parts);
        if s3::is_meant(&self.s3, &parts, signed_for) {
            return Box::pin(self.serve_s3(parts, body, &request_id)).await;
        }
        let protocol = protocol(&parts, signed_for);
        let refused = (protocol == Protocol::Metrics).then(|| parts.clone());
        let work = AssertUnwindSafe(self.serve(parts, body, protocol, &request_id)).catch_unwind();
        let result = work.await.unwrap_or_else(|_| {
            tracing::error!(%request_id, "a request made the AWS door panic");
            Err(Fault::service("An internal error occurred."))
        });
        let mut reply = result.unwrap_or_else(|fault| {
            tracing::debug!(code = fault.code, message = fault.message, "refused");
            match protocol {
                Protocol::Json => fault.json(),
                Protocol::Query(namespace) => fault.xml(namespace, &request_id),
                Protocol::Target => fault.target(),
                Protocol::Metrics => match refused {
                    Some(parts) => cloudwatch::refuse(&parts, &fault, &request_id),
                    None => fault.json(),
                },
            }
        });
        if !reply.headers().contains_key(&REQUEST_ID)
            && let Ok(value) = HeaderValue::from_str(&request_id)
        {
            reply.headers_mut().insert(&REQUEST_ID, value);
        }
        reply
    }

    /// Bodies of S3 may be of any size: they are read after the signature was checked, as they come.
    async fn serve_s3(&self, parts: Parts, body: Body, request_id: &str) -> Reply {
        let share = self.bodies.of(&parts);
        let work = AssertUnwindSafe(s3::serve(&self.s3, parts, body, share, request_id)).catch_unwind();
        let mut reply = work.await.unwrap_or_else(|_| {
            tracing::error!(%request_id, "a request made the AWS door panic");
            Fault::service("An internal error occurred.").json()
        });
        if let Ok(value) = HeaderValue::from_str(request_id) {
            reply.headers_mut().insert(&REQUEST_ID, value);
        }
        reply
    }

    /// What takes results of functions, beside functions and queues.
    pub fn topics(&self) -> &dyn functions::Destination {
        &*self.messaging
    }

    /// Delivers what happens in buckets to those who are to be told, and what waits for subscribers of topics, and carries out
    /// the rules of buckets: for as long as the platform runs.
    pub async fn keep_house(self: Arc<Self>) {
        self.messaging.resume();
        let buckets = self.config.buckets.clone();
        futures::future::join(s3::deliver(&self.s3), buckets.keep_expiring()).await;
    }

    async fn serve(
        &self,
        parts: Parts,
        body: Body,
        protocol: Protocol,
        request_id: &Arc<str>,
    ) -> Result<Reply, Fault> {
        let mut share = self.bodies.of(&parts);
        let body = read(body, &mut share).await?;
        let json = matches!(protocol, Protocol::Json | Protocol::Target);
        let now = Timestamp::now();
        let find = |id: &str, token: Option<&str>| self.config.keys.find(id, token, now);
        let caller = sigv4::verify(&parts, &body, &find, now)
            .and_then(|caller| session::at_home(&parts, caller))
            .map_err(|error| Fault::signature(&error, json))?;
        // What the host sends is trusted from here on; what an instance sends is counted until it is answered.
        let _share = (!share.is_outside()).then_some(share);
        let call = Call { parts, body, caller, json, request_id: request_id.clone() };
        session::check(&self.iam, &call).await?;
        // Boxed, all but the one that invokes: every request carries the room that the largest of the others needs.
        if call.parts.uri.path().starts_with(wire::OWN_PREFIX) {
            return Box::pin(dory::serve(self, &call)).await;
        }
        match call.caller.service.as_str() {
            "lambda" => lambda::serve(&self.lambda, &call).await,
            "iam" => Box::pin(iam::serve(&self.iam, &call)).await,
            "logs" => Ok(Box::pin(logs::serve(self, &call)).await),
            "monitoring" => Ok(cloudwatch::serve(self, &call).await),
            "sts" => Box::pin(sts::serve(&self.iam, &call)).await,
            "sqs" => Ok(Box::pin(sqs::serve(&self.messaging, &call)).await),
            "sns" => Ok(Box::pin(sns::serve(&self.messaging, &call)).await),
            other => Err(Fault::unknown_operation(format!(
                "The service {other:?} is not part of dory. Lambda, S3, SQS, SNS, IAM, STS, CloudWatch and CloudWatch \
                 Logs are."
            ))),
        }
    }
}

fn iam(config: &Config) -> Iam {
    Iam::new(iam::Config {
        keys: config.keys.clone(),
        client: config.client.clone(),
        account_id: config.account_id.clone(),
    })
}

fn lambda(config: &Config, iam: &Arc<Iam>) -> Lambda {
    Lambda::new(lambda::Config {
        functions: config.functions.clone(),
        iam: iam.clone(),
        buckets: config.buckets.clone(),
        keys: config.keys.clone(),
        client: config.client.clone(),
        region: config.region.clone(),
        account_id: config.account_id.clone(),
        endpoint: config.endpoint.clone(),
        url_base: config.url_base.clone(),
    })
}

fn messaging(
    config: &Config,
    iam: &Arc<Iam>,
    targets: &dyn Fn(&Weak<Messaging>) -> Arc<dyn wire::Targets>,
) -> Arc<Messaging> {
    let config = messaging::Config {
        functions: config.functions.clone(),
        topics: config.topics.clone(),
        iam: iam.clone(),
        region: config.region.clone(),
        account_id: config.account_id.clone(),
        endpoint: config.endpoint.clone(),
    };
    Messaging::new(config, targets)
}

fn s3(config: &Config, iam: &Arc<Iam>, targets: Arc<dyn wire::Targets>, bodies: &Arc<Bodies>) -> S3 {
    S3::new(s3::Config {
        buckets: config.buckets.clone(),
        iam: iam.clone(),
        keys: config.keys.clone(),
        targets,
        bodies: bodies.clone(),
        region: config.region.clone(),
        account_id: config.account_id.clone(),
        endpoint: config.endpoint.clone(),
    })
}

/// Guessed before the signature is checked, because a refused signature must be answered too: the query services are
/// called with forms, or sign for one of them.
fn protocol(parts: &Parts, signed_for: &str) -> Protocol {
    let form = || text(parts, header::CONTENT_TYPE).starts_with("application/x-www-form-urlencoded");
    match signed_for {
        "monitoring" => Protocol::Metrics,
        _ if parts.headers.contains_key(&TARGET) => Protocol::Target,
        "iam" => Protocol::Query(iam::XML_NAMESPACE),
        "sts" => Protocol::Query(sts::XML_NAMESPACE),
        "sqs" => Protocol::Query(sqs::XML_NAMESPACE),
        "sns" => Protocol::Query(sns::XML_NAMESPACE),
        _ if form() => Protocol::Query(sts::XML_NAMESPACE),
        _ => Protocol::Json,
    }
}

fn text(parts: &Parts, name: HeaderName) -> &str {
    parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The service that a request is signed for, as it says; empty when it does not.
fn signed_for(parts: &Parts) -> &str {
    let query = parts.uri.query().unwrap_or_default();
    let in_header = scoped(text(parts, header::AUTHORIZATION), "/");
    in_header.or_else(|| scoped(query, "%2F")).or_else(|| scoped(query, "/")).unwrap_or_default()
}

/// The service of the credential scope, `…/SERVICE/aws4_request`, that is found in a text.
fn scoped<'a>(text: &'a str, slash: &str) -> Option<&'a str> {
    let (scope, _) = text.split_once("aws4_request")?;
    scope.strip_suffix(slash)?.rsplit(slash).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_name_their_service() {
        let header = "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0";
        assert_eq!(scoped(header, "/"), Some("iam"));
        assert_eq!(
            scoped("X-Amz-Credential=AKID%2F20260101%2Fus-east-1%2Fsts%2Faws4_request&X=1", "%2F"),
            Some("sts")
        );
        assert_eq!([scoped("AWS4-HMAC-SHA256 nonsense", "/"), scoped("sts-aws4_request", "/")], [None, None]);
    }
}
