//! What happens to packets: one nftables table per instance. Services are elements of maps, so that a change of a
//! service changes elements only; the chains that look them up exist once per number of endpoints.
//!
//! ```text
//!   services    address . protocol . port          → chain pick-N          (N endpoints)
//!   node-ports            protocol . port          → chain pick-N-node
//!   endpoints   i . address . protocol . port      → endpoint . port       (i < N; address 0 for node ports)
//!   pick-N:     i := random mod N; dnat to endpoints[i . address . protocol . port]
//!   hairpin     endpoint . endpoint                pods that reach themselves by a service are masqueraded
//!   affinity    client . address . protocol . port → endpoint . port, for as long as the service says
//! ```

mod fixed;
mod flows;
mod model;
mod pick;

use std::collections::BTreeSet;

use crate::nft::{Batch, Data, Nft};
use crate::slot::Slot;
use crate::{Error, ServiceEntry};

use model::Model;

/// The table of one instance.
pub(crate) struct Rules {
    nft: Nft,
    table: String,
    slot: Slot,
    expose_node_ports: bool,
    guest_ports: BTreeSet<u16>,
    /// What the kernel holds; none if an earlier process made the table: the first change then replaces all of it.
    installed: Option<Model>,
}

impl Rules {
    /// Opens the instance's table. One that an earlier process left stays in force until the first change, so that
    /// services go on working through a restart.
    pub(crate) fn open(slot: Slot, expose_node_ports: bool) -> Result<Rules, Error> {
        let mut nft = Nft::open()?;
        let table = slot.name();
        let keep = !slot.fresh && nft.has_table(&table);
        let guest_ports = BTreeSet::new();
        let mut rules = Rules { nft, table, slot, expose_node_ports, guest_ports, installed: None };
        if !keep {
            rules.replace(Model::default())?;
        }
        Ok(rules)
    }

    /// Makes the services be exactly these.
    pub(crate) fn apply(&mut self, services: &[ServiceEntry]) -> Result<(), Error> {
        let wanted = Model::plan(services, self.slot.services())?;
        let Some(installed) = &self.installed else { return self.replace(wanted) };
        let mut batch = Batch::new(&self.table);
        installed.write_changes(&wanted, &mut batch);
        self.nft.commit(batch)?;
        let (stale_affinity, gone) = (installed.stale_affinity(&wanted), installed.gone_udp(&wanted));
        self.installed = Some(wanted);
        if !gone.is_empty() {
            flows::forget(self.nft.socket(), &gone)
                .map_err(Error::kernel("forget flows to endpoints that are gone"))?;
        }
        if stale_affinity { self.forget_stale_affinity() } else { Ok(()) }
    }

    /// Makes the TCP ports of the gateway address that guests may reach be exactly these.
    pub(crate) fn allow_guest_ports(&mut self, ports: &[u16]) -> Result<(), Error> {
        let wanted: BTreeSet<u16> = ports.iter().copied().collect();
        if self.installed.is_some() {
            let key = |port: &u16| port_key(*port);
            let gone: Vec<[u8; 4]> = self.guest_ports.difference(&wanted).map(key).collect();
            let new: Vec<[u8; 4]> = wanted.difference(&self.guest_ports).map(key).collect();
            let mut batch = Batch::new(&self.table);
            batch.delete_elements(
                fixed::GUEST_PORTS.name,
                &gone.iter().map(|key| &key[..2]).collect::<Vec<_>>(),
            );
            let new: Vec<_> = new.iter().map(|key| (&key[..2], Data::Nothing)).collect();
            batch.add_elements(fixed::GUEST_PORTS.name, &new);
            self.nft.commit(batch)?;
        }
        self.guest_ports = wanted;
        Ok(())
    }

    /// Removes the table.
    pub(crate) fn remove(&mut self) -> Result<(), Error> {
        let mut batch = Batch::new(&self.table);
        batch.add_table();
        batch.delete_table();
        self.nft.commit(batch)
    }

    fn replace(&mut self, wanted: Model) -> Result<(), Error> {
        let mut batch = Batch::new(&self.table);
        batch.add_table();
        batch.delete_table();
        batch.add_table();
        fixed::write(&mut batch, &self.slot, self.expose_node_ports);
        let ports: Vec<[u8; 4]> = self.guest_ports.iter().map(|port| port_key(*port)).collect();
        let ports: Vec<_> = ports.iter().map(|key| (&key[..2], Data::Nothing)).collect();
        batch.add_elements(fixed::GUEST_PORTS.name, &ports);
        Model::default().write_changes(&wanted, &mut batch);
        self.nft.commit(batch)?;
        self.installed = Some(wanted);
        Ok(())
    }

    /// Forgets which client had which endpoint where the endpoint is gone. Elements expire on their own too, so one
    /// that vanishes meanwhile is no error.
    fn forget_stale_affinity(&mut self) -> Result<(), Error> {
        let Some(installed) = &self.installed else { return Ok(()) };
        let remembered = self.nft.elements(&self.table, fixed::AFFINITY.name);
        let remembered = remembered.map_err(Error::kernel("list session affinities"))?;
        for (client, endpoint) in remembered {
            if installed.leads_to(&client, &endpoint) {
                continue;
            }
            let mut batch = Batch::new(&self.table);
            batch.delete_elements(fixed::AFFINITY.name, &[&client]);
            match self.nft.commit(batch) {
                Err(Error::Kernel { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        Ok(())
    }
}

/// A port as a key: two bytes in network order, padded to a register.
fn port_key(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}
