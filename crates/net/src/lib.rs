//! Links, addresses, service addresses and DNS of one dory instance on one host.
//!
//! ```text
//!   Network ─┬─ slot       which bridge `dory<k>` and which address ranges are ours
//!            ├─ pool       ready-made network namespaces, pinned as files, leased to pods and functions
//!            └─ rules      one nftables table `dory<k>`: services, node ports, masquerade, protection
//!   dns::Server            answers cluster names, forwards the rest
//!   check()                what the host lacks
//! ```
//!
//! The room speaks netlink itself: it runs no `ip`, no `nft`. It knows nothing of Kubernetes objects:
//! `node` turns Services into [`ServiceEntry`] and cluster names into a [`dns::Zone`]; `sandbox` leases networks.
#![deny(missing_docs)]

mod check;
pub mod dns;
mod link;
mod namespace;
mod netlink;
mod network;
mod nft;
mod pool;
mod rules;
mod service;
mod slot;
mod sysctl;

pub use check::{Finding, check};
pub use namespace::{connect_in, listen_on, sockets_in};
pub use network::{Error, Lease, Network, Settings};
pub use service::{PortEntry, Protocol, ServiceEntry};

#[cfg(test)]
mod tests;
