//! How fast a backlog goes out: sent, answered, and recorded.

use pg_hooks_tests::Result;

use super::RUNS;
use crate::backlog;
use crate::figures::{Figures, medians};
use crate::measurement::{Measurement, Parameter, Values};
use crate::process;
use crate::rig::Rig;
use crate::table::{Table, decimal, whole};

pub const MEASUREMENT: Measurement = Measurement {
    name: "drain",
    about: "a backlog of one queue, from its resumption to the last record",
    parameters: &[
        Parameter {
            name: "messages",
            about: "sizes of the backlog",
            usual: &[20_000.0, 100_000.0, 1_000_000.0],
            smoke: &[300.0],
        },
        RUNS,
    ],
    run,
};

const WAL_POSITION: &str = "select (pg_current_wal_insert_lsn() - '0/0')::bigint";

fn run(values: &Values) -> Result<()> {
    let table = Table::begin(&[
        "messages",
        "messages/s",
        "slowest run",
        "fastest run",
        "WAL bytes a message",
        "worker CPU us a message",
        "receiver CPU us a request",
        "sent again",
        "worker RssAnon MB",
    ]);
    for count in values.counts("messages") {
        let mut rig = Rig::start()?;
        let mut rates = Vec::new();
        let [rate, wal, worker_us, receiver_us, again, memory] = medians(values.count("runs"), |number| {
            let figures = drain(&mut rig, count, &format!("drain_{number}"))?;
            rates.push(figures[0]);
            Ok(figures)
        })?;
        let rates = Figures::of(rates);
        table.row([
            whole(count as f64),
            whole(rate),
            whole(rates.min()),
            whole(rates.max()),
            whole(wal),
            decimal(worker_us, 1),
            decimal(receiver_us, 1),
            whole(again),
            decimal(memory, 1),
        ]);
    }
    Ok(())
}

/// The columns of the table from `messages/s` on, without slowest and fastest.
fn drain(rig: &mut Rig, count: usize, queue: &str) -> Result<[f64; 6]> {
    rig.create_queue(queue, ", active => false")?;
    backlog::load(rig, queue, count)?;
    backlog::settle(rig)?;
    let worker = rig.worker_pid()?;
    let wal_before: i64 = rig.value(WAL_POSITION)?;
    let (worker_before, receiver_before) = (process::cpu_time(worker)?, process::receiver_cpu_time()?);
    let seconds = backlog::drain(rig, queue, count)?.as_secs_f64();
    let worker_us = (process::cpu_time(worker)? - worker_before).as_secs_f64() * 1e6;
    let receiver_us = (process::receiver_cpu_time()? - receiver_before).as_secs_f64() * 1e6;
    let wal_bytes = rig.value::<i64>(WAL_POSITION)? - wal_before;
    let (messages, requests) = (count as f64, rig.receiver.count() as f64);
    Ok([
        messages / seconds,
        wal_bytes as f64 / messages,
        worker_us / messages,
        receiver_us / requests,
        requests - messages,
        process::memory(worker)?.anonymous,
    ])
}
