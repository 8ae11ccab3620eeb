//! The environment variables of an instance, as Lambda sets them, and `AWS_ENDPOINT_URL`, by which SDKs find the door
//! inside. Pure, but for the credentials, which are made here.

use crate::LogFormat;
use crate::definition::Definition;
use crate::door::DOOR_PORT;
use crate::machine::Machine;
use crate::runtimes::Program;
use std::collections::BTreeMap;
use std::path::Path;

/// Where the Runtime API listens inside an instance, as on Lambda.
pub(crate) const API_PORT: u16 = 9001;

/// Variables that a user may not set, because the platform does.
pub const RESERVED: &[&str] = &[
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_FORMAT",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_LEVEL",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "_HANDLER",
];

pub(crate) fn environment(
    machine: &Machine,
    definition: &Definition,
    program: &Program,
    id: &str,
    stream: &str,
) -> Vec<(String, String)> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    let mut set = |name: &str, value: &str| {
        all.insert(name.to_owned(), value.to_owned());
    };
    // These a user may change.
    set("LANG", "C.UTF-8");
    set("LD_LIBRARY_PATH", "/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib");
    set("PATH", &path(program));
    set("TZ", ":UTC");
    set("AWS_ENDPOINT_URL", &format!("http://127.0.0.1:{DOOR_PORT}"));
    // No X-Ray daemon listens here: its SDK must not throw where it finds no segment.
    set("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR");
    if let Some((name, value)) = module_path(&definition.revision.runtime) {
        set(name, &value);
    }
    for (name, value) in &definition.revision.environment {
        set(name, value);
    }
    let credentials = machine.aws.credentials(machine, definition, id);
    set("AWS_ACCESS_KEY_ID", &credentials.access_key_id);
    set("AWS_SECRET_ACCESS_KEY", &credentials.secret_access_key);
    set("AWS_SESSION_TOKEN", credentials.session_token.as_deref().unwrap_or_default());
    set("AWS_DEFAULT_REGION", &machine.region);
    if let Some(value) = &program.execution_env {
        set("AWS_EXECUTION_ENV", value);
    }
    set("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &definition.revision.memory_mb.to_string());
    set("AWS_LAMBDA_FUNCTION_NAME", &definition.name);
    set("AWS_LAMBDA_FUNCTION_VERSION", &definition.version);
    set("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand");
    let logging = &definition.revision.logging;
    set("AWS_LAMBDA_LOG_GROUP_NAME", &logging.group(&definition.name));
    set("AWS_LAMBDA_LOG_STREAM_NAME", stream);
    if logging.format == LogFormat::Json {
        set("AWS_LAMBDA_LOG_FORMAT", "JSON");
        set("AWS_LAMBDA_LOG_LEVEL", logging.application_log_level.as_str());
    } else {
        set("AWS_LAMBDA_LOG_FORMAT", "Text");
    }
    set("AWS_LAMBDA_RUNTIME_API", &format!("127.0.0.1:{API_PORT}"));
    set("AWS_REGION", &machine.region);
    set("LAMBDA_RUNTIME_DIR", "/var/runtime");
    set("LAMBDA_TASK_ROOT", "/var/task");
    set("_HANDLER", &definition.revision.handler);
    all.into_iter().collect()
}

/// The runtime's own interpreter first, as on Lambda, for programs that a function starts by its name.
fn path(program: &Program) -> String {
    const STANDARD: &str = "/usr/local/bin:/usr/bin:/bin:/opt/bin";
    let interpreter = program.argv.first().filter(|_| program.execution_env.is_some()).map(Path::new);
    match interpreter
        .and_then(Path::parent)
        .filter(|dir| !STANDARD.split(':').any(|known| *dir == Path::new(known)))
    {
        Some(dir) => format!("{}:{STANDARD}", dir.display()),
        None => STANDARD.to_owned(),
    }
}

/// Where an interpreter finds modules beside the function's own: those of layers and of the runtime.
fn module_path(runtime: &str) -> Option<(&'static str, String)> {
    if let Some(version) = runtime.strip_prefix("nodejs") {
        let version = version.trim_end_matches(".x");
        let layers = format!("/opt/nodejs/node{version}/node_modules:/opt/nodejs/node_modules");
        return Some(("NODE_PATH", format!("{layers}:/var/runtime/node_modules:/var/runtime:/var/task")));
    }
    runtime.starts_with("python").then(|| ("PYTHONPATH", "/var/runtime".to_owned()))
}
