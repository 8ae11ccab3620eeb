//! A byte stream in the binary messages of a WebSocket: what SPDY runs on where the client prefers it so.

use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

use super::super::spdy::{Reader, Writer};
use super::super::upgrade::Socket;

/// Bytes on their way in either direction.
const BUFFER_BYTES: usize = 64 * 1024;

/// Reads and writes the stream that the messages make.
pub(super) fn open(socket: Socket) -> (Reader, Writer) {
    let (near, far) = tokio::io::duplex(BUFFER_BYTES);
    tokio::spawn(pump(socket, far));
    let (reader, writer) = tokio::io::split(near);
    (Box::new(reader), Box::new(writer))
}

async fn pump(socket: Socket, far: tokio::io::DuplexStream) {
    let (mut to_client, mut from_client) = socket.split();
    let (mut outgoing, mut incoming) = tokio::io::split(far);
    let down = async {
        let mut buffer = vec![0; BUFFER_BYTES];
        while let Ok(count @ 1..) = outgoing.read(&mut buffer).await {
            if to_client.send(Message::binary(buffer[..count].to_vec())).await.is_err() {
                return;
            }
        }
        let _ = to_client.send(Message::Close(None)).await;
    };
    let up = async {
        while let Some(Ok(message)) = from_client.next().await {
            let data = match message {
                Message::Binary(data) => data,
                Message::Close(_) => break,
                _ => continue,
            };
            if incoming.write_all(&data).await.is_err() {
                return;
            }
        }
        let _ = incoming.shutdown().await;
    };
    tokio::join!(down, up);
}
