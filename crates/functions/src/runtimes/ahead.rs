//! What a Python of the host looks for before it runs anything, gathered where it looks first: its libraries, which it would
//! look for in every directory of `LD_LIBRARY_PATH`, and its codecs, the only modules that it reads from files. The bootstrap
//! takes the directory out of both paths before it loads the function.

use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Makes `lib` and `encodings` in `dir`, for the interpreter at `python`.
pub(super) fn gather(python: &Path, dir: &Path) -> io::Result<()> {
    let libraries = dir.join("lib");
    std::fs::create_dir_all(&libraries)?;
    for old in std::fs::read_dir(&libraries)? {
        std::fs::remove_file(old?.path())?;
    }
    for (name, path) in parse(&String::from_utf8_lossy(&run(python, true, &["-c", "pass"])?.stdout)) {
        symlink(path, libraries.join(name))?;
    }
    compile(python, dir)
}

/// The codecs that are loaded in the end, each as if it were compiled where it comes from.
fn compile(python: &Path, dir: &Path) -> io::Result<()> {
    const PROGRAM: &str = "import sys\n\
        codecs = {n: m for n, m in sys.modules.items() if n.partition('.')[0] == 'encodings' and m.__file__.endswith('.py')}\n\
        import py_compile\n\
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH\n\
        for name, module in codecs.items():\n    \
            name = name.replace('.', '/') + ('/__init__' if hasattr(module, '__path__') else '')\n    \
            py_compile.compile(module.__file__, f'{sys.argv[1]}/{name}.pyc', module.__file__, True, invalidation_mode=mode)";
    let output = run(python, false, &["-c", PROGRAM, &dir.to_string_lossy()])?;
    match output.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

/// Runs the interpreter; with `trace` the C library's dynamic linker, which only says what it would load.
fn run(python: &Path, trace: bool, arguments: &[&str]) -> io::Result<Output> {
    let mut command = Command::new(python);
    command.env_clear().current_dir("/").stdin(Stdio::null()).arg("-S").args(arguments);
    if trace {
        command.env("LD_TRACE_LOADED_OBJECTS", "1");
    }
    command.output()
}

/// Names and paths out of lines such as `libc.so.6 => /lib/libc.so.6 (0x00007f…)`.
fn parse(text: &str) -> Vec<(&str, &str)> {
    text.lines().filter_map(dependency).collect()
}

fn dependency(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.trim().split_once(" => ")?;
    let (path, _) = rest.rsplit_once(" (")?;
    (path.starts_with('/') && !name.contains('/')).then_some((name, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_linker_says_is_read() {
        let text = "\tlinux-vdso.so.1 (0x00007ffe)\n\tlibpython3.11.so.1.0 => /opt/py 3/lib/libpython3.11.so.1.0 (0x00007f48)\n\
            \tlibm.so.6 => not found\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f47)\n\t/lib64/ld-linux.so.2 (0x1)\n";
        let found = [
            ("libpython3.11.so.1.0", "/opt/py 3/lib/libpython3.11.so.1.0"),
            ("libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6"),
        ];
        assert_eq!(parse(text), found);
    }
}
