//! The real binary as tests and benches use it: a data directory of its own, free ports, stopped and removed at the end.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use cli::Endpoints;

/// One `dory` binary with a temporary data directory.
pub struct Dory {
    binary: PathBuf,
    data: tempfile::TempDir,
}

impl Dory {
    /// Names the binary and makes an empty data directory; starts nothing.
    pub fn prepare(binary: PathBuf) -> Result<Dory> {
        if !binary.is_file() {
            bail!("{} is not there: run `make build`", binary.display());
        }
        Ok(Dory { binary, data: tempfile::tempdir()? })
    }

    /// The binary itself.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        self.data.path()
    }

    /// Runs a subcommand and gives what it printed; an error holds what it said.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = self.output(arguments)?;
        if !output.status.success() {
            bail!("dory {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs a subcommand, whatever comes of it.
    pub fn output(&self, arguments: &[&str]) -> Result<Output> {
        let output =
            Command::new(&self.binary).arg("--data-dir").arg(self.data.path()).args(arguments).output();
        output.with_context(|| format!("running {}", self.binary.display()))
    }

    /// Starts the platform in the background on free ports, unless it runs.
    pub fn up(&self, more: &[&str]) -> Result<()> {
        if self.endpoints().is_ok() {
            return Ok(());
        }
        let ports = ["--api-port", "--aws-port", "--http-port", "--https-port"];
        let mut arguments = vec!["up", "--detach"];
        ports.iter().for_each(|port| arguments.extend([*port, "0"]));
        arguments.extend(more);
        self.run(&arguments).map(drop)
    }

    /// Stops the platform and everything it runs.
    pub fn down(&self) -> Result<()> {
        self.run(&["down"]).map(drop)
    }

    /// Where the running platform listens.
    pub fn endpoints(&self) -> Result<Endpoints> {
        let bytes = std::fs::read(self.data.path().join(cli::ENDPOINTS_FILE))?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// The process id of the platform.
    pub fn pid(&self) -> Result<i32> {
        let text = std::fs::read_to_string(self.data.path().join("dory.pid"))?;
        text.trim().parse().context("dory.pid holds no process id")
    }

    /// The kubeconfig of its administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.data.path().join("kubeconfig")
    }

    /// The key pair of its AWS door.
    pub fn credentials(&self) -> Result<sigv4::Credentials> {
        let bytes = std::fs::read(self.data.path().join("credentials"))?;
        let kept: serde_json::Value = serde_json::from_slice(&bytes)?;
        let field = |name: &str| kept[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
        Ok(sigv4::Credentials {
            access_key_id: field("access_key_id")?,
            secret_access_key: field("secret_access_key")?,
            session_token: None,
        })
    }
}

impl Drop for Dory {
    fn drop(&mut self) {
        // Also when a test failed half-way; an orderly end has already stopped it.
        self.output(&["down"]).ok();
    }
}
