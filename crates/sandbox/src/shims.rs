//! Starting shims: the dory program again, by `posix_spawn`, with one end of a socket pair as standard input.
use crate::Error;
use crate::link::Link;
use crate::wire::Message;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// A thread that only waits needs next to nothing.
const REAPER_STACK: usize = 64 << 10;

/// Starts `program shim <role> <dir>`; what it complains about goes to `<dir>/shim.log`.
pub(crate) fn start(program: &Path, role: &str, dir: &Path) -> Result<(Child, UnixStream), Error> {
    let (near, far) = UnixStream::pair().map_err(Error::io("making a socket pair"))?;
    let log = OpenOptions::new().create(true).append(true).open(dir.join("shim.log"));
    let child = Command::new(program)
        .args(["shim", role])
        .arg(dir)
        .env_clear()
        .stdin(OwnedFd::from(far))
        .stdout(Stdio::null())
        .stderr(log.map_err(Error::io("opening the shim's log"))?)
        .spawn()
        .map_err(Error::io(format!("starting {} shim {role}", program.display())))?;
    Ok((child, near))
}

/// Connects to a socket whose path may be longer than a socket address can hold.
pub(crate) fn connect(path: &Path) -> io::Result<UnixStream> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let dir = std::fs::File::open(dir)?;
    UnixStream::connect(Path::new(&format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name))
}

/// Drives a link in the background. The first message, which says whether the shim is ready, is awaited here; `event`
/// gets all later ones, and `None` when the shim has hung up.
pub(crate) async fn drive(
    link: &Arc<Link>,
    mut event: impl FnMut(Option<Message>) + Send + 'static,
) -> Result<Vec<crate::ContainerRecord>, Error> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let mut sender = Some(sender);
    let reading = link.clone();
    tokio::spawn(async move {
        reading
            .read(|message| match sender.take() {
                Some(first) => drop(first.send(message)),
                None => event(Some(message)),
            })
            .await;
        event(None);
    });
    match receiver.await {
        Ok(Message::Ready(records)) => Ok(records),
        Ok(Message::Failed(text)) => Err(Error::Invalid(text)),
        _ => Err(Error::Io { step: "starting a shim".into(), source: io::ErrorKind::UnexpectedEof.into() }),
    }
}

/// Collects a shim when it ends. A thread of its own: the end of the runtime must not wait for it. Supervisors leave
/// it at once, since they go on as a child of their own.
pub(crate) fn reap(mut child: Child) {
    let waiting = std::thread::Builder::new().name("reap-shim".into()).stack_size(REAPER_STACK);
    if let Err(error) = waiting.spawn(move || child.wait()) {
        tracing::warn!(%error, "a shim stays behind as a zombie when it ends");
    }
}
