//! The instance's network as the rest of the house sees it: open, lease, release, services, close.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::link::Links;
use crate::namespace::Pins;
use crate::pool::{Kind, Pool};
use crate::rules::Rules;
use crate::slot::{self, Slot};
use crate::{ServiceEntry, sysctl};

/// What a [`Network`] is opened with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where pins and marks live, under the data directory.
    pub dir: PathBuf,
    /// The instance's id: a restart finds its own bridge and pins by it.
    pub owner: String,
    /// How many networks of each kind are kept ready.
    pub pool: usize,
    /// Whether node ports answer on addresses other machines can reach. Off by default: loopback and pods only.
    pub expose_node_ports: bool,
}

/// Why an operation failed; the text reads after "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused a step.
    #[error("{step}: {source}")]
    Kernel {
        /// What was tried.
        step: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel or host lacks a feature.
    #[error("use this host's network: {what} not available; {fix}")]
    Missing {
        /// What is missing.
        what: String,
        /// What to do.
        fix: String,
    },
    /// Every slot or address is taken.
    #[error("find a free {0}")]
    Exhausted(&'static str),
    /// No pinned network of that name.
    #[error("find the network namespace {0}")]
    Unknown(String),
    /// A service entry that cannot be expressed.
    #[error("apply service {name}: {reason}")]
    Service {
        /// `namespace/name`.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The network was closed.
    #[error("use a network that is closed")]
    Closed,
}

impl Error {
    /// For `map_err` on the kernel's answer to `step`.
    pub(crate) fn kernel(step: &str) -> impl Fn(io::Error) -> Error + '_ {
        move |source| Error::Kernel { step: step.to_owned(), source }
    }

    pub(crate) fn missing(what: &str, fix: &str) -> Error {
        Error::Missing { what: what.to_owned(), fix: fix.to_owned() }
    }
}

/// A network namespace in use by one pod or function instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its name, to keep for [`Network::adopt`].
    pub name: String,
    /// The pinned namespace: open it and `setns`, or mount it.
    pub netns: PathBuf,
    /// Its address; none when isolated.
    pub address: Option<Ipv4Addr>,
}

/// One instance's network on this host.
pub struct Network {
    settings: Settings,
    name: String,
    slot: Slot,
    pins: Pins,
    pool: Pool,
    rules: Mutex<Rules>,
}

impl Network {
    /// Finds the instance's own bridge `dory<k>` or takes a free slot, and starts filling the pools. It works in the
    /// network and mount namespaces of the calling thread.
    pub async fn open(settings: Settings) -> Result<Network, Error> {
        open_blocking(settings)
    }

    /// The host's address on the bridge; the pods' default gateway and name server.
    pub fn gateway(&self) -> Ipv4Addr {
        self.slot.gateway()
    }

    /// The pods' range, e.g. `10.42.0.0/16`.
    pub fn pod_cidr(&self) -> String {
        let range = self.slot.pods();
        format!("{}/{}", range.first, range.prefix)
    }

    /// The services' range, e.g. `10.43.0.0/16`.
    pub fn service_cidr(&self) -> String {
        let range = self.slot.services();
        format!("{}/{}", range.first, range.prefix)
    }

    /// The cluster DNS service's address, `.0.10` of the services' range.
    pub fn dns_address(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.slot.services().first.to_bits() + 10)
    }

    /// The bridge and table name, `dory<k>`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A pod's network: eth0 with an address, everything reachable.
    pub async fn lease(&self) -> Result<Lease, Error> {
        self.pool.lease(Kind::Pod).await
    }

    /// A network for code that is not trusted (a function instance): it reaches the outside and DNS, but no pod, no
    /// service, and of the host only the ports of [`Network::allow_guest_ports`].
    pub async fn lease_guest(&self) -> Result<Lease, Error> {
        self.pool.lease(Kind::Guest).await
    }

    /// A network with loopback only.
    pub async fn isolated(&self) -> Result<Lease, Error> {
        self.pool.lease(Kind::Isolated).await
    }

    /// Sockets of a leased network that are neither bound nor connected, made with it and given away once; none of pods' and of
    /// what an earlier process made. Otherwise [`crate::sockets_in`] makes some.
    pub fn take_sockets(&self, lease: &Lease) -> Vec<OwnedFd> {
        self.pool.take_sockets(lease)
    }

    /// After a restart: the lease of a pod that is still running. Guests and isolated networks do not outlive the
    /// process and are swept by [`Network::open`].
    pub async fn adopt(&self, name: &str) -> Result<Lease, Error> {
        self.pool.adopt(name)
    }

    /// Once all running pods are adopted: tears down the leases nobody adopted.
    pub async fn sweep(&self) {
        self.pool.sweep();
    }

    /// Gives a lease back; torn down or recycled off the hot path. Its processes must be gone.
    pub async fn release(&self, lease: Lease) {
        self.pool.release(&lease);
    }

    /// Makes the whole table of services be exactly this, in one transaction of only what changed.
    pub async fn apply_services(&self, services: Vec<ServiceEntry>) -> Result<(), Error> {
        self.rules().apply(&services)
    }

    /// The TCP ports on the gateway address that guests may reach (the AWS door's, say).
    pub async fn allow_guest_ports(&self, ports: &[u16]) -> Result<(), Error> {
        self.rules().allow_guest_ports(ports)
    }

    /// Stops the background work. With `remove`, leaves nothing behind: link, table, pins, mounts, settings. Running
    /// pods keep their namespaces but are cut off.
    pub async fn close(&self, remove: bool) {
        self.pool.close();
        if remove && let Err(error) = self.remove() {
            tracing::warn!(%error, "could not remove all of the network");
        }
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        // What the kernel holds changes only when a whole transaction was taken; a panic leaves it consistent.
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remove(&self) -> Result<(), Error> {
        self.rules().remove()?;
        self.remove_links().map_err(Error::kernel("remove links and namespaces"))
    }

    fn remove_links(&self) -> io::Result<()> {
        let mut links = Links::open()?;
        links.delete_group(self.slot.group())?;
        if slot::others(&mut links, &self.slot) == 0 {
            sysctl::restore_forwarding(&forwarding_note(&self.settings));
        }
        self.pins.remove()?;
        std::fs::remove_dir_all(&self.settings.dir)
    }
}

fn open_blocking(settings: Settings) -> Result<Network, Error> {
    std::fs::create_dir_all(&settings.dir).map_err(Error::kernel("make the network's directory"))?;
    let mut links = Links::open().map_err(Error::kernel("open a netlink socket"))?;
    let slot = slot::take(&mut links, &settings.owner)?;
    let opened = open_slot(settings, slot, &mut links);
    if opened.is_err() && slot.fresh {
        // A host that lacks something keeps no bridge of an instance that never ran.
        let _ = links.delete_group(slot.group());
    }
    opened
}

fn open_slot(settings: Settings, slot: Slot, links: &mut Links) -> Result<Network, Error> {
    sysctl::enable_forwarding(&forwarding_note(&settings)).map_err(Error::kernel("switch ip_forward on"))?;
    let rules = Mutex::new(Rules::open(slot, settings.expose_node_ports)?);
    let pin_step = Error::kernel("prepare the directory of network namespaces");
    let pins = Pins::open(settings.dir.join("netns")).map_err(&pin_step)?;
    if slot.fresh {
        // The links of older pins went with the bridge.
        for name in pins.files().map_err(&pin_step)? {
            pins.unpin(&name).map_err(&pin_step)?;
        }
    }
    let listed = links.list().map_err(Error::kernel("list the host's links"))?;
    let listed: Vec<String> = listed.into_iter().map(|link| link.name).collect();
    let pool = Pool::open(slot, pins.clone(), settings.dir.join("leased"), settings.pool, &listed);
    let pool = pool.map_err(Error::kernel("start the pool of networks"))?;
    Ok(Network { settings, name: slot.name(), slot, pins, pool, rules })
}

fn forwarding_note(settings: &Settings) -> PathBuf {
    settings.dir.join("ip_forward.was")
}
