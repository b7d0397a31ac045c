//! The server's clock jumps, by way of libfaketime.

use std::path::PathBuf;

use super::{Fault, Whim};
use crate::Result;
use crate::chaos::world::World;
use crate::cluster::StopMode;

/// Only where a plan asks for it: the library makes every look at the clock dear, and a server must be started
/// with it.
pub const FAULTS: &[Fault] = &[
    Fault::new("clock", "clock jumps ahead by minutes", |world, random| {
        let seconds = random.random.i64(60..900);
        jump(world, random, seconds)
    })
    .moving_clock()
    .needing(no_library),
    Fault::new("clock", "clock jumps ahead by hours", |world, random| {
        let seconds = random.random.i64(3_600..10_000);
        jump(world, random, seconds)
    })
    .moving_clock()
    .needing(no_library),
    Fault::new("clock", "clock goes back by seconds", |world, random| {
        let seconds = -random.random.i64(1..4);
        jump(world, random, seconds)
    })
    .moving_clock()
    .needing(no_library),
];

/// Where Debian has it.
pub fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten();
    let mut paths = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    paths.find(|path| path.exists())
}

fn no_library() -> Option<String> {
    library()
        .is_none()
        .then(|| "libfaketime is not installed (Debian: faketime)".to_owned())
}

fn jump(world: &World, random: &mut Whim, seconds: i64) -> Result<usize> {
    world.turn_clock(seconds)?;
    // Processes that run already may keep the time that they began with.
    let cluster = world.cluster();
    cluster.stop(StopMode::Fast);
    cluster.start()?;
    random.wait(1_500..3_000);
    Ok(0)
}
