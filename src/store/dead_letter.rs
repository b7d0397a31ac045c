//! Dead letters: moving a message there, and its copy to the dead-letter queue.

use pgrx::spi::SpiClient;

use super::{column, statement};
use crate::domain::queue::QueueId;
use crate::session::Failure;

/// Why a message becomes a dead letter.
pub struct Grave {
    pub id: i64,
    /// Attempts finished when that was decided: a row that went on meanwhile is left alone.
    pub attempt: i32,
    /// Attempts to record with the dead letter.
    pub attempts: i32,
    pub last_status: Option<i16>,
    /// As in `hooks.dead_letter.error_class`.
    pub error_class: String,
    pub last_error: Option<String>,
}

// Header values are ASCII; what else a queue's name holds becomes a question mark.
statement!(
    BURY,
    "with gone as (
       delete from hooks.message as m
       using unnest($1::bigint[], $2::integer[], $3::integer[], $4::smallint[], $5::text[], $6::text[])
         as g(id, attempt, attempts, last_status, error_class, last_error)
       where m.id = g.id
         and m.attempt = g.attempt
       returning m.id, m.queue_id, m.created_at, m.due_at, m.headers, m.body, m.body_bytes,
                 g.attempts, g.last_status, g.error_class, g.last_error
     ), buried as (
       insert into hooks.dead_letter (id, queue_id, attempts, last_status, error_class, last_error,
         created_at, due_at, dead_at, headers, body, body_bytes)
       select g.id, g.queue_id, g.attempts, g.last_status, g.error_class, g.last_error,
              g.created_at, g.due_at, clock_timestamp(), g.headers, g.body, g.body_bytes
       from gone as g
     ), copied as (
       insert into hooks.message (queue_id, due_at, headers, body, body_bytes)
       select q.dead_letter_queue_id, now(),
              coalesce(g.headers, '{}') || jsonb_strip_nulls(jsonb_build_object(
                'hooks-dead-message', g.id::text,
                'hooks-dead-queue', regexp_replace(q.name, '[^ -~]', '?', 'g'),
                'hooks-dead-attempts', g.attempts::text,
                'hooks-dead-status', g.last_status::text,
                'hooks-dead-error', g.error_class)),
              g.body, g.body_bytes
       from gone as g
       join hooks.queue as q on q.id = g.queue_id
       where q.dead_letter_queue_id is not null
       returning queue_id
     )
     select g.id, g.queue_id, q.dead_letter_queue_id
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
    ];
    BURY.with(|statement| statement.run(client, &arguments))?
        .into_iter()
        .map(|row| {
            Ok(Buried {
                id: column(&row, 1)?,
                queue_id: column(&row, 2)?,
                copied_to: super::optional(&row, 3)?,
            })
        })
        .collect()
}

statement!(
    BURY_ORPHANS,
    "with gone as (
       delete from hooks.message as m
       where m.id in (select o.id from hooks.message as o where o.queue_id = any ($1) limit 1000)
       returning m.*
     )
     insert into hooks.dead_letter (id, queue_id, attempts, error_class, last_error,
       created_at, due_at, dead_at, headers, body, body_bytes)
     select g.id, g.queue_id, g.attempt, 'queue_dropped', 'the queue was dropped',
            g.created_at, g.due_at, clock_timestamp(), g.headers, g.body, g.body_bytes
     from gone as g
     returning id"
);

/// Moves up to 1000 messages of queues that do not exist to `hooks.dead_letter`. Returns how many.
pub fn bury_orphans(client: &mut SpiClient<'_>, queue_ids: &[QueueId]) -> Result<usize, Failure> {
    Ok(BURY_ORPHANS
        .with(|statement| statement.run(client, &[queue_ids.to_vec().into()]))?
        .len())
}
