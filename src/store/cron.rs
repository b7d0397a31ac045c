//! Entries of `hooks.cron`: reading them, and storing the messages of ticks.

use std::collections::{HashMap, HashSet};

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
    /// Whether it publishes events.
    pub publishes: bool,
}

// The columns are read by number in `read`.
macro_rules! cron_columns {
    () => {
        "c.id, c.xmin, case when c.active and isfinite(c.next_run_at) then c.next_run_at end,
         convert_to(c.schedule, 'SQL_ASCII'), convert_to(c.timezone, 'SQL_ASCII'),
         c.missed = 'skip', c.missed = 'all', c.missed_limit, c.overlap = 'allow', c.event_type is not null "
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
        publishes: column(row, 10)?,
    })
}

statement!(
    RESERVE,
    "select case when t.publishes then nextval('hooks.event_id_seq') else nextval('hooks.message_id_seq') end
     from unnest($1::boolean[]) as t(publishes)"
);

/// Ids for what the ticks make, messages and events, in their order.
fn reserve_ids(client: &mut SpiClient<'_>, runs: &[Run]) -> Result<Vec<i64>, Failure> {
    let publishes = runs
        .iter()
        .flat_map(|run| run.ticks.iter().map(|_| run.publishes));
    let arguments = [publishes.collect::<Vec<bool>>().into()];
    let rows = RESERVE.with(|statement| statement.run(client, &arguments))?;
    rows.map(|row| column(&row, 1)).collect()
}

/// What an entry is to do.
pub struct Run {
    pub id: i64,
    /// What it was read to wait for. If it waits for something else by now, nothing is done.
    pub planned: Timestamp,
    pub next: Option<Timestamp>,
    pub ticks: Vec<Tick>,
    pub publishes: bool,
}

/// What came of it.
#[derive(Default)]
pub struct Ran {
    /// The entries for which it was done, with the new versions of their rows.
    pub moved: HashMap<i64, pg_sys::TransactionId>,
    /// The queues that got messages.
    pub queues: HashSet<QueueId>,
}

// A row that somebody has locked is passed over, and so is one that waits for another time by now. What
// decides is the row that this statement locks: the messages are stored and the plan is replaced
// together, or neither. Ticks of one entry lie side by side in the arrays, from `first` to `last`.
//
// Header values are ASCII; what else a name holds becomes a question mark. Transforms are functions of
// users, and not run here: their subscriptions get nothing.
statement!(
    RUN,
    "with ready as materialized (
       select c.id, c.name, c.queue_id, c.event_type, c.headers, c.body, c.body_bytes, c.ordering_key,
              e.next_run_at, e.first, e.last,
              e.last >= e.first
                and (c.overlap = 'allow'
                     or not exists (select from hooks.message as m where m.cron_id = c.id))
                and hooks.owner_problem(c.owner, c.owner_name, c.queue_id) is null as runs
       from unnest($1::bigint[], $2::timestamptz[], $3::boolean[], $4::timestamptz[], $5::integer[], $6::integer[])
         as e(id, planned, publishes, next_run_at, first, last)
       join hooks.cron as c on c.id = e.id
       where c.next_run_at = e.planned
         and (c.event_type is not null) = e.publishes
         and c.active
       for no key update of c skip locked
     ), tick as materialized (
       select r.id as cron_id, r.queue_id, r.event_type, r.body, r.body_bytes, r.ordering_key, t.made_id,
              r.headers || jsonb_strip_nulls(jsonb_build_object(
                'hooks-cron-name', btrim(regexp_replace(r.name, '[^ -~]', '?', 'g')),
                'hooks-cron-tick', rtrim(rtrim(to_char(t.at at time zone 'UTC',
                  'YYYY-MM-DD\"T\"HH24:MI:SS.US'), '0'), '.') || 'Z',
                'hooks-cron-late', case when t.late then 'true' end)) as headers
       from ready as r
       cross join lateral unnest(($7::timestamptz[])[r.first:r.last], ($8::boolean[])[r.first:r.last],
                                 ($9::bigint[])[r.first:r.last]) as t(at, late, made_id)
       where r.runs
     ), sent as (
       insert into hooks.message (id, queue_id, due_at, headers, body, body_bytes, ordering_key, cron_id)
       select t.made_id, t.queue_id, $10, t.headers, t.body, t.body_bytes, t.ordering_key, t.cron_id
       from tick as t
       where t.event_type is null
     ), published as (
       insert into hooks.event (id, type, payload, headers)
       select t.made_id, t.event_type, t.body::jsonb::text, t.headers
       from tick as t
       where t.event_type is not null
     ), fanned_out as (
       insert into hooks.message (queue_id, due_at, headers, ordering_key, event_id, envelope, cron_id)
       select s.queue_id, $10, s.headers, t.ordering_key, t.made_id, nullif(s.envelope, 'raw'), t.cron_id
       from tick as t
       cross join lateral hooks.subscriptions_told(t.event_type, t.body::jsonb, false, null) as s
       where t.event_type is not null
       returning queue_id
     ), moved as (
       update hooks.cron as c
       set next_run_at = r.next_run_at,
           last_run_at = case when r.runs then ($7::timestamptz[])[r.last] else c.last_run_at end,
           last_message_id = case when not r.runs then c.last_message_id
                                  when r.event_type is null then ($9::bigint[])[r.last] end,
           last_event_id = case when not r.runs then c.last_event_id
                                when r.event_type is not null then ($9::bigint[])[r.last] end
       from ready as r
       where c.id = r.id
       returning c.id, c.xmin as version, case when r.runs then r.queue_id end as queue_id
     )
     select m.id, m.version, m.queue_id from moved as m
     union all
     select null, null, f.queue_id from fanned_out as f"
);

/// Stores what the ticks make, due at `now`, and what each entry waits for next.
pub fn run_cron(client: &mut SpiClient<'_>, runs: &[Run], now: Timestamp) -> Result<Ran, Failure> {
    let ids = reserve_ids(client, runs)?;
    let ends: Vec<i32> = runs
        .iter()
        .scan(0, |end, run| {
            *end += i32::try_from(run.ticks.len()).unwrap_or(0);
            Some(*end)
        })
        .collect();
    let starts = std::iter::once(1).chain(ends.iter().map(|end| end + 1));
    let ticks = || runs.iter().flat_map(|run| &run.ticks);
    let planned = runs.iter().map(|run| to_postgres(run.planned));
    let next = runs.iter().map(|run| run.next.map(to_postgres));
    let arguments = [
        runs.iter().map(|run| run.id).collect::<Vec<_>>().into(),
        planned.collect::<Vec<_>>().into(),
        runs.iter().map(|run| run.publishes).collect::<Vec<_>>().into(),
        next.collect::<Vec<_>>().into(),
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
    let mut ran = Ran::default();
    for row in RUN.with(|statement| statement.run(client, &arguments))? {
        if let Some(id) = optional(&row, 1)? {
            ran.moved.insert(id, column(&row, 2)?);
        }
        ran.queues.extend(optional::<QueueId>(&row, 3)?);
    }
    Ok(ran)
}
