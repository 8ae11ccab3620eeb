//! The body of `…/response`: collected for callers that want it whole, passed on piece by piece to those that stream,
//! never held beyond that. Trailers may say that the function failed after all.

use super::{ERROR_TYPE, accepted, refuse};
use crate::fault::Fault;
use crate::instance::Instance;
use crate::pieces::{Pieces, STREAM_BYTES_MAX};
use crate::runtime_api::PAYLOAD_BYTES_MAX;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) static MODE: HeaderName = HeaderName::from_static("lambda-runtime-function-response-mode");
const ERROR_BODY: &str = "lambda-runtime-function-error-body";

/// A connection that breaks mostly means that the process has ended; that is told within this, and says more.
const EXIT_GRACE: Duration = Duration::from_secs(2);

/// What a runtime sends beyond its limit is thrown away, so that it comes to read the refusal; but not for ever.
const SURPLUS_BYTES_MAX: usize = STREAM_BYTES_MAX;

/// How a body ended.
enum Ending {
    /// Well, or with the error of its trailers: type and document.
    Complete(Option<(String, Bytes)>),
    /// It is over the limit; this is left of it.
    TooLarge(Incoming),
    Truncated,
}

/// Takes in an answer.
pub(super) async fn receive(
    instance: &Arc<Instance>,
    id: &str,
    headers: &HeaderMap,
    body: Incoming,
) -> Response<Bytes> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let streaming = match text(&MODE) {
        // AWS's Go client streams without saying so: in chunks, because it does not know the length.
        None => text(&header::TRANSFER_ENCODING).is_some_and(|how| how.eq_ignore_ascii_case("chunked")),
        Some(mode) if mode.eq_ignore_ascii_case("streaming") => true,
        Some(mode) if mode.eq_ignore_ascii_case("buffered") => false,
        Some(_) => {
            let reason = "Invalid function response mode";
            return refuse(StatusCode::BAD_REQUEST, "InvalidFunctionResponseMode", reason);
        }
    };
    let content_type = text(&header::CONTENT_TYPE).map(str::to_owned);
    let chunks = match streaming {
        true => instance.open_stream(id, content_type.clone()),
        false => Ok(None),
    };
    let (limit, payload, ending) = match chunks {
        Err(refusal) => return accepted(Err(refusal)),
        Ok(Some(pieces)) => (STREAM_BYTES_MAX, Bytes::new(), pass_on(body, pieces).await),
        Ok(None) => {
            let (payload, ending) = collect(body).await;
            (PAYLOAD_BYTES_MAX, payload, ending)
        }
    };
    match ending {
        Ending::Complete(None) => accepted(instance.respond(id, payload, content_type)),
        Ending::Complete(Some((error_type, document))) => accepted(instance.fail(id, document, &error_type)),
        Ending::TooLarge(rest) => match instance.reject_answer(id, &Fault::ResponseTooLarge(limit)) {
            Ok(()) => {
                discard(rest).await;
                let reason = format!("Exceeded maximum allowed payload size ({limit} bytes).");
                refuse(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &reason)
            }
            refused => accepted(refused),
        },
        Ending::Truncated => {
            let told = Instant::now();
            while told.elapsed() < EXIT_GRACE && instance.note_broken(id) {
                tokio::time::sleep(EXIT_GRACE / 200).await;
            }
            // Refused when the end of the process has told it already.
            let _ = instance.reject_answer(id, &Fault::Truncated);
            refuse(StatusCode::BAD_REQUEST, "TruncatedHTTPRequest", "HTTP request detected as truncated")
        }
    }
}

/// Passes pieces on as fast as the reader takes them. One that has gone away holds nothing up.
async fn pass_on(mut body: Incoming, mut pieces: Pieces) -> Ending {
    let mut passed: usize = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Ending::Truncated };
        match frame.into_data() {
            Ok(data) => {
                passed += data.len();
                if passed > STREAM_BYTES_MAX {
                    return Ending::TooLarge(body);
                }
                pieces.send(data).await;
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    return Ending::Complete(error_in(&trailers));
                }
            }
        }
    }
    Ending::Complete(None)
}

/// Takes in all of it, up to the limit.
async fn collect(mut body: Incoming) -> (Bytes, Ending) {
    let mut whole = BytesMut::new();
    let mut error = None;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return (Bytes::new(), Ending::Truncated) };
        match frame.into_data() {
            Ok(data) if whole.len() + data.len() > PAYLOAD_BYTES_MAX => {
                return (Bytes::new(), Ending::TooLarge(body));
            }
            // Most come in one piece, which need not be copied.
            Ok(data) if whole.is_empty() && body.is_end_stream() => return (data, Ending::Complete(None)),
            Ok(data) => whole.extend_from_slice(&data),
            Err(frame) => error = frame.into_trailers().ok().and_then(|trailers| error_in(&trailers)),
        }
    }
    (whole.freeze(), Ending::Complete(error))
}

async fn discard(mut body: Incoming) {
    let mut surplus = 0;
    while let Some(Ok(frame)) = body.frame().await {
        surplus += frame.data_ref().map_or(0, Bytes::len);
        if surplus > SURPLUS_BYTES_MAX {
            return;
        }
    }
}

/// The type and the document of an error that the trailers tell of.
fn error_in(trailers: &HeaderMap) -> Option<(String, Bytes)> {
    let text = |name: &str| trailers.get(name).and_then(|value| value.to_str().ok());
    let error_type = text(ERROR_TYPE)?.to_owned();
    let document = text(ERROR_BODY).and_then(|body| BASE64_STANDARD.decode(body).ok());
    let document = document.map(Bytes::from).unwrap_or_else(|| {
        serde_json::json!({"errorType": error_type, "errorMessage": ""}).to_string().into()
    });
    Some((error_type, document))
}
