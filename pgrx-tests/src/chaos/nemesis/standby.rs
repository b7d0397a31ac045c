//! The server is lost, and a standby takes over.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Fault, Whim};
use crate::chaos::world::{DEADLINE, World};
use crate::cluster::{Signal, StopMode, signal};
use crate::wait::try_wait;
use crate::{Cluster, Failure, Result};

pub const FAULTS: &[Fault] = &[Fault::new("standby", "failover to a standby", |world, random| {
    let primary = world.cluster();
    let standby = primary.start_standby(world.builder())?;
    world.replicated.store(true, Ordering::Relaxed);
    let followed = follow(world, &primary, &standby);
    if followed.is_err() {
        // Else whoever commits would wait for ever for a standby that is gone.
        primary.reload(&[(STANDBYS, "")]);
    }
    let result = followed.and_then(|()| fail_over(world, random, &primary, standby));
    world.replicated.store(false, Ordering::Relaxed);
    result
})];

const STANDBYS: &str = "synchronous_standby_names";

fn failed(doing: &str, error: &postgres::Error) -> Failure {
    Failure::because(doing, format!("{error:?}"))
}

/// From now on commits wait for the standby, and what was committed before is there as well.
fn follow(world: &World, primary: &Cluster, standby: &Cluster) -> Result<()> {
    primary.reload(&[(STANDBYS, "*")]);
    let mut client = world.session()?;
    let in_step = "select exists (select from pg_stat_replication where sync_state = 'sync')";
    await_true(&mut client, in_step)?;
    see_a_commit_wait(world, &mut client, standby)?;
    let position = client.query_one("select pg_current_wal_lsn()::text", &[]);
    let position: String = position.map_err(|error| failed("could not ask", &error))?.get(0);
    let behind = format!("select exists (select from pg_stat_replication where flush_lsn >= '{position}')");
    await_true(&mut client, &behind)
}

fn session_of(standby: &Cluster) -> Result<postgres::Client> {
    let session = standby.try_connect("postgres", "postgres");
    session.map_err(|error| failed("the standby gives no session", &error))
}

fn await_true(client: &mut postgres::Client, question: &str) -> Result<()> {
    let answer = try_wait(DEADLINE, || {
        let row = client.query_one(question, &[]);
        let is_so = row.map_err(|error| format!("{error:?}"))?.get(0);
        if is_so { Ok(()) } else { Err("no".to_owned()) }
    });
    answer.map_err(|seen| Failure::because(question, seen.unwrap_or_default()))
}

/// Not all processes follow a setting at once: the standby stands still until somebody is seen to wait for it.
fn see_a_commit_wait(world: &World, client: &mut postgres::Client, standby: &Cluster) -> Result<()> {
    let query = "select pid from pg_stat_wal_receiver";
    let receiver = session_of(standby)?.query_one(query, &[]);
    let receiver: i32 = receiver
        .map_err(|error| failed("the standby has no receiver", &error))?
        .get(0);
    let mut session = world.session()?;
    let is_seen = AtomicBool::new(false);
    signal(receiver, Signal::STOP);
    std::thread::scope(|scope| {
        // Those that wait for nobody are over at once.
        let commits = scope.spawn(|| {
            while !is_seen.load(Ordering::Relaxed) {
                session.batch_execute("select pg_logical_emit_message(true, 'chaos', 'x')")?;
            }
            Ok(())
        });
        let waits = "select exists (select from pg_stat_activity where wait_event = 'SyncRep')";
        let seen = await_true(client, waits);
        is_seen.store(true, Ordering::Relaxed);
        signal(receiver, Signal::CONT);
        let committed = commits.join().unwrap_or(Ok(()));
        committed.map_err(|error| failed("could not commit", &error))?;
        seen
    })
}

/// What was promised to clients is on the standby as well.
fn fail_over(world: &World, random: &mut Whim, primary: &Cluster, standby: Cluster) -> Result<usize> {
    random.wait(500..2_000);
    if random.random.bool() {
        primary.kill9_postmaster();
    } else {
        primary.stop(StopMode::Immediate);
    }
    await_true(&mut session_of(&standby)?, "select pg_promote()")?;
    world.move_to(standby);
    Ok(0)
}
