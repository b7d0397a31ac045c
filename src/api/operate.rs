//! What people and monitors ask about the worker.

use std::sync::atomic::Ordering;

use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

use crate::domain::hold::Hold;
use crate::wake;

#[pg_extern(sql = false)]
fn preloaded() -> bool {
    wake::shared().is_some()
}

#[pg_extern(sql = false)]
fn announce() {
    wake::announce();
    // Ids begin anew: what backends remember of an extension that was dropped would name other queues.
    wake::note_queue(0);
}

type WorkerRow = (
    i32,
    bool,
    Option<TimestampWithTimeZone>,
    Option<TimestampWithTimeZone>,
    i32,
    String,
);

#[pg_extern(sql = false)]
#[expect(clippy::type_complexity, reason = "pgrx reads the columns off the signature")]
fn workers() -> TableIterator<
    'static,
    (
        name!(pid, i32),
        name!(leader, bool),
        name!(started_at, Option<TimestampWithTimeZone>),
        name!(leader_since, Option<TimestampWithTimeZone>),
        name!(in_flight, i32),
        name!(state, String),
    ),
> {
    let rows: Vec<WorkerRow> = wake::my_database().map(worker_rows).unwrap_or_default();
    TableIterator::new(rows)
}

#[pg_extern(sql = false)]
fn queues_in_flight() -> TableIterator<'static, (name!(queue_id, i64), name!(in_flight, i64))> {
    let shown = wake::my_database().map(|database| database.board.read());
    let rows = shown.unwrap_or_default().into_iter();
    TableIterator::new(rows.map(|(queue_id, in_flight)| (queue_id, i64::from(in_flight))))
}

fn worker_rows(database: &wake::Database) -> Vec<WorkerRow> {
    let leader_pid = database.leader_pid.load(Ordering::Acquire);
    let held = database.held();
    let row = |worker: &wake::WorkerEntry| {
        let pid = worker.pid.load(Ordering::Acquire);
        let leads = pid == leader_pid;
        let in_flight = if leads {
            database.in_flight.load(Ordering::Relaxed)
        } else {
            0
        };
        let since = leads
            .then(|| timestamp(database.leader_since.load(Ordering::Relaxed)))
            .flatten();
        (pid != 0).then(|| {
            let started_at = timestamp(worker.started_at.load(Ordering::Relaxed));
            (
                pid,
                leads,
                started_at,
                since,
                i32::try_from(in_flight).unwrap_or(i32::MAX),
                state(pid, leads, held),
            )
        })
    };
    database.workers.iter().filter_map(row).collect()
}

fn state(pid: i32, leads: bool, held: Option<(i32, Hold)>) -> String {
    match held {
        Some((held_pid, hold)) if held_pid == pid => format!("held: {}", hold.name()),
        _ if leads => "leading".to_owned(),
        _ => "waiting".to_owned(),
    }
}

fn timestamp(micros: i64) -> Option<TimestampWithTimeZone> {
    TimestampWithTimeZone::try_from(micros).ok()
}
