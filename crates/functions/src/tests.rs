//! The room as its callers see it: function objects in an API server in this process, instances as plain processes.

mod extensions;
mod together;
mod versions;

use crate::events::tests::{Ahead, Sqs};
use crate::loopback::Loopback;
use crate::{
    Config, EventConfig, FunctionError, Functions, Invocation, InvocationKind, InvokeError, Outcome, Retries,
    Watched, new_request_id, resource,
};
use bytes::Bytes;
use client::{Deletion, Key, Objects};
use futures::StreamExt;
use managed::LogQuery;
use serde_json::{Value, json};
use std::io::{Cursor, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const BOOTSTRAP: &str = concat!(include_str!("tests/http.sh"), include_str!("tests/bootstrap.sh"));

pub(crate) struct Room {
    pub(crate) functions: Arc<Functions>,
    client: client::kube::Client,
    pub(crate) objects: Objects,
    pub(crate) clock: Arc<Ahead>,
    pub(crate) sqs: Arc<Sqs>,
    host: Arc<Loopback>,
    dir: tempfile::TempDir,
}

impl Room {
    pub(crate) async fn open(keep_alive: Duration) -> Room {
        Room::with(keep_alive, crate::loopback::no_aws()).await
    }

    async fn with(keep_alive: Duration, aws: crate::Aws) -> Room {
        let server = testing::house::bare_server().await.expect("an API server");
        let client = testing::house::as_user(&server, "dory:functions");
        let dir = tempfile::tempdir().expect("a directory");
        let host = Arc::new(Loopback::default());
        let (clock, sqs) = (Arc::new(Ahead::default()), Arc::new(Sqs::default()));
        let functions = Functions::start(Config {
            host: host.clone(),
            keep_alive,
            concurrency: 20,
            aws,
            events: EventConfig {
                queues: managed::Queues::in_memory(clock.clone()).await,
                retries: Retries { failed: [SOON; 2], refused_first: SOON, refused_max: 4 * SOON },
                destinations: vec![sqs.clone()],
                broker: managed::Broker::in_memory(clock.clone()).await,
            },
            ..crate::loopback::config(client.clone(), dir.path()).await
        });
        let functions = functions.await.expect("the room");
        let objects = Objects::new(client.clone(), resource());
        Room { functions, objects, client, clock, sqs, host, dir }
    }

    pub(crate) async fn deploy(&self, name: &str, more: Value) {
        self.deploy_program(name, BOOTSTRAP, more).await;
    }

    async fn deploy_program(&self, name: &str, bootstrap: &str, more: Value) {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file("bootstrap", SimpleFileOptions::default().unix_permissions(0o755)).expect("a file");
        writer.write_all(bootstrap.as_bytes()).expect("its content");
        self.deploy_zip(name, writer.finish().expect("an archive").into_inner(), more).await;
    }

    async fn deploy_zip(&self, name: &str, zip: Vec<u8>, more: Value) {
        let code = self.functions.put_code(zip.into()).await.expect("the code");
        let mut spec = json!({
            "runtime": "provided.al2023", "handler": "bootstrap", "role": "arn:aws:iam::000000000000:role/any",
            "timeoutSeconds": 60, "memoryMB": 128, "code": {"sha256": code.sha256, "size": code.size},
        });
        if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
            spec.extend(more.clone());
        }
        let key = Key::new("default", name);
        let old = self.objects.get(&key).await.ok();
        let mut object = old.clone().unwrap_or_else(|| {
            json!({"apiVersion": "dory.dev/v1", "kind": "Function", "metadata": {"name": name, "namespace": "default"}})
        });
        object["spec"] = spec;
        let written = match old {
            Some(_) => self.objects.replace(&key, &object).await,
            None => self.objects.create("default", &object).await,
        };
        let written = written.expect("the object");
        let version =
            written["metadata"]["resourceVersion"].as_str().and_then(|version| version.parse().ok());
        self.functions.seen(Watched::Function, &key, version).await;
    }

    /// Creates or replaces a version or an alias of a function, and waits until invocations see it.
    async fn put(&self, watched: Watched, of: &str, name: &str, more: Value) {
        let function = self.objects.get(&Key::new("default", of)).await.expect("the function");
        let mut spec = match watched {
            Watched::Version => function["spec"].clone(),
            _ => json!({"name": name}),
        };
        let spec_members = spec.as_object_mut().expect("a spec");
        spec_members.remove("reservedConcurrency");
        spec_members.insert("functionName".to_owned(), of.into());
        spec_members.extend(more.as_object().expect("members").clone());
        let resource = watched.resource();
        let key = Key::new("default", format!("{of}.{name}"));
        let mut object = json!({
            "apiVersion": "dory.dev/v1", "kind": resource.kind,
            "metadata": {
                "name": key.name, "namespace": "default",
                "ownerReferences": [client::owner::controller_reference(&function, &Watched::Function.resource())],
            },
            "spec": spec,
        });
        let objects = Objects::new(self.client.clone(), resource);
        let written = match objects.get(&key).await {
            Ok(old) => {
                object["metadata"] = old["metadata"].clone();
                objects.replace(&key, &object).await
            }
            Err(_) => objects.create("default", &object).await,
        };
        let written = written.expect("the object");
        let version = written["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok());
        self.functions.seen(watched, &key, version).await;
    }

    /// Creates or replaces a mapping, and waits until it is seen.
    pub(crate) async fn map(&self, name: &str, spec: Value) {
        let objects = Objects::new(self.client.clone(), Watched::Mapping.resource());
        let key = Key::new("default", name);
        let mut object = json!({
            "apiVersion": "dory.dev/v1", "kind": "EventSourceMapping",
            "metadata": {"name": name, "namespace": "default"}, "spec": spec,
        });
        let written = match objects.get(&key).await {
            Ok(old) => {
                object["metadata"] = old["metadata"].clone();
                objects.replace(&key, &object).await
            }
            Err(_) => objects.create("default", &object).await,
        };
        let written = written.expect("the object");
        let version = written["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok());
        self.functions.seen(Watched::Mapping, &key, version).await;
    }

    async fn publish(&self, of: &str, version: &str) {
        self.put(Watched::Version, of, version, json!({"version": version})).await;
    }

    async fn alias(&self, of: &str, name: &str, version: &str, routing: Value) {
        self.put(Watched::Alias, of, name, json!({"functionVersion": version, "routing": routing})).await;
    }

    async fn invoke(&self, name: &str, event: &str) -> Result<Outcome, InvokeError> {
        self.functions.invoke(invocation(name, event)).await
    }

    async fn call(&self, name: &str, event: &str) -> Value {
        let outcome = self.invoke(name, event).await.expect("an answer");
        serde_json::from_slice(&outcome.payload).expect("JSON")
    }

    async fn until_instances(&self, wanted: usize) {
        let started = Instant::now();
        while self.functions.instances() != wanted {
            assert!(started.elapsed() < PATIENCE, "{} instances", self.functions.instances());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the instance of the call before asks for its next event. On a loaded machine that can take longer
    /// than starting another one, which the pool would then rightly do.
    async fn until_idle(&self) {
        let started = Instant::now();
        while self.functions.idle_instances() == 0 {
            assert!(started.elapsed() < PATIENCE, "nothing is idle");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until a deleted function is gone for callers.
    pub(crate) async fn gone(&self, key: &Key) {
        self.functions.seen(Watched::Function, key, None).await;
    }

    pub(crate) async fn log(&self, name: &str) -> String {
        let query = LogQuery { lines: None, follow: false };
        let chunks: Vec<_> = self.functions.logs("default", name, query).expect("a log").collect().await;
        chunks
            .into_iter()
            .map(|chunk| String::from_utf8_lossy(&chunk.expect("a chunk")).into_owned())
            .collect()
    }
}

pub(crate) fn invocation(name: &str, event: &str) -> Invocation {
    Invocation {
        request_id: new_request_id(),
        namespace: "default".to_owned(),
        name: name.to_owned(),
        qualifier: None,
        kind: InvocationKind::RequestResponse,
        payload: Bytes::copy_from_slice(event.as_bytes()),
        client_context: None,
        trace_id: None,
        log_tail: true,
    }
}

pub(crate) const LONG: Duration = Duration::from_secs(300);

/// Longer than anything takes that a test waits for, also where ten others want the processor.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Before events are tried again.
const SOON: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread")]
async fn starts_from_zero_and_stays_warm() {
    let room = Room::open(LONG).await;
    room.deploy("hello", json!({})).await;
    assert_eq!(room.functions.instances(), 0);
    let first = room.call("hello", r#"{"a":1}"#).await;
    assert_eq!(first["event"], json!({"a": 1}));
    for count in 2..20 {
        room.until_idle().await;
        let again = room.call("hello", "{}").await;
        assert_eq!((&again["pid"], &again["count"]), (&first["pid"], &json!(count)));
    }
    // One that serves. For one caller the pool begins no second start beside it: any other was a first try that failed, and was
    // told as Lambda tells it.
    let failed = room.log("hello").await.matches("INIT_REPORT ").count();
    assert_eq!(room.host.started.load(Ordering::Relaxed), 1 + failed);
    assert_eq!(room.functions.instances(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn goes_back_to_zero() {
    let room = Room::open(Duration::from_secs(1)).await;
    room.deploy("hello", json!({})).await;
    room.call("hello", "{}").await;
    room.until_instances(0).await;
    assert!(room.host.frozen.load(Ordering::Relaxed) > 0, "frozen before it was stopped");
    assert_eq!(room.call("hello", "{}").await["count"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_at_the_same_time_get_instances_of_their_own() {
    let room = Room::open(LONG).await;
    room.deploy("hello", json!({"timeoutSeconds": 30})).await;
    let meeting = tempfile::tempdir().expect("a directory");
    let event = format!("\"meet {}\"", meeting.path().display());
    let calls = (0..5).map(|_| room.call("hello", &event));
    let answers = futures::future::join_all(calls).await;
    let mut pids: Vec<String> = answers.iter().map(|answer| answer["pid"].to_string()).collect();
    pids.sort();
    pids.dedup();
    assert_eq!(pids.len(), 5);
    assert_eq!(room.functions.instances(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_instance_is_thawed_by_the_next_call() {
    let room = Room::open(LONG).await;
    room.deploy("hello", json!({})).await;
    let first = room.call("hello", "{}").await;
    let started = Instant::now();
    while room.host.frozen.load(Ordering::Relaxed) == 0 {
        assert!(started.elapsed() < PATIENCE, "never frozen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(room.call("hello", "{}").await["pid"], first["pid"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_code_means_new_instances() {
    let room = Room::open(LONG).await;
    room.deploy("hello", json!({})).await;
    let old = room.call("hello", "{}").await;
    room.deploy("hello", json!({"environment": {"NEW": "1"}})).await;
    let new = room.call("hello", "{}").await;
    assert_ne!(old["pid"], new["pid"]);
    room.until_instances(1).await;
    room.objects.delete(&Key::new("default", "hello"), &Deletion::default()).await.expect("deleted");
    room.functions.seen(Watched::Function, &Key::new("default", "hello"), None).await;
    let gone = room.invoke("hello", "{}").await.expect_err("no function");
    assert_eq!(gone.to_string(), "Function not found: arn:aws:lambda:us-east-1:000000000000:function:hello");
    room.until_instances(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_concurrency_are_kept() {
    let room = Room::open(LONG).await;
    room.deploy("none", json!({"reservedConcurrency": 0})).await;
    room.deploy("one", json!({"reservedConcurrency": 1})).await;
    let reason = |result: Result<Outcome, InvokeError>| match result {
        Err(InvokeError::TooManyRequests(throttle)) => throttle.reason.as_str(),
        other => panic!("not throttled: {other:?}"),
    };
    let reserved = "ReservedFunctionConcurrentInvocationLimitExceeded";
    assert_eq!(reason(room.invoke("none", "{}").await), reserved);
    let (first, second) = tokio::join!(room.invoke("one", r#""slow""#), room.invoke("one", "{}"));
    assert!(first.is_ok());
    assert_eq!(reason(second), reserved);
    assert!(room.invoke("one", "{}").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_told_as_lambda_tells_it() {
    let room = Room::open(LONG).await;
    room.deploy("hello", json!({})).await;
    // Long enough for an answer that is not the one to be waited for.
    room.deploy("hangs", json!({"timeoutSeconds": 3})).await;
    let fail = async |name: &str, event: &str| {
        let outcome = room.invoke(name, event).await.expect("an answer");
        assert_eq!(outcome.error, Some(FunctionError::Unhandled));
        let text = String::from_utf8_lossy(&outcome.payload).replace(&*outcome.request_id, "ID");
        let tail =
            String::from_utf8_lossy(&outcome.log_tail.expect("a log")).replace(&*outcome.request_id, "ID");
        (text, tail)
    };
    let (thrown, _) = fail("hello", r#""throw""#).await;
    assert_eq!(thrown, r#"{"errorType":"Boom","errorMessage":"thrown"}"#);

    let (exited, tail) = fail("hello", r#""exit""#).await;
    assert_eq!(
        exited,
        r#"{"errorMessage":"RequestId: ID Error: Runtime exited with error: exit status 3","errorType":"Runtime.ExitError"}"#
    );
    let lines: Vec<&str> = tail.lines().collect();
    assert_eq!(lines[0], "START RequestId: ID Version: $LATEST");
    assert_eq!(lines[1], "about to exit");
    assert_eq!(
        lines[2..4],
        ["RequestId: ID Error: Runtime exited with error: exit status 3", "Runtime.ExitError"]
    );
    assert_eq!(lines[4], "END RequestId: ID");
    assert!(lines[5].ends_with("Status: error\tError Type: Runtime.ExitError"), "{tail}");

    let (hung, tail) = fail("hangs", r#""hang""#).await;
    assert_eq!(
        hung,
        r#"{"errorMessage":"RequestId: ID Error: Task timed out after 3.00 seconds","errorType":"Sandbox.Timedout"}"#
    );
    assert!(tail.contains(" ID Task timed out after 3.00 seconds\nEND RequestId: ID\nREPORT "), "{tail}");

    assert_eq!(room.call("hangs", "{}").await["event"], json!({}), "and it still answers");

    let big = room.invoke("hello", r#""big""#).await.expect("an answer");
    assert!(
        big.payload.starts_with(br#"{"errorMessage":"Response payload size exceeded"#),
        "{:?}",
        big.payload
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_try_is_part_of_the_invocation() {
    let room = Room::open(LONG).await;
    // As on Lambda: no init of its own, and a longer duration.
    let mark = room.dir.path().join("died").to_string_lossy().into_owned();
    room.deploy("dies", json!({"environment": {"EXIT_ONCE": mark}})).await;
    assert_eq!(room.call("dies", "{}").await["count"], 1);
    let log = room.log("dies").await;
    let (init, rest) = log.split_once("START RequestId: ").expect("an invocation");
    assert!(init.contains("\tPhase: init\tStatus: error\tError Type: Runtime.ExitError"), "{log}");
    let report = rest.split_once("REPORT ").expect("a report").1;
    let duration = report.split_once("Duration: ").and_then(|(_, rest)| rest.split_once(" ms"));
    let duration: f64 = duration.and_then(|(ms, _)| ms.parse().ok()).expect("milliseconds");
    assert!(duration > 50.0 && !report.contains("Init Duration") && !rest.contains("INIT_REPORT"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_cannot_start_fail_their_invocation() {
    let room = Room::open(LONG).await;
    let fail = async |name: &str| {
        let outcome = room.invoke(name, "{}").await.expect("an answer");
        assert_eq!(outcome.error, Some(FunctionError::Unhandled));
        String::from_utf8_lossy(&outcome.payload).replace(&*outcome.request_id, "ID")
    };
    room.deploy("reports", json!({"environment": {"FAIL_INIT": "1"}})).await;
    assert_eq!(fail("reports").await, r#"{"errorType":"Init.Failed","errorMessage":"no"}"#);
    assert_eq!(room.log("reports").await.matches("INIT_REPORT ").count(), 2, "one start and one retry");

    room.deploy("exits", json!({"environment": {"EXIT_INIT": "7"}})).await;
    assert!(fail("exits").await.contains("Runtime exited with error: exit status 7"));
    let tail = room.invoke("exits", "{}").await.expect("an answer").log_tail.expect("a log");
    let tail = String::from_utf8_lossy(&tail);
    assert!(
        tail.starts_with("giving up\nINIT_REPORT Init Duration: ") && tail.contains("\nREPORT "),
        "{tail}"
    );

    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("index.js", SimpleFileOptions::default()).expect("a file");
    room.deploy_zip("empty", writer.finish().expect("an archive").into_inner(), json!({})).await;
    assert_eq!(
        fail("empty").await,
        r#"{"errorMessage":"RequestId: ID Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]","errorType":"Runtime.InvalidEntrypoint"}"#
    );
    room.until_instances(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_complete_and_in_order() {
    let room = Room::open(LONG).await;
    room.deploy("hello", json!({})).await;
    for call in 0..3 {
        if call > 0 {
            room.until_idle().await;
        }
        let outcome = room.invoke("hello", r#""print""#).await.expect("an answer");
        let tail = String::from_utf8_lossy(&outcome.log_tail.expect("a log")).into_owned();
        let kinds: Vec<&str> = tail.lines().map(|line| line.split(' ').next().unwrap_or_default()).collect();
        assert_eq!(kinds, ["START", "one", "two", "no", "END", "REPORT"]);
    }
    let log = room.log("hello").await;
    assert_eq!(log.lines().count(), 18);
    assert_eq!(log.matches("Init Duration: ").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_checked_before_anything_runs() {
    let room = Room::open(LONG).await;
    room.deploy("hello", json!({})).await;
    assert!(matches!(room.invoke("hello", "{").await, Err(InvokeError::NotJson(_))));
    let large = format!("\"{}\"", "x".repeat(crate::PAYLOAD_BYTES_MAX));
    assert!(matches!(room.invoke("hello", &large).await, Err(InvokeError::PayloadTooLarge { .. })));
    assert!(matches!(room.invoke("other", "{}").await, Err(InvokeError::NotFound(_))));
    let versioned = Invocation { qualifier: Some("1".to_owned()), ..invocation("hello", "{}") };
    let error = room.functions.invoke(versioned).await.expect_err("no version");
    assert!(error.to_string().ends_with(":function:hello:1"), "{error}");
    let dry = Invocation { kind: InvocationKind::DryRun, ..invocation("hello", "{}") };
    assert!(room.functions.invoke(dry).await.expect("it could run").payload.is_empty());
    assert_eq!(room.host.started.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn an_instance_is_replaced_before_its_credentials_end() {
    // It takes no more events after eleven twelfths of this, and would be kept for a minute otherwise.
    let session = Duration::from_secs(3);
    let aws = crate::Aws { session, ..crate::loopback::no_aws() };
    let room = Room::with(Duration::from_secs(60), aws).await;
    room.deploy("hello", json!({})).await;
    room.call("hello", "{}").await;
    room.until_instances(0).await;
    room.call("hello", "{}").await;
    assert_eq!(room.host.started.load(Ordering::Relaxed), 2);
}
