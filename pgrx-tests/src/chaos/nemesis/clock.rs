//! The server's clock jumps while it runs, and while it does not.

use super::{Fault, Whim};
use crate::Result;
use crate::chaos::world::World;
use crate::cluster::StopMode;

pub const FAULTS: &[Fault] = &[
    Fault::new("clock", "clock jumps ahead by minutes", |world, random| {
        let seconds = random.random.i64(60..900);
        jump(world, random, seconds)
    }),
    Fault::new("clock", "clock jumps ahead by hours", |world, random| {
        let seconds = random.random.i64(3_600..10_000);
        jump(world, random, seconds)
    }),
    Fault::new("clock", "clock goes back by seconds", |world, random| {
        let seconds = -random.random.i64(1..4);
        jump(world, random, seconds)
    }),
    // What is retried meanwhile is due when the clock is right again.
    Fault::new(
        "clock",
        "clock goes back by an hour, and forth",
        |world, random| {
            world.clock.turn(-3_600)?;
            random.wait(3_000..5_000);
            world.clock.turn(3_600)?;
            Ok(0)
        },
    ),
    Fault::new("clock", "clock jumps ahead across a restart", |world, random| {
        let seconds = random.random.i64(60..900);
        let cluster = world.cluster();
        cluster.stop(StopMode::Fast);
        world.clock.turn(seconds)?;
        cluster.start()?;
        Ok(0)
    })
    .orderly(),
];

fn jump(world: &World, random: &mut Whim, seconds: i64) -> Result<usize> {
    world.clock.turn(seconds)?;
    random.wait(1_500..3_000);
    Ok(0)
}
