//! Linux capabilities: their names, the default set of Docker and Kubernetes, and giving the rest away.
use crate::process::{Capabilities, StartError, StartErrorKind};
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::io;

/// Names in the order of their numbers in the kernel.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What a container has unless told otherwise, as in Docker, containerd and so Kubernetes.
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// A set of capabilities, one bit for each number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Set(u64);

impl Set {
    /// No capability.
    pub const NONE: Set = Set(0);
    /// Every capability that this room knows.
    pub const ALL: Set = Set((1 << NAMES.len()) - 1);

    /// The default set changed as asked: drops first, then adds.
    pub fn from_spec(spec: &Capabilities) -> Result<Set, StartError> {
        let mut set = DEFAULT.iter().fold(Set::NONE, |set, name| Set(set.0 | bit(name).unwrap_or(0)));
        for name in &spec.drop {
            set.0 &= !named(name)?;
        }
        for name in &spec.add {
            set.0 |= named(name)?;
        }
        Ok(set)
    }

    /// Whether the capability of this name (without `CAP_`) is in it.
    pub fn has(self, name: &str) -> bool {
        bit(name).is_some_and(|bit| self.0 & bit != 0)
    }

    /// Takes every other capability out of the bounding set, so that no later `execve` can bring it back. The
    /// kernel may know more capabilities than this room: those go too.
    pub(crate) fn bound(self) -> io::Result<()> {
        for number in 0..64u32 {
            let keep = self.0 & (1 << number) != 0;
            if keep {
                continue;
            }
            match rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(
                1 << number,
            )) {
                Ok(()) => {}
                // Past the last capability of this kernel.
                Err(rustix::io::Errno::INVAL) => break,
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Makes these the permitted and effective capabilities of this thread, none inheritable, none ambient.
    pub(crate) fn apply(self) -> io::Result<()> {
        let _ = rustix::thread::clear_ambient_capability_set();
        let has = rustix::thread::capabilities(None)?.permitted;
        let set = CapabilitySet::from_bits_retain(self.0) & has;
        let sets = CapabilitySets { effective: set, permitted: set, inheritable: CapabilitySet::empty() };
        Ok(rustix::thread::set_capabilities(None, sets)?)
    }
}

fn bit(name: &str) -> Option<u64> {
    NAMES.iter().position(|known| *known == name).map(|number| 1 << number)
}

fn named(name: &str) -> Result<u64, StartError> {
    let upper = name.to_ascii_uppercase();
    let plain = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if plain == "ALL" {
        return Ok(Set::ALL.0);
    }
    let message = || format!("unknown capability \"{name}\"");
    bit(plain).ok_or_else(|| StartError { kind: StartErrorKind::Invalid, message: message() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(add: &[&str], drop: &[&str]) -> Set {
        let list = |names: &[&str]| names.iter().map(|n| n.to_string()).collect();
        Set::from_spec(&Capabilities { add: list(add), drop: list(drop) }).unwrap()
    }

    #[test]
    fn default_add_drop_and_all() {
        assert!(set(&[], &[]).has("CHOWN") && !set(&[], &[]).has("SYS_ADMIN"));
        assert!(set(&["cap_sys_admin"], &[]).has("SYS_ADMIN"));
        assert_eq!(set(&[], &["ALL"]), Set::NONE);
        assert_eq!(set(&["ALL"], &[]), Set::ALL);
        let one = set(&["NET_BIND_SERVICE"], &["ALL"]);
        assert!(one.has("NET_BIND_SERVICE") && one.0.count_ones() == 1);
    }

    #[test]
    fn an_unknown_name_is_refused() {
        let spec = Capabilities { add: vec!["FLY".into()], drop: vec![] };
        assert_eq!(Set::from_spec(&spec).unwrap_err().message, "unknown capability \"FLY\"");
    }
}
