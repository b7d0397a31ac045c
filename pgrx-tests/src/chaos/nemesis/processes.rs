//! Processes that are killed, stopped, terminated or cancelled.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Fault, Whim, await_crash};
use crate::chaos::workload::Queue;
use crate::chaos::world::{DEADLINE, World};
use crate::cluster::{Signal, kill9, signal};
use crate::wait::try_wait;
use crate::{Failure, Result};

pub const FAULTS: &[Fault] = &[
    Fault::new("processes", "kill -9 of the leader", |world, _| {
        kill(world, leader(world)?)
    }),
    Fault::new("processes", "kill -9 of a backend", |world, _| {
        kill(world, backend(world)?)
    }),
    Fault::new("processes", "kill -9 of the launcher", |world, _| {
        kill(world, one(world, "backend_type = 'pg_hooks launcher'")?)
    }),
    Fault::new("processes", "kill -9 of the postmaster", |world, _| {
        let cluster = world.cluster();
        cluster.kill9_postmaster();
        cluster.start()?;
        Ok(0)
    }),
    Fault::new("processes", "SIGSTOP of the leader", |world, random| {
        pause(&[leader(world)?], random, 5_000..7_000)
    })
    .stalling(),
    Fault::new("processes", "SIGSTOP of the leader for 30 s", |world, random| {
        pause(&[leader(world)?], random, 25_000..30_000)
    })
    .stalling()
    .lengthy(),
    Fault::new("processes", "SIGSTOP of the whole server", |world, random| {
        pause(&world.cluster().pids(), random, 5_000..7_000)
    })
    .stalling(),
    Fault::new("processes", "terminated leader", |world, _| {
        let leader = leader(world)?;
        order(world, &format!("select pg_terminate_backend({leader}, 10000)"))
    })
    .orderly(),
    Fault::new("processes", "cancelled leader", |world, random| {
        for _ in 0..20 {
            let leader = leader(world)?;
            order(world, &format!("select pg_cancel_backend({leader})"))?;
            random.wait(1..30);
        }
        Ok(0)
    }),
    Fault::new("processes", "terminated sessions", |world, _| {
        order(
            world,
            "select pg_terminate_backend(pid) from pg_stat_activity
             where backend_type = 'client backend' and datname = current_database() and pid <> pg_backend_pid()",
        )
    }),
    Fault::new("processes", "a message that kills the worker", |world, _| {
        poison(world)
    }),
];

fn leader(world: &World) -> Result<i32> {
    Ok(world.wait_for_leader()?.0)
}

/// A session that is in a transaction, if one can be had.
pub fn backend(world: &World) -> Result<i32> {
    let busy =
        "backend_type = 'client backend' and pid <> pg_backend_pid() order by (state = 'idle') limit 1";
    one(world, busy)
}

fn one(world: &World, condition: &str) -> Result<i32> {
    let mut client = world.session()?;
    let query = format!("select pid from pg_stat_activity where {condition}");
    try_wait(DEADLINE, || {
        client.query_opt(&query, &[]).ok().flatten().map(|row| row.get(0))
    })
    .map_err(|_| Failure::new(format!("no process with {condition}")))
}

fn kill(world: &World, pid: i32) -> Result<usize> {
    let mut witness = world.session()?;
    // It may have ended by itself, as sessions do: then nothing comes of it.
    if kill9(pid) {
        await_crash(&mut witness)?;
    }
    Ok(0)
}

fn order(world: &World, statement: &str) -> Result<usize> {
    let done = world.session()?.batch_execute(statement);
    done.map_err(|error| Failure::because(statement, format!("{error:?}")))?;
    Ok(0)
}

/// Longer than attempts may take, and their answers are read too late.
fn pause(pids: &[i32], random: &mut Whim, milliseconds: Range<u64>) -> Result<usize> {
    pids.iter().for_each(|pid| _ = signal(*pid, Signal::STOP));
    random.wait_out(milliseconds);
    pids.iter().for_each(|pid| _ = signal(*pid, Signal::CONT));
    Ok(0)
}

/// Kills the worker each time that a certain message arrives, as one does whose bytes hit a bug.
fn poison(world: &World) -> Result<usize> {
    /// Enough to know that it goes on.
    const ENOUGH: usize = 7;
    world.desk.poisoned.store(false, Ordering::Release);
    let (id, _) = world.pulse(Queue::Poison)?;
    for kills in 0..ENOUGH {
        let dead = format!("select exists (select from hooks.dead_letter where id = {id})");
        let came = try_wait(DEADLINE, || {
            world.desk.poisoned.swap(false, Ordering::AcqRel)
                || world.session().is_ok_and(|mut client| {
                    std::thread::sleep(Duration::from_millis(20));
                    client.query_one(&dead, &[]).is_ok_and(|row| row.get(0))
                })
        });
        came.map_err(|_| Failure::new("the message that kills the worker neither came nor ended"))?;
        let mut client = world.session()?;
        if client.query_one(&dead, &[]).is_ok_and(|row| row.get(0)) {
            return Ok(kills);
        }
        kill(world, leader(world)?)?;
    }
    // It would go on for ever.
    order(world, &format!("delete from hooks.message where id = {id}"))?;
    Ok(ENOUGH)
}
