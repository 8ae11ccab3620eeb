//! A function with AWS's own Rust client of the Runtime API. The event says what to do.

use lambda_runtime::{Error, FunctionResponse, LambdaEvent, MetadataPrelude, StreamResponse, service_fn};
use serde_json::{Value, json};
use std::pin::Pin;
use std::time::Duration;
use tokio_stream::{Stream, StreamExt};

type Pieces = Pin<Box<dyn Stream<Item = Result<String, Error>> + Send>>;
type Answer = FunctionResponse<Value, Pieces>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    if std::env::var("PANIC_AT_START").is_ok() {
        panic!("not today");
    }
    lambda_runtime::run(service_fn(serve)).await
}

async fn serve(event: LambdaEvent<Value>) -> Result<Answer, Error> {
    let (event, context) = event.into_parts();
    let number = event["with"].as_u64().unwrap_or_default() as usize;
    match event["do"].as_str().unwrap_or_default() {
        "context" => Ok(FunctionResponse::BufferedResponse(serde_json::to_value(&context)?)),
        "error" => Err(Error::from("it failed")),
        "panic" => panic!("it panicked"),
        "exit" => std::process::exit(7),
        "answer" => Ok(FunctionResponse::BufferedResponse(Value::String("x".repeat(number)))),
        "sleep" => {
            tokio::time::sleep(Duration::from_millis(number as u64)).await;
            Ok(FunctionResponse::BufferedResponse(Value::Null))
        }
        "stream" => Ok(FunctionResponse::StreamingResponse(stream(number, false))),
        "break" => Ok(FunctionResponse::StreamingResponse(stream(number, true))),
        _ => Ok(FunctionResponse::BufferedResponse(json!({ "event": event }))),
    }
}

/// So many pieces, and then the end or an error.
fn stream(pieces: usize, fails: bool) -> StreamResponse<Pieces> {
    let wanted = (0..pieces).map(Ok).chain(fails.then(|| Err(Error::from("it broke off"))));
    let stream = tokio_stream::iter(wanted).then(async |piece| {
        tokio::time::sleep(Duration::from_millis(20)).await;
        piece.map(|number| format!("piece {number}\n"))
    });
    let mut metadata_prelude = MetadataPrelude::default();
    metadata_prelude.cookies.push("a=1".to_owned());
    StreamResponse { metadata_prelude, stream: Box::pin(stream) }
}
