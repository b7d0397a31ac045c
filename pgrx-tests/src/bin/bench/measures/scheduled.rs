//! Many messages that are due in a month: do those that are due now notice?

use std::time::Instant;

use pg_hooks_tests::Result;

use super::RUNS;
use super::latency::{self, Pace};
use crate::backlog::{self, BODY};
use crate::figures::medians;
use crate::machine;
use crate::measurement::{Measurement, Parameter, Values};
use crate::rig::Rig;
use crate::table::{Table, decimal, percent, whole};

pub const MEASUREMENT: Measurement = Measurement {
    name: "scheduled",
    about: "messages due in 30 days, stored by plain INSERT in the queue that is drained; delays in ms",
    parameters: &[
        Parameter {
            name: "ahead",
            about: "messages due in 30 days",
            usual: &[10_000_000.0],
            smoke: &[1_000.0],
        },
        Parameter {
            name: "messages",
            about: "drained",
            usual: &[100_000.0],
            smoke: &[200.0],
        },
        Parameter {
            name: "samples",
            about: "messages a run for the delays",
            usual: &[500.0],
            smoke: &[10.0],
        },
        RUNS,
    ],
    run,
};

/// Row and index entries, and the WAL that waits for a checkpoint: with room to spare.
const BYTES_A_MESSAGE: u64 = 600;
/// Stored in one transaction.
const PORTION: usize = 1_000_000;

fn run(values: &Values) -> Result<()> {
    let mut rig = Rig::start()?;
    let ahead = values.count("ahead");
    machine::check_free_space(&rig.cluster.data(), ahead as u64 * BYTES_A_MESSAGE)?;
    rig.create_queue("scheduled", "")?;
    let table = Table::begin(&[
        "ahead     ",
        "stored/s",
        "MB on disk",
        "drained/s",
        "ratio",
        "idle p50",
        "p99",
        "first delivery after restart",
    ]);
    let empty = measure(&mut rig, values)?;
    let row = |name: f64, stored: Option<f64>, megabytes: f64, [drained, p50, p99, restart]: [f64; 4]| {
        let none = || "none".to_owned();
        table.row([
            whole(name),
            stored.map_or_else(none, whole),
            whole(megabytes),
            whole(drained),
            percent(drained / empty[0]),
            decimal(p50, 3),
            decimal(p99, 3),
            decimal(restart, 0),
        ]);
    };
    row(0.0, None, megabytes(&mut rig)?, empty);
    let stored = store(&mut rig, ahead)?;
    let full = measure(&mut rig, values)?;
    row(ahead as f64, Some(stored), megabytes(&mut rig)?, full);
    Ok(())
}

/// Messages stored a second.
fn store(rig: &mut Rig, ahead: usize) -> Result<f64> {
    let begun = Instant::now();
    for stored in (0..ahead).step_by(PORTION) {
        let portion = PORTION.min(ahead - stored);
        rig.run(&format!(
            "insert into hooks.message (queue_id, due_at, body) \
             select hooks.queue_id('scheduled'), now() + interval '30 days' + i * interval '1 millisecond', '{BODY}' \
             from generate_series(1, {portion}) as i"
        ))?;
    }
    Ok(ahead as f64 / begun.elapsed().as_secs_f64())
}

fn megabytes(rig: &mut Rig) -> Result<f64> {
    let bytes: i64 = rig.value("select pg_total_relation_size('hooks.message')")?;
    Ok(bytes as f64 / 1048576.0)
}

/// Drained messages/s, p50 and p99 of idle delays, ms from the start of the server to the first delivery.
fn measure(rig: &mut Rig, values: &Values) -> Result<[f64; 4]> {
    let messages = values.count("messages");
    let [drained, p50, p99] = medians(values.count("runs"), |_| {
        rig.run("select hooks.pause('scheduled')")?;
        backlog::load(rig, "scheduled", messages)?;
        backlog::settle(rig)?;
        let took = backlog::drain(rig, "scheduled", messages)?;
        let delays = latency::measure(rig, Pace::Idle, "scheduled", values.count("samples"))?;
        Ok([
            messages as f64 / took.as_secs_f64(),
            delays.median(),
            delays.percentile(0.99),
        ])
    })?;
    let restart = rig.first_delivery_after_restart("scheduled")?;
    Ok([drained, p50, p99, restart.as_secs_f64() * 1000.0])
}
