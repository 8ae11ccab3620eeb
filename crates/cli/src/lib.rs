//! Subcommands and printing. Speaks to a running platform only through its two doors: the Kubernetes API by `client`,
//! the AWS endpoint by signed requests. It never starts anything itself: `dory` does that.
//!
//! ```text
//!  args ── the command line as one table
//!  platform ── where the running platform listens (endpoints.json, kubeconfig, credentials)
//!  deploy ── what is PATH? ──► manifest (server-side apply, wait)   function (zip, AWS door)
//!  logs, status, env ── questions to the doors
//! ```

mod args;
mod aws_door;
mod cost;
mod deploy;
mod env;
mod function;
mod growth;
mod job;
mod logs;
mod manifest;
mod platform;
mod retry_delays;
mod runtime;
mod size;
mod status;
mod table;
mod top;
mod trace;
mod web_server;

pub use args::{Args, Command, Cost, Deploy, Down, Egress, Image, Logs, Runtime, Top, Up};
pub use growth::Growth;
pub use platform::{ENDPOINTS_FILE, Endpoints, Platform};
pub use retry_delays::RetryDelays;
pub use size::bytes as format_bytes;

use anyhow::Result;

/// Runs a command that only talks to a running platform.
pub async fn deploy(platform: &Platform, options: &Deploy) -> Result<()> {
    deploy::run(platform, options).await
}

/// `dory logs`
pub async fn logs(platform: &Platform, options: &Logs) -> Result<()> {
    logs::run(platform, options).await
}

/// `dory trace-cold-start FUNCTION`
pub async fn trace_cold_start(platform: &Platform, function: &str) -> Result<()> {
    trace::run(platform, function).await
}

/// `dory runtime`
pub async fn runtime(platform: &Platform, command: &Runtime) -> Result<()> {
    runtime::run(platform, command).await
}

/// `dory status`
pub async fn status(platform: &Platform, pid: Option<i32>) -> Result<()> {
    status::run(platform, pid).await
}

/// `dory top`
pub async fn top(platform: &Platform, options: &Top) -> Result<()> {
    top::run(platform, options).await
}

/// `dory cost`
pub async fn cost(platform: &Platform, options: &Cost) -> Result<()> {
    cost::run(platform, options).await
}

/// `dory env`
pub fn env(platform: &Platform) -> Result<()> {
    env::run(platform)
}

/// `dory completion SHELL`
pub fn completion(shell: clap_complete::Shell) {
    use clap::CommandFactory;
    clap_complete::generate(shell, &mut Args::command(), "dory", &mut std::io::stdout());
}

/// The arguments of this process; prints help or the error and exits where clap says so.
pub fn parse() -> Args {
    use clap::Parser;
    Args::parse()
}
