//! `dory logs`: a function's log through the AWS endpoint, a pod's, deployment's or job's through the Kubernetes API.

use anyhow::{Context, Result, bail};
use client::k8s_openapi::api::apps::v1::Deployment;
use client::k8s_openapi::api::core::v1::Pod;
use client::kube::api::{Api, ListParams, LogParams};
use futures::{AsyncBufReadExt, TryStreamExt};
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;

use crate::Platform;
use crate::args::Logs;
use crate::aws_door::AwsDoor;

pub(crate) async fn run(platform: &Platform, options: &Logs) -> Result<()> {
    match options.target.split_once('/') {
        None => function(platform, options).await,
        Some(("function" | "functions" | "fn", name)) => {
            function(platform, &Logs { target: name.to_owned(), ..copy(options) }).await
        }
        Some(("pod" | "pods" | "po", name)) => pods(platform, options, vec![name.to_owned()]).await,
        Some(("deployment" | "deployments" | "deploy", name)) => {
            let selector = selector_of(platform, options, name).await?;
            let names = pods_of(platform, options, &selector, &format!("deployment {name}")).await?;
            pods(platform, options, names).await
        }
        Some(("job" | "jobs", name)) => {
            let selector = format!("batch.kubernetes.io/job-name={name}");
            let names = pods_of(platform, options, &selector, &format!("job {name}")).await?;
            pods(platform, options, names).await
        }
        Some((kind, _)) => {
            bail!("there are no logs of a {kind}; name a FUNCTION, pod/NAME, deployment/NAME or job/NAME")
        }
    }
}

fn copy(options: &Logs) -> Logs {
    Logs { target: String::new(), namespace: options.namespace.clone(), ..*options }
}

async fn function(platform: &Platform, options: &Logs) -> Result<()> {
    let door = AwsDoor::open(platform)?;
    let path =
        format!("/_dory/functions/{}/log?follow={}&tail={}", options.target, options.follow, options.tail);
    let mut body = door.stream(&path).await?;
    let mut out = tokio::io::stdout();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            out.write_all(&data).await?;
            out.flush().await?;
        }
    }
    Ok(())
}

async fn selector_of(platform: &Platform, options: &Logs, deployment: &str) -> Result<String> {
    let deployments: Api<Deployment> = Api::namespaced(platform.client().await?, &options.namespace);
    let selector = deployments.get(deployment).await?.spec.selector;
    let labels = selector.match_labels.into_iter().flatten().map(|(name, value)| format!("{name}={value}"));
    Ok(labels.collect::<Vec<_>>().join(","))
}

async fn pods_of(platform: &Platform, options: &Logs, selector: &str, owner: &str) -> Result<Vec<String>> {
    let pods: Api<Pod> = Api::namespaced(platform.client().await?, &options.namespace);
    let found = pods.list(&ListParams::default().labels(selector)).await?;
    let names: Vec<String> = found.items.into_iter().filter_map(|pod| pod.metadata.name).collect();
    if names.is_empty() {
        bail!("{owner} has no pods; `kubectl describe {owner}` says why");
    }
    Ok(names)
}

/// Several pods are told apart by their names before each line, as `kubectl logs --prefix` does.
async fn pods(platform: &Platform, options: &Logs, names: Vec<String>) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(platform.client().await?, &options.namespace);
    let prefix = names.len() > 1;
    let streams = names.into_iter().map(|name| {
        let pods = pods.clone();
        async move {
            let parameters = LogParams {
                follow: options.follow,
                tail_lines: Some(i64::from(options.tail)),
                ..LogParams::default()
            };
            let stream = pods.log_stream(&name, &parameters).await;
            let mut lines = stream.with_context(|| format!("no logs of pod {name}"))?.lines();
            while let Some(line) = lines.try_next().await? {
                let text = if prefix { format!("[{name}] {line}\n") } else { format!("{line}\n") };
                tokio::io::stdout().write_all(text.as_bytes()).await?;
            }
            anyhow::Ok(())
        }
    });
    futures::future::try_join_all(streams).await?;
    Ok(())
}
