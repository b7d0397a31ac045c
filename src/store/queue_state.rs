//! What the leader has to say about queues: open breakers, and queues that it switched off.

use pgrx::spi::SpiClient;

use super::statement;
use crate::domain::queue::QueueId;
use crate::domain::time::Timestamp;
use crate::session::{Failure, to_postgres};

statement!(
    TRIPPED,
    "insert into hooks.queue_state as s (queue_id, state, since, until, reason)
     select q.id, 'open', now(), $2, 'too many attempts failed'
     from hooks.queue as q
     where q.id = $1
     on conflict (queue_id) do update set until = excluded.until"
);

/// Shows that the breaker of a queue is open until then.
pub fn note_open_breaker(
    client: &mut SpiClient<'_>,
    queue_id: QueueId,
    until: Timestamp,
) -> Result<(), Failure> {
    TRIPPED.with(|statement| statement.run(client, &[queue_id.into(), to_postgres(until).into()]))?;
    Ok(())
}

statement!(
    RECOVERED,
    "delete from hooks.queue_state as s where s.queue_id = $1"
);

/// Shows that the breaker of a queue is closed.
pub fn note_closed_breaker(client: &mut SpiClient<'_>, queue_id: QueueId) -> Result<(), Failure> {
    RECOVERED.with(|statement| statement.run(client, &[queue_id.into()]))?;
    Ok(())
}

statement!(
    FORGET,
    "delete from hooks.queue_state as s where s.state = 'open'"
);

/// Forgets the open breakers of the last leader: a new one starts with closed ones.
pub fn forget_open_breakers(client: &mut SpiClient<'_>) -> Result<(), Failure> {
    FORGET.with(|statement| statement.run(client, &[]))?;
    Ok(())
}

statement!(
    DISABLE,
    "with disabled as (
       update hooks.queue as q set active = false where q.id = $1 and q.active returning q.id
     )
     insert into hooks.queue_state as s (queue_id, state, since, reason)
     select d.id, 'disabled', now(), $2
     from disabled as d
     on conflict (queue_id) do update
     set state = excluded.state, since = excluded.since, until = null, reason = excluded.reason"
);

/// Switches a queue off and says why. Its messages are kept.
pub fn disable_queue(client: &mut SpiClient<'_>, queue_id: QueueId, reason: &str) -> Result<(), Failure> {
    DISABLE.with(|statement| statement.run(client, &[queue_id.into(), reason.to_owned().into()]))?;
    Ok(())
}
