//! Clients that do nothing but send, one message a commit: does delivery keep up with them?

use std::time::{Duration, Instant};

use pg_hooks_tests::{Failure, Result};

use super::RUNS;
use crate::figures::medians;
use crate::measurement::{Measurement, Parameter, Values};
use crate::rig::Rig;
use crate::sender::{Sender, Sent, delays};
use crate::table::{Table, decimal, percent, whole};

pub const MEASUREMENT: Measurement = Measurement {
    name: "writers",
    about: "clients that send one message a commit, as fast as they can; delays from commit to arrival in ms",
    parameters: &[
        Parameter {
            name: "clients",
            about: "connections that send",
            usual: &[4.0, 8.0],
            smoke: &[2.0],
        },
        Parameter {
            name: "seconds",
            about: "how long they send",
            usual: &[10.0],
            smoke: &[0.2],
        },
        RUNS,
    ],
    run,
};

fn run(values: &Values) -> Result<()> {
    let table = Table::begin(&[
        "clients",
        "synchronous_commit",
        "commits/s",
        "arrivals/s",
        "arrivals of commits",
        "backlog at the end",
        "gone after ms",
        "p50",
        "p99",
    ]);
    for clients in values.counts("clients") {
        for synchronous in ["on", "off"] {
            let mut rig = Rig::start()?;
            rig.create_queue("writers", "")?;
            let row = medians(values.count("runs"), |_| {
                measure(&mut rig, clients, synchronous, values.seconds("seconds"))
            })?;
            let [commits, arrivals, backlog, gone_after, p50, p99] = row;
            table.row([
                clients.to_string(),
                synchronous.to_owned(),
                whole(commits),
                whole(arrivals),
                percent(arrivals / commits),
                whole(backlog),
                whole(gone_after),
                decimal(p50, 3),
                decimal(p99, 3),
            ]);
        }
    }
    Ok(())
}

/// Commits/s, arrivals/s while they commit, backlog at the end and the ms until it is gone, p50 and p99.
fn measure(rig: &mut Rig, clients: usize, synchronous: &str, length: Duration) -> Result<[f64; 6]> {
    rig.receiver.clear();
    let senders: Vec<Sender> = (0..clients)
        .map(|_| {
            let mut sender = Sender::connect(rig, "writers")?;
            sender.run(&format!("set synchronous_commit = {synchronous}"))?;
            Ok(sender)
        })
        .collect::<Result<_>>()?;
    let begun = Instant::now();
    let sent = send_until(senders, begun + length)?;
    let (ended, arrived) = (Instant::now(), rig.receiver.count() as f64);
    rig.wait_for_arrivals(sent.len())?;
    let gone_after = ended.elapsed();
    rig.wait_until_recorded()?;
    let delays = delays(&sent, &rig.receiver.arrivals(), |sent| sent.committed_us)?;
    let seconds = (ended - begun).as_secs_f64();
    Ok([
        sent.len() as f64 / seconds,
        arrived / seconds,
        sent.len() as f64 - arrived,
        gone_after.as_secs_f64() * 1000.0,
        delays.median(),
        delays.percentile(0.99),
    ])
}

fn send_until(senders: Vec<Sender>, end: Instant) -> Result<Vec<Sent>> {
    let send_all = |mut sender: Sender| -> Result<Vec<Sent>> {
        let mut sent = Vec::new();
        while Instant::now() < end {
            sent.push(sender.send()?);
        }
        Ok(sent)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = senders
            .into_iter()
            .map(|sender| scope.spawn(move || send_all(sender)))
            .collect();
        let mut sent = Vec::new();
        for thread in threads {
            sent.extend(
                thread
                    .join()
                    .map_err(|_| Failure::new("a sender has panicked"))??,
            );
        }
        Ok(sent)
    })
}
