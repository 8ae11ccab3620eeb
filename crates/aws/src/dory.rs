//! What AWS has no word for, below `/_dory/`: the archive that `GetFunction` points to, a function's log, the
//! stages of its last cold start, and the images of runtimes. Signed like everything else.

use crate::Door;
use futures::TryStreamExt;
use http::Method;
use http_body::Frame;
use http_body_util::StreamBody;
use jiff::Timestamp;
use managed::LogQuery;
use serde_json::json;
use wire::{Body, Call, Fault, NAMESPACE, Reply, reply};

mod runtimes;

pub(crate) async fn serve(door: &Door, call: &Call) -> Result<Reply, Fault> {
    let path = call.parts.uri.path().strip_prefix(wire::OWN_PREFIX).unwrap_or_default();
    let segments: Vec<&str> = path.split('/').collect();
    match (&call.parts.method, segments.as_slice()) {
        (&Method::GET, ["code", sha256]) => code(door, sha256).await,
        (&Method::GET, ["functions", name, "log"]) => log(door, call, name),
        (&Method::GET, ["usage"]) => Ok(usage(door)),
        (&Method::GET, ["functions", name, "cold-start"]) => cold_start(door, name),
        (&Method::GET, ["runtimes"]) => Ok(runtimes::list(door)),
        (&Method::PUT, ["runtimes", name]) => runtimes::put(door, call, name).await,
        (&Method::DELETE, ["runtimes", name]) => runtimes::delete(door, name).await,
        (&Method::GET, ["top"]) => Ok(top(door).await),
        _ => Err(Fault::unknown_operation(format!("There is nothing at {}", call.parts.uri.path()))),
    }
}

/// What everything used since it is metered.
fn usage(door: &Door) -> Reply {
    let now = Timestamp::now();
    let usage = door.config.functions.meter().usage(now);
    reply::json(200, &json!({ "usage": usage, "nowMs": now.as_millisecond() }))
}

/// What functions do now.
async fn top(door: &Door) -> Reply {
    let functions = door.config.functions.now().await;
    let shown = functions.iter().map(|one| {
        json!({
            "namespace": one.namespace, "function": one.function, "instances": one.instances, "idle": one.idle,
            "cpuNanos": one.cpu_nanos, "memoryBytes": one.memory_bytes, "invocations": one.invocations,
        })
    });
    let shown: Vec<serde_json::Value> = shown.collect();
    reply::json(200, &json!({ "functions": shown, "nowMs": Timestamp::now().as_millisecond() }))
}

async fn code(door: &Door, sha256: &str) -> Result<Reply, Fault> {
    let missing = || Fault::not_found("The code is not in the code store any more");
    let path = door.config.functions.code_archive(sha256).ok_or_else(missing)?;
    let bytes = tokio::fs::read(path).await.map_err(|_| missing())?;
    Ok(reply::raw(200, "application/zip", bytes))
}

/// Where the time of a function's last cold start went.
fn cold_start(door: &Door, name: &str) -> Result<Reply, Fault> {
    let stages = door.config.functions.cold_start(NAMESPACE, name);
    let stages = stages.ok_or_else(|| Fault::not_found(format!("Function not found: {name}")))?;
    let micros = |took: std::time::Duration| took.as_secs_f64() * 1e6;
    let stages: Vec<_> =
        stages.iter().map(|stage| json!({ "name": stage.name, "micros": micros(stage.took) })).collect();
    Ok(reply::json(200, &json!({ "stages": stages })))
}

/// `?tail=N` for the last lines, `?follow=true` to stay, `?namespace=` for functions that `kubectl` made elsewhere.
fn log(door: &Door, call: &Call, name: &str) -> Result<Reply, Fault> {
    let lines = match call.parameter("tail") {
        Some(tail) => {
            Some(tail.parse().map_err(|_| Fault::invalid_parameter("tail must be a number of lines"))?)
        }
        None => None,
    };
    let query = LogQuery { lines, follow: call.parameter("follow").as_deref() == Some("true") };
    let namespace = call.parameter("namespace").unwrap_or_else(|| NAMESPACE.to_owned());
    let log = door.config.functions.logs(&namespace, name, query);
    let log = log.ok_or_else(|| Fault::not_found(format!("Function not found: {name}")))?;
    let frames =
        log.map_ok(Frame::data).map_err(|error| Box::new(error) as Box<dyn std::error::Error + Send + Sync>);
    Ok(reply::stream(200, "text/plain; charset=utf-8", Body::new(StreamBody::new(frames))))
}
