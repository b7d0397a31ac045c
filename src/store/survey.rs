//! A look at all queues, some at a time: what nothing told of is found here.

use pgrx::pg_sys;
use pgrx::spi::SpiClient;

use super::{column, optional, statement};
use crate::domain::queue::QueueId;
use crate::domain::scheduler::Cursor;
use crate::session::{Failure, from_postgres, to_postgres};

/// A queue, as far as a survey looks at it.
pub struct Surveyed {
    pub id: QueueId,
    /// Changes with the row.
    pub version: pg_sys::TransactionId,
    /// The place of its first message, if it has one.
    pub first: Option<Cursor>,
}

statement!(
    SURVEY,
    "select q.id, q.xmin, m.due_at, m.id
     from (select q.id, q.xmin from hooks.queue as q where q.id > $1 order by q.id limit $2) as q
     cross join lateral (select array_position($3::bigint[], q.id) as at) as f
     left join lateral (
       select m.due_at, m.id
       from hooks.message as m
       where m.queue_id = q.id
         and (m.due_at, m.id) >= (coalesce(($4::timestamptz[])[f.at], '-infinity'),
                                  coalesce(($5::bigint[])[f.at], '-9223372036854775808'))
       order by m.due_at, m.id
       limit 1
     ) as m on true"
);

/// Up to `limit` queues in the order of their ids, from behind `after` on. Messages of those that have a floor are
/// looked at from there on: what is dead below it need not be walked again.
pub fn survey(
    client: &mut SpiClient<'_>,
    after: QueueId,
    limit: i32,
    floors: &[(QueueId, Cursor)],
) -> Result<Vec<Surveyed>, Failure> {
    let arguments = [
        after.into(),
        limit.into(),
        floors.iter().map(|(id, _)| *id).collect::<Vec<_>>().into(),
        floors
            .iter()
            .map(|(_, floor)| to_postgres(floor.due_at))
            .collect::<Vec<_>>()
            .into(),
        floors
            .iter()
            .map(|(_, floor)| floor.id)
            .collect::<Vec<_>>()
            .into(),
    ];
    let rows = SURVEY.with(|statement| statement.read(client, &arguments))?;
    rows.into_iter()
        .map(|row| {
            Ok(Surveyed {
                id: column(&row, 1)?,
                version: column(&row, 2)?,
                first: optional(&row, 3)?
                    .map(from_postgres)
                    .zip(optional(&row, 4)?)
                    .map(|(due_at, id)| Cursor { due_at, id }),
            })
        })
        .collect()
}

// Jumps from queue to queue in the index: the messages of a dropped queue are found without reading
// those of all others.
statement!(
    ORPHANED,
    "with recursive present(queue_id) as (
       (select m.queue_id
        from hooks.message as m
        where m.queue_id > $1 and m.queue_id <= $2
        order by m.queue_id
        limit 1)
       union all
       select (select m.queue_id
               from hooks.message as m
               where m.queue_id > p.queue_id and m.queue_id <= $2
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

/// Ids above `after`, up to `last`, of queues that messages name and that do not exist.
pub fn orphaned_queues(
    client: &mut SpiClient<'_>,
    after: QueueId,
    last: QueueId,
) -> Result<Vec<QueueId>, Failure> {
    ORPHANED
        .with(|statement| statement.read(client, &[after.into(), last.into()]))?
        .map(|row| column(&row, 1))
        .collect()
}
