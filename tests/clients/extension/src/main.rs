//! A Lambda extension written with AWS's own crate, as its documentation has it: registers for both events, subscribes to
//! telemetry (or, with OFFICIAL_API=logs, to the older Logs API), and says in the log what it is told.

use lambda_extension::{
    Error, Extension, LambdaEvent, LambdaLog, LambdaLogRecord, LambdaTelemetry, LambdaTelemetryRecord, LogBuffering,
    NextEvent, SharedService, service_fn,
};

async fn events(event: LambdaEvent) -> Result<(), Error> {
    match event.next {
        NextEvent::Invoke(invoke) => println!("official: INVOKE {}", invoke.request_id),
        NextEvent::Shutdown(shutdown) => println!("official: SHUTDOWN {}", shutdown.shutdown_reason),
    }
    Ok(())
}

async fn telemetry(batch: Vec<LambdaTelemetry>) -> Result<(), Error> {
    for event in batch {
        match event.record {
            LambdaTelemetryRecord::Function(line) => println!("official: function line {line:?}"),
            LambdaTelemetryRecord::PlatformReport { status, metrics, .. } => {
                println!("official: report {status:?} of {} MB", metrics.memory_size_mb);
            }
            other => println!("official: told of {other:?}"),
        }
    }
    Ok(())
}

async fn logs(batch: Vec<LambdaLog>) -> Result<(), Error> {
    for log in batch {
        match log.record {
            LambdaLogRecord::Function(line) => println!("official: function line {line:?}"),
            other => println!("official: told of {other:?}"),
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let buffering = LogBuffering { timeout_ms: 25, max_bytes: 262_144, max_items: 1_000 };
    let extension = Extension::new().with_events(&["INVOKE", "SHUTDOWN"]).with_events_processor(service_fn(events));
    if std::env::var("OFFICIAL_API").is_ok_and(|api| api == "logs") {
        let logs = extension.with_logs_processor(SharedService::new(service_fn(logs)));
        return logs.with_log_buffering(buffering).run().await;
    }
    let telemetry = extension.with_telemetry_processor(SharedService::new(service_fn(telemetry)));
    telemetry.with_telemetry_buffering(buffering).run().await
}
