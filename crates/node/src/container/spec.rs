//! One container as the sandbox is asked to start it. Pure.

use std::path::PathBuf;

use client::k8s_openapi::api::core::v1 as api;
use sandbox::{ContainerSpec, Mount, Root};

use super::env::Environment;
use super::expand::expand;
use super::security::Security;
use crate::resources;
use crate::runtime::Image;

/// What a container's start is put together from.
pub(crate) struct Parts<'a> {
    pub(crate) pod: &'a api::Pod,
    pub(crate) container: &'a api::Container,
    pub(crate) attempt: u32,
    pub(crate) image: &'a Image,
    pub(crate) environment: Environment,
    pub(crate) security: Security,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) log_path: PathBuf,
    /// The machine's memory, for the kernel's preference when it runs out.
    pub(crate) memory_bytes: i64,
}

/// The sandbox's description of the container.
pub(crate) fn container_spec(parts: Parts<'_>) -> Result<ContainerSpec, String> {
    let Parts { pod, container, attempt, image, environment, security, mounts, log_path, memory_bytes } =
        parts;
    let argv = argv(container, image, &environment)?;
    let resources = container.resources.clone().unwrap_or_default();
    Ok(ContainerSpec {
        name: container.name.clone(),
        attempt,
        root: Root::Image(container.image.clone().unwrap_or_default()),
        argv,
        env: environment.into_inner(),
        cwd: container.working_dir.clone().filter(|dir| !dir.is_empty()),
        user: security.user,
        mounts,
        limits: resources::limits(&resources),
        capabilities: security.capabilities,
        privileged: security.privileged,
        no_new_privileges: security.no_new_privileges,
        seccomp: security.seccomp,
        read_only_root: security.read_only_root,
        unmasked_proc: security.unmasked_proc,
        tty: container.tty == Some(true),
        stdin: container.stdin == Some(true),
        stdin_once: container.stdin_once == Some(true),
        log_path,
        stop_signal: stop_signal(container)?,
        rlimits: Vec::new(),
        oom_score_adj: Some(oom_score(pod, &resources, memory_bytes)),
    })
}

/// `command` replaces the image's entry point and its arguments; `args` only the arguments.
fn argv(container: &api::Container, image: &Image, environment: &Environment) -> Result<Vec<String>, String> {
    let expanded = |list: &Option<Vec<String>>| -> Vec<String> {
        list.iter().flatten().map(|text| expand(text, |name| environment.get(name))).collect()
    };
    let (command, args) = (expanded(&container.command), expanded(&container.args));
    let argv = match (command.is_empty(), args.is_empty()) {
        (false, _) => [command, args].concat(),
        (true, false) => [image.entrypoint.clone(), args].concat(),
        (true, true) => [image.entrypoint.clone(), image.command.clone()].concat(),
    };
    if argv.is_empty() { Err("no command specified".to_owned()) } else { Ok(argv) }
}

/// How ready the kernel is to kill it when memory runs out: guaranteed pods last, best-effort first, the others by
/// their share of the machine. Figures of upstream's `qos/policy.go`.
fn oom_score(pod: &api::Pod, resources: &api::ResourceRequirements, memory_bytes: i64) -> i32 {
    let spec = pod.spec.clone().unwrap_or_default();
    if spec.priority.unwrap_or(0) >= 2_000_000_000 {
        return -997;
    }
    match resources::qos_class(&spec) {
        "Guaranteed" => -997,
        "BestEffort" => 1000,
        _ => {
            let request = resources.requests.as_ref().and_then(|list| list.get("memory"));
            let request = request.map_or(0, resources::value);
            let share = request.saturating_mul(1000) / memory_bytes.max(1);
            i32::try_from((1000 - share).clamp(3, 999)).unwrap_or(999)
        }
    }
}

/// `lifecycle.stopSignal` as a number.
fn stop_signal(container: &api::Container) -> Result<Option<i32>, String> {
    let name = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.stop_signal.as_deref());
    name.map(|name| signal(name).ok_or(format!("the stop signal {name} is not supported"))).transpose()
}

/// Numbers of the signals on x86-64 and arm64.
fn signal(name: &str) -> Option<i32> {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
        "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    let name = name.strip_prefix("SIG")?;
    let index = NAMES.iter().position(|known| *known == name)?;
    i32::try_from(index + 1).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn made(container: Value) -> Result<Vec<String>, String> {
        let container = serde_json::from_value(container).expect("a container");
        let image =
            Image { entrypoint: vec!["/init".into()], command: vec!["run".into()], ..Image::default() };
        argv(&container, &image, &Environment::default())
    }

    #[test]
    fn command_and_args_over_the_image() {
        assert_eq!(made(json!({ "name": "c" })).expect("made"), ["/init", "run"]);
        assert_eq!(made(json!({ "name": "c", "args": ["x"] })).expect("made"), ["/init", "x"]);
        assert_eq!(made(json!({ "name": "c", "command": ["y"] })).expect("made"), ["y"]);
        assert_eq!(made(json!({ "name": "c", "command": ["y"], "args": ["x"] })).expect("made"), ["y", "x"]);
    }

    #[test]
    fn signals() {
        assert_eq!((signal("SIGTERM"), signal("SIGUSR1"), signal("SIGNOPE")), (Some(15), Some(10), None));
    }
}
