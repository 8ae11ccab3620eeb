//! The chains that choose one of N endpoints at random, or the one the client had before. They depend on the number
//! of endpoints and the kind of address only, so services share them.

use std::time::Duration;

use super::fixed::{AFFINITY, ENDPOINTS};
use crate::nft::{Batch, Expression, Field, MetaKey, Register};

/// Which chain a service port goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Pick {
    /// How many endpoints; never zero.
    pub(super) endpoints: u32,
    /// Whether the key's address is zero: node ports answer on any address of the host.
    pub(super) node: bool,
    /// For how many seconds a client keeps its endpoint.
    pub(super) affinity: Option<u32>,
}

const R0: Register = Register(0);
const R1: Register = Register(1);
const R2: Register = Register(2);
const R3: Register = Register(3);
/// The endpoint's address, with its port in the register after it.
const FOUND: Register = Register(4);
const FOUND_PORT: Register = Register(5);

impl Pick {
    /// The chain's name.
    pub(super) fn chain(&self) -> String {
        let node = if self.node { "-node" } else { "" };
        let affinity = self.affinity.map(|seconds| format!("-{seconds}s")).unwrap_or_default();
        format!("pick-{}{node}{affinity}", self.endpoints)
    }

    /// Adds the chain.
    pub(super) fn write(&self, batch: &mut Batch) {
        let chain = self.chain();
        batch.add_chain(&chain, None);
        // The key (?, address, protocol, port); what comes first is the endpoint's number or the client.
        let address =
            if self.node { Expression::Value(R1, &[0; 4]) } else { Expression::Load(Field::Destination, R1) };
        let service = [
            address,
            Expression::Meta(MetaKey::TransportProtocol, R2),
            Expression::Load(Field::DestinationPort, R3),
        ];
        let client = [Expression::Load(Field::Source, R0)];
        let any = [Expression::Random(R0, self.endpoints)];
        let endpoint = [Expression::Lookup(ENDPOINTS.name, R0, FOUND)];
        let translate = [Expression::Dnat(FOUND, FOUND_PORT)];
        if let Some(seconds) = self.affinity {
            let time = Duration::from_secs(u64::from(seconds));
            let before = [Expression::Lookup(AFFINITY.name, R0, FOUND)];
            let remember = [Expression::Remember(AFFINITY.name, R0, FOUND, time)];
            batch.add_rule(&chain, &[&client[..], &service, &before, &remember, &translate].concat());
            batch.add_rule(&chain, &[&any[..], &service, &endpoint, &client, &remember, &translate].concat());
            // When no more clients can be remembered, remembering ends the rule above; this one is without.
        }
        batch.add_rule(&chain, &[&any[..], &service, &endpoint, &translate].concat());
    }
}
