//! The history: partitions of days, and what goes row by row.

use pgrx::datum::Date;
use pgrx::spi::SpiClient;

use super::{column, statement};
use crate::domain::queue::QueueId;
use crate::guc::Retention;
use crate::session::Failure;

/// A day of `hooks.message_log` or `hooks.attempt`.
pub struct Day {
    relation: String,
    day: Date,
    /// Whether its partition is to be dropped, or made.
    pub is_over: bool,
}

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "hooks.{} of {}", self.relation, self.day)
    }
}

statement!(
    WORK,
    "select w.relation, w.day, w.is_over from hooks.history_work($1, $2) as w order by w.day desc"
);

/// The days whose partition is to be made or dropped, the first one last.
pub fn history_work(client: &mut SpiClient<'_>, keep: Retention) -> Result<Vec<Day>, Failure> {
    let arguments = [keep.messages.into(), keep.attempts.into()];
    let rows = WORK.with(|statement| statement.read(client, &arguments))?;
    let days = rows.into_iter().map(|row| {
        Ok(Day {
            relation: column(&row, 1)?,
            day: column(&row, 2)?,
            is_over: column(&row, 3)?,
        })
    });
    days.collect()
}

statement!(ADD_DAY, "select hooks.add_history_day($1, $2)");
statement!(DROP_DAY, "select hooks.drop_history_day($1, $2, $3)::text");

/// Makes or drops the partition of a day. Waits for no lock, but for those of a drop when it is to be patient.
pub fn turn_day(client: &mut SpiClient<'_>, day: &Day, patient: bool) -> Result<(), Failure> {
    let (relation, date) = (day.relation.as_str().into(), day.day.into());
    if day.is_over {
        DROP_DAY.with(|statement| statement.run(client, &[relation, date, patient.into()]))?;
    } else {
        ADD_DAY.with(|statement| statement.run(client, &[relation, date]))?;
    }
    Ok(())
}

statement!(
    FORGET_HISTORY,
    "with messages as (
       delete from hooks.message_log_default as l
       where l.ctid = any (array(
         select o.ctid
         from hooks.message_log_default as o
         where o.finished_at < now() - make_interval(secs => $1) and $1 >= 0
         order by o.finished_at
         limit 1000
         for update skip locked))
       returning 1
     ), attempts as (
       delete from hooks.attempt_default as a
       where a.ctid = any (array(
         select o.ctid
         from hooks.attempt_default as o
         where o.attempted_at < now() - make_interval(secs => $2) and $2 >= 0
         order by o.attempted_at
         limit 1000
         for update skip locked))
       returning 1
     )
     select (select count(*) from messages) + (select count(*) from attempts)"
);

/// Removes up to 1000 rows each that are too old and in no partition of a day. Returns how many.
pub fn forget_history(client: &mut SpiClient<'_>, keep: Retention) -> Result<i64, Failure> {
    let arguments = [keep.messages.into(), keep.attempts.into()];
    let rows = FORGET_HISTORY.with(|statement| statement.run(client, &arguments))?;
    rows.into_iter().next().map_or(Ok(0), |row| column(&row, 1))
}

statement!(
    FORGET_DEAD_LETTERS,
    "with gone as (
       delete from hooks.dead_letter as d
       where d.id = any (array(
         select o.id
         from hooks.dead_letter as o
         where o.dead_at < now() - make_interval(secs => $1)
         order by o.dead_at
         limit 1000
         for update skip locked))
       returning d.*
     ), logged as (
       insert into hooks.message_log (id, queue_id, state, attempts, last_status, created_at, due_at, finished_at,
         event_id)
       select g.id, g.queue_id, 'dead', g.attempts, g.last_status, g.created_at, g.due_at, clock_timestamp(),
              g.event_id
       from gone as g
     )
     select g.queue_id from gone as g"
);

/// Moves up to 1000 dead letters that are too old to `hooks.message_log`. Returns the queue of each.
pub fn forget_dead_letters(client: &mut SpiClient<'_>, keep: Retention) -> Result<Vec<QueueId>, Failure> {
    if keep.dead_letters < 0 {
        return Ok(Vec::new());
    }
    FORGET_DEAD_LETTERS
        .with(|statement| statement.run(client, &[keep.dead_letters.into()]))?
        .map(|row| column(&row, 1))
        .collect()
}
