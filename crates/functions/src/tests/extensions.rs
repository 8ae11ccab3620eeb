//! Functions with external extensions, as plain processes.

use super::{LONG, PATIENCE, Room};
use crate::FunctionError;
use serde_json::json;
use std::io::{Cursor, Write};
use std::time::{Duration, Instant};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Layers are found by their archives.
const LAYER: &str = "arn:aws:lambda:us-east-1:000000000000:layer:any:1";

const EXTENSION: &str = concat!(include_str!("http.sh"), include_str!("extension.sh"));

impl Room {
    /// A function with one extension, which does what `agent` says.
    async fn deploy_extended(&self, name: &str, agent: &str) {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().unix_permissions(0o755);
        writer.start_file("extensions/agent", options).expect("a file");
        writer.write_all(EXTENSION.as_bytes()).expect("its content");
        let zip = writer.finish().expect("an archive").into_inner();
        let layer = self.functions.put_code(zip.into()).await.expect("the layer");
        self.functions.put_layers(None, vec![layer.sha256.clone()]).await.expect("the tree");
        let layers = json!([{"arn": LAYER, "sha256": layer.sha256, "size": layer.size}]);
        let more = json!({"layers": layers, "environment": {"AGENT": agent}});
        self.deploy(name, more).await;
    }

    async fn until_logged(&self, name: &str, text: &str) -> String {
        let started = Instant::now();
        loop {
            let log = self.log(name).await;
            if log.contains(text) {
                return log;
            }
            assert!(started.elapsed() < PATIENCE, "no {text:?} in {log}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn in_order(log: &str, wanted: &[&str]) {
    let mut rest = log;
    for one in wanted {
        let at = rest.find(one).unwrap_or_else(|| panic!("{one:?} does not follow in {log}"));
        rest = &rest[at + one.len()..];
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_starts_before_works_after_and_hears_of_the_end() {
    let room = Room::open(Duration::from_millis(100)).await;
    room.deploy_extended("hello", "slow").await;
    let mut invocation = super::invocation("hello", "{}");
    invocation.log_tail = false;
    let outcome = room.functions.invoke(invocation).await.expect("an answer");
    assert!(outcome.error.is_none());
    let log = room.until_logged("hello", "shutdownReason").await;
    in_order(
        &log,
        &[
            "agent registered",
            "EXTENSION\tName: agent\tState: Ready\tEvents: [INVOKE,SHUTDOWN]",
            "START",
            "\"eventType\":\"INVOKE\"",
            "agent worked",
            "REPORT",
            "\"shutdownReason\":\"spindown\"",
        ],
    );
    room.until_instances(0).await;
    let usage = room.functions.meter().usage(jiff::Timestamp::now());
    assert!(usage.functions[0].billed_ms >= 500, "what the extension took is billed: {usage:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_that_ends_takes_its_instance_along() {
    let room = Room::open(LONG).await;
    let fail = async |name: &str, event: &str| {
        let outcome = room.invoke(name, event).await.expect("an answer");
        assert_eq!(outcome.error, Some(FunctionError::Unhandled));
        String::from_utf8_lossy(&outcome.payload).replace(&*outcome.request_id, "ID")
    };
    room.deploy_extended("crashes", "crash").await;
    let crash = r#"{"errorMessage":"RequestId: ID Error: exit status 7","errorType":"Extension.Crash"}"#;
    assert_eq!(fail("crashes", "{}").await, crash);
    let log = room.until_logged("crashes", "Status: error\tError Type: Extension.Crash").await;
    assert_eq!(log.matches("INIT_REPORT").count(), 2, "one start and one retry");
    room.deploy_extended("dies", "dies").await;
    assert!(fail("dies", r#""hang""#).await.contains("exit status 9"));
    room.until_instances(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_ends_is_told_to_its_extensions() {
    let room = Room::open(LONG).await;
    room.deploy_extended("exits", "").await;
    let outcome = room.invoke("exits", r#""exit""#).await.expect("an answer");
    assert!(String::from_utf8_lossy(&outcome.payload).contains("Runtime exited with error: exit status 3"));
    room.until_logged("exits", "\"shutdownReason\":\"failure\"").await;
}
