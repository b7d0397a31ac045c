//! Messages that wait: reading those that are due.

use std::collections::HashSet;

use pgrx::spi::{SpiClient, SpiHeapTupleData};
use pgrx::{JsonB, pg_sys};

use super::{column, optional, statement};
use crate::domain::headers::Headers;
use crate::domain::message::Body;
use crate::domain::queue::QueueId;
use crate::domain::scheduler::{Candidate, Fetch};
use crate::domain::time::Timestamp;
use crate::session::{Failure, from_postgres, to_postgres};

/// A due message as stored.
pub struct Row {
    pub queue_id: QueueId,
    pub candidate: Candidate,
    /// Headers and body, or why they cannot be used.
    pub content: Result<(Headers, Body), String>,
    /// The transaction that wrote the row.
    pub written_by: pg_sys::TransactionId,
}

/// What a fetch brought.
#[derive(Default)]
pub struct Fetched {
    /// Due rows, in order within each queue.
    pub rows: Vec<Row>,
    /// For each queue, when its first row after those due is due.
    pub next_due: Vec<(QueueId, Timestamp)>,
    /// The byte budget ended before the rows; what comes after the last one was not read.
    pub cut: bool,
}

// Each queue is one walk over the index message_by_due, from its cursor on, and one look at what
// comes next. The body of the row that comes next is not read.
statement!(
    FETCH,
    "select w.queue_id, m.id, m.due_at, m.attempt, m.attempts_before, m.deaths::integer,
            m.headers, convert_to(m.body, 'UTF8'), m.body_bytes, m.written_by
     from unnest($1::bigint[], $2::timestamptz[], $3::bigint[], $4::integer[])
       as w(queue_id, after_due_at, after_id, row_limit)
     cross join lateral (
       (select m.id, m.due_at, m.attempt, m.attempts_before, m.deaths, m.headers, m.body, m.body_bytes,
               m.xmin as written_by
        from hooks.message as m
        where m.queue_id = w.queue_id
          and (m.due_at, m.id) > (w.after_due_at, w.after_id)
          and m.due_at <= $5
        order by m.due_at, m.id
        limit w.row_limit)
       union all
       (select m.id, m.due_at, 0, 0, 0::smallint, null, null, null, m.xmin
        from hooks.message as m
        where m.queue_id = w.queue_id
          and m.due_at > $5
        order by m.due_at, m.id
        limit 1)
     ) as m"
);

/// Reads the rows that the scheduler asked for, up to `byte_budget` bytes of bodies (and at least one
/// row).
pub fn fetch(
    client: &mut SpiClient<'_>,
    fetches: &[Fetch],
    now: Timestamp,
    byte_budget: usize,
) -> Result<Fetched, Failure> {
    let queue_ids: Vec<i64> = fetches.iter().map(|fetch| fetch.queue_id).collect();
    let after_due: Vec<_> = fetches
        .iter()
        .map(|fetch| to_postgres(fetch.after.due_at))
        .collect();
    let after_ids: Vec<i64> = fetches.iter().map(|fetch| fetch.after.id).collect();
    let limits: Vec<i32> = fetches
        .iter()
        .map(|f| i32::try_from(f.limit).unwrap_or(i32::MAX))
        .collect();
    let arguments = [
        queue_ids.into(),
        after_due.into(),
        after_ids.into(),
        limits.into(),
        to_postgres(now).into(),
    ];
    let mut fetched = Fetched::default();
    let mut bytes = 0;
    for row in FETCH.with(|statement| statement.run(client, &arguments))? {
        let due_at = from_postgres(column(&row, 3)?);
        let queue_id = column(&row, 1)?;
        if due_at > now {
            fetched.next_due.push((queue_id, due_at));
            continue;
        }
        if bytes > byte_budget {
            fetched.cut = true;
            break;
        }
        let row = read(&row, queue_id, due_at)?;
        bytes += row.content.as_ref().map_or(0, |(_, body)| body.bytes().len());
        fetched.rows.push(row);
    }
    Ok(fetched)
}

fn read(row: &SpiHeapTupleData<'_>, queue_id: QueueId, due_at: Timestamp) -> Result<Row, Failure> {
    Ok(Row {
        queue_id,
        candidate: Candidate {
            id: column(row, 2)?,
            due_at,
            attempt: count(column(row, 4)?),
            attempts_before: count(column(row, 5)?),
            deaths: count(column(row, 6)?),
        },
        content: read_content(row)?,
        written_by: column(row, 10)?,
    })
}

fn read_content(row: &SpiHeapTupleData<'_>) -> Result<Result<(Headers, Body), String>, Failure> {
    let headers = match optional::<JsonB>(row, 7)? {
        None => Headers::default(),
        Some(json) => match Headers::from_json(&json.0) {
            Ok(headers) => headers,
            Err(invalid) => return Ok(Err(invalid.message)),
        },
    };
    let body = match (optional(row, 8)?, optional(row, 9)?) {
        (Some(text), _) => Body::Text(text),
        (None, Some(bytes)) => Body::Binary(bytes),
        (None, None) => Body::Empty,
    };
    Ok(Ok((headers, body)))
}

fn count(value: i32) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

statement!(
    EARLIEST,
    "select m.queue_id, m.due_at
     from hooks.queue as q
     cross join lateral (
       select m.queue_id, m.due_at
       from hooks.message as m
       where m.queue_id = q.id
       order by m.due_at, m.id
       limit 1
     ) as m"
);

// Jumps from queue to queue in the index: the messages of a dropped queue are found without reading
// those of all others.
statement!(
    ORPHANED,
    "with recursive present(queue_id) as (
       (select m.queue_id from hooks.message as m order by m.queue_id limit 1)
       union all
       select (select m.queue_id from hooks.message as m
               where m.queue_id > p.queue_id
               order by m.queue_id
               limit 1)
       from present as p
       where p.queue_id is not null
     )
     select p.queue_id
     from present as p
     where p.queue_id is not null
       and not exists (select from hooks.queue as q where q.id = p.queue_id)"
);

/// When the first message of each queue that has one is due.
pub fn earliest_due(client: &mut SpiClient<'_>) -> Result<Vec<(QueueId, Timestamp)>, Failure> {
    EARLIEST
        .with(|statement| statement.run(client, &[]))?
        .into_iter()
        .map(|row| Ok((column(&row, 1)?, from_postgres(column(&row, 2)?))))
        .collect()
}

/// Ids of queues that messages name and that do not exist.
pub fn orphaned_queues(client: &mut SpiClient<'_>) -> Result<Vec<QueueId>, Failure> {
    ORPHANED
        .with(|statement| statement.run(client, &[]))?
        .into_iter()
        .map(|row| column(&row, 1))
        .collect()
}

statement!(
    CLAIM,
    "update hooks.message as m set deaths = m.deaths + 1 where m.id = any ($1)"
);

/// Counts a death for each of these messages, before they are sent.
pub fn claim(client: &mut SpiClient<'_>, ids: Vec<i64>) -> Result<(), Failure> {
    CLAIM.with(|statement| statement.run(client, &[ids.into()]))?;
    Ok(())
}

// A look at the locks alone: they are given back at the end of the transaction.
statement!(
    LOCKED,
    "with free as (
       select m.id from hooks.message as m where m.id = any ($1) for update skip locked
     )
     select m.id
     from hooks.message as m
     where m.id = any ($1)
       and not exists (select from free as f where f.id = m.id)"
);

/// Which of these messages somebody else has locked.
pub fn locked(client: &mut SpiClient<'_>, ids: Vec<i64>) -> Result<HashSet<i64>, Failure> {
    LOCKED
        .with(|statement| statement.run(client, &[ids.into()]))?
        .into_iter()
        .map(|row| column(&row, 1))
        .collect()
}
