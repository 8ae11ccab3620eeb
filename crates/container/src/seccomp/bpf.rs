//! From decisions on system call numbers to a classic BPF program in the shape of a search tree. The kernel runs a
//! filter once for every call number when it is installed, so a list costs milliseconds where a tree costs
//! microseconds.
use libc::sock_filter;

/// What happens with one system call.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Leaf {
    Allow,
    Errno(u16),
    /// `EPERM` when the first argument has one of these bits.
    DenyBits(u32),
    /// `EPERM` unless the first argument is one of these.
    Only(&'static [u32]),
    /// `EPERM` when the first argument is one of these.
    Except(&'static [u32]),
}

/// Offsets in `struct seccomp_data` (little endian: the low half of the first argument comes first).
const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCH: u32 = 4;
const OFFSET_ARG0: u32 = 16;

#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xc000_00b7;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const JUMP_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const JUMP_BITS: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// The program: `leaves` by number, every other number up to `known_max` allowed, above it and in foreign
/// instruction sets `ENOSYS`.
pub(super) fn compile(mut leaves: Vec<(u32, Leaf)>, known_max: u32) -> Vec<sock_filter> {
    leaves.sort_by_key(|(number, _)| *number);
    leaves.dedup_by_key(|(number, _)| *number);
    let enosys = Leaf::Errno(libc::ENOSYS as u16);
    // Half-open intervals by their first number.
    let mut steps: Vec<(u32, Leaf)> = vec![(0, Leaf::Allow)];
    for (number, leaf) in leaves.into_iter().filter(|(number, _)| *number <= known_max) {
        steps.retain(|(start, _)| *start != number);
        steps.push((number, leaf));
        steps.push((number + 1, Leaf::Allow));
    }
    steps.retain(|(start, _)| *start <= known_max);
    steps.push((known_max + 1, enosys.clone()));
    steps.dedup_by(|later, earlier| later.1 == earlier.1);
    let mut program = vec![load(OFFSET_ARCH), jump(JUMP_EQUAL, ARCH, 1, 0)];
    program.extend(leaf(&enosys));
    program.push(load(OFFSET_NUMBER));
    program.extend(tree(&steps));
    program
}

fn tree(steps: &[(u32, Leaf)]) -> Vec<sock_filter> {
    if let [(_, only)] = steps {
        return leaf(only);
    }
    let (low, high) = steps.split_at(steps.len() / 2);
    let (low, high_start, high) = (tree(low), high[0].0, tree(high));
    let distance =
        u8::try_from(low.len()).expect("the profiles have a few hundred instructions, halved here");
    let mut program = vec![jump(JUMP_AT_LEAST, high_start, distance, 0)];
    program.extend(low);
    program.extend(high);
    program
}

fn leaf(leaf: &Leaf) -> Vec<sock_filter> {
    let allow = give(libc::SECCOMP_RET_ALLOW);
    let errno = |number: u16| give(libc::SECCOMP_RET_ERRNO | u32::from(number));
    let eperm = errno(libc::EPERM as u16);
    let listed = |values: &[u32], hit: sock_filter, miss: sock_filter| {
        let mut program = vec![load(OFFSET_ARG0)];
        for (index, value) in values.iter().enumerate() {
            let to_hit = (values.len() - index) as u8;
            program.push(jump(JUMP_EQUAL, *value, to_hit, 0));
        }
        program.extend([miss, hit]);
        program
    };
    match leaf {
        Leaf::Allow => vec![allow],
        Leaf::Errno(number) => vec![errno(*number)],
        Leaf::DenyBits(bits) => vec![load(OFFSET_ARG0), jump(JUMP_BITS, *bits, 1, 0), allow, eperm],
        Leaf::Only(values) => listed(values, allow, eperm),
        Leaf::Except(values) => listed(values, eperm, allow),
    }
}

fn load(offset: u32) -> sock_filter {
    sock_filter { code: LOAD, jt: 0, jf: 0, k: offset }
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

fn give(k: u32) -> sock_filter {
    sock_filter { code: RETURN, jt: 0, jf: 0, k }
}
