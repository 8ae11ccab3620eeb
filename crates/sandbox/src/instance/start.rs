//! From a specification to a running instance: network, listener, log pipe, order.
use super::memory::Guard;
use super::{Instance, Pipes, Spawner, identity};
use crate::host::{Shared, blocking};
use crate::wire::InstanceOrder;
use crate::{Error, InstanceSpec, Reach, Root};
use container::bundle::{Order, Process};
use container::capability::Set;
use container::cgroup::Limits;
use container::mount::Mount;
use container::process::{Rlimit, Seccomp, User};
use rustix::pipe::PipeFlags;
use rustix::process::Resource;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// The user that functions run as, by the name and numbers that AWS gives it.
const USER: (&str, u32, u32) = ("sbx_user1051", 993, 990);

/// Processes and threads of an instance unless said otherwise (the Lambda quota).
const PIDS_DEFAULT: u64 = 1024;

/// What a process is handed: the far ends of its [`Pipes`].
const HANDED: usize = 2;

/// `/tmp` without a size (the Lambda default, 512 MB).
const TMP_BYTES_DEFAULT: u64 = 512 << 20;

/// The second name is where extensions listen for telemetry ("Telemetry API", Lambda developer guide).
const HOSTS: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.0.1\tsandbox.localdomain sandbox\n";

impl Instance {
    pub(crate) async fn start(
        shared: &Arc<Shared>,
        spawner: &Arc<Spawner>,
        spec: InstanceSpec,
    ) -> Result<Instance, Error> {
        let asked = std::time::Instant::now();
        let network = &shared.settings.network;
        let lease = match spec.reach {
            Reach::Egress => network.lease_guest().await?,
            Reach::Nothing => network.isolated().await?,
        };
        let stages = vec![("network", asked.elapsed())];
        let started = Instance::start_in(shared, spawner, spec, &lease, stages).await;
        let shared = shared.clone();
        match started {
            Ok(instance) => {
                let mut end = instance.end.clone();
                tokio::spawn(async move {
                    let _ = end.wait_for(Option::is_some).await;
                    shared.settings.network.release(lease).await;
                });
                Ok(instance)
            }
            Err(error) => {
                shared.settings.network.release(lease).await;
                Err(error)
            }
        }
    }

    async fn start_in(
        shared: &Arc<Shared>,
        spawner: &Arc<Spawner>,
        spec: InstanceSpec,
        lease: &net::Lease,
        mut stages: Vec<(&'static str, Duration)>,
    ) -> Result<Instance, Error> {
        let began = std::time::Instant::now();
        let (netns, ports) = (lease.netns.clone(), [spec.api_port, spec.door_port]);
        let held = spec.held;
        let connected = spec.connected && !held;
        let limit_bytes = spec.memory_bytes;
        let host = shared.clone();
        let sockets = shared.settings.network.take_sockets(lease);
        // With sockets at hand nothing here takes long, but for the layers of an image.
        let quick = !sockets.is_empty() && matches!(spec.root, Root::Host { .. });
        let prepare = move || {
            let listeners = listen(&netns, sockets, ports)?;
            let netns = File::open(&netns).map_err(Error::io("opening the network namespace"))?;
            let (logs, output) = pipe()?;
            let input = spec.unassigned.then(pipe).transpose()?.unzip();
            let pipes = connected.then(pipes).transpose()?.unzip();
            Ok((order(&host, spec)?, listeners, netns, (logs, output), input, pipes))
        };
        let prepared = if quick { prepare() } else { blocking(prepare).await };
        let (order, [listener, door], netns, (logs, output), (stdin, input), (near, far)) = prepared?;
        stages.push(("listeners and pipes", began.elapsed()));
        let began = std::time::Instant::now();
        let id = order.id.clone();
        let template = held.then(|| order.order.process.clone());
        let mut fds = vec![output.as_fd(), netns.as_fd()];
        fds.extend(far.iter().flat_map(|far| [far.reader.as_fd(), far.writer.as_fd()]));
        fds.extend(stdin.iter().map(AsFd::as_fd));
        let (pid, group, end) = spawner.spawn(order, &fds).await?;
        stages.push(("process", began.elapsed()));
        let (input, pipes) = (Mutex::new(input), Mutex::new(near));
        let name = group.rsplit('/').next().unwrap_or_default().to_owned();
        let group = shared.instances_group().child(&name);
        let exceeded = Arc::new(AtomicBool::new(false));
        if limit_bytes > 0 {
            let (id, group, spawner) = (id.clone(), group.clone(), spawner.clone());
            let guard = Guard { id, group, spawner, limit_bytes, exceeded: exceeded.clone() };
            tokio::spawn(guard.watch(end.clone()));
        }
        let (listener, door, logs) = (Mutex::new(listener), Mutex::new(door), Mutex::new(Some(logs)));
        let (spawner, netns, sockets) = (spawner.clone(), lease.netns.clone(), Mutex::default());
        Ok(Instance {
            id,
            pid,
            group,
            peak: OnceLock::new(),
            spawner,
            end,
            listener,
            door,
            pipes,
            logs,
            exceeded,
            input,
            stages,
            netns,
            sockets,
            template,
        })
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Error> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|error| Error::io("making a pipe")(error.into()))
}

/// A pipe each way: the near ends, and the far ones.
fn pipes() -> Result<(Pipes, Pipes), Error> {
    let (down, up) = (pipe()?, pipe()?);
    Ok((Pipes { reader: up.0, writer: down.1 }, Pipes { reader: down.0, writer: up.1 }))
}

type Listeners = [Option<TcpListener>; 2];

/// A listener for each port that is asked for, from `sockets` or from what one visit of the namespace brings.
fn listen(netns: &Path, mut sockets: Vec<OwnedFd>, ports: [Option<u16>; 2]) -> Result<Listeners, Error> {
    let addresses = ports.iter().flatten().map(|port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, *port));
    let addresses: Vec<SocketAddrV4> = addresses.collect();
    if addresses.is_empty() {
        return Ok([None, None]);
    }
    if sockets.len() < addresses.len() {
        let made = net::sockets_in(netns, addresses.len());
        sockets = made.map_err(Error::io("making sockets inside"))?;
    }
    let mut listeners = net::listen_on(sockets, &addresses)?.into_iter();
    Ok(ports.map(|port| port.and_then(|_| listeners.next())))
}

/// Open files as on Lambda; and no core dumps, which on some hosts go to a program outside.
const RLIMITS: [Rlimit; 2] = [
    Rlimit { resource: Resource::Nofile as u32, soft: 1024, hard: 1024 },
    Rlimit { resource: Resource::Core as u32, soft: 0, hard: 0 },
];

fn order(shared: &Shared, spec: InstanceSpec) -> Result<InstanceOrder, Error> {
    let mut mounts = Vec::new();
    let (mut layers, mut dir) = (None, None);
    match spec.root {
        Root::Host { prefixes } => {
            mounts.extend(prefixes.into_iter().map(|prefix| Mount::bind(prefix.clone(), prefix, true)))
        }
        Root::Dir(root) => dir = Some(root),
        Root::Layers(image) => layers = Some(image),
        Root::Image(name) => {
            let image = shared.settings.images.resolve(&name).map_err(|error| Error::Image(name, error))?;
            layers = Some(image.layers);
        }
    }
    let files = files(spec.resolv_conf);
    let files = match layers {
        // Nothing can be written there: these come as a layer of their own.
        Some(image) => {
            let identity = identity::layer(&shared.run_dir(), &files);
            let identity = identity.map_err(Error::io("making the layer of the instance's own files"))?;
            layers = Some([identity.below].into_iter().chain(image).chain([identity.above]).collect());
            Vec::new()
        }
        None => files,
    };
    let tmp_bytes = if spec.tmp_bytes == 0 { TMP_BYTES_DEFAULT } else { spec.tmp_bytes };
    mounts.push(Mount::tmpfs("/tmp", Some(tmp_bytes), 0o1777));
    mounts.extend(spec.mounts);
    let limits = Limits {
        // Files in /tmp are memory to the kernel; what the instance has of its own is the guard's to limit.
        memory_bytes: Some(spec.memory_bytes).filter(|bytes| *bytes > 0).map(|bytes| bytes + tmp_bytes),
        cpu_millis: spec.cpu_millis,
        pids_max: Some(spec.pids_max.unwrap_or(PIDS_DEFAULT)),
        cpu_shares: None,
    };
    let process = Process {
        argv: spec.argv,
        env: spec.env,
        cwd: if spec.cwd.is_empty() { "/".into() } else { spec.cwd },
        user: User { uid: Some(USER.1), gid: Some(USER.2), ..User::default() },
        capabilities: Set::NONE,
        no_new_privileges: true,
        seccomp: Seccomp::Function,
        rlimits: RLIMITS.to_vec(),
        // Instances are the first to go when the host itself runs out of memory: they can be started again.
        oom_score_adj: Some(500),
        // Each event and each answer that is taken in wakes a function's process while the platform has more to write, and
        // perhaps other functions to wake: it comes after that. Among all others they have their share as before.
        batch: true,
        tty: false,
        handed: if spec.connected && !spec.held { HANDED } else { 0 },
    };
    let order = Order {
        files,
        mounts,
        read_only_root: true,
        join_network: true,
        join_user: !spec.held,
        hold: spec.held,
        process,
    };
    Ok(InstanceOrder { id: spec.id, limits, layers, dir, order })
}

/// The instance's own small files in `/etc`.
fn files(resolv_conf: String) -> Vec<(PathBuf, String)> {
    let (name, uid, gid) = USER;
    let resolv_conf = match resolv_conf.is_empty() {
        true => std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
        false => resolv_conf,
    };
    let files = [
        (
            "/etc/passwd",
            format!("root:x:0:0:root:/:/sbin/nologin\n{name}:x:{uid}:{gid}::/tmp:/sbin/nologin\n"),
        ),
        ("/etc/group", format!("root:x:0:\n{name}:x:{gid}:\n")),
        ("/etc/hosts", HOSTS.to_owned()),
        ("/etc/resolv.conf", resolv_conf),
    ];
    files.into_iter().map(|(path, text)| (PathBuf::from(path), text)).collect()
}
