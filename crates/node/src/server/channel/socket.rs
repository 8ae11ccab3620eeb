//! The channel protocol over WebSocket: each binary message begins with the number of its stream. `v4.channel.k8s.io`,
//! and `v5`, which adds closing a stream (KEP-4006).

use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::super::upgrade::Socket;
use super::{ERROR, RESIZE, STDIN, Said, size};

const CLOSE: u8 = 255;

/// Reads one message. Pure; `None` for what means nothing.
fn understand(message: &[u8]) -> Option<Said> {
    let (channel, data) = message.split_first()?;
    match *channel {
        STDIN => Some(Said::Stdin(Bytes::copy_from_slice(data))),
        CLOSE if data == [STDIN] => Some(Said::StdinClosed),
        RESIZE => size(&serde_json::from_slice(data).ok()?),
        _ => None,
    }
}

/// The client's side of the conversation.
pub(in super::super) struct Listener(SplitStream<Socket>);

/// This side of it.
pub(in super::super) struct Speaker(SplitSink<Socket, Message>);

/// Takes a connection apart.
pub(super) fn split(socket: Socket) -> (Speaker, Listener) {
    let (speaker, listener) = socket.split();
    (Speaker(speaker), Listener(listener))
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
    pub(super) async fn say(&mut self, channel: u8, data: &[u8]) -> bool {
        let mut message = Vec::with_capacity(data.len() + 1);
        message.push(channel);
        message.extend_from_slice(data);
        self.0.send(Message::binary(message)).await.is_ok()
    }

    pub(super) async fn finish(mut self, status: &Value) {
        self.say(ERROR, status.to_string().as_bytes()).await;
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let _ = self.0.send(Message::Close(Some(frame))).await;
    }
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
}
