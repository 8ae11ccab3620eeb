//! The netlink wire: messages with nested attributes, and a blocking socket that sends them and reads the kernel's
//! answer. Knows no message family; `link` and `nft` build theirs with it. Called off the async threads only.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
};

/// Length of `struct nlmsghdr`.
const HEADER_LEN: usize = 16;
/// Large enough for any single answer: the kernel fills dump answers up to 32 KiB.
const ANSWER_LEN: usize = 64 * 1024;
/// A full service table is sent as one datagram; the default send buffer (208 KiB) would refuse it.
const SEND_BUFFER: libc::c_int = 64 * 1024 * 1024;
/// Room for one error per message of a failed batch.
const RECEIVE_BUFFER: libc::c_int = 8 * 1024 * 1024;
/// Set on the type of an attribute that holds attributes.
const NESTED: u16 = 0x8000;
/// `NLMSGERR_ATTR_MSG`: the kernel's own words in an extended acknowledgement.
const ERROR_TEXT: u16 = 1;
/// `NLM_F_ACK_TLVS`: the acknowledgement carries attributes; `NLM_F_CAPPED`: it does not echo the request.
const ACK_TLVS: u16 = 0x200;
const CAPPED: u16 = 0x100;

/// One datagram: one message, or several of a batch.
#[derive(Default)]
pub(crate) struct Datagram {
    bytes: Vec<u8>,
}

impl Datagram {
    /// Adds a message; `body` writes what follows its header.
    pub(crate) fn message(&mut self, kind: u16, flags: i32, sequence: u32, body: impl FnOnce(&mut Body<'_>)) {
        let start = self.bytes.len();
        let flags = libc::NLM_F_REQUEST as u16 | flags as u16;
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        body(&mut Body { bytes: &mut self.bytes });
        let length = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// Marks the last message so far as wanting an acknowledgement. `start` is where that message began.
    pub(crate) fn acknowledge(&mut self, start: usize) {
        let flags =
            u16::from_ne_bytes([self.bytes[start + 6], self.bytes[start + 7]]) | libc::NLM_F_ACK as u16;
        self.bytes[start + 6..start + 8].copy_from_slice(&flags.to_ne_bytes());
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// The inside of a message or of a nested attribute, being written.
pub(crate) struct Body<'a> {
    bytes: &'a mut Vec<u8>,
}

impl Body<'_> {
    /// Bytes of a fixed struct, padded to the alignment of attributes.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self.pad();
        self
    }

    /// An attribute holding `value` as it is.
    pub(crate) fn attr(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(&((value.len() + 4) as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.raw(value)
    }

    /// A text attribute with the final zero byte the kernel expects.
    pub(crate) fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attr(kind, &bytes)
    }

    /// A host-order number, as rtnetlink uses.
    pub(crate) fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attr(kind, &value.to_ne_bytes())
    }

    /// A network-order number, as netfilter uses.
    pub(crate) fn be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attr(kind, &value.to_be_bytes())
    }

    /// A network-order number, as netfilter uses.
    pub(crate) fn be64(&mut self, kind: u16, value: u64) -> &mut Self {
        self.attr(kind, &value.to_be_bytes())
    }

    /// An attribute holding the attributes that `inside` writes.
    pub(crate) fn nest(&mut self, kind: u16, inside: impl FnOnce(&mut Body<'_>)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        inside(&mut Body { bytes: self.bytes });
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// The attributes of an answer, in order: (type without flags, value).
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes([*bytes.first()?, *bytes.get(1)?]));
        let kind = u16::from_ne_bytes([*bytes.get(2)?, *bytes.get(3)?]) & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

/// The value of one attribute.
pub(crate) fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// The four bytes of an attribute in host order.
pub(crate) fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(value.get(..4)?.try_into().ok()?))
}

/// The text of an attribute without its final zero.
pub(crate) fn string(value: &[u8]) -> String {
    String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned()
}

/// A netlink socket. It speaks to the network namespace of the thread that opened it, whoever uses it later.
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

/// One error out of a batch: the sequence number of the message refused, and why.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) sequence: u32,
    pub(crate) error: io::Error,
}

impl Socket {
    /// Opens a socket for `protocol`; none is `NETLINK_ROUTE`.
    pub(crate) fn open(protocol: Option<rustix::net::Protocol>) -> io::Result<Socket> {
        let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        bind(&fd, &SocketAddrNetlink::new(0, 0))?;
        set_option(&fd, libc::SOL_NETLINK, libc::NETLINK_EXT_ACK, 1);
        set_option(&fd, libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, 1);
        set_option(&fd, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, SEND_BUFFER);
        set_option(&fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECEIVE_BUFFER);
        Ok(Socket { fd, sequence: 0 })
    }

    /// The descriptor, for requests about links that are no netlink messages.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Sends one message and waits for its acknowledgement.
    pub(crate) fn request(
        &mut self,
        kind: u16,
        flags: i32,
        body: impl FnOnce(&mut Body<'_>),
    ) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut datagram = Datagram::default();
        datagram.message(kind, flags | libc::NLM_F_ACK, self.sequence, body);
        match self.transact(datagram)?.into_iter().next() {
            Some(refusal) => Err(refusal.error),
            None => Ok(()),
        }
    }

    /// Sends a datagram whose last message wants an acknowledgement. The kernel works during the send, so all its
    /// answers are there when the send returns.
    pub(crate) fn transact(&mut self, datagram: Datagram) -> io::Result<Vec<Refusal>> {
        send(&self.fd, &datagram.bytes, SendFlags::empty())?;
        let mut refusals = Vec::new();
        let mut buffer = vec![0; ANSWER_LEN];
        loop {
            let length = match recv(&self.fd, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((length, _)) => length,
                Err(rustix::io::Errno::AGAIN) => return Ok(refusals),
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            for answer in Answers(&buffer[..length]) {
                if let (ERROR, Some(error)) = (answer.kind, answer.error()) {
                    refusals.push(Refusal { sequence: answer.sequence, error });
                }
            }
        }
    }

    /// Asks for everything of a kind and hands every message of the answer to `each`, without its netlink header.
    pub(crate) fn dump(
        &mut self,
        kind: u16,
        body: impl FnOnce(&mut Body<'_>),
        each: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        self.query(kind, libc::NLM_F_DUMP, body, each)
    }

    /// Asks for one thing; otherwise as [`Socket::dump`].
    pub(crate) fn get(
        &mut self,
        kind: u16,
        body: impl FnOnce(&mut Body<'_>),
        each: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        self.query(kind, libc::NLM_F_ACK, body, each)
    }

    /// The answer ends with DONE after a dump, else with the acknowledgement.
    fn query(
        &mut self,
        kind: u16,
        flags: i32,
        body: impl FnOnce(&mut Body<'_>),
        mut each: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut datagram = Datagram::default();
        datagram.message(kind, flags, self.sequence, body);
        send(&self.fd, &datagram.bytes, SendFlags::empty())?;
        let mut buffer = vec![0; ANSWER_LEN];
        loop {
            let (length, _) = recv(&self.fd, &mut buffer[..], RecvFlags::empty())?;
            for answer in Answers(&buffer[..length]) {
                match answer.kind {
                    DONE => return Ok(()),
                    ERROR => return answer.error().map_or(Ok(()), Err),
                    _ => each(answer.payload),
                }
            }
        }
    }
}

const ERROR: u16 = libc::NLMSG_ERROR as u16;
const DONE: u16 = libc::NLMSG_DONE as u16;

/// The messages of one received datagram.
struct Answers<'a>(&'a [u8]);

struct Answer<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    payload: &'a [u8],
}

impl<'a> Iterator for Answers<'a> {
    type Item = Answer<'a>;

    fn next(&mut self) -> Option<Answer<'a>> {
        let length = number(self.0)? as usize;
        let message = self.0.get(..length)?;
        let payload = message.get(HEADER_LEN..)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(Answer {
            kind: u16::from_ne_bytes([message[4], message[5]]),
            flags: u16::from_ne_bytes([message[6], message[7]]),
            sequence: number(&message[8..])?,
            payload,
        })
    }
}

impl Answer<'_> {
    /// The error an NLMSG_ERROR carries; none when it is an acknowledgement.
    fn error(&self) -> Option<io::Error> {
        let code = number(self.payload)? as i32;
        if code == 0 {
            return None;
        }
        let error = io::Error::from_raw_os_error(-code);
        let echoed = number(&self.payload[4..])? as usize;
        let skip = if self.flags & CAPPED != 0 { 4 + HEADER_LEN } else { 4 + echoed.next_multiple_of(4) };
        let text = self.payload.get(skip..).filter(|_| self.flags & ACK_TLVS != 0);
        match text.and_then(|rest| attribute(rest, ERROR_TEXT)) {
            Some(words) => Some(io::Error::new(error.kind(), format!("{} ({error})", string(words)))),
            None => Some(error),
        }
    }
}

/// Best effort: an old kernel without the option, or a lack of privilege, shows later as a clearer error.
fn set_option(fd: &OwnedFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) {
    // SAFETY: `fd` is open for the call, and the pointer and length describe `value`, which outlives it.
    unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(&value).cast(),
            size_of_val(&value) as libc::socklen_t,
        );
    }
}
