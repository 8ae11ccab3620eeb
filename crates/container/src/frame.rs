//! Messages over a local stream socket: a length, that many bytes, and descriptors beside them (`SCM_RIGHTS`). Used
//! between dory and its supervisors, and between a supervisor and the processes it prepares. Blocking; the ends trust
//! each other, but a length beyond [`FRAME_LEN_MAX`] is refused all the same.
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The largest message: an environment may be as large as a pod's manifest (1 MiB and a bit).
pub const FRAME_LEN_MAX: usize = 4 << 20;

/// The most descriptors beside one message.
pub const FDS_MAX: usize = 8;

/// Sends one message.
pub fn send(socket: impl AsFd, body: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if body.len() > FRAME_LEN_MAX || fds.len() > FDS_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "message too large"));
    }
    let socket = socket.as_fd();
    let head = (body.len() as u32).to_le_bytes();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(fds));
    }
    // The descriptors travel with the first byte; the head alone never splits.
    let parts = [IoSlice::new(&head), IoSlice::new(body)];
    let mut sent = retry(|| rustix::net::sendmsg(socket, &parts, &mut control, SendFlags::NOSIGNAL))?;
    let mut none = SendAncillaryBuffer::default();
    while sent < head.len() + body.len() {
        let rest = [IoSlice::new(&head[sent.min(4)..]), IoSlice::new(&body[sent.saturating_sub(4)..])];
        sent += retry(|| rustix::net::sendmsg(socket, &rest, &mut none, SendFlags::NOSIGNAL))?;
    }
    Ok(())
}

/// Receives one message; `None` when the other end is closed.
pub fn receive(socket: impl AsFd) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let socket = socket.as_fd();
    let mut fds = Vec::new();
    let mut head = [0u8; 4];
    if !fill(socket, &mut head, &mut fds)? {
        return Ok(None);
    }
    let length = u32::from_le_bytes(head) as usize;
    if length > FRAME_LEN_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "message too large"));
    }
    let mut body = vec![0; length];
    if !fill(socket, &mut body, &mut fds)? && length > 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((body, fds)))
}

/// Fills `buffer`; false when the other end closed before the first byte.
fn fill(socket: BorrowedFd<'_>, buffer: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<bool> {
    let mut got = 0;
    while got < buffer.len() {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let mut parts = [IoSliceMut::new(&mut buffer[got..])];
        let bytes = retry(|| rustix::net::recvmsg(socket, &mut parts, &mut control, flags))?.bytes;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                fds.extend(received);
            }
        }
        match bytes {
            0 if got == 0 => return Ok(false),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => got += bytes,
        }
    }
    Ok(true)
}

fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn large_messages_with_descriptors_arrive_whole() {
        let (near, far) = UnixStream::pair().unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let sender = std::thread::spawn(move || {
            let body = vec![7u8; 1 << 20];
            send(&near, &body, &[writer.as_fd()]).unwrap();
            send(&near, b"second", &[]).unwrap();
        });
        let (body, mut fds) = receive(&far).unwrap().unwrap();
        assert_eq!((body.len(), fds.len()), (1 << 20, 1));
        assert_eq!(receive(&far).unwrap().unwrap().0, b"second");
        sender.join().unwrap();
        std::fs::File::from(fds.remove(0)).write_all(b"x").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
        assert!(receive(&far).unwrap().is_none());
    }

    #[test]
    fn an_absurd_length_is_refused() {
        let (mut near, far) = UnixStream::pair().unwrap();
        near.write_all(&u32::MAX.to_le_bytes()).unwrap();
        assert_eq!(receive(&far).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
