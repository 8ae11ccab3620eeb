//! Which system calls a process may make: profiles, and their way into the kernel. The profiles deny by number within
//! the calls known here; everything newer than [`KNOWN_MAX`] does not exist for the process (`ENOSYS`), so that
//! programs fall back instead of failing. That is the behaviour of Docker's default profile.
mod bpf;
#[cfg(test)]
mod tests;

use crate::capability::Set;
use crate::process::Seccomp;
use bpf::Leaf;
use std::borrow::Cow;
use std::io;
use std::sync::LazyLock;

/// The newest system call judged by these profiles (`mseal`); numbers from 424 up are equal on all architectures.
const KNOWN_MAX: u32 = 462;

/// `CLONE_NEW*` of every namespace: making namespaces needs no privilege inside a user namespace and opens much of
/// the kernel to an attacker, so it is denied without `SYS_ADMIN`.
const CLONE_NAMESPACES: u32 = 0x7e02_0000;

/// A compiled filter.
pub struct Filter(Cow<'static, [libc::sock_filter]>);

/// The one of all functions, whatever their capabilities.
static FUNCTION: LazyLock<Vec<libc::sock_filter>> = LazyLock::new(|| program(true, Set::NONE));

/// Calls that need a capability to be sensible; without it they are denied.
const BY_CAPABILITY: &[(libc::c_long, &str)] = &[
    (libc::SYS_bpf, "BPF"),
    (libc::SYS_perf_event_open, "PERFMON"),
    (libc::SYS_acct, "SYS_PACCT"),
    (libc::SYS_chroot, "SYS_CHROOT"),
    (libc::SYS_clock_adjtime, "SYS_TIME"),
    (libc::SYS_clock_settime, "SYS_TIME"),
    (libc::SYS_settimeofday, "SYS_TIME"),
    (libc::SYS_delete_module, "SYS_MODULE"),
    (libc::SYS_finit_module, "SYS_MODULE"),
    (libc::SYS_init_module, "SYS_MODULE"),
    (libc::SYS_kexec_file_load, "SYS_BOOT"),
    (libc::SYS_kexec_load, "SYS_BOOT"),
    (libc::SYS_reboot, "SYS_BOOT"),
    (libc::SYS_get_mempolicy, "SYS_NICE"),
    (libc::SYS_mbind, "SYS_NICE"),
    (libc::SYS_set_mempolicy, "SYS_NICE"),
    (libc::SYS_set_mempolicy_home_node, "SYS_NICE"),
    (libc::SYS_kcmp, "SYS_PTRACE"),
    (libc::SYS_process_madvise, "SYS_PTRACE"),
    (libc::SYS_open_by_handle_at, "DAC_READ_SEARCH"),
    (libc::SYS_syslog, "SYSLOG"),
    (libc::SYS_vhangup, "SYS_TTY_CONFIG"),
    (libc::SYS_fanotify_init, "SYS_ADMIN"),
    (libc::SYS_fsconfig, "SYS_ADMIN"),
    (libc::SYS_fsmount, "SYS_ADMIN"),
    (libc::SYS_fsopen, "SYS_ADMIN"),
    (libc::SYS_fspick, "SYS_ADMIN"),
    (libc::SYS_lookup_dcookie, "SYS_ADMIN"),
    (libc::SYS_mount, "SYS_ADMIN"),
    (libc::SYS_mount_setattr, "SYS_ADMIN"),
    (libc::SYS_move_mount, "SYS_ADMIN"),
    (libc::SYS_open_tree, "SYS_ADMIN"),
    (libc::SYS_pivot_root, "SYS_ADMIN"),
    (libc::SYS_quotactl, "SYS_ADMIN"),
    (libc::SYS_quotactl_fd, "SYS_ADMIN"),
    (libc::SYS_setdomainname, "SYS_ADMIN"),
    (libc::SYS_sethostname, "SYS_ADMIN"),
    (libc::SYS_setns, "SYS_ADMIN"),
    (libc::SYS_swapoff, "SYS_ADMIN"),
    (libc::SYS_swapon, "SYS_ADMIN"),
    (libc::SYS_umount2, "SYS_ADMIN"),
    (libc::SYS_unshare, "SYS_ADMIN"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_ioperm, "SYS_RAWIO"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_iopl, "SYS_RAWIO"),
];

/// Denied in every profile: key rings and `userfaultfd` are not namespaced or arm exploits; `io_uring` goes around
/// this very filter; the rest is obsolete.
const NEVER: &[libc::c_long] = &[
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    libc::SYS_nfsservctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS__sysctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_sysfs,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ustat,
];

/// Denied to functions on top: looking into or steering other processes, device nodes, file handles, and odd corners
/// that no language runtime needs.
const FUNCTION_NEVER: &[libc::c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_mark,
    libc::SYS_mknodat,
    libc::SYS_personality,
    libc::SYS_remap_file_pages,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    libc::SYS_mq_timedsend,
    libc::SYS_mq_timedreceive,
    libc::SYS_mq_notify,
    libc::SYS_mq_getsetattr,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mknod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

/// `AF_UNIX`, `AF_INET`, `AF_INET6` and `AF_NETLINK` (interface lists): what functions may open.
const FUNCTION_SOCKETS: &[u32] = &[1, 2, 10, 16];

/// `AF_ALG` (the kernel's crypto, often vulnerable) and `AF_VSOCK` (reaches the hypervisor, not namespaced).
const SOCKETS_NEVER: &[u32] = &[38, 40];

/// Execution domains that do not weaken anything: Linux, uname 2.6, both with 32-bit memory layout, and the query.
const PERSONALITIES: &[u32] = &[0x0, 0x0002_0000, 0x8, 0x0002_0008, 0xffff_ffff];

impl Filter {
    /// Compiles a profile for a process with these capabilities. `None` = no filter.
    pub fn compile(profile: Seccomp, capabilities: Set) -> Option<Filter> {
        match profile {
            Seccomp::Unconfined => None,
            Seccomp::RuntimeDefault => Some(Filter(program(false, capabilities).into())),
            Seccomp::Function => Some(Filter(FUNCTION.as_slice().into())),
        }
    }

    /// Compiles what can be: forked processes find it done.
    pub fn compile_ahead() {
        LazyLock::force(&FUNCTION);
    }

    /// Puts the calling thread, and all it starts, behind the filter. Needs `no_new_privs` or `SYS_ADMIN`.
    pub(crate) fn install(&self) -> io::Result<()> {
        let program = libc::sock_fprog { len: self.0.len() as u16, filter: self.0.as_ptr().cast_mut() };
        // SAFETY: the kernel copies `len` instructions from the vector, which outlives the call.
        let result =
            unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

fn program(tight: bool, capabilities: Set) -> Vec<libc::sock_filter> {
    let eperm = Leaf::Errno(libc::EPERM as u16);
    let mut leaves: Vec<(u32, Leaf)> = Vec::new();
    let denied = BY_CAPABILITY.iter().filter(|(_, cap)| tight || !capabilities.has(cap)).map(|(nr, _)| nr);
    let tighter = FUNCTION_NEVER.iter().filter(|_| tight);
    for number in denied.chain(NEVER).chain(tighter) {
        leaves.push((*number as u32, eperm.clone()));
    }
    if tight || !capabilities.has("SYS_ADMIN") {
        leaves.push((libc::SYS_clone as u32, Leaf::DenyBits(CLONE_NAMESPACES)));
        // Its flags are behind a pointer that a filter cannot follow: callers fall back to clone.
        leaves.push((libc::SYS_clone3 as u32, Leaf::Errno(libc::ENOSYS as u16)));
    }
    if !tight {
        leaves.push((libc::SYS_personality as u32, Leaf::Only(PERSONALITIES)));
    }
    let sockets = if tight { Leaf::Only(FUNCTION_SOCKETS) } else { Leaf::Except(SOCKETS_NEVER) };
    leaves.push((libc::SYS_socket as u32, sockets));
    bpf::compile(leaves, KNOWN_MAX)
}
