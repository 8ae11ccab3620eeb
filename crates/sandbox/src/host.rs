//! The sandboxes of one dory instance on this machine: opens, adopts, starts, closes.
mod check;
mod sweep;

pub(crate) use check::name as check_name;

use crate::instance::Spawner;
use crate::{Error, Instance, InstanceSpec, Pod, PodSpec};
use container::cgroup::{Group, Hierarchy, Limits};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// What a [`Host`] needs to know.
#[derive(Clone)]
pub struct Settings {
    /// The data directory; pods live in `<dir>/pods/<id>/sandbox`, sockets and the spawner in `<dir>/run`.
    pub dir: PathBuf,
    /// Id of this dory instance: names its control groups `dory-<owner>`.
    pub owner: String,
    /// The program that calls [`crate::supervisor_main`] when its first argument is `shim`.
    pub program: PathBuf,
    /// The network that pods and instances lease from.
    pub network: Arc<net::Network>,
    /// Where images come from.
    pub images: Arc<container::image::Store>,
    /// Prepared instances kept ready while starts come in (0 = none; one stays ready when nothing happens).
    pub parked: usize,
}

/// What pods and instances need of their host.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    /// `dory-<owner>` in every tree of control groups.
    pub(crate) group: Group,
}

impl Shared {
    pub(crate) fn pods_dir(&self) -> PathBuf {
        self.settings.dir.join("pods")
    }

    pub(crate) fn run_dir(&self) -> PathBuf {
        self.settings.dir.join("run")
    }

    /// A layer below those of every image with the places where the platform mounts something: made once here, they
    /// need not be made on disk at every start.
    pub(crate) fn places(&self) -> PathBuf {
        self.run_dir().join("places")
    }

    pub(crate) fn pods_group(&self) -> Group {
        self.group.child("pods")
    }

    pub(crate) fn instances_group(&self) -> Group {
        self.group.child("instances")
    }
}

/// All sandboxes of one dory instance.
pub struct Host {
    shared: Arc<Shared>,
    spawner: tokio::sync::Mutex<Option<Arc<Spawner>>>,
    /// Those that somebody has a handle on: no pod is adopted beside itself.
    pods: Mutex<Vec<Weak<Pod>>>,
}

impl Host {
    /// Opens the host: detects control groups, removes what a crashed instance of the same owner left (not live
    /// pods), and starts the spawner of function instances.
    pub async fn open(settings: Settings) -> Result<Arc<Host>, Error> {
        check::name("owner", &settings.owner)?;
        let shared = blocking(move || prepare(settings)).await?;
        let spawner = Spawner::start(&shared).await?;
        let pods = Mutex::default();
        Ok(Arc::new(Host { shared, spawner: tokio::sync::Mutex::new(Some(spawner)), pods }))
    }

    /// The image store that containers come from.
    pub fn images(&self) -> &Arc<container::image::Store> {
        &self.shared.settings.images
    }

    fn pods(&self) -> Vec<Arc<Pod>> {
        let pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        pods.iter().filter_map(Weak::upgrade).collect()
    }

    fn note(&self, new: &[Arc<Pod>]) {
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        pods.retain(|pod| pod.strong_count() > 0);
        pods.extend(new.iter().map(Arc::downgrade));
    }

    /// Starts a pod: its network, its namespaces and its supervisor; no container yet.
    pub async fn start_pod(&self, spec: PodSpec) -> Result<Arc<Pod>, Error> {
        check::pod(&spec)?;
        let pod = Pod::start(&self.shared, spec).await?;
        self.note(std::slice::from_ref(&pod));
        Ok(pod)
    }

    /// Finds the pods that an earlier dory process started, live or dead, with the records of their containers. What
    /// is left of the processes of dead ones is killed.
    pub async fn adopt_pods(&self) -> Result<Vec<Arc<Pod>>, Error> {
        let known: Vec<String> = self.pods().iter().map(|pod| pod.id().to_owned()).collect();
        let mut adopted = Vec::new();
        for (id, dir) in sweep::pod_dirs(&self.shared) {
            if known.contains(&id) {
                continue;
            }
            match Pod::adopt(&self.shared, &id, dir).await {
                Ok(pod) => adopted.push(pod),
                Err(error) => {
                    tracing::warn!(pod = id, %error, "a pod's directory cannot be read; left alone")
                }
            }
        }
        self.note(&adopted);
        // Networks of pods that no longer exist.
        self.shared.settings.network.sweep().await;
        Ok(adopted)
    }

    /// Starts a function instance; returns when its process is running its own program. A spawner that dies meanwhile costs
    /// time and no start: another one makes the instance.
    pub async fn start_instance(&self, spec: InstanceSpec) -> Result<Instance, Error> {
        check::instance(&spec)?;
        let spawner = self.spawner().await?;
        match Instance::start(&self.shared, &spawner, spec.clone()).await {
            Err(Error::SpawnerGone) => {
                let spawner = self.spawner().await?;
                Instance::start(&self.shared, &spawner, spec).await
            }
            started => started,
        }
    }

    /// The spawner, started anew when it died.
    async fn spawner(&self) -> Result<Arc<Spawner>, Error> {
        let mut slot = self.spawner.lock().await;
        match slot.as_ref() {
            Some(spawner) if !spawner.is_gone() => Ok(spawner.clone()),
            _ => {
                tracing::warn!("the spawner of function instances died; starting another");
                let group = self.shared.instances_group();
                blocking(move || group.remove().map_err(Error::io("control groups of dead instances")))
                    .await?;
                let spawner = Spawner::start(&self.shared).await?;
                *slot = Some(spawner.clone());
                Ok(spawner)
            }
        }
    }

    /// Ends all instances. With `remove` also all pods, and leaves nothing behind; without, pods run on.
    pub async fn close(&self, remove: bool) -> Result<(), Error> {
        if let Some(spawner) = self.spawner.lock().await.take() {
            spawner.end().await;
        }
        if remove {
            // Held here, so that they are among the pods below.
            let _adopted = self.adopt_pods().await?;
            let pods = self.pods();
            let removals = pods.iter().map(|pod| pod.remove());
            for result in futures::future::join_all(removals).await {
                result?;
            }
        }
        let shared = self.shared.clone();
        blocking(move || sweep::close(&shared, remove)).await
    }
}

fn prepare(settings: Settings) -> Result<Arc<Shared>, Error> {
    let hierarchy = Arc::new(Hierarchy::detect().map_err(Error::io("finding control groups"))?);
    let group = hierarchy.group(&format!("dory-{}", settings.owner));
    let shared = Arc::new(Shared { settings, group });
    for dir in [shared.pods_dir(), shared.run_dir()] {
        make_private(&dir).map_err(Error::io(format!("making {}", dir.display())))?;
    }
    make_places(&shared.places()).map_err(Error::io("making the layer of mount points"))?;
    sweep::open(&shared)?;
    // As the kubelet does for all pods: together they weigh as much as the machine has CPUs, and not as little as one
    // process outside.
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64);
    let weight = Limits { cpu_shares: Some(cpus * 1024), ..Limits::default() };
    for group in [&shared.group, &shared.pods_group(), &shared.instances_group()] {
        group
            .create_parent()
            .and_then(|()| group.limit(&weight))
            .map_err(Error::io("making control groups"))?;
    }
    Ok(shared)
}

fn make_places(dir: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    for place in ["proc", "sys", "dev", "etc"] {
        std::fs::create_dir_all(dir.join(place))?;
        std::fs::set_permissions(dir.join(place), std::fs::Permissions::from_mode(0o755))?;
    }
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755))?;
    for file in ["hosts", "hostname", "resolv.conf"] {
        std::fs::write(dir.join("etc").join(file), "")?;
    }
    Ok(())
}

/// Makes a directory that only its owner may enter.
pub(crate) fn make_private(dir: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Runs file system and control group work off the reactor.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let lost = |error| Error::Io { step: "a blocking task".into(), source: std::io::Error::other(error) };
    tokio::task::spawn_blocking(work).await.map_err(lost)?
}
