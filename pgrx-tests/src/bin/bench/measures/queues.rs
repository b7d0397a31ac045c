//! Many queues, of which few have something to send.

use std::time::Instant;

use pg_hooks_tests::Result;

use super::RUNS;
use super::latency::{self, Pace};
use crate::backlog::{self, BODY, check_arrived};
use crate::figures::medians;
use crate::measurement::{Measurement, Parameter, Values};
use crate::process;
use crate::rig::Rig;
use crate::table::{Table, decimal, percent, whole};

pub const MEASUREMENT: Measurement = Measurement {
    name: "queues",
    about: "what a queue costs that has nothing to send, and one that has a single message; times in ms",
    parameters: &[
        Parameter {
            name: "queues",
            about: "numbers of queues; the first is what the others are compared with",
            usual: &[1.0, 100_000.0],
            smoke: &[1.0, 300.0],
        },
        Parameter {
            name: "messages",
            about: "drained from one of them",
            usual: &[100_000.0],
            smoke: &[200.0],
        },
        Parameter {
            name: "backlog",
            about: "drained from one of them once; 0 for not",
            usual: &[1_000_000.0],
            smoke: &[500.0],
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

fn run(values: &Values) -> Result<()> {
    let table = Table::begin(&[
        "queues ",
        "made/s",
        "first delivery after restart",
        "drained/s",
        "ratio",
        "backlog/s",
        "idle p50",
        "p99",
        "one each/s",
        "worker RssAnon MB",
    ]);
    let mut compared = None;
    for queues in values.counts("queues") {
        let figures = measure(queues, values)?;
        let [made, restart, drained, backlog, p50, p99, one_each, memory] = figures;
        let ratio = drained / *compared.get_or_insert(drained);
        table.row([
            whole(queues as f64),
            whole(made),
            whole(restart),
            whole(drained),
            percent(ratio),
            whole(backlog),
            decimal(p50, 3),
            decimal(p99, 3),
            whole(one_each),
            decimal(memory, 1),
        ]);
    }
    Ok(())
}

/// The columns of the table from `made/s` on, without the ratio.
fn measure(queues: usize, values: &Values) -> Result<[f64; 8]> {
    let mut rig = Rig::start()?;
    let made = make(&mut rig, queues)?;
    let restart = rig.first_delivery_after_restart("queue_1")?;
    let messages = values.count("messages");
    let [drained, p50, p99] = medians(values.count("runs"), |_| {
        let drained = drain(&mut rig, messages)?;
        let delays = latency::measure(&rig, Pace::Idle, "queue_1", values.count("samples"))?;
        Ok([drained, delays.median(), delays.percentile(0.99)])
    })?;
    let one_each = one_each(&mut rig, queues)?;
    let backlog = match values.count("backlog") {
        0 => 0.0,
        backlog => drain(&mut rig, backlog)?,
    };
    let worker = rig.worker_pid()?;
    let memory = process::memory(worker)?.anonymous;
    let restart_ms = restart.as_secs_f64() * 1000.0;
    Ok([made, restart_ms, drained, backlog, p50, p99, one_each, memory])
}

/// Queues made a second.
fn make(rig: &mut Rig, queues: usize) -> Result<f64> {
    let url = rig.receiver.url("/bench");
    let begun = Instant::now();
    rig.run(&format!(
        "insert into hooks.queue (name, url) select 'queue_' || i, '{url}' from generate_series(1, {queues}) as i"
    ))?;
    let took = begun.elapsed();
    rig.run("vacuum analyze hooks.queue")?;
    Ok(queues as f64 / took.as_secs_f64())
}

fn drain(rig: &mut Rig, messages: usize) -> Result<f64> {
    rig.run("select hooks.pause('queue_1')")?;
    backlog::load(rig, "queue_1", messages)?;
    backlog::settle(rig)?;
    let took = backlog::drain(rig, "queue_1", messages)?;
    Ok(messages as f64 / took.as_secs_f64())
}

/// Messages/s, from the commit that stored one in each queue to the last record.
fn one_each(rig: &mut Rig, queues: usize) -> Result<f64> {
    rig.receiver.clear();
    rig.run(&format!(
        "insert into hooks.message (queue_id, body) select id, '{BODY}' from hooks.queue"
    ))?;
    let begun = Instant::now();
    rig.wait_for_arrivals(queues)?;
    let took = rig.wait_until_recorded()? - begun;
    check_arrived(rig, queues)?;
    Ok(queues as f64 / took.as_secs_f64())
}
