//! What it costs to find the next run of a schedule, and how soon the messages of many are stored.

use std::time::Instant;

use pg_hooks_tests::Result;

use super::RUNS;
use crate::figures::medians;
use crate::measurement::{Measurement, Parameter, Values};
use crate::rig::Rig;
use crate::table::{Table, decimal, whole};

pub const MEASUREMENT: Measurement = Measurement {
    name: "schedules",
    about: "us to find the next run, and ms until entries of one minute have stored their messages",
    parameters: &[
        Parameter {
            name: "entries",
            about: "that run at the same time",
            usual: &[10_000.0],
            smoke: &[100.0],
        },
        Parameter {
            name: "searches",
            about: "for the next run in a run",
            usual: &[10_000.0],
            smoke: &[20.0],
        },
        RUNS,
    ],
    run,
};

/// From the easiest to those whose next run may be years away.
const SCHEDULES: [&str; 5] = [
    "* * * * *",
    "30 4 * * mon-fri",
    "15 2 31 12 *",
    "0 0 29 2 *",
    "0 0 29 2 1",
];

fn run(values: &Values) -> Result<()> {
    let mut rig = Rig::start()?;
    let searches = values.count("searches");
    let table = Table::begin(&["schedule          ", "us a search", "s for all runs of 30 years"]);
    for schedule in SCHEDULES {
        let [us, s] = medians(values.count("runs"), |_| {
            Ok([
                search(&mut rig, schedule, searches)?,
                thirty_years(&mut rig, schedule)?,
            ])
        })?;
        table.row([schedule.to_owned(), decimal(us, 1), decimal(s, 3)]);
    }
    println!();
    let table = Table::begin(&[
        "entries",
        "ms until stored",
        "ms until a message sent meanwhile arrived",
    ]);
    let entries = values.count("entries");
    let [stored, arrived] = medians(values.count("runs"), |_| tick(entries))?;
    table.row([whole(entries as f64), whole(stored), whole(arrived)]);
    Ok(())
}

/// Microseconds to find the next run from one of many moments in thirty years.
fn search(rig: &mut Rig, schedule: &str, searches: usize) -> Result<f64> {
    let begun = Instant::now();
    rig.run(&format!(
        "select count(p) from generate_series(1, {searches}) as n,
           hooks.cron_preview('{schedule}', 'Europe/Berlin',
             '2026-01-01'::timestamptz + n * interval '30 years' / {searches}, 1) as p"
    ))?;
    Ok(begun.elapsed().as_secs_f64() * 1e6 / searches as f64)
}

/// Seconds to walk through thirty years, 10,000 runs at a time, as far as that takes no more than 100 calls.
fn thirty_years(rig: &mut Rig, schedule: &str) -> Result<f64> {
    let begun = Instant::now();
    rig.run(&format!(
        "do $$
         declare at timestamptz := '2026-01-01';
         begin
           for i in 1..100 loop
             select max(p) into at from hooks.cron_preview('{schedule}', 'Europe/Berlin', at, 10000) as p;
             exit when at is null or at > '2056-01-01';
           end loop;
         end $$"
    ))?;
    Ok(begun.elapsed().as_secs_f64())
}

/// Milliseconds until entries due at once have stored their messages, and until one that was sent at that time
/// has arrived.
fn tick(entries: usize) -> Result<[f64; 2]> {
    let mut rig = Rig::start()?;
    rig.create_queue("tick", "")?;
    rig.run("select hooks.create_queue('idle', 'https://example.com/', active => false)")?;
    rig.run(&format!(
        "select hooks.schedule('s' || n, 'idle', '0 0 1 1 *', 'x') from generate_series(1, {entries}) as n"
    ))?;
    let stored = "select not exists (select from hooks.cron where next_run_at <= now())";
    let arrivals = rig.receiver.count();
    rig.run("update hooks.cron set next_run_at = now()")?;
    let begun = Instant::now();
    rig.run("select hooks.send('tick', 'x')")?;
    rig.wait_for_arrivals(arrivals + 1)?;
    let arrived = begun.elapsed();
    rig.wait_until("the messages of all entries", stored)?;
    Ok([begun.elapsed(), arrived].map(|took| took.as_secs_f64() * 1e3))
}
