//! Network namespaces: making one, pinning it as a file so that it lives without a process, entering one from a
//! throw-away thread. Knows nothing of links.

use std::fs::File;
use std::io;
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags};
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_bind, mount_change, unmount};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use crate::Error;

/// `NSFS_MAGIC`: the file system type of a pinned namespace.
const NSFS_MAGIC: i64 = 0x6e73_6673;

/// The calling thread's network namespace.
pub(crate) fn current() -> io::Result<File> {
    File::open("/proc/thread-self/ns/net")
}

/// Moves the calling thread into a fresh network namespace.
pub(crate) fn unshare() -> io::Result<()> {
    // SAFETY: only the network namespace of this thread changes; no memory, descriptor or file system state is
    // shared differently afterwards, which is what makes other forms of unshare unsound.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?;
    Ok(())
}

/// Moves the calling thread into another network namespace.
pub(crate) fn enter(namespace: &impl AsFd) -> io::Result<()> {
    rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok(())
}

/// Sockets of another network namespace, for servers outside of it, that listen at `addresses`. Blocking. `sockets` are made
/// by [`sockets_in`]: one for each.
pub fn listen_on(sockets: Vec<OwnedFd>, addresses: &[SocketAddrV4]) -> Result<Vec<TcpListener>, Error> {
    let mut sockets = sockets.into_iter();
    let mut next = || sockets.next().ok_or_else(|| io::Error::other("a socket is missing"));
    let listeners = addresses.iter().map(|address| listen(next()?, *address)).collect::<io::Result<_>>();
    listeners.map_err(|source| Error::Kernel { step: format!("listen on {addresses:?} inside"), source })
}

fn listen(socket: OwnedFd, address: SocketAddrV4) -> io::Result<TcpListener> {
    /// What the standard library takes.
    const BACKLOG: i32 = 128;
    rustix::net::sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(false)?;
    Ok(listener)
}

/// A connection to an address as seen from inside another network namespace, such as its loopback. Blocking, as
/// [`sockets_in`]; an address that does not answer costs `timeout`.
pub fn connect_in(netns: &Path, address: SocketAddrV4, timeout: Duration) -> io::Result<TcpStream> {
    visit(netns, || TcpStream::connect_timeout(&address.into(), timeout))
}

/// TCP sockets of another network namespace that are neither bound nor connected: a socket belongs to the namespace it was
/// made in, so whoever connects one, from anywhere, reaches what that namespace reaches, its loopback first of all.
/// Non-blocking. Blocking, about 100 µs: a throw-away thread enters, makes them and ends.
pub fn sockets_in(netns: &Path, count: usize) -> io::Result<Vec<OwnedFd>> {
    visit(netns, || sockets(count))
}

/// Such sockets of the calling thread's network namespace.
pub(crate) fn sockets(count: usize) -> io::Result<Vec<OwnedFd>> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    (0..count).map(|_| Ok(socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?)).collect()
}

/// Runs `work` on a throw-away thread inside another network namespace.
fn visit<T: Send>(netns: &Path, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let inside = || {
        enter(&File::open(netns)?)?;
        work()
    };
    let thread = std::thread::Builder::new().name("net-visit".to_owned());
    std::thread::scope(|scope| {
        let visiting = thread.spawn_scoped(scope, inside)?;
        visiting.join().unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
    })
}

/// The directory of pins. It is a mount of its own, private, so that pins do not spread into other mount namespaces,
/// where they would keep a network alive that is gone here.
#[derive(Clone, Debug)]
pub(crate) struct Pins {
    dir: PathBuf,
}

impl Pins {
    /// Opens or makes the directory, removing what is left of pins that a reboot unmounted.
    pub(crate) fn open(dir: PathBuf) -> io::Result<Pins> {
        std::fs::create_dir_all(&dir)?;
        if !is_mount(&dir)? {
            mount_bind(&dir, &dir)?;
            mount_change(&dir, MountPropagationFlags::PRIVATE)?;
        }
        let pins = Pins { dir };
        for name in pins.files()? {
            if !pins.is_live(&name) {
                std::fs::remove_file(pins.path(&name))?;
            }
        }
        Ok(pins)
    }

    /// Where the pin of that name is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Pins the calling thread's network namespace.
    pub(crate) fn pin(&self, name: &str) -> io::Result<()> {
        let path = self.path(name);
        File::create(&path)?;
        mount_bind("/proc/thread-self/ns/net", &path)?;
        Ok(())
    }

    /// Lets go of a namespace; the kernel removes it and its links in its own time.
    pub(crate) fn unpin(&self, name: &str) -> io::Result<()> {
        let path = self.path(name);
        match unmount(&path, UnmountFlags::DETACH) {
            // Not mounted: what a reboot leaves.
            Ok(()) | Err(rustix::io::Errno::INVAL) => std::fs::remove_file(&path),
            Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The names of all pins.
    pub(crate) fn files(&self) -> io::Result<Vec<String>> {
        std::fs::read_dir(&self.dir)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    /// Takes the whole directory away.
    pub(crate) fn remove(&self) -> io::Result<()> {
        for name in self.files()? {
            self.unpin(&name)?;
        }
        unmount(&self.dir, UnmountFlags::DETACH)?;
        std::fs::remove_dir(&self.dir)
    }

    fn is_live(&self, name: &str) -> bool {
        rustix::fs::statfs(self.path(name)).is_ok_and(|stat| stat.f_type == NSFS_MAGIC)
    }
}

fn is_mount(dir: &Path) -> io::Result<bool> {
    let stat = rustix::fs::statx(CWD, dir, AtFlags::empty(), StatxFlags::empty())?;
    Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}
