//! The channel protocol of exec and attach: each binary WebSocket message begins with the number of its stream.
//! `v4.channel.k8s.io`, and `v5`, which adds closing a stream (KEP-4006).

use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use object::Status;
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::node::Body;

/// What clients may ask for, the best first.
const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
/// The largest message a client may send; kubectl's are 32 KiB.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

pub(super) const STDOUT: u8 = 1;
pub(super) const STDERR: u8 = 2;
const STDIN: u8 = 0;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Stdin(Bytes),
    StdinClosed,
    Resize {
        columns: u16,
        rows: u16,
    },
    /// It left.
    Gone,
}

/// Reads one message. Pure; `None` for what means nothing.
fn understand(message: &[u8]) -> Option<Said> {
    let (channel, data) = message.split_first()?;
    match *channel {
        STDIN => Some(Said::Stdin(Bytes::copy_from_slice(data))),
        CLOSE if data == [STDIN] => Some(Said::StdinClosed),
        RESIZE => {
            let size: Value = serde_json::from_slice(data).ok()?;
            let side = |name: &str| size[name].as_u64().and_then(|side| u16::try_from(side).ok());
            Some(Said::Resize { columns: side("Width")?, rows: side("Height")? })
        }
        _ => None,
    }
}

/// Agrees on the protocol: the answer for the client, and the connection that it becomes.
pub(super) fn open(request: &mut Request<Body>) -> Result<(Response<Body>, OnUpgrade), Status> {
    let has = |name: header::HeaderName, word: &str| {
        let values = request.headers().get_all(name);
        let words = values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        words.into_iter().any(|value| value.trim().to_ascii_lowercase().starts_with(word))
    };
    if has(header::UPGRADE, "spdy/") {
        let message =
            "SPDY is not supported here; use a client that speaks WebSocket (kubectl 1.31 or newer)";
        return Err(Status::bad_request(message));
    }
    if !has(header::UPGRADE, "websocket") || !has(header::CONNECTION, "upgrade") {
        return Err(Status::bad_request("you must request an upgrade to WebSocket"));
    }
    let key = request.headers().get("sec-websocket-key").map(|key| derive_accept_key(key.as_bytes()));
    let key = key.ok_or_else(|| Status::bad_request("the WebSocket key is missing"))?;
    let offered = |name: &&&str| has(header::SEC_WEBSOCKET_PROTOCOL, name);
    let protocol = PROTOCOLS.iter().find(offered).ok_or_else(|| {
        Status::bad_request(format!(
            "none of the offered WebSocket protocols is known; use {}",
            PROTOCOLS.join(" or ")
        ))
    })?;
    let upgrade = request
        .extensions_mut()
        .remove::<OnUpgrade>()
        .ok_or_else(|| Status::bad_request("the connection cannot be upgraded"))?;
    let mut response = Response::new(UnsyncBoxBody::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    headers
        .insert(header::SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&key).expect("base64 is a header value"));
    Ok((response, upgrade))
}

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// The client's side of the conversation.
pub(super) struct Listener(SplitStream<Socket>);

/// This side of it.
pub(super) struct Speaker(SplitSink<Socket, Message>);

/// Waits for the upgrade and splits the connection.
pub(super) async fn accept(upgrade: OnUpgrade) -> Result<(Speaker, Listener), hyper::Error> {
    let stream = TokioIo::new(upgrade.await?);
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    let (speaker, listener) = socket.split();
    Ok((Speaker(speaker), Listener(listener)))
}

impl Listener {
    pub(super) async fn next(&mut self) -> Said {
        loop {
            let said = match self.0.next().await {
                Some(Ok(Message::Binary(message))) => understand(&message),
                Some(Ok(Message::Text(message))) => understand(message.as_bytes()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => Some(Said::Gone),
                Some(Ok(_)) => None,
            };
            if let Some(said) = said {
                return said;
            }
        }
    }
}

impl Speaker {
    /// Whether the client took it.
    pub(super) async fn say(&mut self, channel: u8, data: &[u8]) -> bool {
        let mut message = Vec::with_capacity(data.len() + 1);
        message.push(channel);
        message.extend_from_slice(data);
        self.0.send(Message::binary(message)).await.is_ok()
    }

    /// The last word: how it went.
    pub(super) async fn finish(mut self, status: &Value) {
        self.say(ERROR, status.to_string().as_bytes()).await;
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let _ = self.0.send(Message::Close(Some(frame))).await;
    }
}

/// A command that ended well.
pub(super) fn success() -> Value {
    json!({ "metadata": {}, "status": "Success" })
}

/// A command that ended with a code, in the form from which kubectl takes its own exit code.
pub(super) fn exited(code: i32) -> Value {
    json!({
        "metadata": {},
        "status": "Failure",
        "message": format!("command terminated with non-zero exit code: exit status {code}"),
        "reason": "NonZeroExitCode",
        "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        assert_eq!(understand(b"\0ls\n"), Some(Said::Stdin(Bytes::from_static(b"ls\n"))));
        assert_eq!(understand(&[255, 0]), Some(Said::StdinClosed));
        assert_eq!(
            understand(b"\x04{\"Width\":80,\"Height\":24}"),
            Some(Said::Resize { columns: 80, rows: 24 })
        );
        for nothing in [b"".as_slice(), b"\x04{}", b"\x04{\"Width\":-1,\"Height\":2}", b"\x07x", &[255, 1]] {
            assert_eq!(understand(nothing), None);
        }
    }

    fn request(headers: &[(&'static str, &'static str)]) -> Request<Body> {
        let mut request = Request::new(Body::default());
        for (name, value) in headers {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        request
    }

    #[test]
    fn older_clients_are_told_what_to_do() {
        let spdy = [("upgrade", "SPDY/3.1"), ("connection", "Upgrade")];
        let status = open(&mut request(&spdy)).expect_err("refused");
        assert!(status.code == 400 && status.message.contains("kubectl 1.31"), "{}", status.message);
        let plain = open(&mut request(&[])).expect_err("refused");
        assert_eq!(plain.message, "you must request an upgrade to WebSocket");
        let odd = [
            ("upgrade", "websocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-key", "x"),
            ("sec-websocket-protocol", "v9.channel.k8s.io"),
        ];
        assert!(open(&mut request(&odd)).expect_err("refused").message.contains("v5.channel.k8s.io or v4"));
    }
}
