//! Warm invokes: one client's delay, and what many clients get beside a bare server that answers the same bytes, and
//! beside one that has the same function processes behind it. All three have the same clients, which send the same signed
//! requests; the bare ones do not look at them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::door::Door;
use super::floor::{Relay, Workers};
use crate::{load, row};

const WARM_INVOKES: usize = 2000;
const CLIENTS: [usize; 2] = [16, 64];
const MEASURED: Duration = Duration::from_secs(5);
const ANSWER: &[u8] = br#"{"message":"hello from dory","eventBytes":16,"invocation":123456}"#;
/// Room for the process of the bare server, whose clients are in this one: two threads each, as dory has.
const SERVER_THREADS: usize = 2;

/// The prefix of the function's name.
pub(super) const FUNCTION: &str = "warm";

fn function() -> String {
    format!("{FUNCTION}-0")
}

pub(super) async fn one_client(door: &Door) -> Result<()> {
    let mut warm = Vec::new();
    for _ in 0..WARM_INVOKES {
        warm.push(door.invoke(&function()).await?);
    }
    row::median_ms("warm_invoke_1_client", &mut warm, 0.2);
    Ok(())
}

pub(super) async fn many_clients(door: &Arc<Door>, bootstrap: &Path) -> Result<()> {
    let mut rate = 0.0;
    for clients in CLIENTS {
        rate = rate_at(door, clients).await?;
        row::at_least(&format!("warm_invokes_{clients}_clients"), rate, "per s", 5000.0);
    }
    let clients = CLIENTS[1];
    let bare = rate_beside(door, clients, |_| Ok(()), bare_answer).await?;
    row::at_least("bare_hyper_server_64_clients", bare, "per s", 0.0);
    row::at_least("warm_invokes_64_clients_of_bare_server", rate / bare, "x", 0.4);
    let relay = Relay::default();
    let workers = |api| Workers::start(clients, bootstrap, api);
    let floor = rate_beside(door, clients, workers, move |request| relay.clone().answer(request)).await?;
    row::at_least("bare_runtime_api_64_clients", floor, "per s", 0.0);
    row::at_least("warm_invokes_64_clients_of_bare_runtime_api", rate / floor, "x", 0.0);
    Ok(())
}

/// Invocations per second that these clients get at this door.
async fn rate_at(door: &Arc<Door>, clients: usize) -> Result<f64> {
    let door = door.clone();
    load::closed_loop(clients, MEASURED, move |_, _| {
        let door = door.clone();
        async move { door.invoke(&function()).await.map(drop) }
    })
    .await
}

/// What they get at a server that only does this. `beside` is there as long.
async fn rate_beside<A, T>(
    door: &Door,
    clients: usize,
    beside: impl FnOnce(SocketAddr) -> Result<T>,
    answer: impl Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
) -> Result<f64>
where
    A: Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send + 'static,
{
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(SERVER_THREADS).enable_all().build()?;
    runtime.spawn(serve(listener, answer));
    let beside = beside(address)?;
    let rate = rate_at(&door.elsewhere(address), clients).await;
    drop(beside);
    runtime.shutdown_background();
    rate
}

async fn bare_answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    drop(request.into_body().collect().await);
    Ok(Response::new(Full::new(Bytes::from_static(ANSWER))))
}

async fn serve<A>(
    listener: std::net::TcpListener,
    answer: impl Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
) where
    A: Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send + 'static,
{
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    while let Ok((stream, _)) = listener.accept().await {
        drop(stream.set_nodelay(true));
        let answer = answer.clone();
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new();
            drop(connection.serve_connection(TokioIo::new(stream), service_fn(answer)).await);
        });
    }
}
