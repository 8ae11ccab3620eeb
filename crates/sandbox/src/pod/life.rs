//! The beginning and the end of a pod: start, adoption after a restart of dory, removal.
use super::Pod;
use super::state::{State, as_lost};
use crate::host::{Shared, blocking, make_private};
use crate::link::Link;
use crate::shim::{NetworkFile, PodDir, PodFile};
use crate::wire::Request;
use crate::{Error, PodSpec, shims};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

impl Pod {
    pub(crate) async fn start(shared: &Arc<Shared>, spec: PodSpec) -> Result<Arc<Pod>, Error> {
        let dir = PodDir(shared.pods_dir().join(&spec.id).join("sandbox"));
        if dir.read_pod().is_ok() {
            return Err(Error::Exists(spec.id));
        }
        let lease = if spec.host_network { None } else { Some(shared.settings.network.lease().await?) };
        let started = Pod::start_with(shared, &dir, spec, lease.clone()).await;
        if started.is_err() {
            let _ = std::fs::remove_dir_all(&dir.0);
            if let Some(lease) = lease {
                shared.settings.network.release(lease).await;
            }
        }
        started
    }

    async fn start_with(
        shared: &Arc<Shared>,
        dir: &PodDir,
        spec: PodSpec,
        lease: Option<net::Lease>,
    ) -> Result<Arc<Pod>, Error> {
        let network = lease.as_ref().map(|lease| NetworkFile {
            name: lease.name.clone(),
            netns: lease.netns.clone(),
            address: lease.address,
        });
        let group = shared.pods_group().child(&spec.id);
        let socket = shared.run_dir().join(format!("{}.sock", spec.id));
        let path = group.path().to_string_lossy().into_owned();
        let file = PodFile { spec, group: path, network, socket };
        let (program, dir, written) = (shared.settings.program.clone(), dir.clone(), file.clone());
        let (dir, (child, stream)) = blocking(move || {
            write_files(&dir, &written).map_err(Error::io("writing the pod's files"))?;
            let started = shims::start(&program, "pod", &dir.0)?;
            Ok((dir, started))
        })
        .await?;
        let link = Link::new(stream).map_err(Error::io("watching the supervisor"))?;
        let state = State::new(Vec::new());
        let hearing = state.clone();
        let ready = shims::drive(&link, move |message| match message {
            Some(message) => hearing.hear(message),
            None => hearing.lose(),
        })
        .await;
        // Waits in the background until the supervisor ends, however long that takes.
        shims::reap(child);
        let records = match ready {
            Ok(records) => records,
            Err(error) => {
                let _ = blocking(move || Ok(group.remove())).await;
                return Err(error);
            }
        };
        state.replace(records);
        let link = Some(link);
        Ok(Arc::new(Pod { shared: shared.clone(), file, dir, group, link, lease: Mutex::new(lease), state }))
    }

    /// Finds a pod that an earlier process started.
    pub(crate) async fn adopt(shared: &Arc<Shared>, id: &str, dir: PathBuf) -> Result<Arc<Pod>, Error> {
        let dir = PodDir(dir);
        let file = dir.read_pod().map_err(Error::io("reading pod.json"))?;
        let group = shared.pods_group().child(id);
        let state = State::new(Vec::new());
        let link = Pod::reconnect(&file, &state).await;
        if link.is_none() {
            let (dir, group) = (dir.clone(), group.clone());
            let records = blocking(move || bury(&dir, &group)).await?;
            state.replace(records);
            state.lose();
        }
        let lease = match &file.network {
            Some(network) => match shared.settings.network.adopt(&network.name).await {
                Ok(lease) => Some(lease),
                Err(error) => {
                    tracing::warn!(pod = id, %error, "the pod's network cannot be adopted");
                    None
                }
            },
            None => None,
        };
        Ok(Arc::new(Pod { shared: shared.clone(), file, dir, group, link, lease: Mutex::new(lease), state }))
    }

    /// The supervisor's socket; `None` when nobody listens any more.
    async fn reconnect(file: &PodFile, state: &Arc<State>) -> Option<Arc<Link>> {
        let link = Link::new(shims::connect(&file.socket).ok()?).ok()?;
        let hearing = state.clone();
        let records = shims::drive(&link, move |message| match message {
            Some(message) => hearing.hear(message),
            None => hearing.lose(),
        });
        state.replace(records.await.ok()?);
        Some(link)
    }

    /// Kills what runs, and removes namespaces, control groups, network and directory (not the container logs).
    pub async fn remove(&self) -> Result<(), Error> {
        if let Some(link) = &self.link {
            link.call(Request::End, &[]).await;
        }
        let (group, dir, socket) = (self.group.clone(), self.dir.clone(), self.file.socket.clone());
        blocking(move || {
            group.remove().map_err(Error::io("removing the pod's control groups"))?;
            for path in [socket, dir.0.join("pod.json")] {
                match std::fs::remove_file(&path) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => {
                        return Err(Error::io(format!("removing {}", path.display()))(e));
                    }
                    _ => {}
                }
            }
            let _ = std::fs::remove_dir_all(&dir.0);
            // The pod's directory itself, unless others keep something in it.
            let _ = dir.0.parent().map(std::fs::remove_dir);
            Ok(())
        })
        .await?;
        let lease = self.lease.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(lease) = lease {
            self.shared.settings.network.release(lease).await;
        }
        self.state.lose();
        Ok(())
    }
}

fn write_files(dir: &PodDir, file: &PodFile) -> io::Result<()> {
    make_private(&dir.0)?;
    std::fs::create_dir_all(dir.etc(""))?;
    let spec = &file.spec;
    if !spec.resolv_conf.is_empty() {
        std::fs::write(dir.etc("resolv.conf"), &spec.resolv_conf)?;
    }
    if !spec.host_network || !spec.hosts.is_empty() {
        let address = file.network.as_ref().and_then(|network| network.address);
        let own = address.map(|address| format!("{address}\t{}\n", spec.hostname)).unwrap_or_default();
        std::fs::write(dir.etc("hosts"), format!("{HOSTS}{own}{}", spec.hosts))?;
        std::fs::write(dir.etc("hostname"), format!("{}\n", spec.hostname))?;
    }
    dir.write_pod(file)
}

/// The head of `/etc/hosts`, line for line the kubelet's.
const HOSTS: &str = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost \
ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n";

/// Ends what is left of a pod without supervisor, and records that.
fn bury(dir: &PodDir, group: &container::cgroup::Group) -> Result<Vec<crate::ContainerRecord>, Error> {
    group.remove().map_err(Error::io("ending what a dead supervisor left"))?;
    let records = dir.read_records().map_err(Error::io("reading records.json"))?;
    let records: Vec<_> = records.into_iter().map(as_lost).collect();
    dir.write_records(&records).map_err(Error::io("writing records.json"))?;
    Ok(records)
}
