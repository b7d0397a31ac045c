//! Receivers that take their time to answer.

use std::time::Duration;

use pg_hooks_tests::{Behaviour, Result};

use super::RUNS;
use crate::backlog::{self, BODY, check_arrived};
use crate::figures::medians;
use crate::measurement::{Measurement, Parameter, Values};
use crate::rig::Rig;
use crate::table::{Table, percent, whole};

pub const MEASUREMENT: Measurement = Measurement {
    name: "late",
    about: "messages of one commit to receivers that answer late, against in flight / delay",
    parameters: &[
        Parameter {
            name: "delays",
            about: "ms until the answer",
            usual: &[0.0, 100.0, 1_000.0],
            smoke: &[50.0],
        },
        Parameter {
            name: "queues",
            about: "queues with a backlog each, of 64 in flight",
            usual: &[1.0, 8.0],
            smoke: &[2.0],
        },
        Parameter {
            name: "messages",
            about: "of all queues together where there is no delay",
            usual: &[20_000.0],
            smoke: &[200.0],
        },
        Parameter {
            name: "seconds",
            about: "for how long there are messages at the ceiling",
            usual: &[5.0],
            smoke: &[0.1],
        },
        RUNS,
    ],
    run,
};

/// Of a queue by default, and of all queues together.
const QUEUE_SLOTS: usize = 64;
const SLOTS: usize = 256;

fn run(values: &Values) -> Result<()> {
    let table = Table::begin(&[
        "answer after ms",
        "queues",
        "messages",
        "messages/s",
        "ceiling/s",
        "of the ceiling",
        "most in flight",
    ]);
    for delay_ms in values.numbers("delays") {
        for queues in values.counts("queues") {
            let slots = (queues * QUEUE_SLOTS).min(SLOTS) as f64;
            let ceiling = (*delay_ms > 0.0).then(|| slots * 1000.0 / delay_ms);
            let wanted = ceiling.map(|ceiling| ceiling * values.number("seconds"));
            let wanted = wanted.unwrap_or(values.number("messages")) as usize;
            let each = wanted.div_ceil(queues).max(1);
            let delay = Duration::from_secs_f64(delay_ms / 1000.0);
            let [rate, peak] = medians(values.count("runs"), |_| measure(delay, queues, each))?;
            let none = || "none".to_owned();
            table.row([
                whole(*delay_ms),
                queues.to_string(),
                whole((each * queues) as f64),
                whole(rate),
                ceiling.map_or_else(none, whole),
                ceiling.map_or_else(none, |ceiling| percent(rate / ceiling)),
                whole(peak),
            ]);
        }
    }
    Ok(())
}

/// Messages/s from the commit of all to the last record, and the most that the receiver had at the same time.
fn measure(delay: Duration, queues: usize, each: usize) -> Result<[f64; 2]> {
    let mut rig = Rig::start()?;
    if !delay.is_zero() {
        rig.receiver.on("/bench", Behaviour::slow(delay));
    }
    for number in 1..=queues {
        rig.create_queue(&format!("late_{number}"), "")?;
    }
    let begun = backlog::commit(
        &mut rig,
        &[format!(
            "insert into hooks.message (queue_id, body) \
             select q.id, '{BODY}' from generate_series(1, {each}) cross join hooks.queue as q"
        )],
    )?;
    rig.wait_for_arrivals(queues * each)?;
    let took = rig.wait_until_recorded()? - begun;
    check_arrived(&rig, queues * each)?;
    let peak = rig.receiver.peak_in_flight("/bench");
    Ok([(queues * each) as f64 / took.as_secs_f64(), peak as f64])
}
