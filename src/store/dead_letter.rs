//! Dead letters: moving a message there, and its copy to the dead-letter queue.

use pgrx::spi::SpiClient;

use super::{column, optional, statement};
use crate::domain::queue::QueueId;
use crate::domain::time::Timestamp;
use crate::session::{Failure, from_micros};

/// Why a message becomes a dead letter.
#[derive(Clone)]
pub struct Grave {
    pub id: i64,
    /// When it was due: where it is found again if it could not be moved.
    pub due_at: Timestamp,
    /// `created_at`, in PostgreSQL's microseconds.
    pub stored_at: i64,
    /// Attempts finished when that was decided: a row that went on meanwhile is left alone.
    pub attempt: i32,
    /// Attempts to record with the dead letter.
    pub attempts: i32,
    pub last_status: Option<i16>,
    /// As in `hooks.dead_letter.error_class`.
    pub error_class: String,
    pub last_error: Option<String>,
}

// Header values are ASCII; what else a queue's name holds becomes a question mark. Headers of these
// names that a message had itself are of an earlier death, and give way. An operational event gets no copy: it may be
// about that queue.
statement!(
    BURY,
    "with gone as (
       delete from hooks.message as m
       using unnest($1::bigint[], $2::integer[], $3::integer[], $4::smallint[], $5::text[], $6::text[],
                    $7::timestamptz[])
         as g(id, attempt, attempts, last_status, error_class, last_error, stored_at)
       where m.id = g.id
         and m.attempt = g.attempt
         and m.created_at = g.stored_at
       returning m.id, m.queue_id, m.created_at, m.due_at, m.headers, m.body, m.body_bytes, m.ordering_key,
                 m.event_id, m.envelope,
                 g.attempts, g.last_status, g.error_class, g.last_error,
                 exists (select from hooks.event as e where e.id = m.event_id and starts_with(e.type, 'hooks.')) as is_ours
     ), buried as (
       insert into hooks.dead_letter as d (id, queue_id, attempts, last_status, error_class, last_error,
         created_at, due_at, dead_at, headers, body, body_bytes, ordering_key, event_id, envelope)
       select g.id, g.queue_id, g.attempts, g.last_status, g.error_class, g.last_error,
              g.created_at, g.due_at, clock_timestamp(), g.headers, g.body, g.body_bytes, g.ordering_key,
              g.event_id, g.envelope
       from gone as g
       on conflict (id) do update
       set (queue_id, attempts, last_status, error_class, last_error,
            created_at, due_at, dead_at, headers, body, body_bytes, ordering_key, event_id, envelope)
         = row(excluded.queue_id, excluded.attempts, excluded.last_status, excluded.error_class,
               excluded.last_error, excluded.created_at, excluded.due_at, excluded.dead_at,
               excluded.headers, excluded.body, excluded.body_bytes, excluded.ordering_key,
               excluded.event_id, excluded.envelope)
     ), copied as (
       insert into hooks.message (queue_id, due_at, headers, body, body_bytes, ordering_key, event_id, envelope)
       select q.dead_letter_queue_id, now(),
              (select coalesce(jsonb_object_agg(h.key, h.value), '{}')
               from jsonb_each(case when jsonb_typeof(g.headers) = 'object' then g.headers else '{}' end) as h
               where lower(h.key) not like 'hooks-dead-%')
              || jsonb_strip_nulls(jsonb_build_object(
                'hooks-dead-message', g.id::text,
                'hooks-dead-queue', regexp_replace(q.name, '[^ -~]', '?', 'g'),
                'hooks-dead-attempts', g.attempts::text,
                'hooks-dead-status', g.last_status::text,
                'hooks-dead-error', g.error_class)),
              g.body, g.body_bytes, g.ordering_key, g.event_id, g.envelope
       from gone as g
       join hooks.queue as q on q.id = g.queue_id
       where q.dead_letter_queue_id is not null
         and not g.is_ours
     )
     select g.id, g.queue_id, case when not g.is_ours then q.dead_letter_queue_id end
     from gone as g
     left join hooks.queue as q on q.id = g.queue_id"
);

/// A message that was moved.
pub struct Buried {
    pub id: i64,
    pub queue_id: QueueId,
    /// The queue that got a copy.
    pub copied_to: Option<QueueId>,
}

/// Moves messages to `hooks.dead_letter`, with a copy to the dead-letter queue where there is one.
pub fn bury(client: &mut SpiClient<'_>, graves: &[Grave]) -> Result<Vec<Buried>, Failure> {
    let arguments = [
        graves.iter().map(|g| g.id).collect::<Vec<_>>().into(),
        graves.iter().map(|g| g.attempt).collect::<Vec<_>>().into(),
        graves.iter().map(|g| g.attempts).collect::<Vec<_>>().into(),
        graves.iter().map(|g| g.last_status).collect::<Vec<_>>().into(),
        graves
            .iter()
            .map(|g| g.error_class.clone())
            .collect::<Vec<_>>()
            .into(),
        graves
            .iter()
            .map(|g| g.last_error.clone())
            .collect::<Vec<_>>()
            .into(),
        graves
            .iter()
            .map(|g| from_micros(g.stored_at))
            .collect::<Vec<_>>()
            .into(),
    ];
    let rows = BURY.with(|statement| statement.run(client, &arguments))?;
    let buried = rows.into_iter().map(|row| {
        Ok(Buried {
            id: column(&row, 1)?,
            queue_id: column(&row, 2)?,
            copied_to: optional(&row, 3)?,
        })
    });
    buried.collect()
}

// In an order that only the index message_by_due has.
statement!(
    ORPHANS,
    "select o.id
     from unnest($1::bigint[]) as w(queue_id)
     cross join lateral (
       select m.id
       from hooks.message as m
       where m.queue_id between w.queue_id and w.queue_id
         and m.id <> all ($2)
       order by m.queue_id, m.due_at, m.id
       limit 1000
     ) as o
     limit 1000"
);

/// Up to 1000 messages of these queues, but for those `left_out`.
pub fn orphans(
    client: &mut SpiClient<'_>,
    queue_ids: &[QueueId],
    left_out: Vec<i64>,
) -> Result<Vec<i64>, Failure> {
    let arguments = [queue_ids.to_vec().into(), left_out.into()];
    let rows = ORPHANS.with(|statement| statement.read(client, &arguments))?;
    rows.into_iter().map(|row| column(&row, 1)).collect()
}

statement!(
    BURY_ORPHANS,
    "with gone as (
       delete from hooks.message as m
       where m.id = any (array(
         select o.id
         from hooks.message as o
         where o.id = any ($1)
           and not exists (select from hooks.queue as q where q.id = o.queue_id)
         for update skip locked))
       returning m.*
     )
     insert into hooks.dead_letter as d (id, queue_id, attempts, error_class, last_error,
       created_at, due_at, dead_at, headers, body, body_bytes, ordering_key, event_id, envelope)
     select g.id, g.queue_id, g.attempt, 'queue_dropped', 'the queue was dropped',
            g.created_at, g.due_at, clock_timestamp(), g.headers, g.body, g.body_bytes, g.ordering_key,
              g.event_id, g.envelope
     from gone as g
     on conflict (id) do update
     set (queue_id, attempts, last_status, error_class, last_error,
          created_at, due_at, dead_at, headers, body, body_bytes, ordering_key, event_id, envelope)
       = row(excluded.queue_id, excluded.attempts, excluded.last_status, excluded.error_class,
             excluded.last_error, excluded.created_at, excluded.due_at, excluded.dead_at,
             excluded.headers, excluded.body, excluded.body_bytes, excluded.ordering_key,
               excluded.event_id, excluded.envelope)
     returning d.id, d.queue_id"
);

/// Moves messages whose queue does not exist to `hooks.dead_letter`, but for those that somebody has locked.
/// Returns those moved.
pub fn bury_orphans(client: &mut SpiClient<'_>, ids: &[i64]) -> Result<Vec<Buried>, Failure> {
    let rows = BURY_ORPHANS.with(|statement| statement.run(client, &[ids.to_vec().into()]))?;
    let buried = rows.into_iter().map(|row| {
        Ok(Buried {
            id: column(&row, 1)?,
            queue_id: column(&row, 2)?,
            copied_to: None,
        })
    });
    buried.collect()
}
