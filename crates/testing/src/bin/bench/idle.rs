//! What the idle platform costs: resident memory of all its processes and CPU time over a minute, after the demo's load.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use testing::binary::Dory;

use crate::functions::door::Door;
use crate::processes::{booted, resident};
use crate::{Examples, load, row};

/// Long enough for leases, probes and keep-alives to show.
const WATCHED: Duration = Duration::from_secs(60);
/// The kernel counts process time in these (`sysconf(_SC_CLK_TCK)` is 100 on every Linux architecture dory runs on).
const TICKS_PER_SECOND: f64 = 100.0;

pub(crate) fn run(dory: &Dory, examples: &Examples) -> Result<()> {
    demo(dory, examples)?;
    let pid = dory.pid()?;
    let before = ticks(pid)?;
    std::thread::sleep(WATCHED);
    let share = (ticks(pid)? - before) / TICKS_PER_SECOND / WATCHED.as_secs_f64() * 100.0;
    row::at_most("idle_cpu_percent_of_a_core", share, "%", 1.0);
    // Interpreters that wait booted are the platform's own: no function asked for them.
    let booted = booted(dory)?;
    row::at_most("idle_booted_runtimes_memory_mb", booted, "MB", f64::INFINITY);
    row::at_most("idle_resident_memory_mb", resident(dory)? + booted, "MB", 80.0);
    Ok(())
}

/// What `make demo` starts and calls: three pods, and a function of each sort.
fn demo(dory: &Dory, examples: &Examples) -> Result<()> {
    let (server, bootstrap) = (examples.path("api-service"), examples.path("bootstrap"));
    dory.run(&["image", "build", &server.to_string_lossy(), "-t", "my-registry/api-service:1.0.0"])?;
    dory.run(&["deploy", "examples/demo/api-service.yaml"])?;
    dory.run(&["deploy", "examples/demo/api-service-http.yaml"])?;
    dory.run(&["deploy", &bootstrap.to_string_lossy(), "--name", "hello"])?;
    dory.run(&["deploy", "examples/user-api", "--name", "user-api", "--route", "GET /users/{userId}"])?;
    load::block_on_alone(async {
        let door = Door::open(dory)?;
        for function in ["hello", "user-api", "hello", "user-api"] {
            door.invoke_with(function, br#"{"pathParameters":{"userId":"42"}}"#).await?.ok()?;
        }
        Ok(())
    })
}

fn ticks(pid: i32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, after_name) = stat.rsplit_once(')').context("an odd /proc/PID/stat")?;
    // utime and stime are the 14th and 15th fields; the name, which may hold spaces, was the 2nd.
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    Ok(fields[11].parse::<f64>()? + fields[12].parse::<f64>()?)
}
