//! Lifecycle hooks: postStart and preStop, by exec, httpGet or sleep.

use std::net::Ipv4Addr;
use std::time::Duration;

use client::k8s_openapi::api::core::v1 as api;

use crate::probe::http;
use crate::probe::target::{address, port};
use crate::runtime::Sandbox;

/// A postStart hook may take as long as it likes upstream; this ends one that hangs.
pub(crate) const POST_START_MAX: Duration = Duration::from_secs(600);
/// No hook waits longer than this for an HTTP answer; preStop is bounded by the grace period besides.
const HTTP_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs a hook to its end; the error is what the event says.
pub(crate) async fn run(
    handler: &api::LifecycleHandler,
    container: &api::Container,
    sandbox: &dyn Sandbox,
    host: Ipv4Addr,
    timeout: Duration,
) -> Result<(), String> {
    if let Some(exec) = &handler.exec {
        let argv = exec.command.clone().unwrap_or_default();
        let ran = sandbox.run(&container.name, argv, timeout).await?;
        return match ran.code {
            0 => Ok(()),
            code => Err(format!("command exited with {code}: {}", ran.output.trim_end())),
        };
    }
    if let Some(get) = &handler.http_get {
        let port = port(&get.port, container)?;
        let address = address(get.host.as_deref(), sandbox.address().unwrap_or(host), port)?;
        return http::get(get, address, timeout.min(HTTP_TIMEOUT), "lifecycle").await.map(drop);
    }
    if let Some(sleep) = &handler.sleep {
        let seconds = u64::try_from(sleep.seconds).unwrap_or(0);
        tokio::time::sleep(Duration::from_secs(seconds).min(timeout)).await;
    }
    Ok(())
}
