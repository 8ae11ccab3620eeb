//! The Kubernetes API over TLS: durable creates, gets, and the way from a write to a watch event.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use client::k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use client::kube::api::{Api, DeleteParams, PostParams, WatchEvent, WatchParams};
use client::kube::{self, ResourceExt};
use futures::TryStreamExt;
use serde_json::json;
use testing::binary::Dory;

use crate::{Examples, load, processes, row};

/// As the figure names it.
const CLIENTS: usize = 64;
const MEASURED: Duration = Duration::from_secs(5);
const VALUE_BYTES: usize = 1024;
const EVENTS: usize = 200;
/// Until what was freed is the kernel's again.
const SETTLED: Duration = Duration::from_secs(10);

pub(crate) fn run(dory: &Dory, _: &Examples) -> Result<()> {
    load::block_on(async {
        // As many connections as clients: each client is a process of its own in life.
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(client::from_kubeconfig(&dory.kubeconfig()).await?);
        }
        let clients = Arc::new(clients);
        let namespaces: Api<Namespace> = Api::all(clients[0].clone());
        let namespace = serde_json::from_value(json!({ "metadata": { "name": "bench" } }))?;
        namespaces.create(&PostParams::default(), &namespace).await?;
        creates(&clients).await?;
        gets(&clients).await?;
        write_to_event(&clients[0], &clients[1]).await?;
        namespaces.delete("bench", &DeleteParams::default()).await?;
        while namespaces.get_opt("bench").await?.is_some() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::Ok(())
    })?;
    // Seventy thousand objects have come and gone; what is remembered of them for watches is bounded.
    std::thread::sleep(SETTLED);
    row::at_most("api_resident_memory_after_load", processes::resident(dory)?, "MB", 150.0);
    Ok(())
}

fn config_map(name: &str) -> Result<ConfigMap> {
    let value = "x".repeat(VALUE_BYTES);
    Ok(serde_json::from_value(json!({ "metadata": { "name": name }, "data": { "value": value } }))?)
}

async fn creates(clients: &Arc<Vec<kube::Client>>) -> Result<()> {
    let clients = clients.clone();
    let measured = load::closed_loop(CLIENTS, MEASURED, move |client, n| {
        let maps: Api<ConfigMap> = Api::namespaced(clients[client].clone(), "bench");
        async move {
            maps.create(&PostParams::default(), &config_map(&format!("c-{n}"))?).await?;
            Ok(())
        }
    });
    row::at_least("durable_creates_64_clients", measured.await?, "per s", 5000.0);
    Ok(())
}

async fn gets(clients: &Arc<Vec<kube::Client>>) -> Result<()> {
    let clients = clients.clone();
    let measured = load::closed_loop(CLIENTS, MEASURED, move |client, n| {
        let client = clients[client].clone();
        async move {
            // The bytes alone: decoding is the client's work, and this process shares the machine with the server.
            let path = format!("/api/v1/namespaces/bench/configmaps/c-{}", n % 1000);
            client.request_text(http::Request::get(path).body(Vec::new())?).await?;
            Ok(())
        }
    });
    row::at_least("gets_64_clients", measured.await?, "per s", 20_000.0);
    Ok(())
}

async fn write_to_event(writer: &kube::Client, watcher: &kube::Client) -> Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(watcher.clone(), "bench");
    let from = maps.create(&PostParams::default(), &config_map("first")?).await?.resource_version();
    let stream = maps.watch(&WatchParams::default(), &from.unwrap_or_default()).await?;
    let mut stream = std::pin::pin!(stream);
    let maps: Api<ConfigMap> = Api::namespaced(writer.clone(), "bench");
    let mut samples = Vec::new();
    for n in 0..EVENTS {
        let name = format!("event-{n}");
        let object = config_map(&name)?;
        let sent = Instant::now();
        let parameters = PostParams::default();
        let creating = maps.create(&parameters, &object);
        let seen = async {
            loop {
                let event = stream.try_next().await?.context("the watch ended")?;
                if matches!(event, WatchEvent::Added(ref map) if map.name_any() == name) {
                    return anyhow::Ok(sent.elapsed());
                }
            }
        };
        let (created, seen) = tokio::join!(creating, seen);
        created?;
        samples.push(seen?);
    }
    row::median_ms("write_to_watch_event", &mut samples, 2.0);
    Ok(())
}
