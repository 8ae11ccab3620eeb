//! S3 (2006-03-01): buckets and the objects in them. Spoken as REST with XML, addressed by path or by host, signed in the ways
//! that clients of S3 sign. The buckets and their rules are `managed`'s; here is what the API calls them, and what it accepts.
//!
//! ```text
//!  address ─ bucket and key      route ─ which operation      authorize ─ who asks, and whether they may
//!  body ─ bytes as they come     checksum, description, condition ─ what headers say of objects
//!  one file for each operation or small family of them; events ─ what functions and queues are told
//! ```

mod acl;
mod address;
mod ask;
mod attributes;
mod authorize;
mod body;
mod bucket;
mod checksum;
mod condition;
mod copy;
mod cors;
mod delete;
mod description;
mod events;
mod get;
mod list;
mod notification;
mod part;
mod put;
mod refused;
mod route;
mod settings;
mod tagging;
mod upload;
mod versions;
mod xml;

use ask::Ask;
use body::Incoming;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, header};
use iam::Iam;
use managed::Buckets;
use refused::Refused;
use std::sync::Arc;
use wire::{Bodies, Body, Reply, Share, Targets, parameters};

pub use events::deliver;

/// The largest object that comes in one request, and the largest part, as on AWS.
const OBJECT_BYTES_MAX: u64 = 5 << 30;

/// What an object that is being written takes of memory: two blocks, and what the connection holds.
const UPLOAD_BYTES: usize = 2 << 20;

/// What the API needs.
pub struct Config {
    /// Objects.
    pub buckets: Arc<Buckets>,
    /// Who signed.
    pub iam: Arc<Iam>,
    /// The keys that clients sign with.
    pub keys: Arc<sigv4::Keys>,
    /// Who is told of what happens in buckets.
    pub targets: Arc<dyn Targets>,
    /// What requests may take of memory.
    pub bodies: Arc<Bodies>,
    /// Such as `us-east-1`.
    pub region: String,
    /// Such as `000000000000`.
    pub account_id: String,
    /// Where clients reach the door, such as `http://127.0.0.1:4566`.
    pub endpoint: String,
}

/// The buckets of one account.
pub struct S3 {
    config: Config,
}

impl S3 {
    /// Makes the service.
    pub fn new(config: Config) -> S3 {
        S3 { config }
    }
}

type Answer = Result<Reply, Refused>;

/// Whether a request is for S3: it is signed for it, in any way; or not at all, and addressed to a bucket that is there.
pub fn is_meant(s3: &S3, parts: &Parts, signed_for: &str) -> bool {
    let query = parts.uri.query().unwrap_or_default();
    if signed_for == "s3" || (query.contains("AWSAccessKeyId=") && query.contains("Signature=")) {
        return true;
    }
    let unsigned = signed_for.is_empty() && !parts.headers.contains_key("x-amz-target");
    let named = || {
        address::of(parts, &s3.config.region).is_ok_and(|(name, _)| s3.config.buckets.get(&name).is_some())
    };
    unsigned && (address::by_host(parts, &s3.config.region).is_some() || named())
}

/// Answers one request.
pub async fn serve(s3: &S3, mut parts: Parts, body: Body, mut share: Share, request_id: &str) -> Reply {
    let mut incoming = Incoming::new(&parts, body);
    let result = Box::pin(answer(s3, &mut parts, &mut incoming, &mut share, request_id)).await;
    let mut reply = result.unwrap_or_else(|refused| {
        tracing::debug!(code = refused.code, message = refused.message, "refused");
        refused.reply(&parts.method, parts.uri.path(), request_id)
    });
    cors::apply(s3, &parts, &mut reply);
    if !incoming.drain().await {
        reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    for name in ["x-amz-request-id", "x-amz-id-2"] {
        if let Ok(value) = HeaderValue::from_str(request_id) {
            reply.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    reply
}

async fn answer(
    s3: &S3,
    parts: &mut Parts,
    incoming: &mut Incoming,
    share: &mut Share,
    request_id: &str,
) -> Answer {
    let (name, key) = address::of(parts, &s3.config.region)?;
    if parts.method == Method::OPTIONS {
        return cors::preflight(s3, parts, &name);
    }
    let (who, payload) = authorize::authenticate(s3, parts).await?;
    let query = parameters(parts.uri.query().unwrap_or_default());
    let copies = parts.headers.contains_key("x-amz-copy-source");
    let operation = route::operation(&parts.method, &name, &key, &query, copies)?;
    incoming.announce(parts, payload)?;
    let ask = Ask { s3, parts, operation, name, key, query, who, request_id };
    authorize::authorize(&ask)?;
    serve_operation(&ask, incoming, share).await
}

async fn serve_operation(ask: &Ask<'_>, incoming: &mut Incoming, share: &mut Share) -> Answer {
    match ask.operation {
        "GetObject" | "HeadObject" => get::get(ask).await,
        "PutObject" => put::put(ask, incoming, share).await,
        "DeleteObject" => delete::object(ask).await,
        "CopyObject" => copy::copy(ask, share).await,
        "UploadPart" => part::put(ask, incoming, share).await,
        "UploadPartCopy" => part::copy(ask, share).await,
        "ListBuckets" => bucket::list(ask),
        "HeadBucket" => bucket::head(ask),
        "DeleteBucket" => bucket::delete(ask).await,
        "GetBucketLocation" => bucket::location(ask),
        "ListObjects" => list::first(ask).await,
        "ListObjectsV2" => list::second(ask).await,
        "ListObjectVersions" => versions::list(ask).await,
        "ListMultipartUploads" => upload::list(ask).await,
        "ListParts" => part::list(ask).await,
        "CreateMultipartUpload" => upload::create(ask).await,
        "AbortMultipartUpload" => upload::abort(ask).await,
        "GetObjectAttributes" => attributes::get(ask).await,
        "GetObjectTagging" => tagging::get_object(ask).await,
        "DeleteObjectTagging" => tagging::delete_object(ask).await,
        "GetBucketAcl" | "GetObjectAcl" => acl::get(ask).await,
        read if read.starts_with("Get") => settings::get(ask),
        removed if removed.starts_with("DeleteBucket") || removed == "DeletePublicAccessBlock" => {
            settings::delete(ask).await
        }
        // All others come with a document, which is verified before anything is done.
        _ => {
            let document = checksum::document(ask, incoming, share).await?;
            with_document(ask, &document).await
        }
    }
}

async fn with_document(ask: &Ask<'_>, document: &str) -> Answer {
    match ask.operation {
        "CreateBucket" => bucket::create(ask, document).await,
        "DeleteObjects" => delete::objects(ask, document).await,
        "CompleteMultipartUpload" => upload::complete(ask, document).await,
        "PutObjectTagging" => tagging::put_object(ask, document).await,
        "PutBucketAcl" | "PutObjectAcl" => acl::put(ask, document).await,
        _ => settings::put(ask, document).await,
    }
}
