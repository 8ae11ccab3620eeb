//! The environment variables of an instance, as Lambda sets them, and `AWS_ENDPOINT_URL`, by which SDKs find the door
//! inside. Pure, but for the credentials, which are made here.

use crate::definition::Definition;
use crate::machine::Machine;
use crate::runtimes::Program;
use instance::{API_PORT, DOOR_PORT, Format};
use std::collections::BTreeMap;
use std::path::Path;

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
    set("PATH", &path(program));
    set("TZ", ":UTC");
    set("AWS_ENDPOINT_URL", &format!("http://127.0.0.1:{DOOR_PORT}"));
    // No X-Ray daemon listens here: its SDK must not throw where it finds no segment.
    set("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR");
    for (name, value) in module_paths(&definition.revision.runtime, program.image.is_some()) {
        set(name, &value);
    }
    set("LAMBDA_RUNTIME_DIR", "/var/runtime");
    set("LAMBDA_TASK_ROOT", "/var/task");
    match &program.image {
        // What an image says of itself is right for it.
        Some(image) => image.environment.iter().for_each(|(name, value)| set(name, value)),
        None => set("LD_LIBRARY_PATH", "/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"),
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
    if logging.format == Format::Json {
        set("AWS_LAMBDA_LOG_FORMAT", "JSON");
        set("AWS_LAMBDA_LOG_LEVEL", logging.application_log_level.as_str());
    } else {
        set("AWS_LAMBDA_LOG_FORMAT", "Text");
    }
    set("AWS_LAMBDA_RUNTIME_API", &format!("127.0.0.1:{API_PORT}"));
    set("AWS_REGION", &machine.region);
    set("_HANDLER", program.handler.as_ref().unwrap_or(&definition.revision.handler));
    all.into_iter().collect()
}

/// Has Python look in this directory of the sandbox before all others.
pub(crate) fn look_first(env: &mut [(String, String)], dir: &str) {
    for (name, value) in env {
        match name.as_str() {
            "LD_LIBRARY_PATH" => value.insert_str(0, &format!("{dir}/lib:")),
            "PYTHONPATH" => value.insert_str(0, &format!("{dir}:")),
            _ => {}
        }
    }
}

/// The runtime's own interpreter first, as on Lambda, for programs that a function starts by its name.
fn path(program: &Program) -> String {
    const STANDARD: &str = "/usr/local/bin:/usr/bin:/bin:/opt/bin";
    let on_host = program.execution_env.is_some() && program.image.is_none();
    let interpreter = program.argv.first().filter(|_| on_host).map(Path::new);
    match interpreter
        .and_then(Path::parent)
        .filter(|dir| !STANDARD.split(':').any(|known| *dir == Path::new(known)))
    {
        Some(dir) => format!("{}:{STANDARD}", dir.display()),
        None => STANDARD.to_owned(),
    }
}

/// Where an interpreter finds modules beside the function's own: those of layers and of the runtime. The host's own
/// bootstrap knows where the layers of Python are; in an image something else starts the handler.
fn module_paths(runtime: &str, in_image: bool) -> Vec<(&'static str, String)> {
    if let Some(version) = runtime.strip_prefix("nodejs") {
        let version = version.trim_end_matches(".x");
        let layers = format!("/opt/nodejs/node{version}/node_modules:/opt/nodejs/node_modules");
        return vec![("NODE_PATH", format!("{layers}:/var/runtime/node_modules:/var/runtime:/var/task"))];
    }
    if let Some(version) = runtime.strip_prefix("python") {
        let layers = format!("/opt/python/lib/python{version}/site-packages:/opt/python:");
        return vec![("PYTHONPATH", format!("{}/var/runtime", if in_image { &layers } else { "" }))];
    }
    if let Some(version) = runtime.strip_prefix("ruby") {
        let gems = format!("/var/task/vendor/bundle/ruby/{version}.0:/opt/ruby/gems/{version}.0");
        return vec![("GEM_PATH", gems), ("RUBYLIB", "/var/task:/opt/ruby/lib".to_owned())];
    }
    Vec::new()
}
