//! `make bench`: the figures the project promises, measured on the release binary, one JSON line each.
//!
//! Runs a platform of its own in a temporary data directory on free ports and stops it at the end. Arguments: the path of
//! the `dory` binary, the directory of the built examples, and optionally the names of the groups to run.

mod api;
mod functions;
mod idle;
mod load;
mod peers;
mod pods;
mod processes;
mod queues;
mod row;
mod start;

use std::path::PathBuf;

use anyhow::{Context, Result};
use testing::binary::Dory;

/// The group that runs only when it is named: it needs what `tools/peers` installs.
const PEERS: &str = "peers";

type Group = (&'static str, fn(&Dory, &Examples) -> Result<()>);

/// What the example crates built.
pub(crate) struct Examples {
    directory: PathBuf,
}

impl Examples {
    /// One built example.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let binary = arguments.next().context("usage: bench DORY EXAMPLES [GROUP…]")?;
    let examples =
        Examples { directory: arguments.next().context("usage: bench DORY EXAMPLES [GROUP…]")?.into() };
    let wanted: Vec<String> = arguments.collect();
    let groups: [Group; 10] = [
        ("start", start::run),
        ("api", api::run),
        ("pods", pods::run),
        ("functions", functions::run),
        ("warm", functions::warm),
        ("queues", queues::run),
        ("idle", idle::run),
        ("many", functions::many),
        ("scale", functions::scale),
        (PEERS, peers::run),
    ];
    row::size("binary_size_mb", binary.as_ref(), 35.0)?;
    for (name, group) in groups {
        if wanted.is_empty() && name != PEERS || wanted.iter().any(|one| one == name) {
            // Each on a platform of its own: what one leaves behind, such as a hundred thousand objects in the history of
            // the API, is no part of what the next measures.
            let dory = Dory::prepare(binary.clone().into())?;
            if name != "start" {
                dory.up(&[])?;
            }
            group(&dory, &examples).with_context(|| format!("bench group {name}"))?;
            dory.down()?;
        }
    }
    Ok(())
}
