//! Starting the peers: each on a free port of the loopback interface, in a process group of its own that ends with it.

use std::fmt::Write;
use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::net::TcpStream;

use super::{FUNCTIONS, HANDLER, Peer, function, other_door, scratch};

/// How long one may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(90);

/// A process and all that it started.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        // Its children first: they would be nobody's. A group that has ended is no failure.
        drop(Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status());
        drop(self.0.wait());
    }
}

/// ministack, of PyPI: AWS services in one Python process; functions run in processes that are kept.
pub(crate) struct Ministack;

impl Ministack {
    pub(crate) async fn start(directory: &Path) -> Result<Peer> {
        let (port, home) = (free_port()?, scratch(directory, "ministack-data")?);
        let mut command = Command::new(directory.join("venv/bin/ministack"));
        command
            .env("GATEWAY_PORT", port.to_string())
            .env("BIND_HOST", "127.0.0.1")
            .env("MINISTACK_HOST", "127.0.0.1")
            .env("SERVICES", "lambda,iam,logs,sts")
            .env("LAMBDA_EXECUTOR", "local")
            .env("TMPDIR", &home);
        let process = launch(command, &home, &[port]).await?;
        Ok(Peer {
            door: other_door(port),
            runtime: node_runtime()?,
            role: "arn:aws:iam::000000000000:role/any",
            fixed: None,
            _process: Some(process),
        })
    }
}

/// serverless-offline, of npm: functions run in worker threads of one Node.js process.
pub(crate) struct Offline;

impl Offline {
    pub(crate) async fn start(directory: &Path) -> Result<Peer> {
        let [http, lambda, websocket] = [free_port()?, free_port()?, free_port()?];
        let home = scratch(directory, "serverless")?;
        ensure!(home.join("node_modules/.bin/serverless").exists(), "it is not installed");
        let runtime = node_runtime()?;
        let mut config = format!(
            "service: peers\nframeworkVersion: '3'\nprovider:\n  name: aws\n  runtime: {runtime}\n  timeout: 30\n\
             plugins:\n  - serverless-offline\nfunctions:\n"
        );
        for n in 0..FUNCTIONS {
            let name = function(n);
            write!(config, "  {name}:\n    name: {name}\n    handler: index.handler\n")?;
        }
        std::fs::write(home.join("serverless.yml"), config)?;
        std::fs::write(home.join("index.js"), HANDLER)?;
        let mut command = Command::new(home.join("node_modules/.bin/serverless"));
        let port = |name: &str, port: u16| [format!("--{name}"), port.to_string()];
        command
            .arg("offline")
            .args(["--host", "127.0.0.1"])
            .args(port("httpPort", http))
            .args(port("lambdaPort", lambda))
            .args(port("websocketPort", websocket))
            .env("SLS_TELEMETRY_DISABLED", "1")
            .env("SLS_NOTIFICATIONS_MODE", "off")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test");
        let process = launch(command, &home, &[lambda]).await?;
        Ok(Peer {
            door: other_door(lambda),
            runtime,
            role: "",
            fixed: Some("its functions are those of a file that it reads when it starts"),
            _process: Some(process),
        })
    }
}

/// Such as `nodejs20.x`, of the Node.js on this machine.
pub(crate) fn node_runtime() -> Result<String> {
    let output = Command::new("node").arg("--version").output().context("node is not installed")?;
    let text = String::from_utf8(output.stdout)?;
    let major = text.trim().trim_start_matches('v').split('.').next().unwrap_or_default();
    Ok(format!("nodejs{major}.x"))
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Starts it, and waits until it listens on all of these ports.
async fn launch(mut command: Command, home: &Path, ports: &[u16]) -> Result<Process> {
    let log = File::create(home.join("peer.log"))?;
    command.current_dir(home).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    let program = command.get_program().to_string_lossy().into_owned();
    let mut process = Process(command.spawn().with_context(|| format!("cannot start {program}"))?);
    let began = Instant::now();
    for port in ports {
        while TcpStream::connect(("127.0.0.1", *port)).await.is_err() {
            if let Some(status) = process.0.try_wait()? {
                bail!("it ended with {status}: see {}", home.join("peer.log").display());
            }
            ensure!(began.elapsed() < START_LIMIT, "it does not listen after {START_LIMIT:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(process)
}
