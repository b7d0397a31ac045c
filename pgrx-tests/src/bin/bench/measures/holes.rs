//! Receivers that take a message and never answer.

mod apart;
mod mixed;

use std::time::Duration;

use pg_hooks_tests::Result;

use super::RUNS;
use crate::figures::medians;
use crate::measurement::{Measurement, Parameter, Values};
use crate::table::{Table, percent, whole};

pub const MEASUREMENT: Measurement = Measurement {
    name: "holes",
    about: "a share of all messages to receivers that never answer: what becomes of the others",
    parameters: &[
        Parameter {
            name: "shares",
            about: "percentages of the messages",
            usual: &[1.0, 10.0, 50.0],
            smoke: &[10.0],
        },
        Parameter {
            name: "good",
            about: "messages whose receiver answers, in one queue",
            usual: &[100_000.0],
            smoke: &[200.0],
        },
        Parameter {
            name: "delay",
            about: "ms until the good ones are answered, where the others have their own queues",
            usual: &[0.0],
            smoke: &[0.0],
        },
        Parameter {
            name: "queues",
            about: "numbers of queues of the others, where these have their own",
            usual: &[1.0, 10.0],
            smoke: &[3.0],
        },
        Parameter {
            name: "seconds",
            about: "for how long there are messages at the ceiling, where all have one queue",
            usual: &[5.0],
            smoke: &[0.2],
        },
        RUNS,
    ],
    run,
};

fn run(values: &Values) -> Result<()> {
    in_own_queues(values)?;
    println!();
    in_one_queue(values)
}

/// Against the same good messages with no other queue.
fn in_own_queues(values: &Values) -> Result<()> {
    let (runs, good) = (values.count("runs"), values.count("good"));
    let delay = Duration::from_secs_f64(values.number("delay") / 1000.0);
    println!(
        "In queues of their own, all with the default policy (timeout 15 s). Rates to the arrival of the last good message.\n"
    );
    let table = Table::begin(&[
        "unanswered",
        "in queues",
        "good messages",
        "good/s",
        "without the others/s",
        "ratio",
    ]);
    let [alone] = medians(runs, |_| Ok([apart::measure(good, delay, 0, 0)?]))?;
    for share in values.numbers("shares") {
        let holes = (good as f64 * share / (100.0 - share)).ceil() as usize;
        for queues in values.counts("queues") {
            let [rate] = medians(runs, |_| Ok([apart::measure(good, delay, holes, queues)?]))?;
            table.row([
                percent(share / 100.0),
                queues.to_string(),
                whole(good as f64),
                whole(rate),
                whole(alone),
                percent(rate / alone),
            ]);
        }
    }
    Ok(())
}

/// Against what the policy of the queue allows: each message without an answer holds a slot until its timeout.
fn in_one_queue(values: &Values) -> Result<()> {
    println!(
        "In one queue with {} in flight, timeout {} s, one attempt, no breaker. Ceiling: what slots that hang until their timeout leave.\n",
        mixed::SLOTS,
        mixed::TIMEOUT_S
    );
    let table = Table::begin(&[
        "unanswered",
        "good messages",
        "good/s",
        "ceiling/s",
        "of the ceiling",
    ]);
    for share in values.numbers("shares").iter().map(|percent| percent / 100.0) {
        let ceiling = mixed::ceiling(share);
        let most = (ceiling * values.number("seconds")) as usize;
        let every = (1.0 / share).round() as usize;
        let messages = most.min(values.count("good")).max(every);
        let [rate] = medians(values.count("runs"), |_| Ok([mixed::measure(messages, every)?]))?;
        let good = messages - messages / every;
        table.row([
            percent(share),
            whole(good as f64),
            whole(rate),
            whole(ceiling * (1.0 - share)),
            percent(rate / (ceiling * (1.0 - share))),
        ]);
    }
    Ok(())
}
