//! Load: so many clients, each sending one request after the other, for so long; what came back and how fast.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

/// Runs the future on a runtime of two threads, as the machine has cores for.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(future)
}

/// Runs the future on one thread, as a client that does one thing after the other is: on several, each request would wake
/// another thread on its way out and on its way back, and that would be measured too.
pub(crate) fn block_on_alone<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

/// `clients` tasks call `request(client, n)` one after the other for `time`; every answer must be right. Gives the
/// answers per second.
pub(crate) async fn closed_loop<F, R>(clients: usize, time: Duration, request: F) -> Result<f64>
where
    F: Fn(usize, u64) -> R + Send + Sync + 'static,
    R: Future<Output = Result<()>> + Send,
{
    let request = Arc::new(request);
    let sequence = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|client| {
            let (request, sequence) = (request.clone(), sequence.clone());
            tokio::spawn(async move {
                let mut answered = 0_u64;
                while began.elapsed() < time {
                    request(client, sequence.fetch_add(1, Ordering::Relaxed)).await?;
                    answered += 1;
                }
                anyhow::Ok(answered)
            })
        })
        .collect();
    let mut answered = 0;
    for task in tasks {
        answered += task.await??;
    }
    ensure!(answered > 0, "no request was answered in time");
    Ok(answered as f64 / began.elapsed().as_secs_f64())
}
