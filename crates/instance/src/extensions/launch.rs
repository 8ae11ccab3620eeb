//! Starting what runs in an instance with external extensions: each extension, then, when all have registered, the
//! runtime; and hearing when one of them ends.

use super::{Extensions, registry::EXTENSIONS_MAX};
use crate::fault::Fault;
use crate::instance::Instance;
use crate::sandboxes::{Program, Spec, StartError};
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// Where Lambda looks for external extensions.
const DIR: &str = "/opt/extensions";

/// What belongs to the runtime's process alone ("Lambda environment variables", Lambda developer guide).
const RUNTIME_ONLY: [&str; 7] = [
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_XRAY_CONTEXT_MISSING",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "_HANDLER",
];

/// How long the last output of an ended extension may take to be read.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// What to start in a sandbox that has no command of its own.
pub struct Launch {
    /// File names in `/opt/extensions`.
    extensions: Vec<String>,
    runtime: Program,
}

/// The external extensions that these layers bring, by file name and in their order.
pub fn find(layers: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(layers.join("extensions")) else { return Vec::new() };
    let files = entries.flatten().filter(|entry| !entry.path().is_dir());
    let mut names: Vec<String> = files.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

impl Launch {
    /// What to start in place of this, where there are external extensions.
    pub fn of(spec: &Spec, external: Vec<String>) -> Option<Launch> {
        let runtime = || Program { argv: spec.argv.clone(), env: spec.env.clone(), cwd: spec.cwd.clone() };
        (!external.is_empty()).then(|| Launch { extensions: external, runtime: runtime() })
    }

    /// Starts everything. What cannot be started ends the instance.
    pub(crate) async fn run(self, instance: Arc<Instance>) {
        let Launch { extensions, runtime } = self;
        instance.tell_init_start();
        for name in &extensions {
            if let Err(fault) = launch_extension(&instance, name, &runtime).await {
                return instance.lost(&fault);
            }
        }
        let mut registered = instance.extensions.registered.subscribe();
        if registered.wait_for(|all| *all).await.is_err() {
            return;
        }
        let program = runtime.argv.first().cloned().unwrap_or_default();
        match instance.sandbox().run(runtime).await {
            Ok(running) => {
                let attached = running.take_output().map(|output| instance.journal().attach(output));
                if let Some(Err(error)) = attached {
                    tracing::warn!(%error, program, "the output of a runtime cannot be read");
                }
                instance.extensions.runtime.send_replace(Some(running));
                instance.journal().follow().await;
            }
            Err(StartError::Entrypoint(reason)) => instance.lost(&Fault::Entrypoint(reason)),
            Err(StartError::WorkingDirectory(reason)) => instance.lost(&Fault::WorkingDirectory(reason)),
            Err(StartError::Machine(reason)) => instance.cannot_start(reason),
        }
    }
}

async fn launch_extension(instance: &Arc<Instance>, name: &str, runtime: &Program) -> Result<(), Fault> {
    let extensions = &instance.extensions;
    let fault = |error_type: &str, sentence: String| {
        extensions.lock().launch_failed(name, error_type);
        Fault::Extension { kind: "Extension.LaunchError", sentence }
    };
    if !extensions.lock().expect(name) {
        let sentence = format!("Extension limit ({EXTENSIONS_MAX}) reached");
        return Err(fault("TooManyExtensions", sentence));
    }
    let env = runtime.env.iter().filter(|(name, _)| !RUNTIME_ONLY.contains(&name.as_str()));
    let path = format!("{DIR}/{name}");
    let program = Program { argv: vec![path], env: env.cloned().collect(), cwd: "/".to_owned() };
    let running = match instance.sandbox().run(program).await {
        Ok(running) => running,
        Err(StartError::Entrypoint(reason) | StartError::WorkingDirectory(reason)) => {
            let kind =
                if reason.ends_with("permission denied") { "PermissionDenied" } else { "UnknownError" };
            return Err(fault(kind, reason));
        }
        Err(StartError::Machine(reason)) => return Err(fault("UnknownError", reason)),
    };
    let mut programs = extensions.programs.lock().unwrap_or_else(PoisonError::into_inner);
    programs.push((name.to_owned(), running.clone()));
    drop(programs);
    let (instance, name) = (instance.clone(), name.to_owned());
    tokio::spawn(async move {
        let reading = running.take_output().map(|output| {
            let instance = instance.clone();
            tokio::spawn(async move { instance.journal().follow_extension(output).await })
        });
        let exit = running.wait().await;
        if let Some(reading) = reading {
            // What it printed last comes before the lines about its end.
            drop(tokio::time::timeout(LAST_OUTPUT, reading).await);
        }
        instance.extension_exited(&name, exit);
    });
    Ok(())
}

impl Extensions {
    /// An extension's process has ended.
    pub(crate) fn exited(&self, name: &str) {
        self.lock().exited(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_the_files_of_their_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(find(dir.path()), [] as [&str; 0]);
        std::fs::create_dir_all(dir.path().join("extensions/lib")).expect("directories");
        for name in ["two", "one"] {
            std::fs::write(dir.path().join("extensions").join(name), "").expect("a file");
        }
        assert_eq!(find(dir.path()), ["one", "two"]);
    }
}
