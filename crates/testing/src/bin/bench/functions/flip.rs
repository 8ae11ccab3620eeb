//! A change of an alias while it is called: from sending it until no request that begins runs on the old version, and how
//! many requests fail meanwhile.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use http::Method;
use serde_json::{Value, json};
use testing::binary::Dory;

use super::door::{Door, FUNCTIONS, zip};
use crate::row;

const FLIPS: usize = 20;
const CLIENTS: usize = 4;
const FUNCTION: &str = "flip-0";
/// How long calls go on before and after each change.
const AROUND: Duration = Duration::from_millis(100);

/// One call of the alias: when it began, and the version that it ran on, or none when it failed.
type Call = (Instant, Option<String>);

pub(super) async fn run(dory: &Dory, door: &Arc<Door>, bootstrap: &Path) -> Result<()> {
    super::cold::deploy(dory, "flip", 1, bootstrap)?;
    let versions = [publish(door).await?, {
        let executable = std::fs::read(bootstrap)?;
        door.update_code(FUNCTION, &zip(&[("bootstrap", &executable), ("other", b"code")])?).await?;
        publish(door).await?
    }];
    let aliases = format!("{FUNCTIONS}/{FUNCTION}/aliases");
    door.call(Method::POST, &aliases, &json!({ "Name": "live", "FunctionVersion": versions[0] })).await?;
    for version in &versions {
        door.invoke(&format!("{FUNCTION}:{version}")).await?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(call(door.clone(), stop.clone()))).collect();
    let mut flips = Vec::new();
    for n in 1..=FLIPS {
        tokio::time::sleep(AROUND).await;
        let began = Instant::now();
        let document = json!({ "FunctionVersion": versions[n % 2] });
        door.call(Method::PUT, &format!("{aliases}/live"), &document).await?;
        flips.push((began, Instant::now(), &versions[(n + 1) % 2]));
        tokio::time::sleep(AROUND).await;
    }
    stop.store(true, Ordering::Release);
    let mut calls: Vec<Call> = Vec::new();
    for client in clients {
        calls.extend(client.await?);
    }
    let mut took: Vec<Duration> = flips.iter().map(|flip| until_new(flip, &calls)).collect();
    row::median_ms("alias_flip_until_all_requests_run_on_the_new_version", &mut took, 20.0);
    let lost = calls.iter().filter(|(_, version)| version.is_none()).count();
    row::at_most("alias_flip_requests_lost", lost as f64, &format!("of {}", calls.len()), 0.0);
    Ok(())
}

/// The flip takes until it is answered, and longer when a request that began later still ran on the old version.
fn until_new((began, answered, old): &(Instant, Instant, &String), calls: &[Call]) -> Duration {
    let around = *began..*answered + AROUND;
    let late = calls.iter().filter(|(at, ran)| around.contains(at) && ran.as_ref() == Some(*old));
    late.map(|(at, _)| *at).chain([*answered]).max().unwrap_or(*answered) - *began
}

async fn call(door: Arc<Door>, stop: Arc<AtomicBool>) -> Vec<Call> {
    let mut calls = Vec::new();
    while !stop.load(Ordering::Acquire) {
        let began = Instant::now();
        let answer =
            door.invoke_with(&format!("{FUNCTION}:live"), b"{}").await.and_then(super::door::Answer::ok);
        calls.push((began, answer.ok().and_then(|answer| answer.version)));
    }
    calls
}

async fn publish(door: &Door) -> Result<String> {
    let answer = door.call(Method::POST, &format!("{FUNCTIONS}/{FUNCTION}/versions"), &json!({})).await?;
    let document: Value = serde_json::from_slice(&answer.body)?;
    Ok(document["Version"].as_str().context("a version without number")?.to_owned())
}
