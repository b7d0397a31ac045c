//! Entries of `hooks.cron`: reading them, and storing the messages of ticks.

use pgrx::pg_sys;
use pgrx::spi::{SpiClient, SpiHeapTupleData};

use super::{column, optional, statement};
use crate::domain::cron::{MissedPolicy, Tick};
use crate::domain::queue::QueueId;
use crate::domain::time::Timestamp;
use crate::session::{Failure, from_postgres, to_postgres};

/// An entry as stored.
pub struct CronRow {
    pub id: i64,
    /// Changes with the row.
    pub version: pg_sys::TransactionId,
    /// What it waits for; `None` when it does not run.
    pub planned: Option<Timestamp>,
    pub schedule: String,
    pub timezone: String,
    pub missed: MissedPolicy,
    pub missed_limit: usize,
    pub overlaps: bool,
}

// The columns are read by number in `read`.
macro_rules! cron_columns {
    () => {
        "c.id, c.xmin, case when c.active and isfinite(c.next_run_at) then c.next_run_at end,
         convert_to(c.schedule, 'SQL_ASCII'), convert_to(c.timezone, 'SQL_ASCII'),
         c.missed = 'skip', c.missed = 'all', c.missed_limit, c.overlap = 'allow' "
    };
}

statement!(
    SURVEY,
    concat!(
        "select ",
        cron_columns!(),
        "from hooks.cron as c
         where c.id > $1
         order by c.id
         limit $2"
    )
);

/// Up to `limit` entries in the order of their ids, from behind `after` on.
pub fn survey_cron(client: &mut SpiClient<'_>, after: i64, limit: i32) -> Result<Vec<CronRow>, Failure> {
    let rows = SURVEY.with(|statement| statement.read(client, &[after.into(), limit.into()]))?;
    rows.map(|row| read(&row)).collect()
}

statement!(
    LOAD,
    concat!(
        "select ",
        cron_columns!(),
        "from hooks.cron as c where c.id = any ($1)"
    )
);

/// The entries of these ids that exist.
pub fn load_cron(client: &mut SpiClient<'_>, ids: Vec<i64>) -> Result<Vec<CronRow>, Failure> {
    let rows = LOAD.with(|statement| statement.read(client, &[ids.into()]))?;
    rows.map(|row| read(&row)).collect()
}

fn read(row: &SpiHeapTupleData<'_>) -> Result<CronRow, Failure> {
    let text = |ordinal| -> Result<String, Failure> {
        let bytes: Vec<u8> = column(row, ordinal)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let limit: i32 = column(row, 8)?;
    Ok(CronRow {
        id: column(row, 1)?,
        version: column(row, 2)?,
        planned: optional(row, 3)?.map(from_postgres),
        schedule: text(4)?,
        timezone: text(5)?,
        missed: match (column(row, 6)?, column(row, 7)?) {
            (true, _) => MissedPolicy::Skip,
            (_, true) => MissedPolicy::All,
            _ => MissedPolicy::Once,
        },
        missed_limit: usize::try_from(limit).unwrap_or(1).max(1),
        overlaps: column(row, 9)?,
    })
}

statement!(
    RESERVE,
    "select nextval('hooks.message_id_seq') from generate_series(1, $1)"
);

/// Ids for so many messages, in ascending order.
pub fn reserve_ids(client: &mut SpiClient<'_>, count: usize) -> Result<Vec<i64>, Failure> {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    let rows = RESERVE.with(|statement| statement.run(client, &[count.into()]))?;
    rows.map(|row| column(&row, 1)).collect()
}

/// What an entry is to do.
pub struct Run {
    pub id: i64,
    /// What it was read to wait for. If it waits for something else by now, nothing is done.
    pub planned: Timestamp,
    pub next: Option<Timestamp>,
    pub ticks: Vec<Tick>,
}

/// An entry that did it.
pub struct Moved {
    pub id: i64,
    pub version: pg_sys::TransactionId,
    /// The queue that got its messages.
    pub queue_id: Option<QueueId>,
}

// A row that somebody has locked is passed over, and so is one that waits for another time by now. What
// decides is the row that this statement locks: the messages are stored and the plan is replaced
// together, or neither. Ticks of one entry lie side by side in the arrays, from `first` to `last`.
//
// Header values are ASCII; what else a name holds becomes a question mark.
statement!(
    RUN,
    "with ready as materialized (
       select c.id, c.name, c.queue_id, c.headers, c.body, c.body_bytes, c.ordering_key,
              e.next_run_at, e.first, e.last,
              e.last >= e.first
                and (c.overlap = 'allow'
                     or not exists (select from hooks.message as m where m.cron_id = c.id)) as runs
       from unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[], $4::integer[], $5::integer[])
         as e(id, planned, next_run_at, first, last)
       join hooks.cron as c on c.id = e.id
       where c.next_run_at = e.planned
         and c.active
       for no key update of c skip locked
     ), stored as (
       insert into hooks.message (id, queue_id, due_at, headers, body, body_bytes, ordering_key, cron_id)
       select t.message_id, r.queue_id, $9,
              r.headers || jsonb_strip_nulls(jsonb_build_object(
                'hooks-cron-name', btrim(regexp_replace(r.name, '[^ -~]', '?', 'g')),
                'hooks-cron-tick', rtrim(rtrim(to_char(t.at at time zone 'UTC',
                  'YYYY-MM-DD\"T\"HH24:MI:SS.US'), '0'), '.') || 'Z',
                'hooks-cron-late', case when t.late then 'true' end)),
              r.body, r.body_bytes, r.ordering_key, r.id
       from ready as r
       cross join lateral unnest(($6::timestamptz[])[r.first:r.last], ($7::boolean[])[r.first:r.last],
                                 ($8::bigint[])[r.first:r.last]) as t(at, late, message_id)
       where r.runs
     )
     update hooks.cron as c
     set next_run_at = r.next_run_at,
         last_run_at = case when r.runs then ($6::timestamptz[])[r.last] else c.last_run_at end,
         last_message_id = case when r.runs then ($8::bigint[])[r.last] else c.last_message_id end
     from ready as r
     where c.id = r.id
     returning c.id, c.xmin, case when r.runs then r.queue_id end"
);

/// Stores the messages of ticks, due at `now`, and what each entry waits for next. `ids` has one for each
/// tick. Returns the entries for which that was done.
pub fn run_cron(
    client: &mut SpiClient<'_>,
    runs: &[Run],
    ids: Vec<i64>,
    now: Timestamp,
) -> Result<Vec<Moved>, Failure> {
    let ends: Vec<i32> = runs
        .iter()
        .scan(0, |end, run| {
            *end += i32::try_from(run.ticks.len()).unwrap_or(0);
            Some(*end)
        })
        .collect();
    let starts = std::iter::once(1).chain(ends.iter().map(|end| end + 1));
    let ticks = || runs.iter().flat_map(|run| &run.ticks);
    let arguments = [
        runs.iter().map(|run| run.id).collect::<Vec<_>>().into(),
        runs.iter()
            .map(|run| to_postgres(run.planned))
            .collect::<Vec<_>>()
            .into(),
        runs.iter()
            .map(|run| run.next.map(to_postgres))
            .collect::<Vec<_>>()
            .into(),
        starts.take(runs.len()).collect::<Vec<i32>>().into(),
        ends.clone().into(),
        ticks()
            .map(|tick| to_postgres(tick.at))
            .collect::<Vec<_>>()
            .into(),
        ticks().map(|tick| tick.late).collect::<Vec<_>>().into(),
        ids.into(),
        to_postgres(now).into(),
    ];
    let rows = RUN.with(|statement| statement.run(client, &arguments))?;
    rows.map(|row| {
        Ok(Moved {
            id: column(&row, 1)?,
            version: column(&row, 2)?,
            queue_id: optional(&row, 3)?,
        })
    })
    .collect()
}
