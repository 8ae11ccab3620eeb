//! How a message lies in the store: its body under one key, written once; its state under another, written when it is
//! deferred, so that a retry does not write a megabyte again. Pure.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

/// Where bodies are, by queue and number.
pub(super) const BODIES: &str = "body/";
/// Where states are, by queue and number.
pub(super) const STATES: &str = "state/";

/// The first byte of every value: the format below.
const FORMAT: u8 = 1;

/// A message as it was sent.
pub(super) struct Sent {
    pub(super) sent_ms: u64,
    pub(super) visible_ms: u64,
    pub(super) attributes: Bytes,
    pub(super) body: Bytes,
}

/// What has become of it since.
pub(super) struct State {
    pub(super) visible_ms: u64,
    pub(super) receive_count: u32,
    pub(super) note: Bytes,
}

/// The key of a message; numbers sort as they count.
pub(super) fn key(part: &str, queue: &str, number: u64) -> Arc<str> {
    format!("{part}{queue}/{number:016x}").into()
}

/// Queue and number, from a key without its first part. Names of queues may have slashes.
pub(super) fn place(key: &str) -> Option<(&str, u64)> {
    let (queue, number) = key.rsplit_once('/')?;
    Some((queue, u64::from_str_radix(number, 16).ok()?))
}

impl Sent {
    pub(super) fn write(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(21 + self.attributes.len() + self.body.len());
        out.put_u8(FORMAT);
        out.put_u64(self.sent_ms);
        out.put_u64(self.visible_ms);
        out.put_u32(u32::try_from(self.attributes.len()).expect("bounded by MESSAGE_BYTES_MAX"));
        out.put_slice(&self.attributes);
        out.put_slice(&self.body);
        out.freeze()
    }

    /// Shares the bytes of the value.
    pub(super) fn read(value: &Bytes) -> Option<Sent> {
        let mut from = Reader(value.clone());
        from.format()?;
        let (sent_ms, visible_ms) = (from.long()?, from.long()?);
        let attributes = from.int()? as usize;
        let attributes = from.bytes(attributes)?;
        Some(Sent { sent_ms, visible_ms, attributes, body: from.0 })
    }
}

impl State {
    pub(super) fn write(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(13 + self.note.len());
        out.put_u8(FORMAT);
        out.put_u64(self.visible_ms);
        out.put_u32(self.receive_count);
        out.put_slice(&self.note);
        out.freeze()
    }

    pub(super) fn read(value: &Bytes) -> Option<State> {
        let mut from = Reader(value.clone());
        from.format()?;
        Some(State { visible_ms: from.long()?, receive_count: from.int()?, note: from.0 })
    }
}

/// Takes values off the front; `None` where there are too few bytes.
struct Reader(Bytes);

impl Reader {
    fn bytes(&mut self, count: usize) -> Option<Bytes> {
        (count <= self.0.len()).then(|| self.0.split_to(count))
    }

    fn format(&mut self) -> Option<()> {
        (self.bytes(1)?[0] == FORMAT).then_some(())
    }

    fn long(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.bytes(8)?.as_ref().try_into().ok()?))
    }

    fn int(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.bytes(4)?.as_ref().try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let sent = Sent { sent_ms: 7, visible_ms: 9, attributes: "a".into(), body: "bc".into() };
        let read = Sent::read(&sent.write()).expect("a message");
        assert_eq!(
            (read.sent_ms, read.visible_ms, &read.attributes[..], &read.body[..]),
            (7, 9, &b"a"[..], &b"bc"[..])
        );
        let state = State { visible_ms: 3, receive_count: 2, note: "n".into() };
        let read = State::read(&state.write()).expect("a state");
        assert_eq!((read.visible_ms, read.receive_count, &read.note[..]), (3, 2, &b"n"[..]));
    }

    #[test]
    fn what_is_cut_off_is_no_message() {
        let whole = Sent { sent_ms: 7, visible_ms: 9, attributes: "abc".into(), body: Bytes::new() }.write();
        for length in 0..whole.len() {
            assert!(Sent::read(&whole.slice(..length)).is_none(), "{length}");
        }
        assert!(
            Sent::read(&Bytes::from_static(b"\x02aaaaaaaaaaaaaaaaaaaaaaaaa")).is_none(),
            "another format"
        );
    }

    #[test]
    fn names_of_queues_may_have_slashes() {
        let key = key(BODIES, "lambda/default/hello", 255);
        assert_eq!(place(key.strip_prefix(BODIES).expect("a body")), Some(("lambda/default/hello", 255)));
        assert_eq!(place("no-number"), None);
    }
}
