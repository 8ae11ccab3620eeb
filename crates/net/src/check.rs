//! What the host must offer for this room to work, tried rather than guessed. `dory doctor` prints the findings.

use std::io;
use std::os::fd::AsFd;

use crate::link::{End, Links};
use crate::nft::Nft;
use crate::rules::Rules;
use crate::slot::Slot;
use crate::{Error, namespace, sysctl};

/// One thing that the host lacks, in words for its administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is missing, e.g. `bridge devices`.
    pub what: String,
    /// What to do about it, e.g. `load the kernel module bridge`.
    pub fix: String,
    /// Whether [`crate::Network::open`] fails because of it.
    pub fatal: bool,
}

impl Finding {
    fn fatal(what: impl ToString, fix: &str) -> Finding {
        Finding { what: what.to_string(), fix: fix.to_owned(), fatal: true }
    }
}

/// Tries, in a throw-away network namespace, everything [`crate::Network::open`] needs. Blocking; a few milliseconds.
pub fn check() -> Vec<Finding> {
    let mut findings = Vec::new();
    let tried = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("net-check".to_owned());
        let tried = thread.spawn_scoped(scope, try_everything)?;
        tried.join().map_err(|_| io::Error::other("the check panicked"))
    });
    match tried {
        Ok(found) => findings.extend(found),
        Err(error) => findings.push(Finding::fatal(format!("a thread: {error}"), "free some memory")),
    }
    findings.extend(forwarding_firewall());
    findings
}

/// Stops at the first thing missing: what comes after needs it.
fn try_everything() -> Option<Finding> {
    const BRIDGE: &str = "dory0";
    if let Err(error) = namespace::unshare() {
        let fix = "run dory as root, on a kernel with CONFIG_NET_NS";
        return Some(Finding::fatal(format!("network namespaces: {error}"), fix));
    }
    let mut links = match Links::open() {
        Ok(links) => links,
        Err(error) => return Some(Finding::fatal(format!("netlink sockets: {error}"), "allow AF_NETLINK")),
    };
    if let Err(error) = links.create_bridge(BRIDGE, 0) {
        return Some(Finding::fatal(format!("bridge devices: {error}"), "load the kernel module `bridge`"));
    }
    if let Err(error) = try_veth(&mut links) {
        return Some(Finding::fatal(format!("veth devices: {error}"), "load the kernel module `veth`"));
    }
    if let Err(error) = sysctl::prepare_link(BRIDGE) {
        let fix = "mount /proc writable where dory runs";
        return Some(Finding::fatal(format!("network settings under /proc/sys: {error}"), fix));
    }
    let slot = Slot { number: 0, bridge: links.index(BRIDGE).unwrap_or_default(), fresh: true };
    match Rules::open(slot, false) {
        Ok(_) => None,
        Err(Error::Missing { what, fix }) => Some(Finding::fatal(what, &fix)),
        Err(error) => {
            let fix = "load the kernel modules `nf_tables`, `nft_nat`, `nft_masq`, `nft_fib_ipv4`, `nft_numgen`, \
                       `nft_ct` and `nft_reject_ipv4`";
            Some(Finding::fatal(format!("nf_tables: failed to {error}"), fix))
        }
    }
}

fn try_veth(links: &mut Links) -> io::Result<()> {
    let here = namespace::current()?;
    let one = End { name: "one", hardware: [0x0a, 0, 0, 0, 0, 1] };
    let two = End { name: "two", hardware: [0x0a, 0, 0, 0, 0, 2] };
    links.create_veth(&one, &two, here.as_fd(), 0)
}

/// A firewall that drops what it does not know, as Docker sets it up, also drops what pods send; dory does not write
/// into other people's tables.
fn forwarding_firewall() -> Option<Finding> {
    let dropping = Nft::open().ok()?.dropping_forward_chains();
    let (table, chain) = dropping.into_iter().next()?;
    Some(Finding {
        what: format!("forwarding: the chain {chain} of the table {table} drops what it does not know"),
        fix: "iptables -I FORWARD -i dory+ -j ACCEPT; iptables -I FORWARD -o dory+ -j ACCEPT".to_owned(),
        fatal: false,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_host_has_what_it_takes() {
        let findings = super::check();
        assert!(findings.iter().all(|finding| !finding.fatal), "{findings:?}");
    }
}
