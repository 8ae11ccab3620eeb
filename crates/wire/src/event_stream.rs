//! `application/vnd.amazon.eventstream`: binary messages with typed headers, each guarded by two checksums. Pure.
//!
//! ```text
//!   length of all (u32) │ length of headers (u32) │ CRC-32 of these │ headers │ payload │ CRC-32 of all before
//! ```

use bytes::{BufMut, Bytes, BytesMut};

/// The content type of a response made of these messages.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// The largest payload of one message: the limit of AWS's clients is 24 MiB, that of its services 16 MiB.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The type of a header's value that is a string.
const STRING: u8 = 7;

/// One event; `payload` must not be over [`PAYLOAD_BYTES_MAX`].
pub fn event(kind: &str, content_type: &str, payload: &[u8]) -> Bytes {
    let named = [(":event-type", kind), (":content-type", content_type), (":message-type", "event")];
    let mut headers = BytesMut::new();
    for (name, value) in named {
        // Names and values are ours, and short.
        headers.put_u8(name.len() as u8);
        headers.put_slice(name.as_bytes());
        headers.put_u8(STRING);
        headers.put_u16(value.len() as u16);
        headers.put_slice(value.as_bytes());
    }
    let length = 4 + 4 + 4 + headers.len() + payload.len() + 4;
    let mut message = BytesMut::with_capacity(length);
    message.put_u32(length as u32);
    message.put_u32(headers.len() as u32);
    message.put_u32(crc32fast::hash(&message));
    message.put_slice(&headers);
    message.put_slice(payload);
    message.put_u32(crc32fast::hash(&message));
    message.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of a message, read by what the format says.
    #[test]
    fn a_message_can_be_taken_apart() {
        let message = event("PayloadChunk", "application/octet-stream", b"hello");
        let number = |at: usize| u32::from_be_bytes(message[at..at + 4].try_into().expect("four bytes"));
        assert_eq!(number(0) as usize, message.len());
        assert_eq!(number(8), crc32fast::hash(&message[..8]));
        assert_eq!(number(message.len() - 4), crc32fast::hash(&message[..message.len() - 4]));
        let (headers, payload) = message[12..message.len() - 4].split_at(number(4) as usize);
        assert_eq!(payload, b"hello");
        assert!(
            headers.starts_with(b"\x0b:event-type\x07\x00\x0cPayloadChunk\x0d:content-type\x07\x00\x18app")
        );
        // A known answer: the empty event of this kind.
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
    }
}
