//! Probes of a running container: startup, readiness, liveness; by HTTP, TCP or a command. A probe runs until its
//! container's run ends, or its word is final. What follows from an answer is the pod task's business.

pub(crate) mod http;
pub(crate) mod target;
mod tracker;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use client::k8s_openapi::api::core::v1 as api;
use jiff::Timestamp;
use tokio::time::Instant;

use self::tracker::Tracker;
use crate::runtime::Sandbox;

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Startup,
    Readiness,
    Liveness,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Purpose::Startup => "Startup",
            Purpose::Readiness => "Readiness",
            Purpose::Liveness => "Liveness",
        }
    }
}

/// A program that opens its port a few milliseconds after its start should not be unready for a whole period because
/// the first probe came too early. Within the first period failed startup and readiness probes are repeated after this
/// long, then twice as long, and so on; these extra tries count for success only.
const EAGER_FIRST: Duration = Duration::from_millis(15);
/// Commands cost more than a connection.
const EAGER_FIRST_EXEC: Duration = Duration::from_millis(100);

/// What is probed.
pub(crate) struct Target {
    pub(crate) sandbox: Arc<dyn Sandbox>,
    pub(crate) container: api::Container,
    /// Where pods on the host's network answer.
    pub(crate) host: Ipv4Addr,
    /// When the run began.
    pub(crate) since: Timestamp,
}

/// What came of one or more tries.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Reason and message.
    pub(crate) events: Vec<(&'static str, String)>,
    /// Set when what is known of the container changed.
    pub(crate) healthy: Option<bool>,
}

/// A probe at work.
pub(crate) struct Probe {
    purpose: Purpose,
    spec: api::Probe,
    target: Target,
    tracker: Tracker,
    period: Duration,
    /// When the next counted try is due.
    tick: Instant,
    /// The next extra try within the first period.
    eager: Option<(Instant, Duration)>,
    ticks: u32,
    ended: bool,
}

impl Probe {
    /// The container's probe for `purpose`, if it has one.
    pub(crate) fn new(purpose: Purpose, target: Target) -> Option<Probe> {
        let container = &target.container;
        let spec = match purpose {
            Purpose::Startup => container.startup_probe.clone(),
            Purpose::Readiness => container.readiness_probe.clone(),
            Purpose::Liveness => container.liveness_probe.clone(),
        }?;
        let number = |value: Option<i32>, default: u32| {
            value.and_then(|value| u32::try_from(value).ok()).unwrap_or(default)
        };
        let tracker =
            Tracker::new(purpose, number(spec.success_threshold, 1), number(spec.failure_threshold, 3));
        let delay = Duration::from_secs(number(spec.initial_delay_seconds, 0).into());
        let age = Timestamp::now().duration_since(target.since);
        let age = Duration::try_from(age).unwrap_or_default();
        Some(Probe {
            purpose,
            tracker,
            period: Duration::from_secs(number(spec.period_seconds, 10).max(1).into()),
            tick: Instant::now() + delay.saturating_sub(age),
            eager: None,
            ticks: 0,
            ended: false,
            spec,
            target,
        })
    }

    pub(crate) fn container(&self) -> &str {
        &self.target.container.name
    }

    /// The outcome of the next try; `None` when the probe has said its last word.
    pub(crate) async fn next(&mut self) -> Option<Verdict> {
        if self.ended {
            return None;
        }
        let (at, counted) = match self.eager {
            Some((at, _)) if at < self.tick => (at, false),
            _ => (self.tick, true),
        };
        tokio::time::sleep_until(at).await;
        let answer = self.ask().await;
        let healthy = answer.is_ok();
        self.schedule(healthy, counted);
        let mut verdict = Verdict::default();
        if counted && let Err(why) = answer {
            verdict.events.push(("Unhealthy", format!("{} probe failed: {why}", self.purpose.name())));
        }
        if counted || healthy {
            verdict.healthy = self.tracker.observe(healthy);
        }
        let last_word = match self.purpose {
            Purpose::Startup => verdict.healthy.is_some(),
            Purpose::Liveness => verdict.healthy == Some(false),
            Purpose::Readiness => false,
        };
        self.ended = last_word;
        Some(verdict)
    }

    fn schedule(&mut self, healthy: bool, counted: bool) {
        let now = Instant::now();
        if counted {
            self.ticks += 1;
            // Late tries do not pile up.
            self.tick = (self.tick + self.period).max(now);
        }
        let exec = self.spec.exec.is_some();
        self.eager = match self.eager {
            _ if healthy || self.purpose == Purpose::Liveness || self.ticks != 1 => None,
            None if counted => {
                let first = if exec { EAGER_FIRST_EXEC } else { EAGER_FIRST };
                Some((now + first, first))
            }
            None => None,
            Some((_, wait)) => Some((now + wait * 2, wait * 2)),
        };
    }

    /// One try; the error says what was wrong.
    async fn ask(&self) -> Result<(), String> {
        let seconds = self.spec.timeout_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(1);
        let timeout = Duration::from_secs(seconds.max(1));
        let Target { sandbox, container, host, .. } = &self.target;
        let pod = sandbox.address().unwrap_or(*host);
        if let Some(exec) = &self.spec.exec {
            let ran = sandbox.run(&container.name, exec.command.clone().unwrap_or_default(), timeout).await?;
            return if ran.code == 0 { Ok(()) } else { Err(ran.output) };
        }
        if let Some(get) = &self.spec.http_get {
            let address = target::address(get.host.as_deref(), pod, target::port(&get.port, container)?)?;
            return http::get(get, address, timeout, "probe").await.map(drop);
        }
        if let Some(tcp) = &self.spec.tcp_socket {
            let address = target::address(tcp.host.as_deref(), pod, target::port(&tcp.port, container)?)?;
            let connected = tokio::time::timeout(timeout, http::connect(address)).await;
            return connected.unwrap_or_else(|_| Err(format!("dial tcp {address}: i/o timeout"))).map(drop);
        }
        Err("the probe has no action that is supported".to_owned())
    }
}

#[cfg(test)]
#[path = "probe/tests.rs"]
mod tests;
