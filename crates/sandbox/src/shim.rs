//! What `dory shim …` runs: the supervisor of one pod, or the spawner of function instances. Small, single-threaded
//! processes that sleep in `poll` and may fork. They know nothing of Kubernetes and keep no state but their own.
mod clock;
mod log;
mod pod;
mod records;
mod spawner;
mod stock;
mod stream;

pub(crate) use records::{NetworkFile, PodDir, PodFile};
pub(crate) use spawner::SpawnerFile;

use crate::wire::Message;
use container::frame;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long dory may take to read what a shim says before it is treated as gone. Logs of a pod wait meanwhile.
const SEND_WAIT: Duration = Duration::from_secs(5);

/// What `dory shim …` runs (`args` = what follows `shim`): the supervisor of one pod, or the spawner of instances.
/// Call it first thing in `main`, before any thread or runtime starts. Never returns.
pub fn supervisor_main(args: &[String]) -> ! {
    let code = match args {
        [role, dir] if role == "pod" => pod::run(Path::new(dir)),
        [role, dir] if role == "instances" => spawner::run(Path::new(dir)),
        _ => {
            eprintln!("dory shim is started by dory itself");
            64
        }
    };
    std::process::exit(code)
}

/// The connection to the dory process that started this shim: standard input, which is replaced by `/dev/null`.
fn parent_connection() -> std::io::Result<UnixStream> {
    let connection: OwnedFd = std::io::stdin().as_fd().try_clone_to_owned()?;
    let null = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    let stream = UnixStream::from(connection);
    stream.set_write_timeout(Some(SEND_WAIT))?;
    Ok(stream)
}

/// Says something to dory. False when it does not listen any more.
fn say(connection: &UnixStream, message: &Message, fds: &[std::os::fd::BorrowedFd<'_>]) -> bool {
    let body = serde_json::to_vec(message).expect("messages have string keys and finite numbers");
    frame::send(connection, &body, fds).is_ok()
}
