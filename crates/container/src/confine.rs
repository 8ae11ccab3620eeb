//! The last steps of a process before it becomes what was ordered: standard streams, limits, ids, capabilities, the
//! system call filter, and `execve`. Runs inside the container's namespaces and root.
use crate::bundle::{HANDED_FIRST, Process};
use crate::fork;
use crate::process::{StartError, StartErrorKind, describe};
use crate::seccomp::Filter;
use crate::user::{self, Ids};
use rustix::io::Errno;
use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// `PATH` when the environment has none, as Docker sets it.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Becomes the ordered process. `stdio` are its standard input, output and error, `handed` are those
/// from [`HANDED_FIRST`] on; `begin` comes right before.
pub(crate) fn become_process(
    process: &Process,
    stdio: &[OwnedFd; 3],
    handed: &[OwnedFd],
    begin: impl FnOnce() -> Result<(), StartError>,
) -> Result<Infallible, StartError> {
    let setup = |what| StartError::setup::<io::Error>(what);
    let ids = ids(process)?;
    let program = find_program(process)?;
    limits(process)?;
    if process.batch {
        schedule_as_batch();
    }
    own_streams(stdio, &ids);
    streams(stdio, process.tty)?;
    fork::keep_from(HANDED_FIRST, handed).map_err(setup("the descriptors beside the streams"))?;
    fork::default_signals();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let in_cwd = enter_directory(&process.cwd);
    let capabilities = process.capabilities;
    let filter = Filter::compile(process.seccomp, capabilities);
    let nothing_gained = process.no_new_privileges;
    if let (Some(filter), false) = (&filter, nothing_gained) {
        // Without no_new_privs the filter needs SYS_ADMIN, which is about to go.
        filter.install().map_err(setup("seccomp"))?;
    }
    capabilities.bound().map_err(setup("capabilities"))?;
    change_ids(&ids).map_err(setup("user and groups"))?;
    if ids.uid == 0 {
        capabilities.apply().map_err(setup("capabilities"))?;
    } else {
        crate::capability::Set::NONE.apply().map_err(setup("capabilities"))?;
    }
    // After the change of ids, which clears it.
    let kill = Some(rustix::process::Signal::KILL);
    rustix::process::set_parent_process_death_signal(kill).map_err(StartError::setup("death signal"))?;
    if in_cwd.is_err() {
        // Root may not enter it (a volume of another user, say), but perhaps the user may.
        enter_directory(&process.cwd)?;
    }
    if nothing_gained {
        rustix::thread::set_no_new_privs(true).map_err(StartError::setup("no_new_privs"))?;
        if let Some(filter) = &filter {
            filter.install().map_err(setup("seccomp"))?;
        }
    }
    begin()?;
    Err(execute(&program, process, &ids))
}

fn ids(process: &Process) -> Result<Ids, StartError> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    user::resolve(&process.user, &read("/etc/passwd"), &read("/etc/group"))
}

fn limits(process: &Process) -> Result<(), StartError> {
    if let Some(score) = process.oom_score_adj {
        std::fs::write("/proc/self/oom_score_adj", score.to_string())
            .map_err(StartError::setup("oom_score_adj"))?;
    }
    for limit in &process.rlimits {
        let value = libc::rlimit { rlim_cur: limit.soft, rlim_max: limit.hard };
        // SAFETY: the kernel reads one `rlimit` that lives on this stack.
        if unsafe { libc::setrlimit(limit.resource as _, &raw const value) } != 0 {
            let what = format!("resource limit {}", limit.resource);
            return Err(StartError::setup(what)(io::Error::last_os_error()));
        }
    }
    Ok(())
}

/// As ever when the host does not allow it: that costs time and nothing else.
fn schedule_as_batch() {
    let no_priority = libc::sched_param { sched_priority: 0 };
    // SAFETY: the kernel reads one `sched_param` that lives on this stack.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const no_priority) };
}

/// Lets a user other than root reopen its streams (`/dev/stdout`), as runc does. Best effort: `/dev/null` stays.
fn own_streams(stdio: &[OwnedFd; 3], ids: &Ids) {
    let user = Some(rustix::fs::Uid::from_raw(ids.uid));
    for stream in stdio.iter().filter(|_| ids.uid != 0) {
        let null = rustix::fs::fstat(stream).is_ok_and(|stat| stat.st_rdev == rustix::fs::makedev(1, 3));
        if !null {
            let _ = rustix::fs::fchown(stream, user, None);
        }
    }
}

fn streams(stdio: &[OwnedFd; 3], terminal: bool) -> Result<(), StartError> {
    let setup = |what| StartError::setup::<Errno>(what);
    // A process that prepares an exec may lead a session already.
    let _ = rustix::process::setsid();
    if terminal {
        rustix::process::ioctl_tiocsctty(&stdio[0]).map_err(setup("controlling terminal"))?;
    }
    let [input, output, error] = stdio;
    rustix::stdio::dup2_stdin(input).map_err(setup("standard input"))?;
    rustix::stdio::dup2_stdout(output).map_err(setup("standard output"))?;
    rustix::stdio::dup2_stderr(error).map_err(setup("standard error"))?;
    fork::close_on_exec_from(3);
    Ok(())
}

fn enter_directory(cwd: &str) -> Result<(), StartError> {
    let cwd = if cwd.is_empty() { "/" } else { cwd };
    let result = match rustix::process::chdir(cwd) {
        Err(Errno::NOENT) => match std::fs::create_dir_all(cwd) {
            Ok(()) => rustix::process::chdir(cwd).map_err(io::Error::from),
            Err(e) => Err(e),
        },
        other => other.map_err(io::Error::from),
    };
    result.map_err(|e| StartError {
        kind: StartErrorKind::WorkingDirectory,
        message: format!("chdir to cwd (\"{cwd}\") set in config.json failed: {}", describe(&e)),
    })
}

fn change_ids(ids: &Ids) -> io::Result<()> {
    let groups: Vec<libc::gid_t> = ids.groups.clone();
    // SAFETY: the kernel reads `len` ids from the vector; the other calls take integers. Raw calls on purpose: the
    // process is single-threaded, and the C library's versions would signal threads that it believes to exist.
    let results = unsafe {
        [
            libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()),
            libc::syscall(libc::SYS_setresgid, ids.gid, ids.gid, ids.gid),
            libc::syscall(libc::SYS_setresuid, ids.uid, ids.uid, ids.uid),
        ]
    };
    if results.iter().all(|result| *result == 0) { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The file to execute, found the way a shell would.
fn find_program(process: &Process) -> Result<String, StartError> {
    let error = |kind, message| Err(StartError { kind, message });
    let Some(name) = process.argv.first().filter(|name| !name.is_empty()) else {
        return error(StartErrorKind::Invalid, "no command specified".into());
    };
    let cwd = Path::new(if process.cwd.is_empty() { "/" } else { &process.cwd });
    if name.contains('/') {
        return match judge(&cwd.join(name)) {
            Ok(()) => Ok(name.clone()),
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => error(
                StartErrorKind::NotFound,
                format!("exec: \"{name}\": stat {name}: no such file or directory"),
            ),
            Err(e) => error(StartErrorKind::PermissionDenied, format!("exec: \"{name}\": {}", describe(&e))),
        };
    }
    let path = process.env.iter().find(|(key, _)| key == "PATH").map_or(PATH_DEFAULT, |(_, value)| value);
    let mut denied = false;
    for dir in path.split(':').filter(|dir| !dir.is_empty()) {
        let candidate = format!("{}/{name}", dir.trim_end_matches('/'));
        match judge(&cwd.join(&candidate)) {
            Ok(()) => return Ok(candidate),
            Err(e) => denied |= e.raw_os_error() == Some(libc::EACCES),
        }
    }
    match denied {
        true => error(StartErrorKind::PermissionDenied, format!("exec: \"{name}\": permission denied")),
        false => {
            error(StartErrorKind::NotFound, format!("exec: \"{name}\": executable file not found in $PATH"))
        }
    }
}

/// Whether somebody may execute this file; whether we may, `execve` will say.
fn judge(path: &Path) -> io::Result<()> {
    let meta = std::fs::metadata(path)?;
    if meta.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    }
    if meta.permissions().mode() & 0o111 == 0 {
        return Err(io::Error::from_raw_os_error(libc::EACCES));
    }
    Ok(())
}

/// Only returns on failure.
fn execute(program: &str, process: &Process, ids: &Ids) -> StartError {
    let text = |text: String| CString::new(text).ok();
    let mut env: Vec<_> = process.env.iter().filter_map(|(k, v)| text(format!("{k}={v}"))).collect();
    for (key, value) in [("HOME", ids.home.as_str()), ("PATH", PATH_DEFAULT)] {
        if !process.env.iter().any(|(k, _)| k == key) {
            env.extend(text(format!("{key}={value}")));
        }
    }
    let arguments: Vec<_> = process.argv.iter().filter_map(|a| text(a.clone())).collect();
    let (Some(path), true) = (text(program.to_owned()), arguments.len() == process.argv.len()) else {
        let message = "the command contains a NUL byte".to_owned();
        return StartError { kind: StartErrorKind::Invalid, message };
    };
    let pointers =
        |list: &[CString]| list.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>();
    let (argv, envp) = (pointers(&arguments), pointers(&env));
    // SAFETY: the path and both lists are NUL-terminated and outlive the call, which replaces this process.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    let error = io::Error::last_os_error();
    let kind = match error.raw_os_error() {
        Some(libc::ENOENT) => StartErrorKind::NotFound,
        Some(libc::EACCES | libc::EPERM) => StartErrorKind::PermissionDenied,
        Some(libc::ENOEXEC) => StartErrorKind::ExecFormat,
        _ => StartErrorKind::Setup,
    };
    StartError { kind, message: format!("exec {program}: {}", describe(&error)) }
}

/// Opens a fresh terminal in this root: the near end, and the far end thrice.
pub(crate) fn open_terminal() -> io::Result<(OwnedFd, [OwnedFd; 3])> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let near = rustix::fs::open("/dev/pts/ptmx", flags, Mode::empty())?;
    rustix::pty::unlockpt(&near)?;
    let name = rustix::pty::ptsname(&near, Vec::new())?;
    let far = rustix::fs::open(name, flags, Mode::empty())?;
    let again = || rustix::io::fcntl_dupfd_cloexec(far.as_fd(), 3);
    let streams = [again()?, again()?, again()?];
    Ok((near, streams))
}

/// Makes the terminal behind `far` the container's console.
pub(crate) fn bind_console(far: &OwnedFd) -> io::Result<()> {
    let console = Path::new("/dev/console");
    if !console.exists() {
        return Ok(());
    }
    let source = format!("/proc/self/fd/{}", far.as_raw_fd());
    Ok(rustix::mount::mount_bind(source, console)?)
}
