//! What runs in an instance of a function: the image that the function is, the image that its runtime was given, or the
//! interpreter of the host.

pub(crate) mod command;

use crate::definition::{ImageConfig, Revision};
use crate::images::{ImageError, ImageRoot};
use crate::machine::Machine;
use crate::runtimes::{Program, RuntimeError, RuntimeVersion};
use std::sync::Arc;

/// Why there is nothing to run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoProgram {
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("looking for the program failed")]
    Lost,
}

impl Machine {
    /// The program of a function's instances. Looks on the disk the first time.
    pub(crate) async fn program(self: &Arc<Self>, revision: &Revision) -> Result<Arc<Program>, NoProgram> {
        if let Some(image) = &revision.image {
            let root = self.image(&image.digest).await?;
            return Ok(Arc::new(of_function(root, &image.config)));
        }
        let runtime = &revision.runtime;
        let image = match &revision.pinned {
            Some(pinned) => pinned.image.clone(),
            None => self.runtime_images.digest(runtime),
        };
        let (version, program) = match image {
            Some(digest) => {
                let program = of_runtime(self.image(&digest).await?, runtime, &revision.handler);
                (RuntimeVersion::of_image(runtime, digest), Arc::new(program))
            }
            None => {
                let program = self.on_host(runtime).await?;
                (RuntimeVersion::of_host(runtime, &program.interpreter), program)
            }
        };
        match &revision.pinned {
            Some(pinned) if *pinned != version => {
                Err(RuntimeError::Gone { runtime: runtime.clone(), id: pinned.id.clone() }.into())
            }
            _ => Ok(program),
        }
    }

    /// The one version that functions of this runtime run on, unless they are told to stay on another.
    pub(crate) async fn runtime_version(
        self: &Arc<Self>,
        runtime: &str,
    ) -> Result<RuntimeVersion, RuntimeError> {
        if let Some(digest) = self.runtime_images.digest(runtime) {
            return Ok(RuntimeVersion::of_image(runtime, digest));
        }
        Ok(RuntimeVersion::of_host(runtime, &self.on_host(runtime).await?.interpreter))
    }

    /// How the host itself runs it, looking for the interpreter the first time.
    async fn on_host(self: &Arc<Self>, runtime: &str) -> Result<Arc<Program>, RuntimeError> {
        if let Some(program) = self.runtimes.known(runtime) {
            return Ok(program);
        }
        let (machine, name) = (self.clone(), runtime.to_owned());
        let found = tokio::task::spawn_blocking(move || machine.runtimes.find(&name)).await;
        found.unwrap_or_else(|_| Err(RuntimeError::Unknown(runtime.to_owned())))
    }

    async fn image(self: &Arc<Self>, digest: &str) -> Result<Arc<ImageRoot>, NoProgram> {
        if let Some(root) = self.images.known(digest) {
            return Ok(root);
        }
        let (machine, digest) = (self.clone(), digest.to_owned());
        let read = tokio::task::spawn_blocking(move || machine.images.of(&digest)).await;
        Ok(read.map_err(|_| NoProgram::Lost)??)
    }
}

/// The image's own program, with what the function's configuration puts in its place. As with Docker, an entry point
/// of the function's own leaves nothing of the image's command.
fn of_function(root: Arc<ImageRoot>, config: &ImageConfig) -> Program {
    let own_entry = !config.entry_point.is_empty();
    let entry = if own_entry { &config.entry_point } else { &root.entrypoint };
    let command = match (config.command.is_empty(), own_entry) {
        (false, _) => &config.command[..],
        (true, true) => &[],
        (true, false) => &root.command,
    };
    let argv: Vec<String> = entry.iter().chain(command).cloned().collect();
    let cwd = match config.working_directory.as_str() {
        "" => root.working_directory.clone(),
        own => own.to_owned(),
    };
    // As Lambda's runtime interface emulator has it: what comes last is the handler.
    let handler = if argv.len() > 1 { argv.last().cloned().unwrap_or_default() } else { String::new() };
    let execution_env = Some("AWS_Lambda_Image".to_owned());
    Program { argv, cwd, handler: Some(handler), execution_env, ..Program::in_image(root) }
}

/// An image made for a runtime starts with the handler as its argument, as the base images of AWS do; one without an
/// entry point starts its command and reads `_HANDLER`. Programs of `provided` runtimes are the function's own.
fn of_runtime(root: Arc<ImageRoot>, runtime: &str, handler: &str) -> Program {
    let cwd = "/var/task".to_owned();
    if runtime.starts_with("provided") {
        return Program { argv: vec!["/var/task/bootstrap".to_owned()], cwd, ..Program::in_image(root) };
    }
    let argv = match root.entrypoint.as_slice() {
        [] => root.command.clone(),
        entry => entry.iter().cloned().chain([handler.to_owned()]).collect(),
    };
    Program { argv, cwd, execution_env: Some(format!("AWS_Lambda_{runtime}")), ..Program::in_image(root) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(entrypoint: &[&str], command: &[&str]) -> Arc<ImageRoot> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Arc::new(ImageRoot {
            layers: Vec::new(),
            entrypoint: words(entrypoint),
            command: words(command),
            environment: Vec::new(),
            working_directory: "/srv".to_owned(),
        })
    }

    #[test]
    fn a_function_may_put_its_own_in_place_of_the_images() {
        let image = root(&["/ric"], &["app.handler"]);
        let check = |config: ImageConfig, argv: &[&str], cwd: &str, handler: &str| {
            let program = of_function(image.clone(), &config);
            assert_eq!(program.argv, argv);
            assert_eq!((program.cwd.as_str(), program.handler.as_deref()), (cwd, Some(handler)));
        };
        check(ImageConfig::default(), &["/ric", "app.handler"], "/srv", "app.handler");
        let command = ImageConfig { command: vec!["other.handler".into()], ..ImageConfig::default() };
        check(command, &["/ric", "other.handler"], "/srv", "other.handler");
        let entry = ImageConfig {
            entry_point: vec!["/main".into()],
            working_directory: "/work".into(),
            ..ImageConfig::default()
        };
        check(entry, &["/main"], "/work", "");
    }

    #[test]
    fn a_runtimes_image_gets_the_handler() {
        let argv = |image: &Arc<ImageRoot>, runtime| of_runtime(image.clone(), runtime, "app.main").argv;
        let image = root(&["/lambda-entrypoint.sh"], &["ignored"]);
        assert_eq!(argv(&image, "ruby3.4"), ["/lambda-entrypoint.sh", "app.main"]);
        assert_eq!(argv(&image, "provided.al2023"), ["/var/task/bootstrap"]);
        assert_eq!(argv(&root(&[], &["/run"]), "ruby3.4"), ["/run"]);
    }
}
