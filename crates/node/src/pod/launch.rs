//! Starting things for a pod: its sandbox, its volumes, one container. Each function does one thing to its end and says
//! how it went; `task` runs them beside itself.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use client::k8s_openapi::api::core::v1 as api;
use jiff::Timestamp;
use sandbox::{ContainerRecord, ContainerSpec, Mount, PodSpec};
use tokio_util::sync::CancellationToken;

use super::ground::{DOMAIN, Ground};
use super::image;
use crate::container::env::{self, Environment};
use crate::container::refuse::refusal;
use crate::container::resolv;
use crate::container::security::security;
use crate::container::service_env;
use crate::container::spec::{Parts, container_spec};
use crate::resources;
use crate::runtime::{Image, Sandbox};
use crate::sources;
use crate::volume::payload::Context;
use crate::volume::token::Tokens;
use crate::volume::{Mounts, Volumes};

/// Why a container did not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Not tried: something is missing or refused; shown as the waiting reason.
    Held { reason: &'static str, message: String },
    /// Tried: its process did not come to run.
    Start(String),
}

impl Failure {
    fn config(message: String) -> Failure {
        Failure::Held { reason: "CreateContainerConfigError", message }
    }
}

/// The pod's sandbox.
pub(crate) async fn start_sandbox(ground: &Ground, pod: &api::Pod) -> Result<Arc<dyn Sandbox>, String> {
    let spec = pod.spec.clone().unwrap_or_default();
    let metadata = &pod.metadata;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let hostname = resolv::hostname(pod, DOMAIN, &ground.node);
    let sysctls = spec.security_context.iter().flat_map(|context| context.sysctls.iter().flatten());
    let pod_spec = PodSpec {
        id: text(&metadata.uid),
        hostname,
        labels: [("namespace", &metadata.namespace), ("name", &metadata.name)]
            .map(|(key, value)| (key.to_owned(), text(value)))
            .into(),
        limits: spec.resources.as_ref().map(resources::limits).unwrap_or_default(),
        sysctls: sysctls.map(|sysctl| (sysctl.name.clone(), sysctl.value.clone())).collect(),
        resolv_conf: resolv::resolv_conf(pod, &ground.cluster_dns.to_string(), DOMAIN, &ground.resolver),
        hosts: resolv::host_aliases(pod),
        share_pid: spec.share_process_namespace == Some(true),
        host_network: spec.host_network == Some(true),
        host_pid: spec.host_pid == Some(true),
        host_ipc: spec.host_ipc == Some(true),
    };
    ground.runtime.start_pod(pod_spec).await.map_err(|error| error.to_string())
}

/// A pod's volumes and the tokens in them, handed to the function that works on them and back.
#[derive(Debug)]
pub(crate) struct Stock {
    pub(crate) volumes: Volumes,
    pub(crate) tokens: Tokens,
}

/// Makes the pod's volumes, or brings them up to date.
pub(crate) async fn set_up_volumes(
    ground: &Ground,
    pod: Arc<api::Pod>,
    mut stock: Stock,
) -> (Stock, Result<(), String>) {
    if let Err(error) = stock.tokens.renew(&ground.client, &pod, Timestamp::now()).await {
        return (stock, Err(error));
    }
    let names = pod.spec.as_ref().map(sources::volume_names).unwrap_or_default();
    let sources = gather(ground, &pod, &names).await;
    let claims = match ground.claims.resolve(&pod, |name| stock.volumes.lacks(name)).await {
        Ok(claims) => claims,
        Err(error) => return (stock, Err(error)),
    };
    let (tokens, around) = (stock.tokens.texts(), ground.surroundings(None));
    blocking(move || {
        let context =
            Context { pod: &pod, sources: &sources, around: &around, tokens: &tokens, claims: &claims };
        let result = stock.volumes.set_up(&context);
        (stock, result)
    })
    .await
}

/// Takes the pod's volumes away.
pub(crate) async fn tear_down_volumes(mut stock: Stock) -> (Stock, Result<(), String>) {
    blocking(move || {
        let result = stock.volumes.tear_down().map_err(|error| error.to_string());
        (stock, result)
    })
    .await
}

/// Files are touched beside the event loop: a disk that is busy must not hold up everything else.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        // A bug in the work is one of the task that asked for it.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

async fn gather(ground: &Ground, pod: &api::Pod, names: &BTreeSet<sources::Name>) -> sources::Gathered {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    ground.sources.gather(namespace, names).await
}

/// What one start of a container is made from.
pub(crate) struct Start {
    pub(crate) pod: Arc<api::Pod>,
    pub(crate) container: api::Container,
    pub(crate) attempt: u32,
    /// Why the last try to pull the image failed, if that was the last thing tried.
    pub(crate) failed_pull: Option<String>,
    /// The pod is to end: a pull that is under way is given up.
    pub(crate) ending: CancellationToken,
    pub(crate) sandbox: Arc<dyn Sandbox>,
    pub(crate) volumes_dir: PathBuf,
}

/// Starts a container; the answer names the image it runs.
pub(crate) async fn start_container(
    ground: &Arc<Ground>,
    start: Arc<Start>,
) -> Result<(ContainerRecord, Image), Failure> {
    if let Some(message) = refusal(&start.pod, &start.container) {
        return Err(Failure::config(message));
    }
    let image = image::find(ground, &start).await?;
    let environment = make_environment(ground, &start).await;
    let (shared, own, found) = (ground.clone(), start.clone(), image.clone());
    let (spec, held) = blocking(move || prepare(&shared, &own, &found, environment)).await?;
    let (pod, name) = (&start.pod, &start.container.name);
    ground.container_event(pod, name, false, "Created", "Container created");
    let started = start.sandbox.start_container(spec).await;
    drop(held);
    match started {
        Ok(record) => {
            ground.container_event(pod, name, false, "Started", "Container started");
            Ok((record, image))
        }
        Err(error @ sandbox::Error::Start(_)) => {
            let message = format!("failed to start container: {error}");
            ground.container_event(pod, name, true, "Failed", format!("Error: {message}"));
            Err(Failure::Start(message))
        }
        Err(error) => Err(Failure::Held { reason: "CreateContainerError", message: error.to_string() }),
    }
}

/// Everything on this machine that the start needs: files, mounts.
fn prepare(
    ground: &Ground,
    start: &Start,
    image: &Image,
    environment: Result<Environment, String>,
) -> Result<(ContainerSpec, Mounts), Failure> {
    let Start { pod, container, attempt, .. } = start;
    let environment = environment.map_err(Failure::config)?;
    let security = security(pod, container, &image.user).map_err(Failure::config)?;
    let volumes = Volumes::new(start.volumes_dir.clone());
    let mut mounts = volumes.mounts(pod, container, &environment).map_err(Failure::config)?;
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let message_path = ground.message_path(uid, &container.name, *attempt);
    add_message_mount(&mut mounts, container, &message_path)
        .map_err(|error| Failure::config(format!("failed to make the termination message file: {error}")))?;
    let log_path = ground.log_path(uid, &container.name, *attempt);
    forget_old_runs(&log_path, *attempt);
    let parts = Parts {
        pod,
        container,
        attempt: *attempt,
        image,
        environment,
        security,
        mounts: std::mem::take(&mut mounts.list),
        log_path,
        memory_bytes: ground.memory_bytes,
    };
    let spec = container_spec(parts).map_err(Failure::config)?;
    Ok((spec, mounts))
}

async fn make_environment(ground: &Ground, start: &Start) -> Result<Environment, String> {
    let Start { pod, container, .. } = start;
    let gathered = gather(ground, pod, &sources::names(pod)).await;
    let around = ground.surroundings(start.sandbox.address());
    let hostname = ("HOSTNAME".to_owned(), resolv::hostname(pod, DOMAIN, &ground.node));
    let services = std::iter::once(hostname).chain(service_variables(ground, pod)).collect();
    let input = env::Input { pod, container, services, sources: &gathered, around: &around };
    env::environment(&input)
}

/// The API server's service for every pod, and all services of the namespace where links are on.
fn service_variables(ground: &Ground, pod: &api::Pod) -> Vec<(String, String)> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let mut services: Vec<api::Service> =
        ground.services.get_as(&client::Key::new("default", "kubernetes")).into_iter().collect();
    if pod.spec.as_ref().and_then(|spec| spec.enable_service_links) != Some(false) {
        let list = ground.services.list_in(namespace);
        let own = list.iter().filter_map(|service| client::parse::<api::Service>(service).ok());
        services.extend(own.filter(|service| {
            namespace != "default" || service.metadata.name.as_deref() != Some("kubernetes")
        }));
    }
    service_env::variables(services.iter())
}

/// The file that the container may leave its last words in (`terminationMessagePath`).
fn add_message_mount(mounts: &mut Mounts, container: &api::Container, file: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let Some(target) = container.termination_message_path.as_deref().filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(file, "")?;
    // Whoever the container runs as may write there.
    fs::set_permissions(file, fs::Permissions::from_mode(0o666))?;
    mounts.list.push(Mount::bind(file, target, false));
    Ok(())
}

/// Of earlier runs only the last one's log is kept, for `--previous`.
fn forget_old_runs(log_path: &Path, attempt: u32) {
    let Some(dir) = log_path.parent() else { return };
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let run = name.split('.').next().and_then(|run| run.parse::<u32>().ok());
        if run.is_some_and(|run| run + 1 < attempt) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
