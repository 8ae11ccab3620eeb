//! dory's end of the socket to a shim: many calls at once, events as they come, and a clear end when the shim dies.
use crate::Error;
use crate::wire::{Answer, Envelope, Fault, Message, Request};
use container::frame::{FDS_MAX, FRAME_LEN_MAX};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::Interest;
use tokio::sync::oneshot;

type Outcome = (Result<Answer, Fault>, Vec<OwnedFd>);

/// dory's end of the socket to a shim.
pub(crate) struct Link {
    socket: tokio::net::UnixStream,
    writing: tokio::sync::Mutex<()>,
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    next: u64,
    waiting: HashMap<u64, oneshot::Sender<Outcome>>,
    closed: bool,
}

impl Link {
    /// Takes over a connected socket; [`Link::read`] must be driven by somebody.
    pub(crate) fn new(socket: UnixStream) -> io::Result<Arc<Link>> {
        // Only this end: the shim's stays blocking.
        socket.set_nonblocking(true)?;
        let socket = tokio::net::UnixStream::from_std(socket)?;
        // Not from 1: a supervisor may still run commands that an earlier dory process asked for.
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let calls = Calls { next: since.as_micros() as u64, ..Calls::default() };
        Ok(Arc::new(Link { socket, writing: tokio::sync::Mutex::new(()), calls: Mutex::new(calls) }))
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves an id, for events that refer to the call.
    pub(crate) fn reserve(&self) -> u64 {
        let mut calls = self.calls();
        calls.next += 1;
        calls.next
    }

    /// Asks and waits for the answer. `None` = the shim is gone.
    pub(crate) async fn call(&self, request: Request, fds: &[BorrowedFd<'_>]) -> Option<Outcome> {
        self.call_as(self.reserve(), request, fds).await
    }

    pub(crate) async fn call_as(&self, id: u64, request: Request, fds: &[BorrowedFd<'_>]) -> Option<Outcome> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut calls = self.calls();
            if calls.closed {
                return None;
            }
            calls.waiting.insert(id, sender);
        }
        let body = serde_json::to_vec(&Envelope { id, request }).ok()?;
        if let Err(error) = self.send(&body, fds).await {
            let mut calls = self.calls();
            calls.waiting.remove(&id);
            // Whoever reads may not have seen the end yet. A request that is too large is no end.
            calls.closed |= error.kind() != io::ErrorKind::InvalidInput;
            return None;
        }
        receiver.await.ok()
    }

    /// Whether the shim has hung up.
    pub(crate) fn is_closed(&self) -> bool {
        self.calls().closed
    }

    async fn send(&self, body: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        if body.len() > FRAME_LEN_MAX || fds.len() > FDS_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut bytes = (body.len() as u32).to_le_bytes().to_vec();
        bytes.extend_from_slice(body);
        let _turn = self.writing.lock().await;
        let mut sent = 0;
        while sent < bytes.len() {
            let attempt = || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
                let mut control = SendAncillaryBuffer::new(&mut space);
                if sent == 0 && !fds.is_empty() {
                    control.push(SendAncillaryMessage::ScmRights(fds));
                }
                let parts = [IoSlice::new(&bytes[sent..])];
                Ok(rustix::net::sendmsg(self.socket.as_fd(), &parts, &mut control, SendFlags::NOSIGNAL)?)
            };
            sent += self.socket.async_io(Interest::WRITABLE, attempt).await?;
        }
        Ok(())
    }

    /// Reads until the shim hangs up: replies go to their callers, everything else to `event`.
    pub(crate) async fn read(&self, mut event: impl FnMut(Message)) {
        let mut inbox = Inbox::default();
        loop {
            while let Some(body) = inbox.next_frame() {
                match serde_json::from_slice::<Message>(&body) {
                    Ok(Message::Reply { id, result, fds }) => {
                        let fds = inbox.fds.drain(..fds.min(inbox.fds.len())).collect();
                        if let Some(caller) = self.calls().waiting.remove(&id) {
                            let _ = caller.send((result, fds));
                        }
                    }
                    Ok(message) => event(message),
                    Err(error) => tracing::warn!(%error, "a shim said something unreadable"),
                }
            }
            if !matches!(self.fill(&mut inbox).await, Ok(true)) {
                break;
            }
        }
        let mut calls = self.calls();
        calls.closed = true;
        calls.waiting.clear();
    }

    async fn fill(&self, inbox: &mut Inbox) -> io::Result<bool> {
        self.socket.async_io(Interest::READABLE, || inbox.receive(self.socket.as_fd())).await
    }
}

/// The error for a pod whose supervisor does not answer.
pub(crate) fn gone(pod: &str) -> Error {
    Error::SupervisorGone(pod.to_owned())
}

/// Bytes and descriptors that have arrived and are not used yet.
#[derive(Default)]
struct Inbox {
    bytes: Vec<u8>,
    fds: VecDeque<OwnedFd>,
}

impl Inbox {
    /// Receives once; false at the end. Stops at a message that carries descriptors, so they stay with their frame.
    fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<bool> {
        let mut buffer = [0u8; 16 * 1024];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let got =
            rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut buffer)], &mut control, flags)?.bytes;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                self.fds.extend(received);
            }
        }
        self.bytes.extend_from_slice(&buffer[..got]);
        Ok(got > 0)
    }

    fn next_frame(&mut self) -> Option<Vec<u8>> {
        let head: [u8; 4] = self.bytes.get(..4)?.try_into().ok()?;
        let end = 4 + u32::from_le_bytes(head) as usize;
        let body = self.bytes.get(4..end)?.to_vec();
        self.bytes.drain(..end);
        Some(body)
    }
}
