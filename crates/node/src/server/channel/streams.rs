//! The same conversation over SPDY, which kubectl spoke alone before 1.31: one stream for each channel, opened by the
//! client and named by its `streamType` header; the status is the error stream's whole content.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::sync::mpsc;

use super::super::spdy::{self, Event, Id, Sender};
use super::{ERROR, RESIZE, STDERR, STDIN, STDOUT, Said, size};

/// How long a client may take to open its streams, and to leave after the last word; the first is upstream's.
const OPENING_MAX: Duration = Duration::from_secs(30);
const LEAVING_MAX: Duration = Duration::from_secs(10);
/// Sizes of a terminal that wait to be read whole.
const SIZES_BYTES_MAX: usize = 4096;

/// The client's side of the conversation.
pub(in super::super) struct Listener {
    events: mpsc::Receiver<Event>,
    channels: BTreeMap<Id, u8>,
    sizes: Vec<u8>,
    ready: VecDeque<Said>,
}

/// This side of it.
pub(in super::super) struct Speaker {
    sender: Sender,
    streams: BTreeMap<u8, Id>,
}

fn channel(headers: &[(String, String)]) -> Option<u8> {
    let (_, kind) = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("streamtype"))?;
    Some(match kind.as_str() {
        "stdin" => STDIN,
        "stdout" => STDOUT,
        "stderr" => STDERR,
        "error" => ERROR,
        "resize" => RESIZE,
        _ => return None,
    })
}

/// Waits for the streams of these channels.
pub(super) async fn accept(upgraded: Upgraded, channels: &[u8]) -> Option<(Speaker, Listener)> {
    let (reader, writer) = tokio::io::split(TokioIo::new(upgraded));
    let (events, sender) = spdy::serve(Box::new(reader), Box::new(writer));
    let mut speaker = Speaker { sender, streams: BTreeMap::new() };
    let mut listener =
        Listener { events, channels: BTreeMap::new(), sizes: Vec::new(), ready: VecDeque::new() };
    let opening = async {
        while !channels.iter().all(|channel| speaker.streams.contains_key(channel)) {
            match listener.events.recv().await? {
                Event::Opened { id, headers } => {
                    if let Some(channel) = channel(&headers) {
                        speaker.streams.insert(channel, id);
                        listener.channels.insert(id, channel);
                    }
                }
                // What comes before all are open is kept for later.
                event => listener.take(&event),
            }
        }
        Some(())
    };
    tokio::time::timeout(OPENING_MAX, opening).await.ok()??;
    Some((speaker, listener))
}

impl Listener {
    fn take(&mut self, event: &Event) {
        let of = |id: &Id| self.channels.get(id).copied();
        match event {
            Event::Data { id, data } if of(id) == Some(STDIN) => {
                self.ready.push_back(Said::Stdin(data.clone()));
            }
            Event::Ended { id } if of(id) == Some(STDIN) => self.ready.push_back(Said::StdinClosed),
            Event::Data { id, data } if of(id) == Some(RESIZE) => {
                self.sizes.extend_from_slice(data);
                self.read_sizes();
            }
            _ => {}
        }
    }

    /// Reads the sizes that are there as a whole.
    fn read_sizes(&mut self) {
        let mut values = serde_json::Deserializer::from_slice(&self.sizes).into_iter::<Value>();
        let mut sizes = Vec::new();
        while let Some(Ok(value)) = values.next() {
            sizes.extend(size(&value));
        }
        let read = values.byte_offset();
        self.sizes.drain(..read);
        if self.sizes.len() > SIZES_BYTES_MAX {
            self.sizes.clear();
        }
        self.ready.extend(sizes);
    }

    pub(super) async fn next(&mut self) -> Said {
        loop {
            if let Some(said) = self.ready.pop_front() {
                return said;
            }
            match self.events.recv().await {
                Some(event) => self.take(&event),
                None => return Said::Gone,
            }
        }
    }
}

impl Speaker {
    pub(super) async fn say(&mut self, channel: u8, data: &[u8]) -> bool {
        match self.streams.get(&channel) {
            Some(id) if !data.is_empty() => self.sender.data(*id, data, false).await.is_ok(),
            _ => true,
        }
    }

    /// Ends every stream, the status last, and gives the client time to read it.
    pub(super) async fn finish(self, status: &Value, mut listener: Listener) {
        let text = status.to_string();
        for channel in [STDOUT, STDERR, STDIN, RESIZE] {
            if let Some(id) = self.streams.get(&channel) {
                let _ = self.sender.data(*id, b"", true).await;
            }
        }
        if let Some(id) = self.streams.get(&ERROR) {
            let _ = self.sender.data(*id, text.as_bytes(), true).await;
        }
        let leaving = async { while listener.next().await != Said::Gone {} };
        // A client that stays is left.
        let _ = tokio::time::timeout(LEAVING_MAX, leaving).await;
        self.sender.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_come_in_pieces() {
        let (_sender, events) = mpsc::channel(1);
        let mut listener = Listener {
            events,
            channels: BTreeMap::from([(9, RESIZE), (1, STDIN)]),
            sizes: Vec::new(),
            ready: VecDeque::new(),
        };
        let text = b"{\"Width\":80,\"Height\":24}\n{\"Width\":100,\"Height\":30}\n";
        listener.take(&Event::Data { id: 9, data: bytes::Bytes::from_static(&text[..30]) });
        assert_eq!(listener.ready.drain(..).collect::<Vec<_>>(), [Said::Resize { columns: 80, rows: 24 }]);
        listener.take(&Event::Data { id: 9, data: bytes::Bytes::from_static(&text[30..]) });
        listener.take(&Event::Ended { id: 1 });
        let both = [Said::Resize { columns: 100, rows: 30 }, Said::StdinClosed];
        assert_eq!(listener.ready.drain(..).collect::<Vec<_>>(), both);
    }
}
