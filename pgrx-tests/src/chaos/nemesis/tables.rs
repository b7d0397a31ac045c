//! What administrators do to tables, extension and settings while messages are sent.

use std::ops::Range;

use super::{Fault, Whim, must_flow};
use crate::chaos::world::World;
use crate::{Failure, Result};

/// Long enough for the leader to come upon the lock.
const A_MOMENT: Range<u64> = 1_500..3_000;
const A_MINUTE: Range<u64> = 60_000..60_001;

pub const FAULTS: &[Fault] = &[
    Fault::new("tables", "LOCK TABLE hooks.message", |world, random| {
        hold(world, random, "lock table hooks.message")
    }),
    Fault::new("tables", "LOCK TABLE hooks.message_log", |world, random| {
        hold(world, random, "lock table hooks.message_log")
    }),
    Fault::new("tables", "LOCK TABLE hooks.attempt", |world, random| {
        hold(world, random, "lock table hooks.attempt")
    }),
    Fault::new("tables", "LOCK TABLE hooks.queue", |world, random| {
        hold(world, random, "lock table hooks.queue")
    }),
    Fault::new("tables", "LOCK TABLE hooks.dead_letter", |world, random| {
        hold(world, random, "lock table hooks.dead_letter")
    }),
    Fault::new("tables", "LOCK TABLE hooks.cron", |world, random| {
        hold(world, random, "lock table hooks.cron")
    }),
    Fault::new("tables", "all messages locked", |world, random| {
        hold(world, random, "select from hooks.message for update")
    }),
    Fault::new("tables", "table of messages locked for a minute", |world, random| {
        keep(world, "lock table hooks.message", |_| random.wait(A_MINUTE))
    })
    .lengthy(),
    Fault::new("tables", "half of the messages locked for a minute", |world, random| {
        let lock = "select from hooks.message where id % 2 = 0 and queue_id <> (select id from hooks.queue where name = 'pulse') for update";
        let mut flows = Ok(());
        keep(world, lock, |world| {
            random.wait(A_MINUTE);
            // Others go their way.
            flows = must_flow(world);
        })?;
        flows.map(|()| 0)
    })
    .lengthy(),
    Fault::new("tables", "old snapshot", |world, random| {
        hold(
            world,
            random,
            "set transaction isolation level repeatable read; select from hooks.message",
        )
    }),
    Fault::new("tables", "VACUUM FULL", |world, random| {
        again_and_again(
            world,
            random,
            &["vacuum full hooks.message", "vacuum full hooks.queue"],
        )
    }),
    Fault::new("tables", "REINDEX", |world, random| {
        again_and_again(
            world,
            random,
            &[
                "reindex table hooks.message",
                "reindex table concurrently hooks.message",
            ],
        )
    }),
    Fault::new("tables", "ALTER EXTENSION", |world, random| {
        again_and_again(
            world,
            random,
            &[
                "create table chaos.member (); alter extension pg_hooks add table chaos.member",
                "alter extension pg_hooks update",
                "alter extension pg_hooks drop table chaos.member; drop table chaos.member",
            ],
        )
    }),
    Fault::new("tables", "settings reloaded", |world, random| {
        for _ in 0..10 {
            let slots = random
                .random
                .usize(1..=super::super::world::MAX_IN_FLIGHT)
                .to_string();
            let capture = random.random.usize(0..4_096).to_string();
            let changes = [
                ("hooks.max_in_flight", slots.as_str()),
                ("hooks.response_capture", capture.as_str()),
            ];
            world.cluster().reload(&changes);
            random.wait(10..200);
        }
        let all = super::super::world::MAX_IN_FLIGHT.to_string();
        world.cluster().reload(&[("hooks.max_in_flight", &all)]);
        Ok(0)
    }),
];

fn failed(doing: &str, error: &postgres::Error) -> Failure {
    Failure::because(doing, format!("{error:?}"))
}

/// Keeps what a statement took for a moment.
fn hold(world: &World, random: &mut Whim, statement: &str) -> Result<usize> {
    keep(world, statement, |_| random.wait(A_MOMENT))
}

/// Keeps what a statement took until something is over.
fn keep(world: &World, statement: &str, wait: impl FnOnce(&World)) -> Result<usize> {
    let mut client = world.session()?;
    let taken = client.batch_execute(&format!("begin; {statement}"));
    taken.map_err(|error| failed(statement, &error))?;
    wait(world);
    let ended = client.batch_execute("commit");
    ended.map_err(|error| failed("commit", &error))?;
    Ok(0)
}

/// Each of these, three times over.
fn again_and_again(world: &World, random: &mut Whim, statements: &[&str]) -> Result<usize> {
    let mut client = world.session()?;
    for _ in 0..3 {
        for statement in statements {
            let done = client.batch_execute(statement);
            done.map_err(|error| failed(statement, &error))?;
            random.wait(20..200);
        }
    }
    Ok(0)
}
