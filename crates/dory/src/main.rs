//! The composition root: reads settings, names the concrete parts, starts the roles, hands each the parts it needs.
//!
//! `dory shim …` is the small supervisor that a pod or a function instance runs under: it is recognised before
//! anything else starts, so that it stays one thread and a few megabytes.

mod credentials;
mod data_dir;
mod detach;
mod doctor;
mod down;
mod image;
mod kubeconfig;
mod listen;
mod parts;
mod pki;
mod platform;
mod threads;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use cli::{Args, Command, Platform};

use crate::data_dir::DataDir;

/// What this process takes from its environment; nothing else in the house reads it.
pub struct Environment {
    pub home: Option<PathBuf>,
    /// Where interpreters for function runtimes are looked for.
    pub path: Vec<PathBuf>,
    /// Where docker keeps the credentials for registries.
    pub docker_config: Option<PathBuf>,
    pub root: bool,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    if arguments.next().as_deref() == Some("shim") {
        sandbox::supervisor_main(&arguments.collect::<Vec<_>>());
    }
    match run(cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line: what failed, then why; `{:#}` joins the chain of causes.
            eprintln!("dory: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Args) -> Result<()> {
    let environment = environment();
    let data = DataDir::choose(arguments.data_dir, environment.home.clone(), environment.root)?;
    let platform = Platform::at(data.path());
    match arguments.command {
        Command::Up(options) if options.detach => detach::up(&data),
        Command::Up(options) => up::run(&data, &options, &environment),
        Command::Down(options) => down::run(&data, &options, &environment),
        Command::Status => in_runtime(cli::status(&platform, data.holder()?)),
        Command::Env => cli::env(&platform),
        Command::Deploy(options) => in_runtime(cli::deploy(&platform, &options)),
        Command::Top(options) => in_runtime(cli::top(&platform, &options)),
        Command::Cost(options) => in_runtime(cli::cost(&platform, &options)),
        Command::Logs(options) => in_runtime(cli::logs(&platform, &options)),
        Command::TraceColdStart { function } => in_runtime(cli::trace_cold_start(&platform, &function)),
        Command::Runtime(command) => in_runtime(cli::runtime(&platform, &command)),
        Command::Image(command) => image::run(&data, command, &environment),
        Command::Doctor => doctor::run(&data, &environment),
        Command::Completion { shell } => {
            cli::completion(shell);
            Ok(())
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn environment() -> Environment {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let home = std::env::var_os("HOME").map(PathBuf::from);
    Environment {
        path: std::env::split_paths(&path).filter(|entry| entry.is_absolute()).collect(),
        docker_config: std::env::var_os("DOCKER_CONFIG")
            .map(PathBuf::from)
            .or_else(|| Some(home.as_ref()?.join(".docker"))),
        home,
        root: rustix::process::geteuid().is_root(),
    }
}

/// A command that asks a running platform something needs one thread and no more.
fn in_runtime<T>(command: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the asynchronous runtime")?.block_on(command)
}
