//! `dory up --detach`: starts the platform as a process of its own and returns when it is ready.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::data_dir::DataDir;

/// The line with which a starting platform says that everything listens; the rest of its output is for people.
pub const READY: &str = "ready";

pub fn up(data: &DataDir) -> Result<()> {
    data.create()?;
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(data.log_file());
    let log = log.with_context(|| format!("cannot write {}", data.log_file().display()))?;
    let program = std::env::current_exe().context("cannot find the dory binary")?;
    let mut child = Command::new(program)
        // The same again, as it was given: a flag that is listed here would be one that can be forgotten.
        .args(std::env::args_os().skip(1).filter(|word| word != "--detach"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        // A terminal's Ctrl-C reaches the process group of the terminal, which the platform must outlive.
        .process_group(0)
        .spawn()
        .context("cannot start the platform")?;
    let stdout = child.stdout.take().expect("the child was given a pipe");
    let mut lines = BufReader::new(stdout).lines();
    let mut said = Vec::new();
    while let Some(Ok(line)) = lines.next() {
        if line == READY {
            println!("{}", said.join("\n"));
            return Ok(());
        }
        said.push(line);
    }
    child.wait()?;
    let log = std::fs::read_to_string(data.log_file()).unwrap_or_default();
    let why = log
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("dory: "))
        .unwrap_or("it ended before it was ready");
    bail!("{why}")
}
