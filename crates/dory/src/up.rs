//! `dory up`: the process around a platform — lock, log, runtime, signals.

use std::io::Write;

use anyhow::{Result, bail};
use cli::Up;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

use crate::Environment;
use crate::data_dir::DataDir;
use crate::detach::READY;
use crate::platform::{Leave, Running};
use crate::threads;

/// Descriptors that the table has room for from the start: three thousand instances, in 128 KiB.
const DESCRIPTORS_AHEAD: u64 = 16_384;

pub fn run(data: &DataDir, options: &Up, environment: &Environment) -> Result<()> {
    if !environment.root {
        bail!("containers need root on this host; run `sudo dory up` (rootless mode is not supported yet)");
    }
    data.create()?;
    let _held = data.hold()?;
    log_to_stderr();
    open_many_files();
    // Whoever asks the Kubernetes API does not stand in line behind a thousand invocations that came at once.
    let api = threads::runtime()?;
    threads::runtime()?.block_on(serve(data, options, environment, api.handle()))
}

async fn serve(data: &DataDir, options: &Up, environment: &Environment, api: &Handle) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let running = Running::start(data, options, environment, api).await?;
    announce(data, &running)?;
    let leave = tokio::select! {
        _ = interrupt.recv() => Leave::Nothing,
        _ = terminate.recv() => Leave::Pods,
    };
    running.stop(leave).await
}

/// Says where everything listens, to a person or to `dory up --detach`.
fn announce(data: &DataDir, running: &Running) -> Result<()> {
    let endpoints = running.endpoints();
    let mut out = std::io::stdout();
    writeln!(out, "dory {} is up, data in {}", env!("CARGO_PKG_VERSION"), data.path().display())?;
    writeln!(out, "  Kubernetes API  https://127.0.0.1:{}", endpoints.api_port)?;
    writeln!(out, "  AWS endpoint    http://127.0.0.1:{}", endpoints.aws_port)?;
    writeln!(
        out,
        "  gateway         http://127.0.0.1:{}, https://127.0.0.1:{}",
        endpoints.http_port, endpoints.https_port
    )?;
    writeln!(out, "  for kubectl and aws: eval \"$(dory --data-dir {} env)\"", data.path().display())?;
    writeln!(out, "{READY}")?;
    Ok(out.flush()?)
}

/// A function instance holds some five descriptors here, and the soft limit that processes start with (1024, for the sake
/// of `select`, which nothing here uses) would be reached at two hundred of them.
fn open_many_files() {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = rustix::process::setrlimit(rustix::process::Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    // The kernel's table of descriptors doubles as it fills, and in a process with threads each doubling waits until every
    // processor has passed a quiet point: tens of milliseconds in which the thread that accepted or opened something answers
    // nobody. While there is one thread it costs nothing.
    let highest = i32::try_from(limit.current.unwrap_or(u64::MAX).min(DESCRIPTORS_AHEAD)).unwrap_or(i32::MAX);
    if let Err(error) = rustix::io::fcntl_dupfd_cloexec(std::io::stderr(), highest - 1) {
        tracing::debug!(%error, "the table of descriptors grows as it fills");
    }
}

fn log_to_stderr() {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .with_target(true)
        // It would report a failed write by `eprintln!`, which panics when stderr cannot be written: on a full disk the
        // log must not take down the thread that logs.
        .log_internal_errors(false)
        .init();
}
