//! Requests as they come off the wire, answered by a door over an API server in this process.

use crate::{Body, Config, Door};
use expect_test::{Expect, expect};
use functions::loopback;
use http::request::Builder;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use sigv4::Credentials;
use std::sync::Arc;

struct House {
    door: Door,
    credentials: Credentials,
    _dir: tempfile::TempDir,
}

impl House {
    async fn open() -> House {
        let server = testing::house::bare_server().await.expect("an API server");
        let dir = tempfile::tempdir().expect("a directory");
        let client = testing::house::as_user(&server, "dory:functions");
        let functions = functions::Functions::start(loopback::config(client, dir.path()).await);
        let credentials = Credentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "secret".to_owned(),
            session_token: None,
        };
        let door = Door::new(Config {
            keys: Arc::new(sigv4::Keys::new(vec![credentials.clone()], b"seed")),
            functions: functions.await.expect("functions"),
            buckets: buckets(dir.path()).await,
            topics: managed::Topics::in_memory(Arc::new(managed::Wall)).await,
            client: testing::house::as_user(&server, "dory:aws"),
            region: "us-east-1".to_owned(),
            account_id: "000000000000".to_owned(),
            endpoint: "http://127.0.0.1:4566".to_owned(),
            url_base: "localhost:8080".to_owned(),
        });
        House { door, credentials, _dir: dir }
    }

    /// Sends a request signed for `service`.
    async fn send(&self, service: &str, request: Builder, body: &str) -> String {
        let request = request.header("host", "127.0.0.1:4566").body(()).expect("a request");
        let (mut parts, ()) = request.into_parts();
        let hash = sigv4::hex_sha256(body.as_bytes());
        sigv4::sign(&mut parts, &hash, &self.credentials, "us-east-1", service, Timestamp::now());
        show(self.door.handle(Request::from_parts(parts, text(body))).await).await
    }

    async fn bare(&self, request: Builder, body: &str) -> String {
        show(self.door.handle(request.body(text(body)).expect("a request")).await).await
    }
}

async fn buckets(dir: &std::path::Path) -> Arc<managed::Buckets> {
    let (clock, files) = (Arc::new(managed::Wall), dir.join("buckets"));
    managed::Buckets::open(managed::memory(), files, clock).await.expect("buckets")
}

fn text(body: &str) -> Body {
    Full::from(body.to_owned()).map_err(|never| match never {}).boxed_unsync()
}

/// Status, error type and body.
async fn show(response: Response<Body>) -> String {
    let kind = response.headers().get("x-amzn-errortype").map(|kind| kind.to_str().expect("text").to_owned());
    let status = response.status().as_u16();
    assert!(response.headers().contains_key("x-amzn-requestid"));
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    let body = String::from_utf8_lossy(&body).into_owned();
    let ids = body.split("RequestId>").nth(1).map(|id| id.trim_end_matches("</").to_owned());
    let body = ids.map_or(body.clone(), |id| body.replace(&id, "ID"));
    format!("{status} {}\n{body}\n", kind.unwrap_or_default())
}

fn check(answer: &str, expected: Expect) {
    expected.assert_eq(answer);
}

/// What every request moves around and allocates, whatever the largest of the operations needs.
#[tokio::test]
async fn a_request_takes_little_room() {
    let house = House::open().await;
    let request = Request::get("/2015-03-31/functions").body(text("")).expect("a request");
    let size = size_of_val(&house.door.handle(request));
    assert!(size <= 4096, "{size} bytes");
}

#[tokio::test]
async fn nobody_comes_in_without_a_signature() {
    let house = House::open().await;
    let functions = || Request::get("/2015-03-31/functions");
    check(
        &house.bare(functions(), "").await,
        expect![[r#"
            403 MissingAuthenticationTokenException
            {"Type":"User","message":"Missing Authentication Token"}
        "#]],
    );
    let form = Request::post("/").header("content-type", "application/x-www-form-urlencoded");
    check(
        &house.bare(form, "Action=GetCallerIdentity").await,
        expect![[r#"
            403 
            <ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
              <Error>
                <Type>Sender</Type>
                <Code>MissingAuthenticationToken</Code>
                <Message>Missing Authentication Token</Message>
              </Error>
              <RequestId>ID</RequestId>
            </ErrorResponse>

        "#]],
    );
    check(
        &house.bare(Request::get("/_dory/functions/hello/log"), "").await,
        expect![[r#"
            403 MissingAuthenticationTokenException
            {"Type":"User","message":"Missing Authentication Token"}
        "#]],
    );
    let malformed = functions().header("authorization", "AWS4-HMAC-SHA256 nonsense");
    assert!(house.bare(malformed, "").await.starts_with("400 IncompleteSignatureException\n"));
}

#[tokio::test]
async fn requests_that_make_no_sense_are_told_why() {
    let house = House::open().await;
    check(
        &house.send("lambda", Request::post("/2015-03-31/functions"), "{").await,
        expect![[r#"
            400 SerializationException
            {"Type":"User","message":"Could not parse the request as JSON: EOF while parsing an object at line 1 column 1"}
        "#]],
    );
    check(
        &house.send("lambda", Request::post("/2015-03-31/functions"), r#"{"FunctionName":"x"}"#).await,
        expect![[r#"
            400 ValidationException
            {"Type":"User","message":"2 validation errors detected: Value null at 'role' failed to satisfy constraint: Member must not be null; Value null at 'code' failed to satisfy constraint: Member must not be null"}
        "#]],
    );
    check(
        &house.send("lambda", Request::get("/2015-03-31/functions/hello"), "").await,
        expect![[r#"
            404 ResourceNotFoundException
            {"Message":"Function not found: arn:aws:lambda:us-east-1:000000000000:function:hello","Type":"User"}
        "#]],
    );
    check(
        &house.send("lambda", Request::patch("/2015-03-31/functions"), "").await,
        expect![[r#"
            404 UnknownOperationException
            {"Type":"User","__type":"UnknownOperationException","message":"There is no operation PATCH /2015-03-31/functions in the Lambda API of 2015-03-31"}
        "#]],
    );
    check(
        &house.send("lambda", Request::get("/2018-10-31/layers"), "").await,
        expect![[r#"
            200 
            {"Layers":[]}
        "#]],
    );
    check(
        &house.send("dynamodb", Request::post("/"), "{}").await,
        expect![[r#"
            404 UnknownOperationException
            {"Type":"User","__type":"UnknownOperationException","message":"The service \"dynamodb\" is not part of dory. Lambda, S3, SQS, SNS, IAM, STS, CloudWatch and CloudWatch Logs are."}
        "#]],
    );
}

#[tokio::test]
async fn callers_learn_who_they_are() {
    let house = House::open().await;
    let form = Request::post("/").header("content-type", "application/x-www-form-urlencoded");
    check(
        &house.send("sts", form, "Action=GetCallerIdentity&Version=2011-06-15").await,
        expect![[r#"
            200 
            <GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Account>000000000000</Account><Arn>arn:aws:iam::000000000000:root</Arn><UserId>000000000000</UserId></GetCallerIdentityResult><ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata></GetCallerIdentityResponse>
        "#]],
    );
}

#[tokio::test]
async fn a_log_is_not_a_way_into_the_file_system() {
    let house = House::open().await;
    for path in [
        "/_dory/functions/..%2F..%2Fetc%2Fpasswd/log",
        "/_dory/functions/hello/log?namespace=..%2F..",
        "/_dory/code/..%2F..%2Fetc%2Fpasswd",
        "/_dory/code/",
    ] {
        let answer = house.send("lambda", Request::get(path), "").await;
        assert!(answer.starts_with("404 "), "{path}: {answer}");
    }
}

#[tokio::test]
async fn an_instance_cannot_fill_the_memory_with_what_it_sends() {
    use futures::{FutureExt, StreamExt};
    use http_body::Frame;
    use http_body_util::StreamBody;
    let house = House::open().await;
    let from = |instance: Option<&str>, body: Body| {
        let request = Request::post("/2015-03-31/functions").body(body).expect("a request");
        let (mut parts, body) = request.into_parts();
        if let Some(instance) = instance {
            parts.extensions.insert(crate::FromInstance(instance.to_owned()));
        }
        Request::from_parts(parts, body)
    };
    // It sends much, and never the end.
    let some = futures::stream::iter([Ok(Frame::data(vec![b'x'; 60_000_000].into()))]);
    let endless = StreamBody::new(some.chain(futures::stream::pending())).boxed_unsync();
    let mut open = Box::pin(house.door.handle(from(Some("a"), endless)));
    assert!(open.as_mut().now_or_never().is_none());
    let more = || text(&"x".repeat(20_000_000));
    let answer = show(house.door.handle(from(Some("a"), more())).await).await;
    assert!(
        answer.starts_with("429 TooManyRequestsException") && answer.contains("CallerRateLimitExceeded"),
        "{answer}"
    );
    for other in [Some("b"), None] {
        let answer = show(house.door.handle(from(other, more())).await).await;
        assert!(answer.starts_with("403 "), "{answer}");
    }
    drop(open);
    let answer = show(house.door.handle(from(Some("a"), more())).await).await;
    assert!(answer.starts_with("403 "), "{answer}");
}
