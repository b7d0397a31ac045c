//! Memory of the worker and size of the table of messages over a long time of work.

use std::time::{Duration, Instant};

use pg_hooks_tests::Result;

use crate::backlog::{self, check_arrived};
use crate::measurement::{Measurement, Parameter, Values};
use crate::process;
use crate::rig::Rig;
use crate::table::{Table, decimal, whole};

pub const MEASUREMENT: Measurement = Measurement {
    name: "soak",
    about: "MB of the worker, and of hooks.message with its indexes, under steady load",
    parameters: &[
        Parameter {
            name: "minutes",
            about: "how long",
            usual: &[5.0],
            smoke: &[0.01],
        },
        Parameter {
            name: "slices",
            about: "lines of the table",
            usual: &[5.0],
            smoke: &[2.0],
        },
        Parameter {
            name: "messages",
            about: "sent in one transaction, again and again, as soon as the last are recorded",
            usual: &[5_000.0],
            smoke: &[50.0],
        },
    ],
    run,
};

const TABLE_SIZE: &str = "select pg_total_relation_size('hooks.message')";

fn run(values: &Values) -> Result<()> {
    let table = Table::begin(&[
        "minutes",
        "messages",
        "messages/s",
        "VmRSS",
        "RssAnon",
        "Pss",
        "hooks.message",
    ]);
    let mut rig = Rig::start()?;
    rig.create_queue("soak", "")?;
    let slices = values.count("slices");
    let slice = values.minutes("minutes") / u32::try_from(slices).unwrap_or(1);
    let (begun, mut sent) = (Instant::now(), 0);
    for number in 1..=slices {
        let end = slice * u32::try_from(number).unwrap_or(1);
        let before = sent;
        let slice_begun = Instant::now();
        while begun.elapsed() < end || sent == before {
            sent += send(&mut rig, values.count("messages"))?;
        }
        let rate = (sent - before) as f64 / slice_begun.elapsed().as_secs_f64();
        let worker = rig.worker_pid()?;
        let memory = process::memory(worker)?;
        table.row([
            decimal(minutes(begun.elapsed()), 1),
            whole(sent as f64),
            whole(rate),
            decimal(memory.resident, 1),
            decimal(memory.anonymous, 1),
            decimal(memory.proportional, 1),
            decimal(rig.value::<i64>(TABLE_SIZE)? as f64 / (1 << 20) as f64, 1),
        ]);
    }
    Ok(())
}

fn minutes(time: Duration) -> f64 {
    time.as_secs_f64() / 60.0
}

fn send(rig: &mut Rig, messages: usize) -> Result<usize> {
    rig.receiver.clear();
    backlog::load(rig, "soak", messages)?;
    rig.wait_for_arrivals(messages)?;
    rig.wait_until_recorded()?;
    check_arrived(rig, messages)?;
    Ok(messages)
}
