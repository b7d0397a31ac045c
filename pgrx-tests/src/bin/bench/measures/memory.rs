//! Memory of the worker with many messages in flight.

use pg_hooks_tests::{Behaviour, Result};

use crate::backlog::{BODY, check_arrived};
use crate::measurement::{Measurement, Parameter, Values};
use crate::process::{self, Memory};
use crate::rig::Rig;
use crate::table::{Table, decimal, whole};

pub const MEASUREMENT: Measurement = Measurement {
    name: "memory",
    about: "MB of the worker while so many messages wait for their answers, one in each queue",
    parameters: &[
        Parameter {
            name: "in_flight",
            about: "messages, queues, and hooks.max_in_flight",
            usual: &[64.0, 256.0, 1_000.0],
            smoke: &[64.0],
        },
        Parameter {
            name: "waves",
            about: "so often all are sent and answered",
            usual: &[5.0],
            smoke: &[2.0],
        },
    ],
    run,
};

fn run(values: &Values) -> Result<()> {
    let table = Table::begin(&[
        "in flight",
        "threads",
        "VmRSS",
        "RssAnon",
        "Pss",
        "waves",
        "then VmRSS",
        "RssAnon",
        "Pss",
    ]);
    for in_flight in values.counts("in_flight") {
        let waves = values.count("waves");
        let (threads, first, last) = measure(in_flight, waves)?;
        let cells = |memory: Memory| {
            [memory.resident, memory.anonymous, memory.proportional].map(|megabytes| decimal(megabytes, 1))
        };
        let mut row = vec![whole(in_flight as f64), threads.to_string()];
        row.extend(cells(first));
        row.push(waves.to_string());
        row.extend(cells(last));
        table.row(row);
    }
    Ok(())
}

/// Threads and memory at the first wave, and memory at the last.
fn measure(in_flight: usize, waves: usize) -> Result<(usize, Memory, Memory)> {
    let mut rig = Rig::start_with(&[("hooks.max_in_flight", &in_flight.to_string())])?;
    rig.receiver.on("/bench", Behaviour::Hang);
    let url = rig.receiver.url("/bench");
    rig.run(&format!(
        "insert into hooks.queue (name, url, timeout) \
         select 'queue_' || i, '{url}', '5 min' from generate_series(1, {in_flight}) as i"
    ))?;
    let worker = rig.worker_pid()?;
    let mut seen = Vec::new();
    for _ in 0..waves {
        rig.receiver.clear();
        rig.run(&format!(
            "insert into hooks.message (queue_id, body) select id, '{BODY}' from hooks.queue"
        ))?;
        rig.wait_for_arrivals(in_flight)?;
        seen.push((process::thread_count(worker)?, process::memory(worker)?));
        rig.receiver.release("/bench");
        rig.wait_until_recorded()?;
        check_arrived(&rig, in_flight)?;
    }
    Ok((seen[0].0, seen[0].1, seen[seen.len() - 1].1))
}
