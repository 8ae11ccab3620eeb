//! What may run here: `provided.*` anywhere, Node and Python where the host has the interpreter that the runtime's name
//! promises, and everything in the image that the runtime was given. Owns `runtimes/` below the room's directory, where it writes its bootstraps; called when a function is
//! created and when an instance starts.

mod ahead;
mod images;
mod probe;
mod version;

pub use images::RuntimeImage;
pub(crate) use images::RuntimeImages;
pub use version::RuntimeVersion;

use crate::images::ImageRoot;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, io};

/// The runtime names of AWS that this platform knows, in the order in which errors list them.
pub const RUNTIMES: &[&str] = &[
    "provided.al2023",
    "provided.al2",
    "nodejs20.x",
    "nodejs22.x",
    "nodejs24.x",
    "python3.11",
    "python3.12",
    "python3.13",
    "python3.14",
    "java8.al2",
    "java11",
    "java17",
    "java21",
    "java25",
    "dotnet8",
    "dotnet10",
    "ruby3.2",
    "ruby3.3",
    "ruby3.4",
];

const NODE_BOOTSTRAP: &str = include_str!("runtimes/bootstrap.cjs");
const PYTHON_BOOTSTRAP: &str = include_str!("runtimes/bootstrap.py");
const PYTHON_SELDOM: &str = include_str!("runtimes/seldom.py");
const NODE_WAITING: &str = include_str!("runtimes/waiting.cjs");
const PYTHON_WAITING: &str = include_str!("runtimes/waiting.py");

/// What `/var/runtime` holds.
const FILES: [(&str, &str); 5] = [
    ("bootstrap.cjs", NODE_BOOTSTRAP),
    ("bootstrap.py", PYTHON_BOOTSTRAP),
    ("seldom.py", PYTHON_SELDOM),
    ("waiting.cjs", NODE_WAITING),
    ("waiting.py", PYTHON_WAITING),
];

/// Why a runtime cannot be used on this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// Not one of [`RUNTIMES`].
    #[error("Runtime {0} is not supported by dory. Supported: {list}", list = RUNTIMES.join(", "))]
    Unknown(String),
    /// The host lacks the interpreter.
    #[error(
        "Runtime {runtime} needs {needs}, and this machine has {found}. Install it, or give the runtime an image that \
         has it: `dory runtime add {runtime} IMAGE`"
    )]
    Missing {
        /// Such as `python3.14`.
        runtime: String,
        /// Such as `Python 3.14`.
        needs: String,
        /// What was found instead.
        found: String,
    },
    /// It only runs in an image, and has none.
    #[error(
        "Runtime {0} runs in an image here, and has none. Give it one that holds the interpreter and its runtime \
         interface client: `dory runtime add {0} IMAGE`"
    )]
    NoImage(String),
    /// A function stays on a version of it that is not here any more.
    #[error(
        "Runtime {runtime} has no version {id} on this machine any more: its interpreter has changed. Let the function run \
         on the one that there is with PutRuntimeManagementConfig"
    )]
    Gone {
        /// Such as `python3.14`.
        runtime: String,
        /// What was asked for.
        id: String,
    },
}

/// How to run functions of one runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    /// The command inside the sandbox.
    pub(crate) argv: Vec<String>,
    /// The command that boots it before it has a function; `None` when the program is the function's own.
    pub(crate) waiting: Option<Vec<String>>,
    /// The version of the host's interpreter, such as `3.12.1`; empty where the program is no interpreter of the host.
    pub(crate) interpreter: String,
    /// Where in the sandbox it finds at once what it looks for when it starts, see [`ahead`].
    pub(crate) ahead: Option<String>,
    /// Directories of the host that it needs beside the standard ones.
    pub(crate) prefixes: Vec<PathBuf>,
    /// `AWS_EXECUTION_ENV`; runtimes that bring their own program get none.
    pub(crate) execution_env: Option<String>,
    /// Where it starts.
    pub(crate) cwd: String,
    /// The image that is its root file system; else the programs of the host are.
    pub(crate) image: Option<Arc<ImageRoot>>,
    /// `_HANDLER`, where it is not the function's handler.
    pub(crate) handler: Option<String>,
}

impl Program {
    /// Without a command yet.
    pub(crate) fn in_image(root: Arc<ImageRoot>) -> Program {
        Program { image: Some(root), ..Program::on_host(Vec::new()) }
    }

    fn on_host(argv: Vec<String>) -> Program {
        Program {
            argv,
            waiting: None,
            interpreter: String::new(),
            ahead: None,
            prefixes: Vec::new(),
            execution_env: None,
            cwd: "/var/task".to_owned(),
            image: None,
            handler: None,
        }
    }
}

/// An interpreter family, by what the runtime's name begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Node,
    Python,
}

pub(crate) struct Runtimes {
    dir: PathBuf,
    search: Vec<PathBuf>,
    /// Found interpreters by runtime. Failures are not kept: the user may install what was missing.
    found: Mutex<HashMap<String, Arc<Program>>>,
}

impl Runtimes {
    /// Writes the bootstraps. `search` are the directories to look for interpreters in, in order.
    pub(crate) fn open(dir: PathBuf, search: Vec<PathBuf>) -> io::Result<Runtimes> {
        fs::create_dir_all(&dir)?;
        for (name, content) in FILES {
            write_read_only(&dir.join(name), content)?;
        }
        Ok(Runtimes { dir, search, found: Mutex::default() })
    }

    /// The directory to mount at `/var/runtime`.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// How to run `runtime`, looking for its interpreter the first time. Blocks then.
    pub(crate) fn find(&self, runtime: &str) -> Result<Arc<Program>, RuntimeError> {
        if let Some(program) = self.lock().get(runtime) {
            return Ok(program.clone());
        }
        let program = Arc::new(self.look_for(runtime)?);
        self.lock().insert(runtime.to_owned(), program.clone());
        Ok(program)
    }

    /// The answer of an earlier [`Runtimes::find`], without blocking.
    pub(crate) fn known(&self, runtime: &str) -> Option<Arc<Program>> {
        self.lock().get(runtime).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Program>>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_for(&self, runtime: &str) -> Result<Program, RuntimeError> {
        if !RUNTIMES.contains(&runtime) {
            return Err(RuntimeError::Unknown(runtime.to_owned()));
        }
        let Some((language, version)) = language_of(runtime) else {
            return match runtime.starts_with("provided") {
                true => Ok(Program::on_host(vec!["/var/task/bootstrap".to_owned()])),
                false => Err(RuntimeError::NoImage(runtime.to_owned())),
            };
        };
        let interpreter =
            probe::find(language, version, &self.search).map_err(|found| RuntimeError::Missing {
                runtime: runtime.to_owned(),
                needs: match language {
                    Language::Node => format!("Node.js {version}"),
                    Language::Python => format!("Python {version}"),
                },
                found,
            })?;
        let path = interpreter.path.to_string_lossy().into_owned();
        let (flags, extension): (&[&str], _) = match language {
            Language::Node => (&[], "cjs"),
            // -S: the host's own site-packages are no part of the runtime. -u: what is printed is logged at once.
            Language::Python => (&["-S", "-u"], "py"),
        };
        let command = |arguments: &[String]| {
            let flags = flags.iter().map(|flag| (*flag).to_owned());
            [path.clone()].into_iter().chain(flags).chain(arguments.iter().cloned()).collect::<Vec<_>>()
        };
        let file = |name: &str| vec![format!("/var/runtime/{name}.{extension}")];
        let python = language == Language::Python;
        let compiled = python.then(|| self.compile(&interpreter.path, version)).flatten();
        let ahead = compiled.is_some().then(|| self.gather(&interpreter.path, version)).flatten();
        Ok(Program {
            waiting: Some(command(&file("waiting"))),
            interpreter: interpreter.version,
            ahead,
            prefixes: interpreter.prefixes,
            execution_env: Some(format!("AWS_Lambda_{runtime}")),
            ..Program::on_host(command(&compiled.unwrap_or_else(|| file("bootstrap"))))
        })
    }

    /// Compiles the Python bootstrap with this interpreter, which takes longer than the interpreter takes to start. The
    /// arguments that run it; `None` leaves the compiling to each start. Named as a file, it would be taken for a zip
    /// archive first.
    fn compile(&self, interpreter: &Path, version: &str) -> Option<Vec<String>> {
        let target = |name: &str| format!("{name}-{version}.pyc");
        for name in ["bootstrap", "seldom"] {
            let source = format!("{name}.py");
            if let Err(error) = probe::compile(interpreter, &self.dir, &source, &target(name)) {
                tracing::warn!(%error, version, source, "a part of the Python runtime could not be compiled ahead");
                return None;
            }
        }
        let file = format!("/var/runtime/{}", target("bootstrap"));
        // The code follows a head of 16 bytes (PEP 552).
        let run = format!("exec(__import__('marshal').loads(open('{file}','rb').read()[16:]))");
        Some(vec!["-c".to_owned(), run])
    }

    /// Puts what this Python looks for when it starts where it looks first; gives where that is in a sandbox.
    fn gather(&self, interpreter: &Path, version: &str) -> Option<String> {
        let name = format!("python{version}");
        match ahead::gather(interpreter, &self.dir.join(&name)) {
            Ok(()) => Some(format!("/var/runtime/{name}")),
            Err(error) => {
                tracing::warn!(%error, version, "what Python starts with could not be gathered; it looks for it each time");
                None
            }
        }
    }
}

/// `nodejs22.x` is Node 22; `python3.12` is Python 3.12; `provided.*` has no language.
fn language_of(runtime: &str) -> Option<(Language, &str)> {
    if let Some(version) = runtime.strip_prefix("nodejs") {
        return Some((Language::Node, version.trim_end_matches(".x")));
    }
    runtime.strip_prefix("python").map(|version| (Language::Python, version))
}

fn write_read_only(path: &Path, content: &str) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if fs::read_to_string(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    // A new file in the place of the old one, so that instances which run the old one keep it.
    let fresh = path.with_extension("new");
    fs::write(&fresh, content)?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o444))?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtime_names_are_read() {
        assert_eq!(language_of("nodejs22.x"), Some((Language::Node, "22")));
        assert_eq!(language_of("python3.12"), Some((Language::Python, "3.12")));
        assert_eq!(language_of("provided.al2023"), None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let runtimes =
            Runtimes::open(dir.path().join("runtimes"), vec![dir.path().to_owned()]).expect("runtimes");
        let refuse = |name: &str| runtimes.find(name).expect_err("refused").to_string();
        assert!(
            refuse("java7")
                .starts_with("Runtime java7 is not supported by dory. Supported: provided.al2023, ")
        );
        assert!(refuse("java21").ends_with("`dory runtime add java21 IMAGE`"));
        assert_eq!(
            refuse("python3.14"),
            "Runtime python3.14 needs Python 3.14, and this machine has none. Install it, or give the runtime an image \
             that has it: `dory runtime add python3.14 IMAGE`"
        );
        assert_eq!(runtimes.find("provided.al2").expect("anywhere").argv, ["/var/task/bootstrap"]);
    }

    fn script(path: &Path, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        fs::create_dir_all(path.parent().expect("a directory")).expect("it can be made");
        fs::write(path, format!("#!/bin/sh\n{text}\n")).expect("a script");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its mode");
    }

    #[test]
    fn what_shims_stand_for_is_found() {
        let dir = tempfile::tempdir().expect("a directory");
        let (shims, version) = (dir.path().join("shims"), dir.path().join("versions/3.12.1"));
        script(&shims.join("python3.12"), "exit 127");
        let real = version.join("bin/python3.12");
        script(&real, &format!("echo 3.12.1 {} {}", real.display(), version.display()));
        let runtimes = Runtimes::open(dir.path().join("runtimes"), vec![shims]).expect("runtimes");
        let program = runtimes.find("python3.12").expect("the one behind the shim");
        assert_eq!(program.argv[0], real.canonicalize().expect("a path").to_string_lossy());
        assert_eq!(program.prefixes, [version]);
        assert_eq!(program.interpreter, "3.12.1");
    }

    #[test]
    fn an_interpreter_of_another_version_is_not_taken() {
        let dir = tempfile::tempdir().expect("a directory");
        script(&dir.path().join("node"), "echo v18.1.0 /opt/node/bin/node");
        let runtimes =
            Runtimes::open(dir.path().join("runtimes"), vec![dir.path().to_owned()]).expect("runtimes");
        let error = runtimes.find("nodejs22.x").expect_err("refused").to_string();
        assert!(error.contains("needs Node.js 22, and this machine has only 18.1.0."), "{error}");
    }
}
