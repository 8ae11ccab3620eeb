//! Ending one container: preStop hook, stop signal, and when the grace period is over, the kill.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use client::k8s_openapi::api::core::v1 as api;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ground::Ground;
use super::hook;
use crate::runtime::Sandbox;

/// After a preStop hook used up the grace period the process still gets this long; upstream's
/// `minimumGracePeriodInSeconds`.
const AFTER_HOOK_MIN: Duration = Duration::from_secs(2);
/// When a kill had no effect (a process stuck in the kernel) it is repeated this often.
const KILL_AGAIN: Duration = Duration::from_secs(5);

/// What ends.
pub(crate) struct Stopping {
    pub(crate) pod: Arc<api::Pod>,
    pub(crate) container: api::Container,
    pub(crate) sandbox: Arc<dyn Sandbox>,
    /// Cancelled when the container has ended.
    pub(crate) exited: CancellationToken,
    /// When it is killed; may be brought forward meanwhile.
    pub(crate) deadline: watch::Receiver<Instant>,
    pub(crate) host: Ipv4Addr,
}

/// Ends the container; returns when it has.
pub(crate) async fn stop(ground: &Ground, mut stopping: Stopping) {
    let exited = stopping.exited.clone();
    tokio::select! {
        () = exited.cancelled() => return,
        () = ask(ground, &mut stopping) => {}
    }
    let name = &stopping.container.name;
    while !exited.is_cancelled() {
        if let Err(error) = stopping.sandbox.kill(name).await {
            tracing::debug!(container = name, %error, "failed to kill a container");
        }
        let _ = tokio::time::timeout(KILL_AGAIN, exited.cancelled()).await;
    }
}

/// The polite part: ends when it is time to kill.
async fn ask(ground: &Ground, stopping: &mut Stopping) {
    if *stopping.deadline.borrow() <= Instant::now() {
        return;
    }
    let hook = stopping.container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.clone());
    let mut floor = Instant::now();
    if let Some(hook) = hook {
        let left = stopping.deadline.borrow().saturating_duration_since(Instant::now());
        let Stopping { container, sandbox, host, pod, .. } = &*stopping;
        let work = hook::run(&hook, container, &**sandbox, *host, left);
        if let Err(error) =
            tokio::time::timeout(left, work).await.unwrap_or(Err("it took too long".to_owned()))
        {
            ground.container_event(pod, &container.name, true, "FailedPreStopHook", "PreStopHook failed");
            tracing::debug!(container = container.name, error, "a preStop hook failed");
        }
        floor = Instant::now() + AFTER_HOOK_MIN;
    }
    let name = &stopping.container.name;
    if let Err(error) = stopping.sandbox.stop(name).await {
        tracing::debug!(container = name, %error, "failed to send the stop signal");
    }
    loop {
        let deadline = (*stopping.deadline.borrow_and_update()).max(floor);
        tokio::select! {
            () = tokio::time::sleep_until(deadline) => return,
            // Without a sender the deadline stands.
            Ok(()) = stopping.deadline.changed() => {}
        }
    }
}
