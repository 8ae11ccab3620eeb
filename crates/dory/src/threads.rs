//! The threads that requests are answered on. They go before what they start: when a thousand instances start at once, the
//! processor is wanted by all of them, by the process that makes them and by the kernel, and whoever asks for a list of pods
//! would wait in line with them.

use std::cell::Cell;

use anyhow::{Context, Result};
use rustix::process::{getpriority_process, setpriority_process};
use tokio::runtime::{Builder, Runtime};

/// Requests are short and functions run in processes of their own: more threads than this only cost memory.
const WORKERS_MAX: usize = 8;

/// Three times the weight of an ordinary thread (1.25 per step): first in line, and not alone on the processor.
const AHEAD: i32 = 5;

thread_local! {
    static IS_AHEAD: Cell<bool> = const { Cell::new(false) };
}

/// The asynchronous runtime. Only its workers go before others: threads that block start supervisors, which would keep it.
pub fn runtime() -> Result<Runtime> {
    let workers = std::thread::available_parallelism().map_or(2, usize::from).min(WORKERS_MAX);
    let ordinary = getpriority_process(None).unwrap_or_default();
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(workers).enable_all();
    // A thread has the priority of the one that started it, which may be a worker. Which threads are workers shows when
    // they park: no other does.
    builder.on_thread_start(move || set_priority(ordinary));
    builder.on_thread_park(move || {
        if !IS_AHEAD.replace(true) {
            set_priority((ordinary - AHEAD).max(-20));
        }
    });
    builder.build().context("cannot start the asynchronous runtime")
}

/// On Linux this is for the calling thread alone.
fn set_priority(nice: i32) {
    if let Err(error) = setpriority_process(None, nice) {
        tracing::debug!(%error, "requests are answered in line with everything else");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn nice() -> i32 {
        getpriority_process(None).expect("the priority of this thread")
    }

    #[test]
    fn workers_go_first_and_blocking_threads_do_not() {
        let (before, runtime) = (nice(), runtime().expect("a runtime"));
        let ahead = (before - AHEAD).max(-20);
        let (worker, blocking) = runtime.block_on(async {
            let on_a_worker = tokio::spawn(async move {
                for _ in 0..6000 {
                    if nice() == ahead {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                (nice(), tokio::task::spawn_blocking(nice).await.expect("a thread that blocks"))
            });
            on_a_worker.await.expect("a worker")
        });
        // Without the right to do so it stays as it was.
        assert!(worker == ahead || !rustix::process::geteuid().is_root(), "{worker}");
        assert_eq!((blocking, nice()), (before, before));
    }
}
