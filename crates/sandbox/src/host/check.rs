//! What a specification may say: names that become directories and control groups, and sysctls that belong to a pod.
use crate::{Error, InstanceSpec, PodSpec};

/// Names become file names of directories, sockets and control groups.
const NAME_LEN_MAX: usize = 63;

/// Sysctls that exist once per network or IPC namespace, so that setting them changes nothing outside the pod.
const SYSCTLS: [&str; 6] =
    ["net.", "kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.", "kernel.domainname"];

pub(super) fn pod(spec: &PodSpec) -> Result<(), Error> {
    name("pod id", &spec.id)?;
    for sysctl in spec.sysctls.keys() {
        let known = SYSCTLS.iter().any(|prefix| sysctl.starts_with(prefix));
        let plain = !sysctl.contains(['/', '\0']) && !sysctl.contains("..");
        let shared = spec.host_network && sysctl.starts_with("net.");
        if !known || !plain || shared {
            return Err(Error::Invalid(format!("sysctl \"{sysctl}\" does not belong to the pod alone")));
        }
    }
    Ok(())
}

pub(super) fn instance(spec: &InstanceSpec) -> Result<(), Error> {
    name("instance id", &spec.id)?;
    if spec.argv.is_empty() {
        return Err(Error::Invalid("an instance needs a command".into()));
    }
    Ok(())
}

pub(crate) fn name(what: &str, name: &str) -> Result<(), Error> {
    let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.is_empty() || name.len() > NAME_LEN_MAX || !name.chars().all(good) || name.starts_with('.') {
        let rule = "1 to 63 letters, digits, \".\", \"_\" or \"-\", not starting with \".\"";
        return Err(Error::Invalid(format!("{what} \"{name}\" is not acceptable: {rule}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_directory() {
        for bad in ["", "..", ".hidden", "a/b", "a b", &"x".repeat(64)] {
            assert!(name("id", bad).is_err(), "{bad}");
        }
        assert!(name("id", "0f3b-4.x_y").is_ok());
    }

    #[test]
    fn only_sysctls_of_the_pod() {
        let with = |name: &str| PodSpec {
            id: "x".into(),
            sysctls: [(name.to_owned(), "1".to_owned())].into(),
            ..PodSpec::default()
        };
        assert!(pod(&with("net.core.somaxconn")).is_ok());
        for bad in ["vm.overcommit_memory", "kernel.core_pattern", "net./../../x"] {
            assert!(pod(&with(bad)).is_err(), "{bad}");
        }
        assert!(pod(&PodSpec { host_network: true, ..with("net.core.somaxconn") }).is_err());
    }
}
