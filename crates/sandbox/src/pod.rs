//! A pod as dory sees it: a handle on the supervisor that holds it.
mod attach;
mod exec;
mod life;
mod state;

pub use attach::Attach;
pub use exec::Exec;

use crate::host::{Shared, blocking};
use crate::link::{Link, gone};
use crate::shim::{PodDir, PodFile};
use crate::wire::{Answer, Request};
use crate::{ContainerRecord, ContainerSpec, ContainerState, Error, ExecSpec, Root, Usage};
use container::cgroup::Group;
use futures::stream::BoxStream;
use state::State;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A pod. Dropping the handle leaves the pod running; [`Pod::remove`] ends it.
pub struct Pod {
    shared: Arc<Shared>,
    file: PodFile,
    dir: PodDir,
    group: Group,
    /// `None` = its supervisor was dead when it was adopted.
    link: Option<Arc<Link>>,
    lease: Mutex<Option<net::Lease>>,
    state: Arc<State>,
}

impl Pod {
    /// The id that the pod was started with.
    pub fn id(&self) -> &str {
        &self.file.spec.id
    }

    /// The labels that the pod was started with.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.file.spec.labels
    }

    /// Its address; `None` on the host's network.
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.file.network.as_ref().and_then(|network| network.address)
    }

    /// Its network namespace, for probes and listeners; `None` on the host's network.
    pub fn netns(&self) -> Option<&Path> {
        self.file.network.as_ref().map(|network| network.netns.as_path())
    }

    /// Whether the supervisor lives.
    pub fn is_live(&self) -> bool {
        self.link.as_ref().is_some_and(|link| !link.is_closed())
    }

    fn link(&self) -> Result<&Arc<Link>, Error> {
        self.link.as_ref().ok_or_else(|| gone(self.id()))
    }

    async fn call(&self, request: Request) -> Result<Answer, Error> {
        let (result, _) = self.link()?.call(request, &[]).await.ok_or_else(|| gone(self.id()))?;
        Ok(result?)
    }

    /// Starts a container; returns when its own program runs, or with the reason why it does not ([`Error::Start`]).
    pub async fn start_container(&self, spec: ContainerSpec) -> Result<ContainerRecord, Error> {
        crate::host::check_name("container name", &spec.name)?;
        let shared = self.shared.clone();
        let mut stale = self.stale_layers(&spec);
        let (spec, layers) = blocking(move || complete(&shared, spec)).await?;
        let (name, attempt) = (spec.name.clone(), spec.attempt);
        let answer = self.call(Request::Start { spec: Box::new(spec), layers }).await;
        if answer.is_err() {
            stale.push(self.dir.layer(&name, attempt));
        }
        discard(stale);
        match answer? {
            Answer::Container(record) => {
                self.state.note(record.clone());
                Ok(record)
            }
            _ => Err(gone(self.id())),
        }
    }

    /// Writable layers of earlier attempts.
    fn stale_layers(&self, spec: &ContainerSpec) -> Vec<PathBuf> {
        let earlier = self.containers().into_iter().filter(|record| {
            record.name == spec.name && matches!(record.state, ContainerState::Exited { .. })
        });
        earlier.map(|record| self.dir.layer(&record.name, record.attempt)).collect()
    }

    /// Sends a signal to a container's first process.
    pub async fn signal(&self, name: &str, signal: i32) -> Result<(), Error> {
        self.call(Request::Signal { name: name.to_owned(), signal }).await.map(drop)
    }

    /// Asks a container to end with its stop signal.
    pub async fn stop(&self, name: &str) -> Result<(), Error> {
        self.signal(name, 0).await
    }

    /// Kills every process of a container. Fine when it has ended already.
    pub async fn kill(&self, name: &str) -> Result<(), Error> {
        if self.is_live() {
            self.call(Request::Kill { name: name.to_owned() }).await.map(drop)
        } else {
            Ok(())
        }
    }

    /// The last attempt of each container.
    pub fn containers(&self) -> Vec<ContainerRecord> {
        self.state.records()
    }

    /// The writable layer of each container's last attempt, with what overlayfs keeps beside it.
    pub fn layers(&self) -> Vec<(String, PathBuf)> {
        let layer = |record: ContainerRecord| {
            let path = self.dir.layer(&record.name, record.attempt);
            (record.name, path)
        };
        self.containers().into_iter().map(layer).collect()
    }

    /// Records as they change, from now on; ends with the supervisor, after the records of what it took along.
    pub fn events(&self) -> BoxStream<'static, ContainerRecord> {
        self.state.events()
    }

    /// Runs a command in a running container.
    pub async fn exec(&self, name: &str, spec: ExecSpec) -> Result<Exec, Error> {
        Exec::start(self.id(), self.link()?, &self.state, name, spec).await
    }

    /// Listens to a running container, and with `stdin` writes to its standard input where that is open.
    pub async fn attach(&self, name: &str, stdin: bool) -> Result<Attach, Error> {
        Attach::start(self.id(), self.link()?, name, stdin).await
    }

    /// Usage of the whole pod, and of each running container by name.
    pub async fn stats(&self) -> Result<(Usage, BTreeMap<String, Usage>), Error> {
        let running: Vec<(String, Group)> = self
            .containers()
            .into_iter()
            .filter(|record| matches!(record.state, ContainerState::Running { .. }))
            .map(|record| {
                let group = self.group.child(&format!("{}-{}", record.name, record.attempt));
                (record.name, group)
            })
            .collect();
        let group = self.group.clone();
        blocking(move || {
            let containers = running.into_iter().map(|(name, group)| (name, group.usage())).collect();
            Ok((group.usage(), containers))
        })
        .await
    }
}

/// Throws writable layers away. Each is moved aside before this returns, since the next attempt may use the same path;
/// deleting can take long, and nobody waits for it.
fn discard(layers: Vec<PathBuf>) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let aside = |layer: PathBuf| {
        let name = format!(".gone-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let to = layer.with_file_name(name);
        std::fs::rename(&layer, &to).ok().map(|()| to)
    };
    let gone: Vec<PathBuf> = layers.into_iter().filter_map(aside).collect();
    if !gone.is_empty() {
        tokio::task::spawn_blocking(move || gone.iter().for_each(|dir| drop(std::fs::remove_dir_all(dir))));
    }
}

/// Fills in what the image says where the specification is silent, and finds the layers.
fn complete(shared: &Shared, mut spec: ContainerSpec) -> Result<(ContainerSpec, Vec<PathBuf>), Error> {
    let name = match &spec.root {
        Root::Image(name) => name,
        Root::Layers(layers) => {
            let layers = std::iter::once(shared.places()).chain(layers.iter().cloned()).collect();
            return Ok((spec, layers));
        }
        Root::Dir(_) | Root::Host { .. } => return Ok((spec, Vec::new())),
    };
    let image = shared.settings.images.resolve(name).map_err(|error| Error::Image(name.clone(), error))?;
    let config = image.config;
    if spec.argv.is_empty() {
        spec.argv = config.entrypoint.into_iter().chain(config.cmd).collect();
    }
    for (key, value) in config.env.iter().filter_map(|entry| entry.split_once('=')) {
        if !spec.env.iter().any(|(known, _)| known == key) {
            spec.env.push((key.to_owned(), value.to_owned()));
        }
    }
    if spec.cwd.as_deref().unwrap_or("").is_empty() && !config.working_dir.is_empty() {
        spec.cwd = Some(config.working_dir);
    }
    if spec.user.name.is_empty() {
        spec.user.name = config.user;
    }
    if spec.stop_signal.is_none() {
        spec.stop_signal = config.stop_signal.as_deref().and_then(signal_number);
    }
    let layers = std::iter::once(shared.places()).chain(image.layers).collect();
    Ok((spec, layers))
}

/// `SIGTERM`, `TERM` or `15` to 15.
fn signal_number(name: &str) -> Option<i32> {
    let plain = name.strip_prefix("SIG").unwrap_or(name);
    let known = [
        ("HUP", 1),
        ("INT", 2),
        ("QUIT", 3),
        ("ABRT", 6),
        ("KILL", 9),
        ("USR1", 10),
        ("USR2", 12),
        ("PIPE", 13),
        ("ALRM", 14),
        ("TERM", 15),
        ("CONT", 18),
        ("STOP", 19),
        ("TSTP", 20),
        ("WINCH", 28),
        ("PWR", 30),
    ];
    known.iter().find(|(known, _)| *known == plain).map(|(_, number)| *number).or_else(|| plain.parse().ok())
}
