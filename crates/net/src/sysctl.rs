//! The kernel settings this room needs, each with its reason. They belong to the network namespace of the calling
//! thread.

use std::io;
use std::path::Path;

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// Settings of one of the instance's own links on the host; none of them changes what other links do.
pub(crate) fn prepare_link(name: &str) -> io::Result<()> {
    let ipv4 = |key: &str, value: &str| write(&format!("/proc/sys/net/ipv4/conf/{name}/{key}"), value);
    // Node ports on 127.0.0.1 leave by the pod's link with a loopback source; services may end at a loopback listener.
    ipv4("route_localnet", "1")?;
    // A pod cannot send from an address that is not routed to its link.
    ipv4("rp_filter", "1")?;
    // Otherwise pods could reach the host's IPv6 listeners by a link-local address, past all rules.
    write_if_there(&format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1")
}

/// Settings of a fresh pod namespace, with the thread inside of it.
pub(crate) fn prepare_pod() -> io::Result<()> {
    // As containerd and Docker do: port 80 and ping without root.
    write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")?;
    write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647")?;
    // No IPv6 leaves a pod; without this every pod starts with router solicitations.
    write_if_there("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "1")
}

/// Lets the host route between pods and the outside, and remembers in `note` if it did not before.
pub(crate) fn enable_forwarding(note: &Path) -> io::Result<()> {
    if std::fs::read_to_string(FORWARDING)?.trim() == "1" {
        return Ok(());
    }
    std::fs::write(note, "0")?;
    write(FORWARDING, "1")
}

/// Puts forwarding back as `note` remembers it.
pub(crate) fn restore_forwarding(note: &Path) {
    if note.exists()
        && let Err(error) = write(FORWARDING, "0")
    {
        tracing::warn!(%error, "could not switch ip_forward off again");
    }
}

/// For settings of protocols the kernel may lack.
fn write_if_there(path: &str, value: &str) -> io::Result<()> {
    match write(path, value) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn write(path: &str, value: &str) -> io::Result<()> {
    std::fs::write(path, value)
}
