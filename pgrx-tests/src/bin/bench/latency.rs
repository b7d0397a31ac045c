//! From the commit of a message to its arrival.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pg_hooks_tests::{Failure, Result};

use crate::figures::Figures;
use crate::rig::{DEADLINE, Rig};

const RUNS: usize = 3;
const SAMPLES: usize = 300;
/// Long enough for the worker to have nothing left to do.
const REST: Duration = Duration::from_millis(15);
const BETWEEN_LOOKS: Duration = Duration::from_micros(50);

/// When the next message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// A while after the last one has arrived.
    Idle,
    /// As soon as the last one has arrived.
    BackToBack,
}

/// Prints percentiles over several runs, and the median of the runs' medians.
pub fn measure(rig: &mut Rig, pace: Pace) -> Result<()> {
    println!("commit to arrival, {}, {SAMPLES} messages a run, ms:", name(pace));
    println!("  {:<8} {:>8} {:>8} {:>8} {:>8}", "", "p50", "p90", "p99", "max");
    let mut runs = Vec::new();
    for number in 1..=RUNS {
        let figures = run(rig, pace, &format!("latency_{pace:?}_{number}"))?;
        print(&format!("run {number}"), &figures.row());
        runs.push(figures.row());
    }
    let median = |column: usize| Figures::of(runs.iter().map(|run| run[column]).collect()).median();
    print("median", &[median(0), median(1), median(2), median(3)]);
    println!();
    Ok(())
}

fn name(pace: Pace) -> &'static str {
    match pace {
        Pace::Idle => "idle",
        Pace::BackToBack => "back to back",
    }
}

fn print(label: &str, row: &[f64; 4]) {
    println!(
        "  {label:<8} {:>8.3} {:>8.3} {:>8.3} {:>8.3}",
        row[0], row[1], row[2], row[3]
    );
}

impl Figures {
    fn row(&self) -> [f64; 4] {
        [
            self.percentile(0.5),
            self.percentile(0.9),
            self.percentile(0.99),
            self.max(),
        ]
    }
}

/// Milliseconds from when the client has the answer to its commit. A message may be faster than that
/// answer: such a delay is negative.
fn run(rig: &mut Rig, pace: Pace, queue: &str) -> Result<Figures> {
    rig.create_queue(queue, true)?;
    let statement = format!("select hooks.send('{queue}', '{{\"n\": 1}}')");
    let send = rig
        .client
        .prepare(&statement)
        .map_err(|error| Failure::because("could not prepare", error))?;
    let mut committed = HashMap::new();
    for count in 1..=SAMPLES {
        let row = rig
            .client
            .query_one(&send, &[])
            .map_err(|error| Failure::because("could not send", error))?;
        committed.insert(row.get::<_, i64>(0), unix_us());
        wait_for(rig, count)?;
        if pace == Pace::Idle {
            std::thread::sleep(REST);
        }
    }
    let arrivals = rig.receiver.arrivals();
    let delay_ms = |id: &i64, arrived_us: i64| Some((arrived_us - committed.get(id)?) as f64 / 1000.0);
    let delays = arrivals
        .iter()
        .filter_map(|arrival| delay_ms(&arrival.message_id, arrival.unix_us));
    Ok(Figures::of(delays.collect()))
}

/// Looks often: a long sleep here would make "back to back" a pause.
fn wait_for(rig: &Rig, count: usize) -> Result<()> {
    let begun = Instant::now();
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

fn unix_us() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_micros().try_into().unwrap_or(i64::MAX)
}
