//! What an instance of a function is made of: which program in which sandbox, with what around it. A booted sandbox that
//! is assigned, or a fresh one.

use super::Pool;
use crate::code::merged_name;
use crate::definition::Definition;
use crate::environment::{environment, look_first};
use crate::machine::Machine;
use crate::preboot::{Kind, is_read_at_start};
use crate::program::command::{argv, settings};
use crate::runtimes::Program;
use instance::web::Web;
use instance::{
    API_PORT, Beginning, Born, DOOR_PORT, Fault, Identity, InitFailure, Instance, Launch, Owner, Sandbox,
    Spec, StartError, Stopwatch, find_extensions,
};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Instant;

const MIB: u64 = 1024 * 1024;

impl Pool {
    /// Starts an instance of this pool's function.
    pub(super) async fn bear(
        self: &Arc<Self>,
        kept: bool,
        phase: &'static str,
        mut watch: Stopwatch,
    ) -> Result<Born, InitFailure> {
        let born = Instant::now();
        let (machine, definition) = (&self.machine, &self.definition);
        let id = uuid::Uuid::new_v4().simple().to_string();
        let logging = definition.revision.logging.clone();
        let stream = logging.stream(&definition.name, &definition.version, &id, Timestamp::now());
        let Plan { mut spec, kind, web, external } = plan(machine, definition, &id, &stream).await?;
        if kept {
            let how = spec.env.iter_mut().find(|(name, _)| name == "AWS_LAMBDA_INITIALIZATION_TYPE");
            how.into_iter().for_each(|(_, value)| "provisioned-concurrency".clone_into(value));
        }
        let launch = Launch::of(&spec, external);
        watch.mark("prepare");
        let sandbox = sandbox(machine, spec, kind, &mut watch).await?;
        let beginning = Beginning {
            id,
            identity: Identity {
                function: definition.name.clone(),
                version: definition.version.clone(),
                handler: definition.revision.handler.clone(),
                account_id: machine.account_id.clone(),
            },
            memory_mb: definition.revision.memory_mb,
            timeout: definition.revision.timeout,
            log: machine.logs.of(&definition.namespace, &logging.group(&definition.name)),
            logging,
            stream,
            sandbox,
            launch,
            web,
            kept,
            phase,
            born,
            watch,
        };
        let owner: Weak<dyn Owner> = Arc::<Pool>::downgrade(self);
        let started = Instance::start(beginning, owner, machine.terms());
        started.map_err(|error| InitFailure::Machine(error.to_string()))
    }
}

/// A booted one that is assigned now, or a fresh one.
async fn sandbox(
    machine: &Arc<Machine>,
    spec: Spec,
    kind: Option<Kind>,
    watch: &mut Stopwatch,
) -> Result<Arc<dyn Sandbox>, InitFailure> {
    if let Some(kind) = kind
        && let Some(sandbox) = machine.stock.assign(machine, kind, &spec).await
    {
        watch.mark("assign a booted one");
        return Ok(sandbox);
    }
    let sandbox = machine.host.start(spec).await.map_err(|error| match error {
        StartError::Entrypoint(reason) => InitFailure::Fault(Fault::Entrypoint(reason)),
        StartError::WorkingDirectory(reason) => InitFailure::Fault(Fault::WorkingDirectory(reason)),
        StartError::Machine(reason) => InitFailure::Machine(reason),
    })?;
    watch.mark_parts(sandbox.stages(), "hand over");
    Ok(sandbox)
}

/// What to start for a function.
struct Plan {
    spec: Spec,
    /// The kind of booted runtime that could serve instead.
    kind: Option<Kind>,
    /// Speaks for it, should it be a web server.
    web: Option<Web>,
    /// Its external extensions.
    external: Vec<String>,
}

/// The external extensions: those of layers, else those that the image brings.
fn external(program: &Program, layers: Option<&Path>) -> Vec<String> {
    if let Some(layers) = layers {
        return find_extensions(layers);
    }
    let image = program.image.iter().flat_map(|image| &image.layers);
    let all: BTreeSet<String> = image.flat_map(|layer| find_extensions(&layer.join("opt"))).collect();
    all.into_iter().collect()
}

/// A missing `bootstrap` is found here, before anything is started, and so is what the web adapter cannot do.
async fn plan(
    machine: &Arc<Machine>,
    definition: &Definition,
    id: &str,
    stream: &str,
) -> Result<Plan, InitFailure> {
    let revision = &definition.revision;
    let program = machine.program(revision).await.map_err(|error| InitFailure::Machine(error.to_string()))?;
    let task = match &revision.image {
        Some(_) => None,
        None => Some(machine.codes.task(&revision.code_sha256).ok_or_else(|| {
            InitFailure::Machine(format!(
                "the code of {} is not in the code store: upload it again",
                definition.name
            ))
        })?),
    };
    let layers = layers(machine, &revision.layers).await?;
    let external = external(&program, layers.as_deref());
    let entry = |reason: String| InitFailure::Fault(Fault::Entrypoint(reason));
    let web = settings(revision, &program, layers.as_deref()).map_err(entry)?;
    let argv = argv(revision, &program, task.as_deref(), layers.as_deref(), web.is_some()).map_err(entry)?;
    let mut env = environment(machine, definition, &program, id, stream);
    let own_start = argv != program.argv || revision.environment.keys().any(|name| is_read_at_start(name));
    let web = web.map(|settings| Web::new(settings, &env));
    // Its bootstrap takes it away again, before anything of the function runs.
    if let Some(ahead) = program.ahead.as_ref().filter(|_| !own_start && external.is_empty()) {
        look_first(&mut env, ahead);
    }
    let spec = Spec {
        id: id.to_owned(),
        argv,
        env,
        unassigned: false,
        // A server of its own waits to be called; of what runs beside extensions the first process is not the runtime.
        connected: web.is_none() && external.is_empty(),
        held: !external.is_empty(),
        cwd: program.cwd.clone(),
        image: program.image.as_ref().map(|image| image.layers.clone()),
        task,
        runtime: machine.runtimes.dir().to_owned(),
        layers,
        prefixes: program.prefixes.clone(),
        memory_bytes: u64::from(revision.memory_mb) * MIB,
        tmp_bytes: u64::from(revision.ephemeral_storage_mb) * MIB,
        api_port: API_PORT,
        door_port: DOOR_PORT,
        egress: machine.egress,
    };
    // External extensions start before the runtime, so a booted one comes too early.
    let kind = if own_start || spec.held { None } else { Kind::of(&program, &spec) };
    Ok(Plan { spec, kind, web, external })
}

/// The tree of these layers. It was made when the function got them; a store that was swept or moved since gets it
/// again.
async fn layers(machine: &Arc<Machine>, layers: &[String]) -> Result<Option<PathBuf>, InitFailure> {
    let Some(name) = merged_name(layers) else { return Ok(None) };
    if let Some(tree) = machine.codes.task(&name) {
        return Ok(Some(tree));
    }
    let (shared, layers) = (machine.clone(), layers.to_vec());
    let merged = tokio::task::spawn_blocking(move || shared.codes.merge(&layers)).await;
    let merged = merged.map_err(|error| InitFailure::Machine(error.to_string()))?;
    merged.map_err(|error| InitFailure::Machine(format!("the layers cannot be put together: {error}")))?;
    Ok(machine.codes.task(&name))
}
