//! `dory down`: stops the platform, then makes sure that nothing of it is left outside the data directory.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use cli::Down;
use rustix::process::{Pid, Signal, kill_process};

use crate::data_dir::DataDir;
use crate::{Environment, platform};

/// Pods get their grace periods first (30 s by default), so this is longer.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

pub fn run(data: &DataDir, options: &Down, environment: &Environment) -> Result<()> {
    if !data.path().exists() {
        bail!("there is no data directory {}; name the right one with --data-dir DIR", data.path().display());
    }
    let stopped = match data.holder()? {
        Some(pid) => {
            stop(data, pid, options)?;
            true
        }
        None => false,
    };
    if options.keep_pods {
        println!("{}", if stopped { "stopped; pods run on" } else { "not running" });
        return Ok(());
    }
    // Whatever a killed platform left behind; after an orderly stop there is nothing to find.
    if environment.root {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let _held = data.hold()?;
        runtime.block_on(platform::sweep(data)).context("cannot remove what the platform left behind")?;
    }
    println!("{}", if stopped { "stopped" } else { "not running; nothing is left behind" });
    Ok(())
}

fn stop(data: &DataDir, pid: i32, options: &Down) -> Result<()> {
    let process = Pid::from_raw(pid).context("dory.pid holds no process id")?;
    let signal = if options.keep_pods { Signal::TERM } else { Signal::INT };
    kill_process(process, signal).with_context(|| format!("cannot stop process {pid}"))?;
    let began = Instant::now();
    while data.holder()?.is_some() {
        if began.elapsed() > STOP_TIMEOUT {
            bail!(
                "process {pid} has not stopped after {} s; {} says why",
                STOP_TIMEOUT.as_secs(),
                data.log_file().display()
            );
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
