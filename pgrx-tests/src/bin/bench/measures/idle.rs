//! What a server costs on which nothing is sent.

use std::time::{Duration, Instant};

use pg_hooks_tests::wait::try_wait;
use pg_hooks_tests::{Failure, Result};
use postgres::Client;

use crate::backlog;
use crate::measurement::{Measurement, Parameter, Values};
use crate::process;
use crate::rig::{Rig, sql_failure};
use crate::table::{Table, decimal};

pub const MEASUREMENT: Measurement = Measurement {
    name: "idle",
    about: "what the processes do, a minute, while nothing is sent",
    parameters: &[
        Parameter {
            name: "seconds",
            about: "how long it is watched; less than a minute is scaled up",
            usual: &[120.0],
            smoke: &[1.0],
        },
        Parameter {
            name: "rest",
            about: "seconds before that; the worker may hand over its statistics at its next rescan only",
            usual: &[35.0],
            smoke: &[1.0],
        },
        Parameter {
            name: "sent",
            about: "messages sent before; 0 for a worker that never sent any",
            usual: &[0.0, 1_000.0],
            smoke: &[0.0],
        },
    ],
    run,
};

/// Threads without work end after half a minute.
const THREADS_END: Duration = Duration::from_secs(90);

/// What is read at the beginning and at the end.
struct Reading {
    transactions: i64,
    /// Worker, then launcher.
    cpu: [Duration; 2],
    wakeups: [u64; 2],
}

fn run(values: &Values) -> Result<()> {
    println!("Without autovacuum, whose transactions would count.\n");
    let table = Table::begin(&[
        "sent before",
        "transactions",
        "worker CPU ms",
        "worker wakeups",
        "worker threads",
        "launcher CPU ms",
        "launcher wakeups",
    ]);
    for sent in values.counts("sent") {
        let row = watch(sent, values.seconds("rest"), values.seconds("seconds"))?;
        let cells = row.iter().map(|figure| decimal(*figure, 1));
        table.row([sent.to_string()].into_iter().chain(cells));
    }
    Ok(())
}

/// The columns of the table from `transactions` on, for one minute.
fn watch(sent: usize, rest: Duration, length: Duration) -> Result<[f64; 6]> {
    let mut rig = Rig::start_with(&[("autovacuum", "off")])?;
    let worker = rig.worker_pid()?;
    let threads = process::thread_count(worker)?;
    rig.create_queue("idle", "")?;
    if sent > 0 {
        backlog::load(&mut rig, "idle", sent)?;
        rig.wait_for_arrivals(sent)?;
        rig.wait_until_recorded()?;
        let ended = || process::thread_count(worker).is_ok_and(|now| now <= threads);
        try_wait(THREADS_END, ended).map_err(|_| Failure::new("threads without work do not end"))?;
    }
    // Its own transactions are counted when it leaves.
    let Rig { client, cluster, .. } = rig;
    drop(client);
    let mut watcher = cluster.connect("postgres");
    let launcher = launcher(&mut watcher)?;
    std::thread::sleep(rest);
    let (begun, before) = (Instant::now(), read(&mut watcher, worker, launcher)?);
    std::thread::sleep(length);
    let (minutes, after) = (
        begun.elapsed().as_secs_f64() / 60.0,
        read(&mut watcher, worker, launcher)?,
    );
    let cpu_ms = |of: usize| (after.cpu[of] - before.cpu[of]).as_secs_f64() * 1000.0 / minutes;
    let wakeups = |of: usize| (after.wakeups[of] - before.wakeups[of]) as f64 / minutes;
    Ok([
        (after.transactions - before.transactions) as f64 / minutes,
        cpu_ms(0),
        wakeups(0),
        process::thread_count(worker)? as f64,
        cpu_ms(1),
        wakeups(1),
    ])
}

/// Process id of the launcher.
fn launcher(watcher: &mut Client) -> Result<i32> {
    let launcher = "select pid from pg_catalog.pg_stat_activity where backend_type = 'pg_hooks launcher'";
    Ok(watcher.query_one(launcher, &[]).map_err(sql_failure)?.get(0))
}

fn read(watcher: &mut Client, worker: i32, launcher: i32) -> Result<Reading> {
    let pids = [worker, launcher];
    let mut cpu = [Duration::ZERO; 2];
    let mut wakeups = [0; 2];
    for (of, pid) in pids.into_iter().enumerate() {
        cpu[of] = process::cpu_time(pid)?;
        wakeups[of] = process::wakeups(pid)?;
    }
    Ok(Reading {
        transactions: transactions(watcher)?,
        cpu,
        wakeups,
    })
}

/// Transactions in the database that is watched, from another one.
fn transactions(watcher: &mut Client) -> Result<i64> {
    let count = "select xact_commit + xact_rollback from pg_catalog.pg_stat_database where datname = 'bench'";
    Ok(watcher.query_one(count, &[]).map_err(sql_failure)?.get(0))
}
