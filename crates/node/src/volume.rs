//! A pod's volumes on this machine: directories below the pod's own, filled, kept current and taken away again.
//!
//! emptyDir, configMap, secret, downwardAPI, projected, hostPath and claims are what there is; a pod with any other kind
//! stays in ContainerCreating with a FailedMount event that says so. What lies in claims and host paths is never taken away.

pub(crate) mod atomic;
pub(crate) mod claimed;
pub(crate) mod group;
mod host_path;
pub(crate) mod payload;
mod sub_path;
pub(crate) mod token;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use client::k8s_openapi::api::core::v1 as api;
use jiff::Timestamp;
use sandbox::{Mount, Propagation};

use self::atomic::Owner;
use self::claimed::Claimed;
use self::group::Group;
use self::payload::{Context, Payload};
use crate::container::env::Environment;
use crate::container::expand::expand;
use crate::resources::value;

/// The volumes of one pod.
#[derive(Debug)]
pub(crate) struct Volumes {
    dir: PathBuf,
    /// What was last written, so that only changes are.
    written: BTreeMap<String, Payload>,
}

/// Mounts of one container, with what must stay open until they are made.
#[derive(Debug, Default)]
pub(crate) struct Mounts {
    pub(crate) list: Vec<Mount>,
    _held: Vec<sub_path::Held>,
}

impl Volumes {
    /// The volumes below `dir`, which belongs to them alone.
    pub(crate) fn new(dir: PathBuf) -> Volumes {
        Volumes { dir, written: BTreeMap::new() }
    }

    /// Makes every volume of the pod, or brings it up to date. The error names the volume, as upstream's events do.
    pub(crate) fn set_up(&mut self, context: &Context<'_>) -> Result<(), String> {
        let spec = context.pod.spec.clone().unwrap_or_default();
        fs::create_dir_all(&self.dir)
            .map_err(|error| format!("failed to make {}: {error}", self.dir.display()))?;
        for volume in spec.volumes.iter().flatten() {
            self.set_up_one(volume, &spec, context).map_err(|error| {
                format!("MountVolume.SetUp failed for volume \"{}\" : {error}", volume.name)
            })?;
        }
        Ok(())
    }

    fn set_up_one(
        &mut self,
        volume: &api::Volume,
        spec: &api::PodSpec,
        context: &Context<'_>,
    ) -> Result<(), String> {
        let dir = self.dir.join(&volume.name);
        let io = |error: io::Error| error.to_string();
        if let Some(payload) = payload::payload(volume, context) {
            let payload = payload?;
            if self.written.get(&volume.name) != Some(&payload) {
                if confidential(volume) {
                    in_memory(&dir).map_err(io)?;
                }
                let version = Timestamp::now().as_nanosecond().to_string();
                atomic::write(&dir, &payload, owner(spec), &version).map_err(io)?;
                self.written.insert(volume.name.clone(), payload);
            }
        } else if let Some(empty) = &volume.empty_dir {
            empty_dir(&dir, empty, owner(spec).gid).map_err(io)?;
        } else if let Some(host) = &volume.host_path {
            host_path::prepare(Path::new(&host.path), host.type_.as_deref().unwrap_or_default())?;
        } else if is_claim(volume) {
            if let Some(claimed) = context.claims.get(&volume.name) {
                claimed.set_up(&dir, Group::of(spec).as_ref())?;
            } else if Claimed::read(&dir).is_none() {
                return Err("its claim was not looked up".to_owned());
            }
        } else {
            return Err(format!("{} volumes are not supported", kind_of(volume)));
        }
        Ok(())
    }

    /// What the container's `volumeMounts` mean to the sandbox. Nested mounts come after those they lie in.
    pub(crate) fn mounts(
        &self,
        pod: &api::Pod,
        container: &api::Container,
        environment: &Environment,
    ) -> Result<Mounts, String> {
        let mut mounts = Mounts::default();
        let spec = pod.spec.clone().unwrap_or_default();
        for mount in container.volume_mounts.iter().flatten() {
            let volume = spec.volumes.iter().flatten().find(|volume| volume.name == mount.name);
            let volume = volume.ok_or_else(|| format!("volume {} is not in the pod", mount.name))?;
            let (root, read_only) = self.place(volume)?;
            let sub = match (&mount.sub_path, &mount.sub_path_expr) {
                (Some(sub), _) if !sub.is_empty() => Some(sub.clone()),
                (_, Some(text)) if !text.is_empty() => Some(expand(text, |name| environment.get(name))),
                _ => None,
            };
            let source = match sub {
                Some(sub) => {
                    let held = sub_path::hold(&root, &sub, &self.dir).map_err(|error| {
                        format!("failed to prepare subPath for volumeMount \"{}\": {error}", mount.name)
                    })?;
                    let source = held.source().to_owned();
                    mounts._held.push(held);
                    source
                }
                None => root,
            };
            let mut made = Mount::bind(source, &mount.mount_path, read_only || mount.read_only == Some(true));
            made.propagation = propagation(mount.mount_propagation.as_deref());
            mounts.list.push(made);
        }
        mounts.list.sort_by_key(|mount| mount.target.components().count());
        Ok(mounts)
    }

    /// Whether it is not known yet where a claim of the pod lies.
    pub(crate) fn lacks(&self, name: &str) -> bool {
        Claimed::read(&self.dir.join(name)).is_none()
    }

    /// Where a volume lies, and whether nothing may be written to it.
    fn place(&self, volume: &api::Volume) -> Result<(PathBuf, bool), String> {
        let own = self.dir.join(&volume.name);
        if let Some(host) = &volume.host_path {
            return Ok((PathBuf::from(&host.path), false));
        }
        if is_claim(volume) {
            let claimed = Claimed::read(&own);
            let claimed = claimed.ok_or_else(|| format!("volume {} is not mounted", volume.name))?;
            return Ok((claimed.path, claimed.read_only));
        }
        Ok((own, volume.empty_dir.is_none()))
    }

    /// Unmounts and removes everything.
    pub(crate) fn tear_down(&mut self) -> io::Result<()> {
        self.written.clear();
        remove(&self.dir)
    }
}

fn is_claim(volume: &api::Volume) -> bool {
    volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some()
}

fn propagation(word: Option<&str>) -> Propagation {
    match word {
        Some("HostToContainer") => Propagation::HostToContainer,
        Some("Bidirectional") => Propagation::Bidirectional,
        _ => Propagation::Private,
    }
}

/// Removes a directory of volumes; memory file systems in it are unmounted first.
pub(crate) fn remove(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        // Not a mount point: nothing to do, and nothing to tell apart beforehand. A link leads to what is not ours.
        let flags = rustix::mount::UnmountFlags::DETACH | rustix::mount::UnmountFlags::NOFOLLOW;
        let _ = rustix::mount::unmount(entry?.path(), flags);
    }
    fs::remove_dir_all(dir)
}

fn empty_dir(dir: &Path, source: &api::EmptyDirVolumeSource, group: Option<u32>) -> io::Result<()> {
    if dir.exists() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    match source.medium.as_deref().unwrap_or_default() {
        "" => {}
        "Memory" => memory(dir, source)?,
        other => return Err(io::Error::other(format!("emptyDir medium {other} is not supported"))),
    }
    let mode = if group.is_some() { 0o2777 } else { 0o777 };
    chown(dir, None, group)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(mode))
}

/// What must not reach a disk; as upstream, where these live on memory file systems.
fn confidential(volume: &api::Volume) -> bool {
    volume.secret.is_some() || volume.projected.is_some() || volume.downward_api.is_some()
}

/// Makes the directory a memory file system of its own, unless it is one.
fn in_memory(dir: &Path) -> io::Result<()> {
    if let (Ok(own), Some(Ok(above))) = (fs::metadata(dir), dir.parent().map(fs::metadata)) {
        if own.dev() != above.dev() {
            return Ok(());
        }
        fs::remove_dir_all(dir)?;
    }
    fs::create_dir_all(dir)?;
    let flags = rustix::mount::MountFlags::NOSUID | rustix::mount::MountFlags::NODEV;
    Ok(rustix::mount::mount("tmpfs", dir, "tmpfs", flags, Some(c"mode=0755"))?)
}

fn memory(dir: &Path, source: &api::EmptyDirVolumeSource) -> io::Result<()> {
    let size = source.size_limit.as_ref().map(value).filter(|bytes| *bytes > 0);
    let options = size.map_or_else(|| "mode=0777".to_owned(), |bytes| format!("mode=0777,size={bytes}"));
    let options = std::ffi::CString::new(options).expect("no zero byte in a number");
    let flags = rustix::mount::MountFlags::NOSUID | rustix::mount::MountFlags::NODEV;
    Ok(rustix::mount::mount("tmpfs", dir, "tmpfs", flags, Some(options.as_c_str()))?)
}

/// Files belong to `fsGroup`, and to the user when all containers run as the same.
fn owner(spec: &api::PodSpec) -> Owner {
    let context = spec.security_context.clone().unwrap_or_default();
    let id = |id: Option<i64>| id.and_then(|id| u32::try_from(id).ok());
    let shared = id(context.run_as_user);
    let own = |container: &api::Container| {
        container.security_context.as_ref().map_or(shared, |context| id(context.run_as_user).or(shared))
    };
    let mut users = spec.init_containers.iter().flatten().chain(&spec.containers).map(own);
    let first = users.next().flatten();
    Owner { uid: first.filter(|_| users.all(|user| user == first)), gid: id(context.fs_group) }
}

/// The API's name for a volume's kind.
fn kind_of(volume: &api::Volume) -> String {
    let object = serde_json::to_value(volume).unwrap_or_default();
    let names = object.as_object().into_iter().flat_map(|object| object.keys());
    names.into_iter().find(|name| *name != "name").cloned().unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::container::downward::Surroundings;
    use crate::sources::Gathered;

    fn claimed() -> Claimed {
        let spec = json!({ "spec": { "local": { "path": "/usr" } } });
        Claimed::of(&spec, true).expect("a local volume")
    }

    fn set_up(volumes: &mut Volumes, list: Value) -> Result<api::Pod, String> {
        let mount =
            json!([{ "name": "a", "mountPath": "/a/b" }, { "name": "a", "mountPath": "/a", "subPath": "x" }]);
        let pod =
            json!({ "spec": { "volumes": list, "containers": [{ "name": "c", "volumeMounts": mount }] } });
        let pod: api::Pod = serde_json::from_value(pod).expect("a pod");
        let (sources, around, tokens) = (Gathered::default(), Surroundings::default(), BTreeMap::new());
        let claims = BTreeMap::from([("known".to_owned(), claimed())]);
        let context =
            Context { pod: &pod, sources: &sources, around: &around, tokens: &tokens, claims: &claims };
        volumes.set_up(&context)?;
        Ok(pod)
    }

    #[test]
    fn a_memory_volume_comes_and_goes() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut volumes = Volumes::new(dir.path().join("volumes"));
        let list = json!([{ "name": "a", "emptyDir": { "medium": "Memory", "sizeLimit": "1Mi" } }]);
        let pod = set_up(&mut volumes, list.clone()).expect("mounted");
        let mounts = || fs::read_to_string("/proc/self/mounts").expect("readable");
        let path = dir.path().join("volumes/a").display().to_string();
        assert!(mounts().contains(&path));
        fs::write(dir.path().join("volumes/a/kept"), "x").expect("written");
        set_up(&mut volumes, list).expect("already there");
        assert!(dir.path().join("volumes/a/kept").exists(), "the second set-up leaves it alone");
        let container = &pod.spec.as_ref().expect("given").containers[0];
        let made = volumes.mounts(&pod, container, &Environment::default()).expect("mounts");
        let targets: Vec<_> = made.list.iter().map(|mount| mount.target.display().to_string()).collect();
        assert_eq!(targets, ["/a", "/a/b"], "outer mounts first");
        volumes.tear_down().expect("removed");
        assert!(!mounts().contains(&path) && !dir.path().join("volumes").exists());
    }

    #[test]
    fn tokens_never_reach_the_disk() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut volumes = Volumes::new(dir.path().join("volumes"));
        let item = json!({ "path": "name", "fieldRef": { "fieldPath": "metadata.name" } });
        let list =
            json!([{ "name": "a", "projected": { "sources": [{ "downwardAPI": { "items": [item] } }] } }]);
        set_up(&mut volumes, list.clone()).expect("made");
        let file = dir.path().join("volumes/a/name");
        let device = |path: &Path| fs::metadata(path).expect("there").dev();
        assert_ne!(device(&file), device(dir.path()));
        // Another process of the platform takes over what it finds.
        let mut next = Volumes::new(dir.path().join("volumes"));
        set_up(&mut next, list).expect("brought up to date");
        assert!(file.exists());
        let mounts = fs::read_to_string("/proc/self/mounts").expect("readable");
        let path = dir.path().join("volumes/a").display().to_string();
        assert_eq!(mounts.matches(&path).count(), 1, "mounted once");
        next.tear_down().expect("removed");
        assert!(!dir.path().join("volumes").exists());
    }

    #[test]
    fn other_kinds_are_refused_by_name() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut volumes = Volumes::new(dir.path().join("volumes"));
        let list = json!([{ "name": "data", "nfs": { "server": "s", "path": "/p" } }]);
        assert_eq!(
            set_up(&mut volumes, list).unwrap_err(),
            "MountVolume.SetUp failed for volume \"data\" : nfs volumes are not supported"
        );
    }

    #[test]
    fn a_claim_stays_known_and_its_volume_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut volumes = Volumes::new(dir.path().join("volumes"));
        let list = json!([{ "name": "known", "persistentVolumeClaim": { "claimName": "c" } }]);
        assert!(volumes.lacks("known"));
        set_up(&mut volumes, list).expect("set up");
        // Another process of the platform finds it.
        let mut next = Volumes::new(dir.path().join("volumes"));
        assert!(!next.lacks("known"));
        let volume: api::Volume =
            serde_json::from_value(json!({ "name": "known", "ephemeral": {} })).expect("a volume");
        assert_eq!(next.place(&volume), Ok((PathBuf::from("/usr"), true)));
        next.tear_down().expect("removed");
        assert!(Path::new("/usr").exists() && next.lacks("known"));
    }
}
