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

/// The same of a message that belongs to a group, whose name comes after the times.
const FORMAT_GROUPED: u8 = 2;

/// A message as it was sent.
pub(super) struct Sent {
    pub(super) sent_ms: u64,
    pub(super) visible_ms: u64,
    /// Messages of one group are received one after the other; no name is no group.
    pub(super) group: Bytes,
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
        let grouped = !self.group.is_empty();
        let mut out =
            BytesMut::with_capacity(25 + self.group.len() + self.attributes.len() + self.body.len());
        out.put_u8(if grouped { FORMAT_GROUPED } else { FORMAT });
        out.put_u64(self.sent_ms);
        out.put_u64(self.visible_ms);
        if grouped {
            put(&mut out, &self.group);
        }
        put(&mut out, &self.attributes);
        out.put_slice(&self.body);
        out.freeze()
    }

    /// Shares the bytes of the value.
    pub(super) fn read(value: &Bytes) -> Option<Sent> {
        let mut from = Reader(value.clone());
        let format = from.bytes(1)?[0];
        let (sent_ms, visible_ms) = (from.long()?, from.long()?);
        let group = match format {
            FORMAT => Bytes::new(),
            FORMAT_GROUPED => from.part()?,
            _ => return None,
        };
        let attributes = from.part()?;
        Some(Sent { sent_ms, visible_ms, group, attributes, body: from.0 })
    }
}

/// A part, with its length before it.
fn put(out: &mut BytesMut, part: &Bytes) {
    out.put_u32(u32::try_from(part.len()).expect("bounded by MESSAGE_BYTES_MAX"));
    out.put_slice(part);
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

    fn part(&mut self) -> Option<Bytes> {
        let length = self.int()? as usize;
        self.bytes(length)
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

    fn sent(group: &'static str) -> Sent {
        let group = Bytes::from_static(group.as_bytes());
        Sent { sent_ms: 7, visible_ms: 9, group, attributes: "abc".into(), body: "de".into() }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for group in ["", "orders"] {
            let read = Sent::read(&sent(group).write()).expect("a message");
            assert_eq!((read.sent_ms, read.visible_ms, &read.group[..]), (7, 9, group.as_bytes()));
            assert_eq!((&read.attributes[..], &read.body[..]), (&b"abc"[..], &b"de"[..]));
        }
        let state = State { visible_ms: 3, receive_count: 2, note: "n".into() };
        let read = State::read(&state.write()).expect("a state");
        assert_eq!((read.visible_ms, read.receive_count, &read.note[..]), (3, 2, &b"n"[..]));
    }

    #[test]
    fn what_is_cut_off_is_no_message() {
        for group in ["", "orders"] {
            let whole = Sent { body: Bytes::new(), ..sent(group) }.write();
            for length in 0..whole.len() {
                assert!(Sent::read(&whole.slice(..length)).is_none(), "{length}");
            }
        }
        let foreign = Bytes::from_static(b"\x03aaaaaaaaaaaaaaaaaaaaaaaaa");
        assert!(Sent::read(&foreign).is_none(), "another format");
    }

    #[test]
    fn names_of_queues_may_have_slashes() {
        let key = key(BODIES, "lambda/default/hello", 255);
        assert_eq!(place(key.strip_prefix(BODIES).expect("a body")), Some(("lambda/default/hello", 255)));
        assert_eq!(place("no-number"), None);
    }
}
