//! The server is lost, and a standby takes over.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Fault, Whim};
use crate::chaos::world::{DEADLINE, World};
use crate::cluster::StopMode;
use crate::wait::try_wait;
use crate::{Failure, Result};

pub const FAULTS: &[Fault] = &[Fault::new("standby", "failover to a standby", |world, random| {
    let result = fail_over(world, random);
    world.replicated.store(false, Ordering::Relaxed);
    result
})];

/// What was promised to clients is on the standby as well, from when commits wait for it.
fn fail_over(world: &World, random: &mut Whim) -> Result<usize> {
    let primary = world.cluster();
    let standby = primary.start_standby(world.builder())?;
    world.replicated.store(true, Ordering::Relaxed);
    primary.reload(&[("synchronous_standby_names", "*")]);
    let mut client = world.session()?;
    let in_step = "select exists (select from pg_stat_replication where sync_state = 'sync')";
    let query = || {
        let row = client
            .query_one(in_step, &[])
            .map_err(|error| format!("{error:?}"))?;
        if row.get(0) {
            Ok(())
        } else {
            Err("no standby is in step".to_owned())
        }
    };
    try_wait(DEADLINE, query).map_err(|seen| Failure::new(seen.unwrap_or_default()))?;
    drop(client);
    // Commits that began before may not wait.
    std::thread::sleep(Duration::from_secs(1));
    random.wait(500..2_000);
    if random.random.bool() {
        primary.kill9_postmaster();
    } else {
        primary.stop(StopMode::Immediate);
    }
    let promoted = standby.connect("postgres").batch_execute("select pg_promote()");
    promoted.map_err(|error| Failure::because("could not promote the standby", format!("{error:?}")))?;
    world.move_to(standby);
    Ok(0)
}
