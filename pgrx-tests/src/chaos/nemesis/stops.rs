//! The server is stopped in each mode, and started again.

use super::{Fault, without_clients};
use crate::Result;
use crate::chaos::world::World;
use crate::cluster::StopMode;

pub const FAULTS: &[Fault] = &[
    // It waits for the clients.
    Fault::new("stops", "smart stop", |world, _| {
        without_clients(world, || stop(world, StopMode::Smart))
    })
    .orderly(),
    Fault::new("stops", "fast stop", |world, _| stop(world, StopMode::Fast)).orderly(),
    Fault::new("stops", "immediate stop", |world, _| {
        stop(world, StopMode::Immediate)
    }),
];

fn stop(world: &World, mode: StopMode) -> Result<usize> {
    let cluster = world.cluster();
    cluster.stop(mode);
    cluster.start()?;
    Ok(0)
}
