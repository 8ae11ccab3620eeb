//! Frames of SPDY/3.1 on the wire: read from a connection, and the few kinds that a server sends, as bytes.

use std::io;

use bytes::Bytes;
use tokio::io::AsyncReadExt;

use super::header::Inflate;
use super::{Id, Reader};

/// The largest frame taken; clients send 32 KiB at most.
const FRAME_BYTES_MAX: usize = 1 << 20;
/// The first bit of a control frame, and the protocol's version.
const CONTROL: u16 = 0x8003;
const FIN: u8 = 1;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const WINDOW_UPDATE: u16 = 9;

/// One frame from a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Open {
        id: Id,
        headers: Vec<(String, String)>,
        fin: bool,
    },
    Data {
        id: Id,
        data: Bytes,
        fin: bool,
    },
    Reset {
        id: Id,
    },
    Ping {
        id: u32,
    },
    GoAway,
    /// Settings, windows, late headers: nothing to do.
    Other,
}

/// Reads frames from a connection.
pub(super) struct Read {
    reader: Reader,
    inflate: Inflate,
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

fn word(bytes: &[u8], at: usize) -> io::Result<u32> {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    four.map(u32::from_be_bytes).ok_or_else(|| invalid("a frame is too short"))
}

/// Stream ids have 31 bits.
fn id(bytes: &[u8], at: usize) -> io::Result<Id> {
    Ok(word(bytes, at)? & 0x7fff_ffff)
}

impl Read {
    pub(super) fn new(reader: Reader, inflate: Inflate) -> Read {
        Read { reader, inflate }
    }

    /// The next frame; `None` when the client has closed the connection.
    pub(super) async fn next(&mut self) -> io::Result<Option<Frame>> {
        let mut head = [0; 8];
        match self.reader.read_exact(&mut head).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        };
        let (flags, length) = (head[4], (word(&head, 4)? & 0x00ff_ffff) as usize);
        if length > FRAME_BYTES_MAX {
            return Err(invalid("a frame is too large"));
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body).await?;
        let fin = flags & FIN != 0;
        if head[0] & 0x80 == 0 {
            return Ok(Some(Frame::Data { id: id(&head, 0)?, data: body.into(), fin }));
        }
        if u16::from_be_bytes([head[0], head[1]]) != CONTROL {
            return Err(invalid("another version of SPDY"));
        }
        self.control(u16::from_be_bytes([head[2], head[3]]), fin, &body).map(Some)
    }

    fn control(&mut self, kind: u16, fin: bool, body: &[u8]) -> io::Result<Frame> {
        Ok(match kind {
            SYN_STREAM => {
                // Id, associated id, priority and slot come before the headers.
                let block = body.get(10..).ok_or_else(|| invalid("a frame is too short"))?;
                Frame::Open { id: id(body, 0)?, headers: self.inflate.headers(block)?, fin }
            }
            RST_STREAM => Frame::Reset { id: id(body, 0)? },
            PING => Frame::Ping { id: word(body, 0)? },
            GOAWAY => Frame::GoAway,
            _ => Frame::Other,
        })
    }
}

fn control(kind: u16, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let length = u32::try_from(length).expect("what this side sends is small");
    let mut bytes = Vec::with_capacity(8 + length as usize);
    bytes.extend_from_slice(&CONTROL.to_be_bytes());
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&length.to_be_bytes());
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

pub(super) fn reply(id: Id, block: &[u8]) -> Vec<u8> {
    control(SYN_REPLY, &[&id.to_be_bytes(), block])
}

pub(super) fn reset(id: Id, why: u32) -> Vec<u8> {
    control(RST_STREAM, &[&id.to_be_bytes(), &why.to_be_bytes()])
}

pub(super) fn ping(id: u32) -> Vec<u8> {
    control(PING, &[&id.to_be_bytes()])
}

/// Stream 0 is the connection as a whole.
pub(super) fn window(id: Id, bytes: u32) -> Vec<u8> {
    control(WINDOW_UPDATE, &[&id.to_be_bytes(), &bytes.to_be_bytes()])
}

/// What comes before so many bytes of data.
pub(super) fn data_head(id: Id, length: usize, fin: bool) -> [u8; 8] {
    let length = u32::try_from(length).expect("what this side sends is small");
    let mut head = [0; 8];
    head[..4].copy_from_slice(&id.to_be_bytes());
    head[4..].copy_from_slice(&length.to_be_bytes());
    head[4] = u8::from(fin);
    head
}

#[cfg(test)]
pub(super) fn open(id: Id, block: &[u8]) -> Vec<u8> {
    control(SYN_STREAM, &[&id.to_be_bytes(), &[0; 6], block])
}
