//! What it costs a transaction to publish an event.

use std::time::Instant;

use pg_hooks_tests::Result;

use super::RUNS;
use crate::figures::medians;
use crate::measurement::{Measurement, Parameter, Values};
use crate::rig::{Rig, sql_failure};
use crate::table::{Table, decimal, whole};

pub const MEASUREMENT: Measurement = Measurement {
    name: "publish",
    about: "hooks.publish() within a transaction, without its commit",
    parameters: &[
        Parameter {
            name: "subscriptions",
            about: "in all, of which ten match: two by name, eight by patterns",
            usual: &[10.0, 10_000.0],
            smoke: &[10.0, 100.0],
        },
        Parameter {
            name: "events",
            about: "published one by one in a run",
            usual: &[2_000.0],
            smoke: &[20.0],
        },
        Parameter {
            name: "queues",
            about: "that get one event, all of them",
            usual: &[10_000.0],
            smoke: &[100.0],
        },
        RUNS,
    ],
    run,
};

const MATCHING: [&str; 10] = [
    "order.created",
    "order.created",
    "order.*",
    "*.created",
    "*.*",
    "**",
    "order.**",
    "**.created",
    "order.*",
    "**",
];

fn run(values: &Values) -> Result<()> {
    let table = Table::begin(&["subscriptions", "matching", "us an event", "us a message"]);
    for subscriptions in values.counts("subscriptions") {
        let [us] = medians(values.count("runs"), |_| {
            Ok([one_by_one(subscriptions, values.count("events"))?])
        })?;
        let matching = MATCHING.len() as f64;
        table.row([
            whole(subscriptions as f64),
            whole(matching),
            decimal(us, 1),
            decimal(us / matching, 1),
        ]);
    }
    let queues = values.count("queues");
    let [us] = medians(values.count("runs"), |_| Ok([to_all(queues)?]))?;
    let queues = queues as f64;
    table.row([
        whole(queues),
        whole(queues),
        decimal(us, 1),
        decimal(us / queues, 1),
    ]);
    Ok(())
}

/// Microseconds an event that goes to ten of these subscriptions.
fn one_by_one(subscriptions: usize, events: usize) -> Result<f64> {
    let mut rig = Rig::start()?;
    rig.create_queue("publish", ", active => false")?;
    for pattern in MATCHING {
        rig.run(&format!("select hooks.subscribe('{pattern}', 'publish')"))?;
    }
    let others = subscriptions.saturating_sub(MATCHING.len());
    rig.run(&format!(
        "select hooks.subscribe('other' || n || case n % 3 when 0 then '.created' when 1 then '.*' else '.**' end,
           'publish') from generate_series(1, {others}) as n;
         analyze hooks.subscription"
    ))?;
    let publish = "select messages from hooks.publish('order.created', '{\"id\": 7, \"sum\": 12.5}')";
    let statement = rig.client.prepare(publish).map_err(sql_failure)?;
    // The first call of a session loads and plans.
    rig.client.query(&statement, &[]).map_err(sql_failure)?;
    rig.run("begin")?;
    let begun = Instant::now();
    for _ in 0..events {
        rig.client.query(&statement, &[]).map_err(sql_failure)?;
    }
    let took = begun.elapsed();
    rig.run("rollback")?;
    Ok(took.as_secs_f64() * 1e6 / events as f64)
}

/// Microseconds for one event to so many queues, the first that a session publishes.
fn to_all(queues: usize) -> Result<f64> {
    let mut rig = Rig::start()?;
    rig.run(&format!(
        "select hooks.create_queue('q' || n, 'https://example.com/', active => false) from generate_series(1, {queues}) as n;
         select hooks.subscribe('a', 'q' || n) from generate_series(1, {queues}) as n;
         analyze hooks.subscription; analyze hooks.queue; begin"
    ))?;
    let begun = Instant::now();
    rig.run("select hooks.publish('a', '{\"id\": 7, \"sum\": 12.5}')")?;
    let took = begun.elapsed();
    rig.run("rollback")?;
    Ok(took.as_secs_f64() * 1e6)
}
