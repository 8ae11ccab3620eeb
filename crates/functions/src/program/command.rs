//! Which program an instance runs: the function's own, an interpreter, or what a web function names as its server.

use crate::definition::Revision;
use crate::runtimes::Program;
use instance::web::{self, Settings, WRAPPER};
use std::path::Path;

/// The script that managed runtimes are started through.
const EXEC_WRAPPER: &str = "AWS_LAMBDA_EXEC_WRAPPER";

/// How to speak for the function, should it be a web server. One that brings AWS's adapter in a layer needs nobody.
pub(crate) fn settings(
    revision: &Revision,
    program: &Program,
    layers: Option<&Path>,
) -> Result<Option<Settings>, String> {
    match (&program.image, &revision.image) {
        (Some(image), Some(_)) => web::of_image(&image.layers, &image.environment, &revision.environment),
        _ => web::of_archive(layers, &revision.environment, program.execution_env.is_none()),
    }
}

/// The command line. An image as a function, which has no `task`, says itself what it runs.
pub(crate) fn argv(
    revision: &Revision,
    program: &Program,
    task: Option<&Path>,
    layers: Option<&Path>,
    web: bool,
) -> Result<Vec<String>, String> {
    let Some(task) = task else {
        return match program.argv.is_empty() {
            true => Err("the image has neither an entry point nor a command".to_owned()),
            false => Ok(program.argv.clone()),
        };
    };
    let in_layers = layers.is_some_and(|layers| layers.join("bootstrap").is_file());
    let named = || vec![format!("/var/task/{}", revision.handler)];
    if program.execution_env.is_some() {
        return Ok(match revision.environment.get(EXEC_WRAPPER) {
            // The adapter's own script does nothing but run the handler in place of the runtime.
            Some(wrapper) if web && wrapper == WRAPPER && !in_layers => named(),
            Some(wrapper) if !wrapper.is_empty() => {
                [wrapper.clone()].into_iter().chain(program.argv.iter().cloned()).collect()
            }
            _ => program.argv.clone(),
        });
    }
    if task.join("bootstrap").is_file() {
        return Ok(program.argv.clone());
    }
    if in_layers {
        return Ok(vec!["/opt/bootstrap".to_owned()]);
    }
    if web && task.join(&revision.handler).is_file() {
        return Ok(named());
    }
    Err("Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]".to_owned())
}
