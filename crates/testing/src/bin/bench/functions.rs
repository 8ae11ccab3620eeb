//! Functions through the AWS door, signed as the aws CLI signs. One file per question: how fast is a cold start, a warm
//! invoke, a burst from zero, a change of the code or of an alias, and what do very many functions cost.

mod burst;
mod change;
mod cold;
pub(crate) mod door;
mod flip;
mod floor;
mod many;
mod stages;
mod warm;

use anyhow::Result;
use testing::binary::Dory;

use crate::{Examples, load};
use door::Door;

pub(crate) fn run(dory: &Dory, examples: &Examples) -> Result<()> {
    let bootstrap = examples.path("bootstrap");
    load::block_on_alone(async {
        let door = Door::open(dory)?;
        cold::run(dory, &door, &bootstrap).await
    })?;
    load::block_on_alone(async { change::run(&*Door::open(dory)?, &bootstrap).await })?;
    load::block_on(async { flip::run(dory, &Door::open(dory)?, &bootstrap).await })
}

/// Invocations of instances that are there.
pub(crate) fn warm(dory: &Dory, examples: &Examples) -> Result<()> {
    let bootstrap = examples.path("bootstrap");
    cold::deploy(dory, warm::FUNCTION, 1, &bootstrap)?;
    load::block_on_alone(async { warm::one_client(&*Door::open(dory)?).await })?;
    load::block_on(async { warm::many_clients(&Door::open(dory)?, &bootstrap).await })
}

/// What strains the whole platform.
pub(crate) fn scale(dory: &Dory, examples: &Examples) -> Result<()> {
    let bootstrap = examples.path("bootstrap");
    load::block_on(async { burst::run(dory, &Door::open(dory)?, &bootstrap).await })
}

/// What functions cost that are only there.
pub(crate) fn many(dory: &Dory, examples: &Examples) -> Result<()> {
    let bootstrap = examples.path("bootstrap");
    load::block_on(async { many::run(dory, &*Door::open(dory)?, &bootstrap).await })
}
