//! Published versions and aliases: each version runs its own code in its own instances, and an alias decides per call.

use super::{LONG, Room, invocation};
use crate::{Invocation, InvokeError, Outcome, Watched};
use client::{Deletion, Key, Objects};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

impl Room {
    async fn invoke_at(&self, name: &str, qualifier: &str) -> Result<Outcome, InvokeError> {
        self.functions
            .invoke(Invocation { qualifier: Some(qualifier.to_owned()), ..invocation(name, "{}") })
            .await
    }

    async fn version_at(&self, name: &str, qualifier: &str) -> String {
        self.invoke_at(name, qualifier).await.expect("an answer").executed_version
    }

    async fn delete(&self, watched: Watched, name: &str) {
        let (objects, key) =
            (Objects::new(self.client.clone(), watched.resource()), Key::new("default", name));
        objects.delete(&key, &Deletion::default()).await.expect("deleted");
        self.functions.seen(watched, &key, None).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_qualifier_leads_to_its_version() {
    let room = Room::open(LONG).await;
    room.deploy("hello", json!({})).await;
    room.publish("hello", "1").await;
    room.deploy("hello", json!({"environment": {"NEW": "1"}})).await;
    room.publish("hello", "2").await;
    room.alias("hello", "live", "1", json!({})).await;
    room.alias("hello", "newest", "$LATEST", json!({})).await;
    for (qualifier, version) in
        [("1", "1"), ("2", "2"), ("$LATEST", "$LATEST"), ("live", "1"), ("newest", "$LATEST")]
    {
        let outcome = room.invoke_at("hello", qualifier).await.expect("an answer");
        assert_eq!(outcome.executed_version, version, "{qualifier}");
        let tail = outcome.log_tail.expect("a log");
        assert!(
            String::from_utf8_lossy(&tail)
                .starts_with(&format!("START RequestId: {} Version: {version}\n", outcome.request_id)),
            "{tail:?}"
        );
    }
    for missing in ["3", "dead"] {
        let error = room.invoke_at("hello", missing).await.expect_err("no such version");
        assert!(error.to_string().ends_with(&format!(":function:hello:{missing}")), "{error}");
    }
    room.alias("hello", "live", "3", json!({})).await;
    assert!(room.invoke_at("hello", "live").await.is_err(), "an alias of a version that is not there");
    room.delete(Watched::Version, "hello.1").await;
    assert!(room.invoke_at("hello", "1").await.is_err());
    room.delete(Watched::Alias, "hello.newest").await;
    assert!(room.invoke_at("hello", "newest").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_end_with_their_function() {
    let room = Room::open(LONG).await;
    room.deploy("hello", json!({})).await;
    room.publish("hello", "1").await;
    room.alias("hello", "live", "1", json!({})).await;
    assert_eq!(room.version_at("hello", "live").await, "1");
    room.delete(Watched::Function, "hello").await;
    assert!(room.invoke_at("hello", "1").await.is_err());
    // The garbage collector does not run here: the old version is still there, and is none of the new function's.
    room.deploy("hello", json!({})).await;
    assert!(room.invoke_at("hello", "1").await.is_err());
    assert!(room.invoke_at("hello", "live").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_keeps_its_ratio() {
    let room = Room::open(LONG).await;
    room.deploy("hello", json!({})).await;
    room.publish("hello", "1").await;
    room.publish("hello", "2").await;
    room.alias("hello", "live", "1", json!({"2": 0.2})).await;
    let mut second = 0;
    for _ in 0..100 {
        second += u32::from(room.version_at("hello", "live").await == "2");
    }
    assert!((18..=22).contains(&second), "{second} of 100 went to the version with a fifth");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flip_moves_every_new_call_and_drops_none() {
    let room = Arc::new(Room::open(LONG).await);
    room.deploy("hello", json!({})).await;
    room.publish("hello", "1").await;
    room.publish("hello", "2").await;
    room.alias("hello", "live", "1", json!({})).await;
    let (flipped, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let clients = (0..4).map(|_| {
        let (room, flipped, ended) = (room.clone(), flipped.clone(), ended.clone());
        tokio::spawn(async move {
            let mut calls = 0;
            while !ended.load(Ordering::SeqCst) {
                let after = flipped.load(Ordering::SeqCst);
                let version = room.version_at("hello", "live").await;
                assert!(!after || version == "2", "a call after the flip ran on version {version}");
                calls += 1;
            }
            calls
        })
    });
    let clients: Vec<_> = clients.collect();
    let on = async |version: &str| while room.version_at("hello", "live").await != version {};
    on("1").await;
    room.alias("hello", "live", "2", json!({})).await;
    flipped.store(true, Ordering::SeqCst);
    for _ in 0..20 {
        assert_eq!(room.version_at("hello", "live").await, "2");
    }
    ended.store(true, Ordering::SeqCst);
    for client in clients {
        assert!(client.await.expect("no call was lost or went astray") > 0);
    }
}
