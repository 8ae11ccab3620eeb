//! `make bench PEERS=1`: the same calls to other local Lambdas and to this one, in the same run, by the same client, with the
//! same function. `tools/peers` has installed them; one that cannot be started has a row that says so.

mod process;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::prelude::{BASE64_STANDARD, Engine};
use http::Method;
use serde_json::json;
use testing::binary::Dory;

use crate::functions::door::{Door, zip};
use crate::{Examples, load, row};
use process::{Ministack, Offline};

/// Functions that are created and called once.
pub(crate) const FUNCTIONS: usize = 20;
/// Where `tools/peers` installs them, seen from the root of the repository.
const PEERS: &str = "target/peers";
const WARM_INVOKES: usize = 200;
const CLIENTS: usize = 16;
const MEASURED: Duration = Duration::from_secs(5);
/// It prints a line: one of the peers waits for one after each call.
pub(crate) const HANDLER: &str =
    "exports.handler = async (event) => { console.log('called'); return { hello: event.name }; };\n";

/// A running Lambda.
pub(crate) struct Peer {
    pub(crate) door: Arc<Door>,
    /// Of Node.js, as it is called there.
    pub(crate) runtime: String,
    /// The role that functions get.
    pub(crate) role: &'static str,
    /// Why functions cannot be created by a call, where they cannot.
    pub(crate) fixed: Option<&'static str>,
    /// Stops it when it is dropped.
    pub(crate) _process: Option<process::Process>,
}

/// What was measured; times in milliseconds.
struct Measured {
    create: Option<f64>,
    cold: f64,
    warm: f64,
    rate: f64,
}

pub(crate) fn run(dory: &Dory, _examples: &Examples) -> Result<()> {
    let directory = std::fs::canonicalize(PEERS).context("run `make bench PEERS=1`: nothing is installed")?;
    load::block_on(async {
        let own = Peer {
            door: Door::open(dory)?,
            runtime: process::node_runtime()?,
            role: "arn:aws:iam::000000000000:role/dory",
            fixed: None,
            _process: None,
        };
        let own = measure(&own).await.context("dory itself")?;
        show("dory", &own);
        compare("ministack", Ministack::start(&directory).await, &own).await;
        compare("serverless_offline", Offline::start(&directory).await, &own).await;
        Ok(())
    })
}

/// The rows of one peer: its figures, and how many times better this one's are.
async fn compare(name: &str, peer: Result<Peer>, own: &Measured) {
    let measured = match &peer {
        Ok(peer) => measure(peer).await,
        Err(error) => {
            return row::missing(&format!("peer_{name}"), false, &format!("not started: {error:#}"));
        }
    };
    let theirs = match measured {
        Ok(theirs) => theirs,
        Err(error) => {
            return row::missing(&format!("peer_{name}"), false, &format!("not measured: {error:#}"));
        }
    };
    show(name, &theirs);
    let ratio = |what: &str, value: f64| row::at_least(&format!("{name}_{what}_by_dory"), value, "x", 1.0);
    match (theirs.create, own.create, peer.ok().and_then(|peer| peer.fixed)) {
        (Some(theirs), Some(own), _) => ratio("create_function_p50", theirs / own),
        (_, _, why) => row::missing(
            &format!("{name}_create_function_p50_by_dory"),
            why.is_some(),
            why.unwrap_or("not measured"),
        ),
    }
    ratio("cold_invoke_p50", theirs.cold / own.cold);
    ratio("warm_invoke_p50", theirs.warm / own.warm);
    ratio(&format!("invokes_{CLIENTS}_clients"), own.rate / theirs.rate);
}

fn show(name: &str, measured: &Measured) {
    let figure = |what: &str, value: f64, unit: &str| {
        row::at_most(&format!("peer_{name}_{what}"), value, unit, f64::INFINITY);
    };
    if let Some(create) = measured.create {
        figure("create_function_p50", create, "ms");
    }
    figure("cold_invoke_p50", measured.cold, "ms");
    figure("warm_invoke_p50", measured.warm, "ms");
    row::at_least(&format!("peer_{name}_invokes_{CLIENTS}_clients"), measured.rate, "per s", 0.0);
}

/// The name of the n-th function.
pub(crate) fn function(n: usize) -> String {
    format!("peer-{n}")
}

async fn measure(peer: &Peer) -> Result<Measured> {
    let create = match peer.fixed {
        Some(_) => None,
        None => Some(create(peer).await?),
    };
    let mut cold = Vec::new();
    for n in 0..FUNCTIONS {
        cold.push(call(&peer.door, &function(n)).await?);
    }
    let mut warm = Vec::new();
    for _ in 0..WARM_INVOKES {
        warm.push(call(&peer.door, &function(0)).await?);
    }
    let door = peer.door.clone();
    let rate = load::closed_loop(CLIENTS, MEASURED, move |_, _| {
        let door = door.clone();
        async move { call(&door, &function(0)).await.map(drop) }
    });
    let rate = rate.await?;
    let (cold, warm) = (row::quantile_ms(&mut cold, 0.5), row::quantile_ms(&mut warm, 0.5));
    Ok(Measured { create, cold, warm, rate })
}

/// The median of creating one until it is active.
async fn create(peer: &Peer) -> Result<f64> {
    let code = BASE64_STANDARD.encode(zip(&[("index.js", HANDLER.as_bytes())])?);
    let mut took = Vec::new();
    for n in 0..FUNCTIONS {
        let document = json!({
            "FunctionName": function(n), "Runtime": peer.runtime, "Role": peer.role, "Handler": "index.handler",
            "Timeout": 30, "Code": { "ZipFile": code },
        });
        let began = Instant::now();
        peer.door.call(Method::POST, "/2015-03-31/functions", &document).await?;
        until_active(&peer.door, &function(n)).await?;
        took.push(began.elapsed());
    }
    Ok(row::quantile_ms(&mut took, 0.5))
}

async fn until_active(door: &Door, name: &str) -> Result<()> {
    let path = format!("/2015-03-31/functions/{name}/configuration");
    for _ in 0..1000 {
        let shown = door.send(Method::GET, &path, hyper::body::Bytes::new()).await?.ok()?;
        let shown: serde_json::Value = serde_json::from_slice(&shown.body)?;
        if shown["State"].as_str().unwrap_or("Active") == "Active" {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    anyhow::bail!("{name} never became active")
}

/// One call with the right answer.
async fn call(door: &Door, name: &str) -> Result<Duration> {
    let answer = door.invoke_with(name, br#"{"name":"bench"}"#).await?.ok()?;
    let text = String::from_utf8_lossy(&answer.body);
    ensure!(text.contains("\"bench\""), "{name} answered {text}");
    Ok(answer.took)
}

/// A door of another Lambda: whatever it is signed with is taken.
pub(crate) fn other_door(port: u16) -> Arc<Door> {
    let credentials = sigv4::Credentials {
        access_key_id: "test".to_owned(),
        secret_access_key: "test".to_owned(),
        session_token: None,
    };
    Door::at(format!("127.0.0.1:{port}"), "us-east-1".to_owned(), credentials)
}

/// Where a peer keeps what it writes.
pub(crate) fn scratch(directory: &Path, name: &str) -> Result<PathBuf> {
    let path = directory.join(name);
    std::fs::create_dir_all(&path)?;
    Ok(path)
}
