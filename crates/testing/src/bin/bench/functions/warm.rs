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
use tokio::runtime::Runtime;

use super::door::Door;
use super::floor::{Relay, Workers};
use crate::{load, row};

const WARM_INVOKES: usize = 2000;
const CLIENTS: [usize; 2] = [16, 64];
const MEASURED: Duration = Duration::from_secs(3);
const ROUNDS: usize = 7;
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

/// The three take turns, and each round is compared in itself: what a machine can do changes within seconds.
pub(super) async fn many_clients(door: &Arc<Door>, bootstrap: &Path) -> Result<()> {
    let [few, clients] = CLIENTS;
    row::at_least("warm_invokes_16_clients", rate_at(door, few, MEASURED).await?, "per s", 5000.0);
    let bare = Server::start(door, bare_answer)?;
    let relay = Relay::default();
    let relaying = Server::start(door, move |request| relay.clone().answer(request))?;
    let _workers = Workers::start(clients, bootstrap, relaying.address)?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let mut round = [0.0; 3];
        for (rate, door) in round.iter_mut().zip([door, &bare.door, &relaying.door]) {
            *rate = rate_at(door, clients, MEASURED / 2).await?;
        }
        rounds.push(round);
    }
    let median = |of: fn(&[f64; 3]) -> f64| row::median(rounds.iter().map(of).collect());
    row::at_least("warm_invokes_64_clients", median(|round| round[0]), "per s", 5000.0);
    row::at_least("bare_hyper_server_64_clients", median(|round| round[1]), "per s", 0.0);
    let share = median(|round| round[0] / round[1]);
    row::at_least("warm_invokes_64_clients_of_bare_server", share, "x", 0.4);
    row::at_least("bare_runtime_api_64_clients", median(|round| round[2]), "per s", 0.0);
    let share = median(|round| round[0] / round[2]);
    row::at_least("warm_invokes_64_clients_of_bare_runtime_api", share, "x", 0.0);
    Ok(())
}

/// Invocations per second that these clients get at this door.
async fn rate_at(door: &Arc<Door>, clients: usize, time: Duration) -> Result<f64> {
    let door = door.clone();
    load::closed_loop(clients, time, move |_, _| {
        let door = door.clone();
        async move { door.invoke(&function()).await.map(drop) }
    })
    .await
}

/// A server that only answers, on threads of its own, and a door that leads to it. Ends when dropped.
struct Server {
    door: Arc<Door>,
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Server {
    fn start<A>(
        door: &Door,
        answer: impl Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    ) -> Result<Server>
    where
        A: Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send + 'static,
    {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(SERVER_THREADS)
            .enable_all()
            .build()?;
        runtime.spawn(serve(listener, answer));
        Ok(Server { door: door.elsewhere(address), address, runtime: Some(runtime) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be dropped by a task, which must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
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
