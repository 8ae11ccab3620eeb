//! Cold starts end to end: the first call of a function is one, so that many functions give that many. Beside them, in the
//! same run, what starting the bare interpreter costs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testing::binary::Dory;

use super::door::Door;
use super::stages;
use crate::row;

const COLD_STARTS: usize = 100;
/// An interpreted function is asked for now and then, as in life: as fast as one call follows another, the stock of booted
/// interpreters would be empty.
const PAUSE: Duration = Duration::from_millis(250);
/// Starts of the bare interpreter, and of functions with nothing booted ahead.
const BARE_STARTS: usize = 40;

const NODE_HANDLER: &str = "exports.handler = async (event) => ({ hello: event.name });\n";
const PYTHON_HANDLER: &str = "def lambda_handler(event, context):\n    return {\"hello\": event[\"name\"]}\n";

/// The functions of one language.
struct Language {
    name: &'static str,
    file: &'static str,
    text: &'static str,
    /// What starts its interpreter, and does nothing.
    bare: &'static [&'static str],
    target_ms: f64,
}

const LANGUAGES: [Language; 2] = [
    Language {
        name: "python",
        file: "lambda_function.py",
        text: PYTHON_HANDLER,
        bare: &["python3", "-S", "-c", "pass"],
        target_ms: 15.0,
    },
    Language {
        name: "node",
        file: "index.js",
        text: NODE_HANDLER,
        bare: &["node", "-e", "0"],
        target_ms: 25.0,
    },
];

pub(super) async fn run(dory: &Dory, door: &Door, bootstrap: &Path) -> Result<()> {
    deploy(dory, "cold", COLD_STARTS, bootstrap)?;
    let mut cold = starts(door, "cold", 0..COLD_STARTS, Duration::ZERO).await?;
    report("cold_start_static_elf", &mut cold, 5.0);
    stages::report(door, "static_elf", "cold", COLD_STARTS).await?;
    for language in &LANGUAGES {
        interpreted(dory, door, language).await?;
    }
    Ok(())
}

async fn interpreted(dory: &Dory, door: &Door, language: &Language) -> Result<()> {
    let code = tempfile::tempdir()?;
    std::fs::write(code.path().join(language.file), language.text)?;
    let name = language.name;
    let (mut bare, mut unprepared) = unprepared(dory, language, code.path()).await?;
    let ratio = row::quantile_ms(&mut unprepared, 0.5) / row::quantile_ms(&mut bare, 0.5);
    row::median_ms(&format!("bare_start_{name}"), &mut bare, f64::INFINITY);
    row::at_most(&format!("cold_start_{name}_without_prebooted_of_bare_start"), ratio, "x", 1.3);
    // The first call of all shows that the language is in use.
    deploy(dory, name, COLD_STARTS + 1, code.path())?;
    starts(door, name, 0..1, Duration::ZERO).await?;
    tokio::time::sleep(PAUSE * 4).await;
    let mut cold = starts(door, name, 1..COLD_STARTS + 1, PAUSE).await?;
    report(&format!("cold_start_{name}"), &mut cold, language.target_ms);
    stages::report(door, name, name, COLD_STARTS + 1).await
}

/// Starts of the bare interpreter, and in turn with them, for a machine is not as fast from one second to the next, those of
/// functions on a platform of its own that boots nothing ahead.
async fn unprepared(dory: &Dory, language: &Language, code: &Path) -> Result<(Vec<Duration>, Vec<Duration>)> {
    let other = Dory::prepare(dory.binary().to_owned())?;
    other.up(&["--prebooted", "0"])?;
    deploy(&other, language.name, BARE_STARTS, code)?;
    let door = Door::open(&other)?;
    let (mut bare, mut took) = (Vec::new(), Vec::new());
    for n in 0..BARE_STARTS {
        bare.push(bare_start(language.bare)?);
        took.extend(starts(&door, language.name, n..n + 1, Duration::ZERO).await?);
    }
    other.down()?;
    Ok((bare, took))
}

/// The median, and how far the slowest hundredth is from it.
fn report(name: &str, samples: &mut [Duration], target_ms: f64) {
    row::median_ms(name, samples, target_ms);
    let (p50, p99) = (row::quantile_ms(samples, 0.5), row::quantile_ms(samples, 0.99));
    row::at_most(&format!("{name}_p99_of_p50"), p99 / p50, "x", 4.0);
}

/// So many functions of the same code.
pub(super) fn deploy(dory: &Dory, prefix: &str, count: usize, code: &Path) -> Result<()> {
    let code: PathBuf = code.to_owned();
    for n in 0..count {
        dory.run(&["deploy", &code.to_string_lossy(), "--name", &format!("{prefix}-{n}")])?;
    }
    Ok(())
}

async fn starts(
    door: &Door,
    prefix: &str,
    which: std::ops::Range<usize>,
    pause: Duration,
) -> Result<Vec<Duration>> {
    let mut took = Vec::new();
    for n in which {
        tokio::time::sleep(pause).await;
        took.push(door.invoke(&format!("{prefix}-{n}")).await?);
    }
    Ok(took)
}

fn bare_start(command: &[&str]) -> Result<Duration> {
    let began = Instant::now();
    let status = Command::new(command[0]).args(&command[1..]).status();
    ensure!(status.with_context(|| format!("starting {}", command[0]))?.success(), "{command:?} failed");
    Ok(began.elapsed())
}
