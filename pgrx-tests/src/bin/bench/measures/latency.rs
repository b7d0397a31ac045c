//! From the commit of a message to its arrival, one message at a time.

use std::time::Duration;

use pg_hooks_tests::{Failure, Result};

use super::RUNS;
use crate::figures::{Figures, medians};
use crate::measurement::{Measurement, Parameter, Values};
use crate::rig::Rig;
use crate::sender::{Sender, delays};
use crate::table::{Table, decimal, whole};

pub const MEASUREMENT: Measurement = Measurement {
    name: "latency",
    about: "from commit to arrival in ms, one message at a time",
    parameters: &[
        Parameter {
            name: "samples",
            about: "messages a run",
            usual: &[1_000.0],
            smoke: &[20.0],
        },
        RUNS,
    ],
    run,
};

/// Long enough for the worker to have nothing left to do.
const REST: Duration = Duration::from_millis(15);
const BETWEEN_LOOKS: Duration = Duration::from_micros(50);
const DEADLINE: Duration = Duration::from_secs(60);

/// When the next message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// A while after the last one has arrived.
    Idle,
    /// As soon as the last one has arrived.
    BackToBack,
}

fn run(values: &Values) -> Result<()> {
    let table = Table::begin(&["pace        ", "messages", "p50", "p90", "p99", "max"]);
    let samples = values.count("samples");
    for (name, pace) in [("idle", Pace::Idle), ("back to back", Pace::BackToBack)] {
        let mut rig = Rig::start()?;
        rig.create_queue("latency", "")?;
        let row = medians(values.count("runs"), |_| {
            Ok(row(&measure(&rig, pace, "latency", samples)?))
        })?;
        let cells = row.map(|milliseconds| decimal(milliseconds, 3));
        table.row([name.to_owned(), whole(samples as f64)].into_iter().chain(cells));
    }
    Ok(())
}

/// The columns that tables of delays have: p50, p90, p99, max.
pub fn row(delays: &Figures) -> [f64; 4] {
    let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|share| delays.percentile(share));
    [p50, p90, p99, delays.max()]
}

/// Sends so many messages to a queue that has nothing else to do; milliseconds from commit to arrival.
pub fn measure(rig: &Rig, pace: Pace, queue: &str, samples: usize) -> Result<Figures> {
    rig.receiver.clear();
    let mut sender = Sender::connect(rig, queue)?;
    let mut sent = Vec::new();
    for count in 1..=samples {
        sent.push(sender.send()?);
        wait_for(rig, count)?;
        if pace == Pace::Idle {
            std::thread::sleep(REST);
        }
    }
    delays(&sent, &rig.receiver.arrivals(), |sent| sent.committed_us)
}

/// Looks often: a long sleep here would make "back to back" a pause.
fn wait_for(rig: &Rig, count: usize) -> Result<()> {
    let begun = std::time::Instant::now();
    while rig.receiver.count() < count {
        if begun.elapsed() > DEADLINE {
            return Err(Failure::new(format!(
                "message {count} did not arrive within {DEADLINE:?}"
            )));
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    Ok(())
}
