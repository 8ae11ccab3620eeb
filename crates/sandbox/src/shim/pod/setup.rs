//! How a supervisor becomes one: session, control group, namespaces, shared memory, socket.
use super::{PodDir, PodFile, Supervisor};
use container::cgroup::{Group, Hierarchy};
use container::fork::{Child, open_namespace};
use container::launch::Isolation;
use container::mount::Tree;
use container::namespace;
use rustix::mount::MountAttrFlags;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

/// The pod's shared memory, as large as Kubernetes' runtimes make it.
const SHM_SIZE: &str = "67108864";

/// The kernel ends supervisors last of all: each holds a whole pod (the value of containerd's shims).
const OOM_SCORE: &str = "-998";

impl Supervisor {
    /// Sets the pod up, or says what failed.
    pub(super) fn set_up(dir: PodDir) -> Result<Supervisor, String> {
        let failed = |step: &str| {
            let step = step.to_owned();
            move |error: io::Error| format!("{step}: {error}")
        };
        detach();
        let file = dir.read_pod().map_err(failed("reading the pod's file"))?;
        let records = dir.read_records().map_err(failed("reading the pod's records"))?;
        let group = join_groups(&file).map_err(failed("control groups"))?;
        if let Some(network) = &file.network {
            namespace::join_network(&network.netns).map_err(failed("joining the pod's network"))?;
        }
        let own_names = !file.spec.host_network;
        if own_names {
            namespace::fresh_ipc_and_uts(&file.spec.hostname, !file.spec.host_ipc)
                .map_err(failed("namespaces"))?;
        }
        set_sysctls(&file).map_err(failed("sysctls"))?;
        let host_mounts = namespace::leave_mounts().map_err(failed("a mount namespace"))?;
        share_memory(&dir).map_err(failed("shared memory"))?;
        let (reaper, home) = processes(&file).map_err(failed("process namespaces"))?;
        let listener = listen(&file.socket).map_err(failed("the supervisor's socket"))?;
        let own_process = !file.spec.share_pid && !file.spec.host_pid;
        let isolation =
            Isolation { process: own_process, host_mounts: Some(host_mounts), ..Isolation::default() };
        Ok(Supervisor {
            dir,
            file,
            group,
            isolation,
            home,
            reaper,
            listener,
            client: None,
            containers: BTreeMap::new(),
            commands: Vec::new(),
            records,
            buffer: Vec::new(),
        })
    }
}

/// Out of dory's session and working directory. Best effort: none of it is needed to work.
fn detach() {
    let _ = rustix::process::setsid();
    let _ = rustix::process::chdir("/");
    let _ = rustix::thread::set_name(c"dory-pod");
    let _ = fs::write("/proc/self/oom_score_adj", OOM_SCORE);
}

/// Makes the pod's group, and moves the supervisor out of dory's, so that it is not stopped with it.
fn join_groups(file: &PodFile) -> io::Result<Group> {
    let hierarchy = Arc::new(Hierarchy::detect()?);
    let group = hierarchy.group(&file.group);
    group.create_parent()?;
    group.limit(&file.spec.limits)?;
    let own = group.child("supervisor");
    own.create_v2()?;
    container::fork::reborn_in(&own)?;
    Ok(group)
}

/// Sysctls that belong to the pod's own namespaces; the caller has checked the names.
fn set_sysctls(file: &PodFile) -> io::Result<()> {
    for (name, value) in &file.spec.sysctls {
        let path = Path::new("/proc/sys").join(name.replace('.', "/"));
        fs::write(&path, value).map_err(|e| io::Error::new(e.kind(), format!("{name}: {e}")))?;
    }
    Ok(())
}

fn share_memory(dir: &PodDir) -> io::Result<()> {
    fs::create_dir_all(dir.mountpoint())?;
    fs::create_dir_all(dir.shm())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let tree = Tree::fresh("tmpfs", &[("mode", "1777"), ("size", SHM_SIZE)], attributes)?;
    tree.attach(fs::File::open(dir.shm())?.as_fd())
}

fn processes(file: &PodFile) -> io::Result<(Option<Child>, OwnedFd)> {
    let reaper =
        if file.spec.share_pid && !file.spec.host_pid { Some(namespace::share_processes()?) } else { None };
    Ok((reaper, open_namespace("/proc/self/ns/pid_for_children")?))
}

/// Listens at a path of any length: socket addresses end at 108 bytes, so the directory is named by descriptor.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let dir = fs::File::open(dir)?;
    UnixListener::bind(Path::new(&format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name))
}
