//! The profiles, run by a small interpreter of classic BPF.
use super::*;
use crate::process::Capabilities;

/// What the filter answers to a call: 0 = allowed, else the error number.
fn run(filter: &Filter, number: i64, arg0: u32) -> u32 {
    let arch = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };
    let word = |offset: u32| match offset {
        0 => number as u32,
        4 => arch,
        16 => arg0,
        other => panic!("unexpected load at {other}"),
    };
    let (mut at, mut value) = (0usize, 0u32);
    loop {
        let step = filter.0[at];
        at += 1;
        match (step.code & 0x07, step.code & 0xf0) {
            (0x00, _) => value = word(step.k),
            (0x06, _) if step.k == libc::SECCOMP_RET_ALLOW => return 0,
            (0x06, _) => return step.k & 0xffff,
            (0x05, kind) => {
                let hit = match kind {
                    0x10 => value == step.k,
                    0x30 => value >= step.k,
                    0x40 => value & step.k != 0,
                    other => panic!("unexpected jump {other:x}"),
                };
                at += usize::from(if hit { step.jt } else { step.jf });
            }
            other => panic!("unexpected instruction {other:?}"),
        }
    }
}

fn runtime(add: &[&str]) -> Filter {
    let add = add.iter().map(|a| a.to_string()).collect();
    let set = Set::from_spec(&Capabilities { add, drop: vec![] }).unwrap();
    Filter::compile(Seccomp::RuntimeDefault, set).unwrap()
}

const EPERM: u32 = libc::EPERM as u32;
const ENOSYS: u32 = libc::ENOSYS as u32;

#[test]
fn runtime_default() {
    let filter = runtime(&[]);
    let check = |number, arg, answer| assert_eq!(run(&filter, number, arg), answer, "call {number} {arg:x}");
    for allowed in [libc::SYS_read, libc::SYS_execve, libc::SYS_ptrace, libc::SYS_futex, libc::SYS_mseal] {
        check(allowed, 0, 0);
    }
    for denied in
        [libc::SYS_mount, libc::SYS_bpf, libc::SYS_unshare, libc::SYS_keyctl, libc::SYS_io_uring_setup]
    {
        check(denied, 0, EPERM);
    }
    check(libc::SYS_clone, libc::CLONE_THREAD as u32, 0);
    check(libc::SYS_clone, libc::CLONE_NEWUSER as u32, EPERM);
    check(libc::SYS_clone3, 0, ENOSYS);
    check(libc::SYS_socket, 2, 0);
    check(libc::SYS_socket, 40, EPERM);
    check(libc::SYS_personality, 0xffff_ffff, 0);
    check(libc::SYS_personality, 0x0040_0000, EPERM);
    check(i64::from(KNOWN_MAX) + 1, 0, ENOSYS);
    check(0x4000_0000, 0, ENOSYS);
}

#[test]
fn a_capability_opens_its_calls() {
    let filter = runtime(&["SYS_ADMIN"]);
    assert_eq!(run(&filter, libc::SYS_mount, 0), 0);
    assert_eq!(run(&filter, libc::SYS_clone3, 0), 0);
    assert_eq!(run(&filter, libc::SYS_reboot, 0), EPERM);
}

#[test]
fn functions_get_less_whatever_their_capabilities() {
    let filter = Filter::compile(Seccomp::Function, Set::ALL).unwrap();
    for denied in
        [libc::SYS_ptrace, libc::SYS_mount, libc::SYS_mknodat, libc::SYS_chroot, libc::SYS_personality]
    {
        assert_eq!(run(&filter, denied, 0), EPERM, "call {denied}");
    }
    assert_eq!(run(&filter, libc::SYS_socket, 1), 0);
    assert_eq!(run(&filter, libc::SYS_socket, 17), EPERM);
    assert_eq!(run(&filter, libc::SYS_epoll_wait, 0), 0);
}

#[test]
fn unconfined_has_no_filter() {
    assert!(Filter::compile(Seccomp::Unconfined, Set::NONE).is_none());
}
