//! Deployments: apply until 3 of 3 are ready, a rolling update, an undo.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use client::k8s_openapi::api::apps::v1::Deployment;
use client::k8s_openapi::api::core::v1::Pod;
use client::kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use client::kube::runtime::wait::{await_condition, conditions};
use client::kube::{self, ResourceExt};
use serde_json::{Value, json};
use testing::binary::Dory;

use crate::{Examples, load, row};

const APPLIES: usize = 20;
const ROLLOUTS: usize = 5;
const REPLICAS: i32 = 3;

pub(crate) fn run(dory: &Dory, examples: &Examples) -> Result<()> {
    let server = examples.path("api-service");
    for tag in ["bench/api:1", "bench/api:2"] {
        // Two images that differ, as two releases do.
        let version = format!("VERSION={tag}");
        dory.run(&["image", "build", &server.to_string_lossy(), "-t", tag, "--env", &version])?;
    }
    load::block_on(async {
        let client = client::from_kubeconfig(&dory.kubeconfig()).await?;
        let mut samples = Vec::new();
        for n in 0..APPLIES {
            let name = format!("apply-{n}");
            samples.push(apply_until_ready(&client, &name).await?);
            remove(&client, &name).await?;
        }
        row::median_ms("apply_to_3_of_3_ready", &mut samples, 150.0);
        apply_until_ready(&client, "roll").await?;
        Ok(())
    })?;
    let (mut updates, mut undos) = (Vec::new(), Vec::new());
    for _ in 0..ROLLOUTS {
        updates.push(rollout(dory, &["set", "image", "deployment/roll", "api=bench/api:2"])?);
        undos.push(rollout(dory, &["rollout", "undo", "deployment/roll"])?);
    }
    row::median_ms("rolling_update_3_replicas", &mut updates, 1000.0);
    row::median_ms("rollout_undo_3_replicas", &mut undos, 1000.0);
    load::block_on(async { remove(&client::from_kubeconfig(&dory.kubeconfig()).await?, "roll").await })
}

fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name },
        "spec": { "replicas": REPLICAS, "selector": { "matchLabels": { "app": name } }, "template": {
            "metadata": { "labels": { "app": name } },
            "spec": { "terminationGracePeriodSeconds": 1, "containers": [{
                "name": "api", "image": "bench/api:1",
                "resources": { "requests": { "cpu": "50m", "memory": "32Mi" } },
            }]},
        }},
    })
}

async fn apply_until_ready(client: &kube::Client, name: &str) -> Result<Duration> {
    let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
    let ready = |object: Option<&Deployment>| {
        let status = object.and_then(|object| object.status.as_ref());
        status.is_some_and(|status| status.ready_replicas == Some(REPLICAS))
    };
    let began = Instant::now();
    deployments.patch(name, &PatchParams::apply("bench"), &Patch::Apply(deployment(name))).await?;
    tokio::time::timeout(Duration::from_secs(60), await_condition(deployments, name, ready))
        .await
        .with_context(|| format!("{name} was not ready after a minute"))??;
    Ok(began.elapsed())
}

/// Deletes and waits until the pods are gone, so that the next sample starts from the same place.
async fn remove(client: &kube::Client, name: &str) -> Result<()> {
    let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
    deployments.delete(name, &DeleteParams::background()).await?;
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    for pod in pods.list(&ListParams::default().labels(&format!("app={name}"))).await? {
        let uid = pod.uid().unwrap_or_default();
        await_condition(pods.clone(), &pod.name_any(), conditions::is_deleted(&uid)).await?;
    }
    Ok(())
}

/// The change and `kubectl rollout status`, as a person types them; kubectl's own start-up is part of the time.
fn rollout(dory: &Dory, change: &[&str]) -> Result<Duration> {
    let began = Instant::now();
    kubectl(dory, change)?;
    kubectl(dory, &["rollout", "status", "deployment/roll", "--timeout=60s"])?;
    Ok(began.elapsed())
}

fn kubectl(dory: &Dory, arguments: &[&str]) -> Result<()> {
    let output = Command::new("kubectl").arg("--kubeconfig").arg(dory.kubeconfig()).args(arguments).output();
    let output = output.context("running kubectl; `make setup` installs it")?;
    if !output.status.success() {
        bail!("kubectl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
