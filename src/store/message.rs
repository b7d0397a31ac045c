//! Messages that wait: reading those that are due.

use std::collections::{HashMap, HashSet};
use std::panic::panic_any;
use std::time::Duration;

use pgrx::pg_sys;
use pgrx::spi::{SpiClient, SpiHeapTupleData};

use super::{bytes, column, event, optional, statement};
use crate::domain::headers::Headers;
use crate::domain::message::Body;
use crate::domain::queue::QueueId;
use crate::domain::scheduler::{Candidate, Fetch, Range};
use crate::domain::time::Timestamp;
use crate::fault;
use crate::session::{Failure, from_postgres, micros, to_postgres, unix_time};

/// A due message as stored.
pub struct Row {
    pub queue_id: QueueId,
    pub candidate: Candidate,
    /// Headers and body, unless they are to be read with [`read_contents`].
    pub content: Option<Content>,
    /// The transaction that wrote the row.
    pub written_by: pg_sys::TransactionId,
    /// The event whose payload is still missing in the contents.
    event: Option<event::Reference>,
    /// `created_at`, in PostgreSQL's microseconds.
    pub stored_at: i64,
}

impl Row {
    /// Since when somebody waits for its delivery: when it was to be sent first. For one that is being
    /// retried, when it was stored; not known if it was redriven before.
    pub fn waited_since(&self) -> Option<Timestamp> {
        let Candidate {
            attempt,
            attempts_before,
            due_at,
            ..
        } = self.candidate;
        if attempt == attempts_before {
            return Some(due_at);
        }
        (attempts_before == 0).then(|| unix_time(self.stored_at))
    }
}

/// Headers and body, or why they cannot be used.
pub type Content = Result<(Headers, Body), String>;

/// What a fetch brought.
#[derive(Default)]
pub struct Fetched {
    /// Due rows of the ranges, in order within each queue.
    pub rows: Vec<Row>,
    /// First rows of ordering keys, due or not, in the order asked for within each queue.
    pub heads: Vec<Row>,
    /// For each queue, when its first row after those due is due.
    pub next_due: Vec<(QueueId, Timestamp)>,
}

/// The columns that `read` takes, of a row `m` in a queue of number `w.queue_id`. Large contents are
/// left for `read_contents`, so that memory is bounded by what is sent and not by what is due.
macro_rules! row_columns {
    ($inline_bytes:literal) => {
        concat!(
            "w.queue_id, m.id, m.due_at, m.attempt, m.attempts_before, m.deaths::integer, m.size, m.written_by,
             m.expires_at, m.ordering_hash,
             case when m.size <= ", $inline_bytes, " then convert_to(m.headers::text, 'UTF8') end,
             case when m.size <= ", $inline_bytes, " then convert_to(m.body, 'UTF8') end,
             case when m.size <= ", $inline_bytes, " then m.body_bytes end,
             m.event_id, m.envelope, m.created_at "
        )
    };
}

macro_rules! stored_columns {
    () => {
        "m.id, m.due_at, m.attempt, m.attempts_before, m.deaths, m.xmin as written_by,
         m.headers, m.body, m.body_bytes, m.expires_at,
         hashtextextended(m.ordering_key, 0) as ordering_hash,
         m.event_id, m.envelope,
         m.created_at,
         coalesce(octet_length(m.body), octet_length(m.body_bytes),
           (select octet_length(e.payload) from hooks.event as e where e.id = m.event_id), 0)
           + coalesce(pg_column_size(m.headers), 0) as size "
    };
}

// Each queue is one walk over the index message_by_due, from its cursor on, and one look at what
// comes next. Contents of a row with an ordering key are read when it is the first of its key.
statement!(
    FETCH,
    concat!(
        "select ",
        row_columns!("case when m.ordering_hash is null then $6 else -1 end"),
        "
         from unnest($1::bigint[], $2::timestamptz[], $3::bigint[], $4::integer[])
           as w(queue_id, after_due_at, after_id, row_limit)
         cross join lateral (
           (select ",
        stored_columns!(),
        "
            from hooks.message as m
            where m.queue_id = w.queue_id
              and (m.due_at, m.id) > (w.after_due_at, w.after_id)
              and m.due_at <= $5
            order by m.due_at, m.id
            limit w.row_limit)
           union all
           (select m.id, m.due_at, 0, 0, 0::smallint, m.xmin, null, null, null, null, null, null, null, m.created_at, 0
            from hooks.message as m
            where m.queue_id = w.queue_id
              and m.due_at > $5
            order by m.due_at, m.id
            limit 1)
         ) as m"
    )
);

// The first row of each ordering key, by a look into the index message_by_key. If the hash had to be equal, the order
// would be that of ids alone, which the primary key has too: statistics could have all messages walked along that.
statement!(
    HEADS,
    concat!(
        "select ",
        row_columns!("$6"),
        "
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[])
           as w(queue_id, key, from_id, dead_letters_block)
         cross join lateral (
           select ",
        stored_columns!(),
        "
           from hooks.message as m
           where m.queue_id = w.queue_id
             and m.ordering_key is not null
             and (hashtextextended(m.ordering_key, 0), m.id) >= (w.key, w.from_id)
             and hashtextextended(m.ordering_key, 0) <= w.key
           order by hashtextextended(m.ordering_key, 0), m.id
           limit 1
         ) as m
         where m.due_at > $5
            or not (w.dead_letters_block and exists (
              select
              from hooks.dead_letter as d
              where d.queue_id = w.queue_id
                and hashtextextended(d.ordering_key, 0) = w.key
                and d.ordering_key is not null
                and d.id < m.id))"
    )
);

/// Reads the rows that the scheduler asked for, with contents of up to `inline_bytes` each (none when
/// negative).
pub fn fetch(
    client: &mut SpiClient<'_>,
    fetches: &[Fetch],
    now: Timestamp,
    inline_bytes: i32,
    webhook_key: &str,
) -> Result<Fetched, Failure> {
    let mut fetched = Fetched {
        heads: fetch_heads(client, fetches, now, inline_bytes)?,
        ..Fetched::default()
    };
    fetch_ranges(client, fetches, now, inline_bytes, &mut fetched)?;
    let rows = fetched.rows.iter_mut().chain(&mut fetched.heads);
    let of_events = rows.filter_map(|row| Some((row.content.as_mut()?, row.event.take()?)));
    event::wrap(client, of_events.collect(), webhook_key)?;
    Ok(fetched)
}

fn fetch_ranges(
    client: &mut SpiClient<'_>,
    fetches: &[Fetch],
    now: Timestamp,
    inline_bytes: i32,
    fetched: &mut Fetched,
) -> Result<(), Failure> {
    let ranges: Vec<_> = fetches
        .iter()
        .filter_map(|fetch| Some((fetch.queue_id, fetch.range?)))
        .collect();
    if ranges.is_empty() {
        return Ok(());
    }
    let limit = |range: &Range| i32::try_from(range.limit).unwrap_or(i32::MAX);
    let arguments = [
        ranges.iter().map(|(id, _)| *id).collect::<Vec<_>>().into(),
        ranges
            .iter()
            .map(|(_, range)| to_postgres(mark(range)))
            .collect::<Vec<_>>()
            .into(),
        ranges
            .iter()
            .map(|(_, range)| range.after.id)
            .collect::<Vec<_>>()
            .into(),
        ranges
            .iter()
            .map(|(_, range)| limit(range))
            .collect::<Vec<_>>()
            .into(),
        to_postgres(now).into(),
        inline_bytes.into(),
    ];
    for row in FETCH.with(|statement| statement.read(client, &arguments))? {
        let due_at = from_postgres(column(&row, 3)?);
        if due_at > now {
            fetched.next_due.push((column(&row, 1)?, due_at));
        } else {
            let mut read = read(&row, inline_bytes)?;
            if read.candidate.ordering_key.is_some() {
                // It only makes its key known; contents come with the first row of the key.
                read.content = None;
            }
            fetched.rows.push(read);
        }
    }
    Ok(())
}

/// Behind what a walk begins. Tests put a bug in here, to see that it is found: some milliseconds too far.
fn mark(range: &Range) -> Timestamp {
    let too_far = 5 * u64::from(fault::strikes("bug: mark too high"));
    range.after.due_at.after(Duration::from_millis(too_far))
}

/// Rows come in the order of the keys asked for: the plan is a nested loop over these.
fn fetch_heads(
    client: &mut SpiClient<'_>,
    fetches: &[Fetch],
    now: Timestamp,
    inline_bytes: i32,
) -> Result<Vec<Row>, Failure> {
    let heads: Vec<_> = fetches
        .iter()
        .flat_map(|fetch| fetch.heads.iter().map(move |head| (fetch, head)))
        .collect();
    if heads.is_empty() {
        return Ok(Vec::new());
    }
    let arguments = [
        heads
            .iter()
            .map(|(fetch, _)| fetch.queue_id)
            .collect::<Vec<_>>()
            .into(),
        heads.iter().map(|(_, head)| head.key).collect::<Vec<_>>().into(),
        heads.iter().map(|(_, head)| head.from).collect::<Vec<_>>().into(),
        heads
            .iter()
            .map(|(fetch, _)| fetch.dead_letters_block)
            .collect::<Vec<_>>()
            .into(),
        to_postgres(now).into(),
        inline_bytes.into(),
    ];
    HEADS
        .with(|statement| statement.read(client, &arguments))?
        .map(|row| read(&row, inline_bytes))
        .collect()
}

/// A row whose contents cannot be read comes with the reason in their place, so that it stops no others.
fn read(row: &SpiHeapTupleData<'_>, inline_bytes: i32) -> Result<Row, Failure> {
    let size: i32 = column(row, 7)?;
    let contents = || -> Result<_, Failure> {
        let content = (size <= inline_bytes).then(|| read_content(row, 11));
        Ok((content.transpose()?, read_reference(row, 14)?))
    };
    let (content, event) = contents().or_else(|failure| {
        if failure.is_of_the_rows() {
            Ok((Some(Err(failure.to_string())), None))
        } else {
            Err(failure)
        }
    })?;
    Ok(Row {
        queue_id: column(row, 1)?,
        candidate: Candidate {
            id: column(row, 2)?,
            due_at: from_postgres(column(row, 3)?),
            attempt: count(column(row, 4)?),
            attempts_before: count(column(row, 5)?),
            deaths: count(column(row, 6)?),
            size: usize::try_from(size).unwrap_or(0),
            expires_at: optional(row, 9)?.map(from_postgres),
            ordering_key: optional(row, 10)?,
        },
        written_by: column(row, 8)?,
        content,
        event,
        stored_at: micros(column(row, 16)?),
    })
}

statement!(
    CONTENTS,
    "select m.id, convert_to(m.headers::text, 'UTF8'), convert_to(m.body, 'UTF8'), m.body_bytes,
            m.event_id, m.envelope
     from hooks.message as m
     where m.id = any ($1)"
);

/// Reads the contents of these messages, as far as they still exist.
pub fn read_contents(
    client: &mut SpiClient<'_>,
    ids: Vec<i64>,
    webhook_key: &str,
) -> Result<HashMap<i64, Content>, Failure> {
    let rows = CONTENTS.with(|statement| statement.read(client, &[ids.into()]))?;
    let read = |row: SpiHeapTupleData<'_>| {
        Ok((
            column::<i64>(&row, 1)?,
            read_content(&row, 2)?,
            read_reference(&row, 5)?,
        ))
    };
    let mut contents = rows.map(read).collect::<Result<Vec<_>, Failure>>()?;
    let of_events = contents
        .iter_mut()
        .filter_map(|(_, content, event)| Some((content, event.take()?)));
    event::wrap(client, of_events.collect(), webhook_key)?;
    Ok(contents
        .into_iter()
        .map(|(id, content, _)| (id, content))
        .collect())
}

/// Reads event and envelope from two columns, the first of this number.
fn read_reference(row: &SpiHeapTupleData<'_>, first: usize) -> Result<Option<event::Reference>, Failure> {
    let Some(event_id) = optional(row, first)? else {
        return Ok(None);
    };
    Ok(Some(event::Reference {
        event_id,
        envelope: optional(row, first + 1)?,
    }))
}

/// Reads headers, text and bytes from three columns, the first of this number.
fn read_content(row: &SpiHeapTupleData<'_>, first: usize) -> Result<Content, Failure> {
    let headers = match bytes(row, first)? {
        None => Headers::default(),
        Some(json) => match serde_json::from_slice(&json).map(|json| Headers::from_stored_json(&json)) {
            Ok(Ok(headers)) => headers,
            Ok(Err(invalid)) => return Ok(Err(invalid.message)),
            Err(_) => return Ok(Err("headers are not valid JSON".to_owned())),
        },
    };
    let body = match (bytes(row, first + 1)?, bytes(row, first + 2)?) {
        (Some(text), _) => Body::Text(text),
        (None, Some(bytes)) => Body::Binary(bytes),
        (None, None) => Body::Empty,
    };
    if fault::strikes_at("message: decode", body.bytes()) {
        panic_any("fault");
    }
    Ok(Ok((headers, body)))
}

fn count(value: i32) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

// A row that somebody has locked, or that is gone, is left out.
statement!(
    CLAIM,
    "with free as (
       select m.id from hooks.message as m where m.id = any ($1) for update skip locked
     )
     update hooks.message as m
     set deaths = m.deaths + 1
     from free as f
     where m.id = f.id
     returning m.id"
);

/// Counts a death for each of these messages, before they are sent. Returns those counted.
pub fn claim(client: &mut SpiClient<'_>, ids: Vec<i64>) -> Result<HashSet<i64>, Failure> {
    let rows = CLAIM.with(|statement| statement.run(client, &[ids.into()]))?;
    rows.into_iter().map(|row| column(&row, 1)).collect()
}

statement!(
    FORGIVE,
    "update hooks.message as m
     set deaths = m.deaths - 1
     where m.id in (
       select f.id from hooks.message as f where f.id = any ($1) and f.deaths > 0 for update skip locked)"
);

/// Takes back the death that was counted for each of these messages in case the worker died of the attempt, which ended
/// otherwise or was not made. One that somebody has locked keeps it.
pub fn forgive(client: &mut SpiClient<'_>, ids: Vec<i64>) -> Result<(), Failure> {
    FORGIVE.with(|statement| statement.run(client, &[ids.into()]))?;
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
        .map(|row| column(&row, 1))
        .collect()
}
