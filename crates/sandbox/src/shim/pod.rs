//! The supervisor of one pod: holds its namespaces and pipes, starts its containers and commands in them, writes their
//! logs and records their ends. dory may come and go. When the supervisor dies, its containers die.
mod attach;
mod container;
mod exec;
mod setup;

use super::records::{PodDir, PodFile};
use super::{SEND_WAIT, say};
use crate::ContainerRecord;
use crate::wire::{Answer, Envelope, Fault, Message, Request};
use ::container::cgroup::Group;
use ::container::fork::Child;
use ::container::frame;
use ::container::launch::Isolation;
use container::Container;
use exec::Command;
use rustix::event::{PollFd, PollFlags};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// Runs until the pod is ended. Returns the exit code.
pub(super) fn run(dir: &Path) -> i32 {
    let Ok(client) = super::parent_connection() else { return 1 };
    match Supervisor::set_up(PodDir(dir.to_owned())) {
        Ok(mut supervisor) => {
            supervisor.welcome(client);
            supervisor.serve()
        }
        Err(text) => {
            say(&client, &Message::Failed(text), &[]);
            1
        }
    }
}

struct Supervisor {
    dir: PodDir,
    file: PodFile,
    group: Group,
    isolation: Isolation,
    /// The process namespace that containers without one of their own are born into.
    home: OwnedFd,
    /// The first process of the shared process namespace.
    reaper: Option<Child>,
    listener: UnixListener,
    client: Option<UnixStream>,
    containers: BTreeMap<String, Container>,
    commands: Vec<Command>,
    records: Vec<ContainerRecord>,
    buffer: Vec<u8>,
}

/// What became readable.
#[derive(Clone)]
enum Wake {
    Listener,
    Client,
    Output(String),
    End(String),
    CommandEnd(u64),
}

impl Supervisor {
    /// Sleeps until something happens, and does what it asks for. Ends with the pod.
    fn serve(&mut self) -> i32 {
        loop {
            for wake in self.sleep() {
                match wake {
                    Wake::Listener => self.accept(),
                    Wake::Client => {
                        if self.listen_to_client() {
                            return 0;
                        }
                    }
                    Wake::Output(name) => self.pump(&name),
                    Wake::End(name) => self.container_ended(&name),
                    Wake::CommandEnd(id) => self.command_ended(id),
                }
            }
        }
    }

    fn sleep(&self) -> Vec<Wake> {
        let mut watched: Vec<(BorrowedFd<'_>, Wake)> = vec![(self.listener.as_fd(), Wake::Listener)];
        watched.extend(self.client.as_ref().map(|client| (client.as_fd(), Wake::Client)));
        for (name, container) in &self.containers {
            watched.extend(container.streams.iter().map(|stream| (stream.fd(), Wake::Output(name.clone()))));
            watched.push((container.child.pidfd.as_fd(), Wake::End(name.clone())));
        }
        let commands = self.commands.iter();
        watched.extend(commands.map(|command| (command.child.pidfd.as_fd(), Wake::CommandEnd(command.id))));
        let mut fds: Vec<_> =
            watched.iter().map(|(fd, _)| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        if rustix::event::poll(&mut fds, None).is_err() {
            return Vec::new();
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        watched.into_iter().zip(ready).filter(|(_, ready)| *ready).map(|((_, wake), _)| wake).collect()
    }

    /// A new dory process takes over from the old one.
    fn accept(&mut self) {
        let Ok((client, _)) = self.listener.accept() else { return };
        let mine = rustix::net::sockopt::socket_peercred(&client)
            .is_ok_and(|who| who.uid == rustix::process::geteuid());
        if mine && client.set_write_timeout(Some(SEND_WAIT)).is_ok() {
            self.welcome(client);
        }
    }

    fn welcome(&mut self, client: UnixStream) {
        let _ = client.set_read_timeout(Some(SEND_WAIT));
        self.client = Some(client);
        self.tell(&Message::Ready(self.records.clone()), &[]);
    }

    /// Tells dory, if it listens; a dory that does not is dropped and finds the records on disk later.
    fn tell(&mut self, message: &Message, fds: &[BorrowedFd<'_>]) {
        if self.client.as_ref().is_some_and(|client| !say(client, message, fds)) {
            self.client = None;
        }
    }

    /// Handles one request. True when the pod is to end.
    fn listen_to_client(&mut self) -> bool {
        let Some(client) = &self.client else { return false };
        let received = match frame::receive(client) {
            Ok(Some((body, _))) => serde_json::from_slice::<Envelope>(&body).ok(),
            _ => None,
        };
        let Some(Envelope { id, request }) = received else {
            self.client = None;
            return false;
        };
        let mut fds = Vec::new();
        let ending = matches!(request, Request::End);
        let result = self.answer(id, request, &mut fds);
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        self.tell(&Message::Reply { id, result, fds: fds.len() }, &fds);
        ending
    }

    fn answer(&mut self, id: u64, request: Request, fds: &mut Vec<OwnedFd>) -> Result<Answer, Fault> {
        match request {
            Request::Start { spec, layers } => self.start(*spec, layers).map(Answer::Container),
            Request::Signal { name, signal } => {
                let container = self.running(&name)?;
                let signal = if signal == 0 { container.stop_signal } else { signal };
                container.child.signal(signal).map_err(|e| Fault::Other(format!("signal {signal}: {e}")))?;
                Ok(Answer::Done)
            }
            Request::Kill { name } => {
                if let Ok(container) = self.running(&name) {
                    container.kill();
                }
                Ok(Answer::Done)
            }
            Request::Exec { name, spec } => self.exec(id, &name, spec, fds),
            Request::Attach { name, stdin } => self.attach(&name, stdin, fds),
            Request::KillExec { exec } => {
                self.commands
                    .iter()
                    .filter(|command| command.id == exec)
                    .for_each(|command| command.child.kill());
                Ok(Answer::Done)
            }
            Request::End => {
                self.end();
                Ok(Answer::Done)
            }
            Request::StartInstance(_)
            | Request::MountInstance { .. }
            | Request::KillInstance { .. }
            | Request::SignalInstance { .. }
            | Request::RunInInstance { .. }
            | Request::SignalProgram { .. } => {
                Err(Fault::Other("a pod's supervisor starts no instances".into()))
            }
        }
    }

    fn running(&self, name: &str) -> Result<&Container, Fault> {
        self.containers.get(name).ok_or_else(|| Fault::NotRunning(name.to_owned()))
    }

    fn pump(&mut self, name: &str) {
        if let Some(container) = self.containers.get_mut(name) {
            container.pump(&mut self.buffer);
        }
    }

    /// Keeps the last attempt of each container, on disk before anybody is told.
    fn record(&mut self, record: &ContainerRecord) {
        self.records.retain(|old| old.name != record.name);
        self.records.push(record.clone());
        if let Err(error) = self.dir.write_records(&self.records) {
            eprintln!("records of pod {}: {error}", self.file.spec.id);
        }
    }

    /// Kills everything and waits for it.
    fn end(&mut self) {
        self.containers.values().for_each(Container::kill);
        self.commands.iter().for_each(|command| command.child.kill());
        let names: Vec<String> = self.containers.keys().cloned().collect();
        for name in names {
            if let Some(container) = self.containers.get(&name) {
                container.wait();
            }
            self.container_ended(&name);
        }
        if let Some(reaper) = &self.reaper {
            reaper.kill();
            let _ = reaper.wait_blocking();
        }
    }
}
