//! Commands in running containers.
use super::Supervisor;
use super::container::pipe;
use crate::wire::{Answer, Fault, Message};
use crate::{ExecSpec, Exit};
use container::bundle::Order;
use container::fork::{Child, Ended};
use container::launch::{Embryo, OrderFds};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// A running command.
pub(super) struct Command {
    /// The request that started it.
    pub(super) id: u64,
    pub(super) child: Child,
}

impl Supervisor {
    /// Starts a command in a container; what dory reads and writes goes into `fds`.
    pub(super) fn exec(
        &mut self,
        id: u64,
        name: &str,
        spec: ExecSpec,
        fds: &mut Vec<OwnedFd>,
    ) -> Result<Answer, Fault> {
        let container = self.running(name)?;
        let other = |e: io::Error| Fault::Other(format!("pipes: {e}"));
        let mut process = container.process.clone();
        process.argv = spec.argv;
        process.tty = spec.tty;
        process.env.retain(|(key, _)| !spec.env.iter().any(|(new, _)| new == key));
        process.env.extend(spec.env);
        if spec.tty && !process.env.iter().any(|(key, _)| key == "TERM") {
            process.env.push(("TERM".into(), "xterm".into()));
        }
        let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null").map_err(other)?;
        let null = OwnedFd::from(null);
        let (input, output, error) = (pipe().map_err(other)?, pipe().map_err(other)?, pipe().map_err(other)?);
        let stdin = if spec.stdin && !spec.tty { input.0.as_fd() } else { null.as_fd() };
        let stdio = [stdin, output.1.as_fd(), error.1.as_fd()];
        let order = Order { process, ..Order::default() };
        let embryo = Embryo::join(container.child.pidfd.as_fd(), self.home.as_fd(), &container.group)?;
        let running = embryo.order(
            &order,
            &OrderFds { stdio, handed: Vec::new(), network: None, user: None },
            || Ok(()),
        )?;
        match running.terminal {
            Some(terminal) => fds.push(terminal),
            None => {
                if spec.stdin {
                    fds.push(input.1);
                }
                fds.extend([output.0, error.0]);
            }
        }
        self.commands.push(Command { id, child: running.child });
        Ok(Answer::Exec)
    }

    /// Takes note of a command's end.
    pub(super) fn command_ended(&mut self, id: u64) {
        let Some(at) = self.commands.iter().position(|command| command.id == id) else { return };
        let Ok(Some(Ended { code, signal })) = self.commands[at].child.reap() else { return };
        self.commands.swap_remove(at);
        self.tell(&Message::ExecEnded { id, exit: Exit { code, signal, oom: false } }, &[]);
    }
}
