//! Starting processes in containers. A new container begins as an [`Embryo`]: a forked process that already sits in
//! its namespaces and control group, assembles its root file system and then waits for an [`Order`]. The supervisor
//! orders at once; the spawner of function instances keeps a few embryos in stock. Only for single-threaded callers.
use crate::bundle::{Bundle, HANDED_FIRST, HANDED_MAX, Order, Process};
use crate::cgroup::Group;
use crate::confine;
use crate::fork::{self, Child};
use crate::frame;
use crate::graft;
use crate::process::{StartError, StartErrorKind};
use crate::rootfs::Root;
use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// How long assembling and starting may take before it is given up; a hung network file system would otherwise hang
/// the whole pod.
const START_WAIT: Duration = Duration::from_secs(30);

/// Below this are the descriptors that a process may keep across `execve`.
const FREE_FROM: i32 = HANDED_FIRST + HANDED_MAX as i32;

/// What an embryo waits for with all else done, and what it says then, last of all.
const GO: &[u8] = b"go";
const BEGINS: &[u8] = b"begins";

/// Which namespaces a container has of its own, and whose mounts it starts from.
#[derive(Debug, Default)]
pub struct Isolation {
    /// Its own process namespace (else the caller's for children).
    pub process: bool,
    /// Its own IPC and UTS namespaces (else the caller's).
    pub ipc_and_uts: bool,
    /// The host name in a UTS namespace of its own; the host's where it is `None`.
    pub hostname: Option<&'static str>,
    /// The host's mount namespace, when the caller is not in it.
    pub host_mounts: Option<OwnedFd>,
}

/// A container in the making.
#[derive(Debug)]
pub struct Embryo {
    child: Child,
    socket: UnixStream,
    /// The near end of the terminal, once it arrived.
    terminal: Option<OwnedFd>,
}

/// A started process.
#[derive(Debug)]
pub struct Running {
    /// The process.
    pub child: Child,
    /// The near end of its terminal, when one was ordered.
    pub terminal: Option<OwnedFd>,
}

/// Descriptors that go with an order.
pub struct OrderFds<'a> {
    /// Standard input, output and error; not used with a terminal.
    pub stdio: [BorrowedFd<'a>; 3],
    /// What the process is handed beside them.
    pub handed: Vec<BorrowedFd<'a>>,
    /// Network namespace to join.
    pub network: Option<BorrowedFd<'a>>,
    /// User namespace to join.
    pub user: Option<BorrowedFd<'a>>,
}

impl Embryo {
    /// Forks a container that starts to assemble itself.
    pub fn conceive(bundle: Bundle, isolation: &Isolation, group: &Group) -> Result<Embryo, StartError> {
        let mut flags = if isolation.host_mounts.is_none() { libc::CLONE_NEWNS } else { 0 };
        if isolation.process {
            flags |= libc::CLONE_NEWPID;
        }
        if isolation.ipc_and_uts {
            flags |= libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
        }
        let here = fork::open_namespace("/proc/self/ns/mnt");
        let here = here.map_err(StartError::setup("the own mount namespace"))?;
        let (join, host) = match &isolation.host_mounts {
            Some(host) => (true, host.as_fd()),
            None => (false, here.as_fd()),
        };
        let hostname = isolation.hostname.filter(|_| isolation.ipc_and_uts);
        launch(flags, group, move |socket| {
            if let Some(name) = hostname {
                let named = rustix::system::sethostname(name.as_bytes());
                named.map_err(StartError::setup("naming the container"))?;
            }
            if join {
                fork::join(host, libc::CLONE_NEWNS)
                    .map_err(StartError::setup("the host's mount namespace"))?;
                fork::unshare(libc::CLONE_NEWNS).map_err(StartError::setup("a mount namespace"))?;
            }
            contain(bundle, host, group, socket)
        })
    }

    /// Forks a process that will run inside the container of another: `pidfd` is the container's first process, and
    /// `home` the process namespace that the caller's children normally belong to.
    pub fn join(pidfd: BorrowedFd<'_>, home: BorrowedFd<'_>, group: &Group) -> Result<Embryo, StartError> {
        let setup = |what| StartError::setup::<io::Error>(what);
        fork::join(pidfd, libc::CLONE_NEWPID).map_err(setup("joining the process namespace"))?;
        let embryo = launch(0, group, |socket| visit(pidfd, group, socket));
        fork::join(home, libc::CLONE_NEWPID).map_err(setup("leaving the process namespace"))?;
        embryo
    }

    /// The process, for watching or killing it before it is ordered anything.
    pub fn child(&self) -> &Child {
        &self.child
    }

    /// Tells it what to become, and waits until it is that. While it gets ready the caller does `meanwhile`, before anything
    /// of the order runs.
    pub fn order(
        mut self,
        order: &Order,
        fds: &OrderFds<'_>,
        meanwhile: impl FnOnce() -> Result<(), StartError>,
    ) -> Result<Running, StartError> {
        let outcome = self
            .send(order, fds)
            .and_then(|()| meanwhile())
            .and_then(|()| self.go())
            .and_then(|()| self.outcome());
        match outcome {
            Ok(()) => Ok(Running { child: self.child, terminal: self.terminal }),
            Err(error) => {
                self.child.kill();
                let _ = self.child.wait_blocking();
                Err(error)
            }
        }
    }

    fn send(&self, order: &Order, fds: &OrderFds<'_>) -> Result<(), StartError> {
        let body = serde_json::to_vec(order)
            .map_err(|e| StartError::setup("encoding the order")(io::Error::from(e)))?;
        let fds: Vec<_> = fds
            .stdio
            .iter()
            .copied()
            .chain(fds.handed.iter().copied())
            .chain(fds.network)
            .chain(fds.user)
            .collect();
        self.say(&body, &fds)
    }

    fn go(&self) -> Result<(), StartError> {
        self.say(GO, &[])
    }

    fn say(&self, body: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), StartError> {
        match frame::send(&self.socket, body, fds) {
            // It has given up already and says why.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(StartError::setup("giving the order")),
        }
    }

    /// Reads until the other end closes, at `execve` or at its death: whether it said before that it begins tells which.
    fn outcome(&mut self) -> Result<(), StartError> {
        let setup = |what| StartError::setup::<io::Error>(what);
        self.socket.set_read_timeout(Some(START_WAIT)).map_err(setup("waiting"))?;
        let mut begins = false;
        loop {
            match frame::receive(&self.socket) {
                Ok(None) if begins => return Ok(()),
                Ok(None) => return Err(lost()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Err(lost()),
                Err(error) => return Err(setup("waiting for the container's first process")(error)),
                Ok(Some((_, mut fds))) if !fds.is_empty() => self.terminal = fds.pop(),
                Ok(Some((text, _))) if text == BEGINS => begins = true,
                Ok(Some((text, _))) => {
                    let unread = |_| {
                        StartError::setup("reading an error")(io::Error::from(io::ErrorKind::InvalidData))
                    };
                    return Err(serde_json::from_slice(&text).unwrap_or_else(unread));
                }
            }
        }
    }
}

fn lost() -> StartError {
    let message = "the container's first process was killed before it began".to_owned();
    StartError { kind: StartErrorKind::Lost, message }
}

/// With all done but the last step, waits for leave to take it, and says that it does.
fn begin(socket: &UnixStream) -> Result<(), StartError> {
    if frame::receive(socket).map_err(StartError::setup("waiting for leave to begin"))?.is_none() {
        fork::exit_now(0)
    }
    frame::send(socket, BEGINS, &[]).map_err(StartError::setup("saying that it begins"))
}

/// Forks `life` into the v2 part of `group` and returns the embryo.
fn launch(
    flags: i32,
    group: &Group,
    life: impl FnOnce(UnixStream) -> Result<Infallible, StartError>,
) -> Result<Embryo, StartError> {
    let setup = |what| StartError::setup::<io::Error>(what);
    let (near, far) = UnixStream::pair().map_err(setup("socket pair"))?;
    let v2 = group.open_v2().map_err(setup("control group"))?;
    let Some(child) = fork::fork(flags, v2.as_ref().map(AsFd::as_fd)).map_err(setup("clone"))? else {
        drop(near);
        live(far, life)
    };
    Ok(Embryo { child, socket: near, terminal: None })
}

/// The child's whole life before `execve`. Never returns into the copied stack of its parent.
fn live(socket: UnixStream, life: impl FnOnce(UnixStream) -> Result<Infallible, StartError>) -> ! {
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    // The low numbers are for what the process is handed.
    let out_of_the_way =
        |socket: &UnixStream| rustix::io::fcntl_dupfd_cloexec(socket, FREE_FROM).map(UnixStream::from);
    let report = out_of_the_way(&socket);
    let socket = out_of_the_way(&socket).unwrap_or(socket);
    let Err(error) = std::panic::catch_unwind(AssertUnwindSafe(|| life(socket))).unwrap_or_else(|_| {
        let message = "preparing the container panicked".to_owned();
        Err(StartError { kind: StartErrorKind::Setup, message })
    });
    if let (Ok(socket), Ok(text)) = (report, serde_json::to_vec(&error)) {
        let _ = frame::send(&socket, &text, &[]);
    }
    fork::exit_now(error.exit_code())
}

/// Becomes the first process of a new container, whose mount namespace it is in; `host` is the one that ordered mounts are
/// found in.
fn contain(
    mut bundle: Bundle,
    host: BorrowedFd<'_>,
    group: &Group,
    socket: UnixStream,
) -> Result<Infallible, StartError> {
    let setup = |what| StartError::setup::<io::Error>(what);
    let root = Root::assemble(&mut bundle)?;
    // Not earlier: a small CPU limit would slow the assembly down.
    group.enter_v1().map_err(setup("joining the control group"))?;
    // Before the order: what leaves the host's mounts waits for a grace period of RCU.
    root.enter()?;
    // From here our own control groups are the visible root.
    fork::unshare(libc::CLONE_NEWCGROUP).map_err(setup("a control group namespace"))?;
    let (order, fds) = await_order(&socket)?;
    let mut fds = fds.into_iter();
    let stdio = take_stdio(&mut fds)?;
    let handed = take_handed(&order.process, &mut fds)?;
    if order.join_network {
        join_next(&mut fds, libc::CLONE_NEWNET, "the network namespace")?;
    }
    for (path, text) in &order.files {
        root.write(path, text)?;
    }
    graft::from_host(host, root.place(), &order.mounts, bundle.privileged)?;
    if order.hold {
        if order.read_only_root {
            Root::freeze_entered()?;
        }
        begin(&socket)?;
        // It stays outside of the user namespace: nobody inside can signal it, trace it or look into it.
        crate::namespace::collect_orphans()
    }
    let stdio = terminal(&order.process, stdio, &socket, true)?;
    if order.read_only_root {
        Root::freeze_entered()?;
    }
    if order.join_user {
        join_next(&mut fds, libc::CLONE_NEWUSER, "the user namespace")?;
    }
    confine::become_process(&order.process, &stdio, &handed, || begin(&socket))
}

/// Becomes a further process of an existing container.
fn visit(pidfd: BorrowedFd<'_>, group: &Group, socket: UnixStream) -> Result<Infallible, StartError> {
    group.enter_v1().map_err(StartError::setup::<io::Error>("joining the control group"))?;
    let kinds = libc::CLONE_NEWNS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWCGROUP;
    fork::join(pidfd, kinds).map_err(StartError::setup::<io::Error>("joining the container's namespaces"))?;
    let (order, fds) = await_order(&socket)?;
    let mut fds = fds.into_iter();
    let stdio = take_stdio(&mut fds)?;
    let handed = take_handed(&order.process, &mut fds)?;
    let stdio = terminal(&order.process, stdio, &socket, false)?;
    if order.join_user {
        join_next(&mut fds, libc::CLONE_NEWUSER, "the user namespace")?;
    }
    confine::become_process(&order.process, &stdio, &handed, || begin(&socket))
}

fn await_order(socket: &UnixStream) -> Result<(Order, Vec<OwnedFd>), StartError> {
    let received = frame::receive(socket).map_err(StartError::setup("waiting for the order"))?;
    let Some((text, fds)) = received else {
        // Not needed after all.
        fork::exit_now(0)
    };
    let order = serde_json::from_slice(&text)
        .map_err(|e| StartError::setup("decoding the order")(io::Error::from(e)))?;
    Ok((order, fds))
}

fn next(fds: &mut impl Iterator<Item = OwnedFd>) -> Result<OwnedFd, StartError> {
    let missing = || io::Error::new(io::ErrorKind::InvalidInput, "a descriptor is missing");
    fds.next().ok_or_else(|| StartError::setup("reading the order")(missing()))
}

fn take_stdio(fds: &mut impl Iterator<Item = OwnedFd>) -> Result<[OwnedFd; 3], StartError> {
    Ok([next(fds)?, next(fds)?, next(fds)?])
}

fn take_handed(
    process: &Process,
    fds: &mut impl Iterator<Item = OwnedFd>,
) -> Result<Vec<OwnedFd>, StartError> {
    (0..process.handed.min(HANDED_MAX)).map(|_| next(fds)).collect()
}

fn join_next(fds: &mut impl Iterator<Item = OwnedFd>, kind: i32, name: &str) -> Result<(), StartError> {
    let namespace = next(fds)?;
    fork::join(namespace.as_fd(), kind).map_err(StartError::setup::<io::Error>(name))
}

/// Replaces the standard streams by a terminal when one is ordered, and sends its near end out.
fn terminal(
    process: &Process,
    stdio: [OwnedFd; 3],
    socket: &UnixStream,
    console: bool,
) -> Result<[OwnedFd; 3], StartError> {
    if !process.tty {
        return Ok(stdio);
    }
    let open = || -> io::Result<[OwnedFd; 3]> {
        let (near, streams) = confine::open_terminal()?;
        if console {
            confine::bind_console(&streams[0])?;
        }
        frame::send(socket, b"terminal", &[near.as_fd()])?;
        Ok(streams)
    };
    open().map_err(StartError::setup("opening a terminal"))
}
