//! The threads that requests are answered on. They go before what they start: when a thousand instances start at once, the
//! processor is wanted by all of them, by the process that makes them and by the kernel, and whoever asks for a list of pods
//! would wait in line with them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Runtime};

/// Requests are short and functions run in processes of their own: more threads than this only cost memory.
const WORKERS_MAX: usize = 8;

/// Three times the weight of an ordinary thread (1.25 per step): first in line, and not alone on the processor.
const NICE: i32 = -5;

/// The asynchronous runtime. Only its workers go before others: threads that block start supervisors, which would keep it.
pub fn runtime() -> Result<Runtime> {
    let workers = std::thread::available_parallelism().map_or(2, usize::from).min(WORKERS_MAX);
    let (started, all) = (AtomicUsize::new(0), Arc::new(Barrier::new(workers + 1)));
    let ready = all.clone();
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(workers).enable_all().on_thread_start(move || {
        // The workers are the first threads of a runtime; nothing else starts one before all of them are there.
        if started.fetch_add(1, Ordering::AcqRel) < workers {
            go_before_others();
            all.wait();
        }
    });
    let runtime = builder.build().context("cannot start the asynchronous runtime")?;
    ready.wait();
    Ok(runtime)
}

/// On Linux this is for the calling thread alone.
fn go_before_others() {
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "requests are answered in line with everything else");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nice() -> i32 {
        rustix::process::getpriority_process(None).expect("the priority of this thread")
    }

    #[test]
    fn workers_go_first_and_blocking_threads_do_not() {
        let (before, runtime) = (nice(), runtime().expect("a runtime"));
        let worker = runtime.block_on(async { tokio::spawn(async { nice() }).await.expect("a worker") });
        let blocking = runtime
            .block_on(async { tokio::task::spawn_blocking(nice).await.expect("a thread that blocks") });
        // Without the right to do so it stays as it was.
        assert!(worker == before || worker == (before + NICE).max(-20), "{worker}");
        assert_eq!((blocking, nice()), (before, before));
    }
}
