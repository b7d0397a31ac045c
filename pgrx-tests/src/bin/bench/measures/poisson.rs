//! From the commit of a message to its arrival, when messages come at random times.
//!
//! Open loop: when a message is sent does not depend on how the ones before it fare. Several connections share
//! the schedule, so that one slow commit does not hold back the next.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pg_hooks_tests::{Failure, Result};

use super::{RUNS, latency};
use crate::figures::{Figures, medians};
use crate::measurement::{Measurement, Parameter, Values};
use crate::rig::Rig;
use crate::sender::{Sender, Sent, delays};
use crate::table::{Table, decimal, whole};

pub const MEASUREMENT: Measurement = Measurement {
    name: "poisson",
    about: "from commit to arrival in ms, messages at random times",
    parameters: &[
        Parameter {
            name: "rates",
            about: "messages a second",
            usual: &[20.0, 200.0, 2_000.0],
            smoke: &[500.0],
        },
        Parameter {
            name: "seconds",
            about: "length of a run",
            usual: &[20.0],
            smoke: &[0.5],
        },
        Parameter {
            name: "clients",
            about: "connections that send",
            usual: &[8.0],
            smoke: &[4.0],
        },
        RUNS,
    ],
    run,
};

/// The same schedule at each repetition of the program.
const SEED: u64 = 20_260_101;
/// For all threads to be there when the schedule begins.
const LEAD_TIME: Duration = Duration::from_millis(100);

fn run(values: &Values) -> Result<()> {
    let table = Table::begin(&[
        "rate",
        "achieved/s",
        "p50",
        "p90",
        "p99",
        "max",
        "call to arrival p50",
        "p99",
        "sent late p99",
    ]);
    for rate in values.numbers("rates") {
        let mut rig = Rig::start()?;
        rig.create_queue("poisson", "")?;
        let row = medians(values.count("runs"), |number| {
            let schedule = schedule(*rate, values.seconds("seconds"), SEED + number as u64);
            measure(&rig, &schedule, values.count("clients"))
        })?;
        let cells = row[1..].iter().map(|milliseconds| decimal(*milliseconds, 3));
        table.row(
            [format!("{}/s", whole(*rate)), decimal(row[0], 1)]
                .into_iter()
                .chain(cells),
        );
    }
    Ok(())
}

/// When each message is to be sent, from the start: gaps are exponentially distributed with mean `1 / rate`.
fn schedule(rate: f64, length: Duration, seed: u64) -> Vec<Duration> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut at = 0.0;
    let times = std::iter::from_fn(|| {
        at -= (1.0 - random.f64()).ln() / rate;
        (at < length.as_secs_f64()).then(|| Duration::from_secs_f64(at))
    });
    // A tiny schedule may be empty by chance.
    let times: Vec<Duration> = times.collect();
    if times.is_empty() {
        vec![Duration::ZERO]
    } else {
        times
    }
}

/// The columns of the table from `achieved/s` on.
fn measure(rig: &Rig, schedule: &[Duration], clients: usize) -> Result<[f64; 8]> {
    rig.receiver.clear();
    let senders: Vec<Sender> = (0..clients)
        .map(|_| Sender::connect(rig, "poisson"))
        .collect::<Result<_>>()?;
    let begin = Instant::now() + LEAD_TIME;
    let next = AtomicUsize::new(0);
    let (mut sent, mut late_ms) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| -> Result<()> {
        let threads: Vec<_> = senders
            .into_iter()
            .map(|sender| scope.spawn(|| follow(sender, schedule, begin, &next)))
            .collect();
        for thread in threads {
            let (by_thread, late_by_thread) = thread
                .join()
                .map_err(|_| Failure::new("a sender has panicked"))??;
            sent.extend(by_thread);
            late_ms.extend(late_by_thread);
        }
        Ok(())
    })?;
    let took = begin.elapsed().max(schedule[schedule.len() - 1]);
    rig.wait_for_arrivals(sent.len())?;
    let arrivals = rig.receiver.arrivals();
    let [p50, p90, p99, max] = latency::row(&delays(&sent, &arrivals, |sent| sent.committed_us)?);
    let called = delays(&sent, &arrivals, |sent| sent.called_us)?;
    Ok([
        sent.len() as f64 / took.as_secs_f64(),
        p50,
        p90,
        p99,
        max,
        called.median(),
        called.percentile(0.99),
        Figures::of(late_ms).percentile(0.99),
    ])
}

/// Sends what nobody else has taken yet, each at its time; also how late each was begun, in ms.
fn follow(
    mut sender: Sender,
    schedule: &[Duration],
    begin: Instant,
    next: &AtomicUsize,
) -> Result<(Vec<Sent>, Vec<f64>)> {
    let (mut sent, mut late_ms) = (Vec::new(), Vec::new());
    while let Some(at) = schedule.get(next.fetch_add(1, Ordering::Relaxed)) {
        let due = begin + *at;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        late_ms.push(due.elapsed().as_secs_f64() * 1000.0);
        sent.push(sender.send()?);
    }
    Ok((sent, late_ms))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::schedule;

    #[test]
    fn schedule_has_its_rate_and_repeats() {
        let times = schedule(200.0, Duration::from_secs(100), 7);
        assert!((19_000..21_000).contains(&times.len()), "{}", times.len());
        assert!(times.is_sorted());
        assert_eq!(times, schedule(200.0, Duration::from_secs(100), 7));
    }
}
