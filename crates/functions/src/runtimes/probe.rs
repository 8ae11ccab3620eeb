//! Finding interpreters: asks each candidate itself what it is, so that shims and links of version managers are seen
//! through. Runs programs of the host, only when a runtime is first used.

use super::Language;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Trees that every sandbox sees anyway.
const STANDARD: &[&str] = &["/usr", "/lib", "/lib64", "/bin"];

pub(super) struct Interpreter {
    /// Such as `3.12.1`.
    pub(super) version: String,
    pub(super) path: PathBuf,
    pub(super) prefixes: Vec<PathBuf>,
}

/// The first interpreter of this version in `search`, or what was found instead, as part of a sentence.
pub(super) fn find(language: Language, version: &str, search: &[PathBuf]) -> Result<Interpreter, String> {
    let names = match language {
        Language::Node => vec!["node".to_owned(), format!("node{version}"), "nodejs".to_owned()],
        Language::Python => vec![format!("python{version}"), "python3".to_owned()],
    };
    let search = through_shims(search);
    let mut others = BTreeSet::new();
    let mut asked = BTreeSet::new();
    for path in names.iter().flat_map(|name| search.iter().map(move |dir| dir.join(name))) {
        let Ok(real) = path.canonicalize() else { continue };
        // Shims are one script under many names: what counts there is the name.
        if !asked.insert(if real.file_name() == path.file_name() { real } else { path.clone() }) {
            continue;
        }
        let Some(interpreter) = ask(language, &path) else { continue };
        if matches(&interpreter.version, version) {
            return Ok(interpreter);
        }
        others.insert(interpreter.version);
    }
    Err(match others.len() {
        0 => "none".to_owned(),
        _ => format!("only {}", others.into_iter().collect::<Vec<_>>().join(", ")),
    })
}

/// Has a Python compile `source` into `target`, both in `dir`, as the file that sandboxes see. It is taken as it is from
/// then on: whether it fits its source is settled here, each time a platform starts.
pub(super) fn compile(python: &Path, dir: &Path, source: &str, target: &str) -> io::Result<()> {
    const PROGRAM: &str = "import py_compile, sys\n\
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH\n\
        py_compile.compile(sys.argv[1], sys.argv[2], sys.argv[3], True, invalidation_mode=mode)";
    let mut command = Command::new(python);
    command
        .env_clear()
        .current_dir("/")
        .args(["-S", "-c", PROGRAM])
        .args([dir.join(source), dir.join(target)]);
    command.arg(format!("/var/runtime/{source}"));
    let output = command.output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

/// A version manager's `shims` only stand for what lies in its `versions/*/bin`, and choose among them by settings of
/// the user's shell: the real ones are searched too.
fn through_shims(search: &[PathBuf]) -> Vec<PathBuf> {
    let mut all = search.to_vec();
    for shims in search.iter().filter(|dir| dir.ends_with("shims")) {
        let versions = shims.with_file_name("versions");
        let found = std::fs::read_dir(versions).into_iter().flatten().flatten();
        let mut dirs: Vec<PathBuf> = found.map(|entry| entry.path().join("bin")).collect();
        dirs.sort();
        all.extend(dirs);
    }
    all
}

/// `22` matches `22.1.0`, and `3.1` does not match `3.11.0`.
fn matches(found: &str, version: &str) -> bool {
    found.strip_prefix(version).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Its version, the real path, and the directories it needs.
fn ask(language: Language, path: &Path) -> Option<Interpreter> {
    let mut command = Command::new(path);
    command.env_clear().env("PATH", "/usr/bin:/bin").current_dir("/");
    match language {
        Language::Node => command.args(["-p", "process.version + ' ' + process.execPath"]),
        Language::Python => command.args([
            "-S",
            "-c",
            "import sys; print(sys.version.split()[0], sys.executable, sys.base_prefix, sys.base_exec_prefix)",
        ]),
    };
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut words = text.split_whitespace();
    let version = words.next()?.trim_start_matches('v').to_owned();
    let executable = PathBuf::from(words.next()?);
    let mut prefixes: BTreeSet<PathBuf> = words.map(PathBuf::from).collect();
    // `<prefix>/bin/node`: what node ships lies beside its `bin`.
    prefixes.extend(executable.parent().and_then(Path::parent).map(Path::to_owned));
    let real = executable.canonicalize().unwrap_or_else(|_| executable.clone());
    prefixes.extend(real.parent().and_then(Path::parent).map(Path::to_owned));
    prefixes
        .retain(|prefix| !STANDARD.iter().any(|tree| prefix.starts_with(tree)) && prefix != Path::new("/"));
    Some(Interpreter { version, path: real, prefixes: prefixes.into_iter().collect() })
}
