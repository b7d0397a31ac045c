//! How fast a backlog goes out: sent, answered, and recorded.

use std::collections::HashSet;
use std::time::Instant;

use pg_hooks_tests::wait::try_wait;
use pg_hooks_tests::{Failure, Result};

use crate::figures::Figures;
use crate::rig::{DEADLINE, Rig};

const RUNS: usize = 3;
const BODY: &str = r#"{"type": "order.created", "data": {"order": 1, "customer": "c_123", "total": 99.95}}"#;

/// One drained backlog.
struct Run {
    messages_per_second: f64,
    wal_bytes_per_message: f64,
    sent_again: usize,
}

/// Prints the median of several runs.
pub fn measure(rig: &mut Rig, count: usize) -> Result<()> {
    println!(
        "drain {count} messages of {} bytes, from resume to the last record:",
        BODY.len()
    );
    let mut rates = Vec::new();
    for number in 1..=RUNS {
        let run = drain(rig, count, &format!("drain_{count}_{number}"))?;
        println!(
            "  run {number}: {:>7.0} messages/s, {:>5.0} bytes of WAL a message, {} sent again, worker at {:.0} MB",
            run.messages_per_second,
            run.wal_bytes_per_message,
            run.sent_again,
            rig.worker_memory_mb()
        );
        rates.push(run.messages_per_second);
    }
    println!("  median: {:>6.0} messages/s\n", Figures::of(rates).median());
    Ok(())
}

fn drain(rig: &mut Rig, count: usize, queue: &str) -> Result<Run> {
    rig.create_queue(queue, false)?;
    rig.run(&format!(
        "select hooks.send('{queue}', '{BODY}') from generate_series(1, {count})"
    ))?;
    rig.run("vacuum analyze hooks.message")?;
    rig.run("checkpoint")?;
    let wal_before: i64 = rig.value(WAL_POSITION)?;
    let begun = Instant::now();
    rig.run(&format!("select hooks.resume('{queue}')"))?;
    rig.wait_for_arrivals(count)?;
    wait_until_recorded(rig)?;
    let seconds = begun.elapsed().as_secs_f64();
    let wal_bytes = rig.value::<i64>(WAL_POSITION)? - wal_before;
    let arrivals = rig.receiver.arrivals();
    let different: HashSet<i64> = arrivals.iter().map(|arrival| arrival.message_id).collect();
    if different.len() != count {
        return Err(Failure::new(format!(
            "{} of {count} messages arrived",
            different.len()
        )));
    }
    Ok(Run {
        messages_per_second: count as f64 / seconds,
        wal_bytes_per_message: wal_bytes as f64 / count as f64,
        sent_again: arrivals.len() - count,
    })
}

const WAL_POSITION: &str = "select (pg_current_wal_insert_lsn() - '0/0')::bigint";

fn wait_until_recorded(rig: &mut Rig) -> Result<()> {
    let empty = try_wait(DEADLINE, || {
        rig.value("select not exists (select from hooks.message)")
            .unwrap_or(false)
    });
    empty.map_err(|_| Failure::new("messages arrived, but are not recorded as finished"))
}
