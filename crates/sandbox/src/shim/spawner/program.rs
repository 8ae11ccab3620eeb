//! Programs in instances that are held: each joins the namespaces and the control group of its instance, and ends with it
//! at the latest.
use super::{Instance, Spawner};
use crate::Exit;
use crate::shim::say;
use crate::wire::{Answer, Fault, Message};
use container::bundle::{Order, Process};
use container::fork::{self, Child};
use container::launch::{Embryo, OrderFds};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// A running program.
pub(super) struct Program {
    /// The request that started it.
    pub(super) run: u64,
    pub(super) child: Child,
}

impl Spawner {
    /// All programs, with the instances that they run in.
    pub(super) fn programs(&self) -> Vec<(&str, &Program)> {
        let all = self.instances.iter();
        all.flat_map(|(id, instance)| instance.programs.iter().map(move |one| (id.as_str(), one))).collect()
    }

    /// Starts a program in a held instance.
    pub(super) fn run_program(
        &mut self,
        run: u64,
        id: &str,
        process: Process,
        fds: Vec<OwnedFd>,
    ) -> Result<Answer, Fault> {
        let Some(output) = fds.into_iter().next() else {
            return Err(Fault::Other("a program needs an output".into()));
        };
        let null = self.null.as_fd();
        let instance = self.instances.get_mut(id).ok_or_else(|| Fault::NotRunning(id.to_owned()))?;
        let Some(users) = &instance.users else {
            return Err(Fault::Other("this instance runs a command of its own".into()));
        };
        let home = fork::open_namespace("/proc/self/ns/pid_for_children")
            .map_err(|error: io::Error| Fault::Other(format!("the own process namespace: {error}")))?;
        let embryo = Embryo::join(instance.child.pidfd.as_fd(), home.as_fd(), &instance.group)?;
        let fds = OrderFds {
            stdio: [null, output.as_fd(), output.as_fd()],
            handed: Vec::new(),
            network: None,
            user: Some(users.as_fd()),
        };
        let running =
            embryo.order(&Order { process, join_user: true, ..Order::default() }, &fds, || Ok(()))?;
        instance.programs.push(Program { run, child: running.child });
        Ok(Answer::Done)
    }

    /// Sends a signal to the first process of an instance. Fine when it has ended.
    pub(super) fn signal_instance(&self, id: &str, signal: i32) -> Result<Answer, Fault> {
        self.instances.get(id).map_or(Ok(Answer::Done), |instance| send(&instance.child, signal))
    }

    /// Sends a signal to a program. Fine when it has ended.
    pub(super) fn signal_program(&self, run: u64, signal: i32) -> Result<Answer, Fault> {
        let program = self.programs().into_iter().find(|(_, program)| program.run == run);
        program.map_or(Ok(Answer::Done), |(_, program)| send(&program.child, signal))
    }

    /// Takes note of a program's end.
    pub(super) fn program_ended(&mut self, id: &str, run: u64, client: &UnixStream) {
        let Some(Instance { group, programs, .. }) = self.instances.get_mut(id) else { return };
        let Some(at) = programs.iter().position(|program| program.run == run) else { return };
        let Ok(Some(ended)) = programs[at].child.reap() else { return };
        programs.swap_remove(at);
        let oom = ended.signal == Some(rustix::process::Signal::KILL.as_raw()) && group.oom_kills() > 0;
        let exit = Exit { code: ended.code, signal: ended.signal, oom };
        say(client, &Message::ProgramEnded { run, exit }, &[]);
    }
}

fn send(child: &Child, signal: i32) -> Result<Answer, Fault> {
    child.signal(signal).map_err(|error| Fault::Other(format!("signal {signal}: {error}")))?;
    Ok(Answer::Done)
}
