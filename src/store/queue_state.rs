//! What the leader has to say about queues: open breakers, queues that only fail, queues that it holds or
//! switched off.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use pgrx::spi::SpiClient;

use super::{column, statement};
use crate::domain::failing::Failing;
use crate::domain::queue::QueueId;
use crate::domain::time::Timestamp;
use crate::session::{Failure, from_postgres, to_postgres};

statement!(
    LOCKED,
    "with free as materialized (
       select s.queue_id from hooks.queue_state as s where s.queue_id = any ($1) for update skip locked
     )
     select s.queue_id
     from hooks.queue_state as s
     where s.queue_id = any ($1)
       and not exists (select from free as f where f.queue_id = s.queue_id)"
);

/// Those of these queues whose states somebody has locked, or changed just now. The others are locked for this
/// transaction.
pub fn locked_states(client: &mut SpiClient<'_>, ids: Vec<QueueId>) -> Result<HashSet<QueueId>, Failure> {
    let rows = LOCKED.with(|statement| statement.run(client, &[ids.into()]))?;
    rows.into_iter().map(|row| column(&row, 1)).collect()
}

statement!(
    TRIPPED,
    "insert into hooks.queue_state as s (queue_id, state, since, until, reason)
     select q.id, 'open', now(), $2, 'too many attempts failed'
     from hooks.queue as q
     where q.id = $1
     on conflict (queue_id) do update
     set until = case when s.state = 'held' then s.until else excluded.until end,
         state = case when s.state = 'failing' then excluded.state else s.state end,
         since = case when s.state = 'failing' then excluded.since else s.since end,
         reason = case when s.state = 'failing' then excluded.reason else s.reason end
     where s.state <> 'disabled'
     returning s.queue_id"
);

/// Shows that the breaker of a queue is open until then. Returns whether there is anything to show: of a queue that
/// is switched off, late answers tell nothing.
pub fn note_open_breaker(
    client: &mut SpiClient<'_>,
    queue_id: QueueId,
    until: Timestamp,
) -> Result<bool, Failure> {
    let arguments = [queue_id.into(), to_postgres(until).into()];
    let shown = TRIPPED.with(|statement| statement.run(client, &arguments))?;
    Ok(!shown.is_empty())
}

statement!(
    RECOVERED,
    "with gone as (
       delete from hooks.queue_state as s where s.queue_id = $1 and s.state in ('open', 'failing')
     )
     select q.id
     from hooks.queue as q
     where q.id = $1
       and not exists (select from hooks.queue_state as s where s.queue_id = q.id and s.state = 'disabled')"
);

/// Shows that the breaker of a queue is closed. Returns whether there is anything to show, as above.
pub fn note_closed_breaker(client: &mut SpiClient<'_>, queue_id: QueueId) -> Result<bool, Failure> {
    let shown = RECOVERED.with(|statement| statement.run(client, &[queue_id.into()]))?;
    Ok(!shown.is_empty())
}

statement!(
    FORGET,
    "with open as (
       select s.queue_id, s.failing_since
       from hooks.queue_state as s
       where s.state = 'open' and s.queue_id = any ($1)
     ), gone as (
       delete from hooks.queue_state as s using open as o where s.queue_id = o.queue_id and o.failing_since is null
     ), kept as (
       update hooks.queue_state as s
       set state = 'failing', since = s.failing_since, until = null, reason = 'every attempt failed'
       from open as o
       where s.queue_id = o.queue_id and o.failing_since is not null
     )
     select o.queue_id from open as o"
);

/// Forgets open breakers of the last leader: a new one starts with closed ones. Returns which of these were still
/// open.
pub fn forget_open_breakers(client: &mut SpiClient<'_>, ids: Vec<QueueId>) -> Result<Vec<QueueId>, Failure> {
    let rows = FORGET.with(|statement| statement.run(client, &[ids.into()]))?;
    rows.into_iter().map(|row| column(&row, 1)).collect()
}

statement!(
    LOAD_OPEN,
    "select s.queue_id from hooks.queue_state as s where s.state = 'open'"
);

/// Queues whose breakers are open, as the last leader noted it.
pub fn load_open(client: &mut SpiClient<'_>) -> Result<BTreeSet<QueueId>, Failure> {
    LOAD_OPEN
        .with(|statement| statement.read(client, &[]))?
        .map(|row| column(&row, 1))
        .collect()
}

statement!(
    HELD,
    "insert into hooks.queue_state as s (queue_id, state, since, reason)
     select q.id, 'held', now(), h.reason
     from unnest($1::bigint[], $2::text[]) as h(queue_id, reason)
     join hooks.queue as q on q.id = h.queue_id
     where h.reason is not null and q.active
     order by q.id
     on conflict (queue_id) do update
     set state = excluded.state,
         since = case when s.state = 'held' then s.since else excluded.since end,
         until = null,
         reason = excluded.reason
     where s.state <> 'disabled'"
);

statement!(
    RELEASED,
    "delete from hooks.queue_state as s
     using unnest($1::bigint[], $2::text[]) as h(queue_id, reason)
     where s.queue_id = h.queue_id and s.state = 'held' and h.reason is null"
);

/// Shows why these queues are held, or that they no longer are.
pub fn note_held(client: &mut SpiClient<'_>, queues: &[(QueueId, Option<String>)]) -> Result<(), Failure> {
    let (ids, reasons): (Vec<QueueId>, Vec<Option<String>>) = queues.iter().cloned().unzip();
    let arguments = [ids.into(), reasons.into()];
    HELD.with(|statement| statement.run(client, &arguments))?;
    RELEASED.with(|statement| statement.run(client, &arguments))?;
    Ok(())
}

statement!(
    LOAD_HELD,
    "select s.queue_id, s.reason from hooks.queue_state as s where s.state = 'held'"
);

/// Why queues are held, as the last leader noted it.
pub fn load_held(client: &mut SpiClient<'_>) -> Result<BTreeMap<QueueId, String>, Failure> {
    LOAD_HELD
        .with(|statement| statement.read(client, &[]))?
        .map(|row| Ok((column(&row, 1)?, column(&row, 2)?)))
        .collect()
}

statement!(
    DISABLE,
    "with free as materialized (
       select q.id from hooks.queue as q where q.id = $1 and q.active for no key update nowait
     ), disabled as (
       update hooks.queue as q set active = false from free as f where q.id = f.id and q.active returning q.id
     )
     insert into hooks.queue_state as s (queue_id, state, since, reason)
     select d.id, 'disabled', now(), $2
     from disabled as d
     on conflict (queue_id) do update
     set state = excluded.state, since = excluded.since, until = null, reason = excluded.reason
     returning s.queue_id"
);

/// Switches a queue off and says why. Its messages are kept. Returns whether it was on. A row that somebody has
/// locked is not waited for.
pub fn disable_queue(client: &mut SpiClient<'_>, queue_id: QueueId, reason: &str) -> Result<bool, Failure> {
    let arguments = [queue_id.into(), reason.to_owned().into()];
    let disabled = DISABLE.with(|statement| statement.run(client, &arguments))?;
    Ok(!disabled.is_empty())
}

statement!(
    FAILING,
    "insert into hooks.queue_state as s (queue_id, state, since, reason, failing_since, last_failure_at)
     select q.id, 'failing', $2, 'every attempt failed', $2, $3
     from hooks.queue as q
     where q.id = $1
     on conflict (queue_id) do update
     set failing_since = excluded.failing_since,
         last_failure_at = excluded.last_failure_at,
         since = case when s.state = 'failing' then excluded.since else s.since end"
);

/// Notes that nothing succeeded in a queue since then, and when it was last tried.
pub fn note_failing(
    client: &mut SpiClient<'_>,
    queue_id: QueueId,
    since: Timestamp,
    last: Timestamp,
) -> Result<(), Failure> {
    let arguments = [
        queue_id.into(),
        to_postgres(since).into(),
        to_postgres(last).into(),
    ];
    FAILING.with(|statement| statement.run(client, &arguments))?;
    Ok(())
}

statement!(
    WELL,
    "with gone as (
       delete from hooks.queue_state as s where s.queue_id = $1 and s.state = 'failing'
     )
     update hooks.queue_state as s
     set failing_since = null, last_failure_at = null
     where s.queue_id = $1 and s.state <> 'failing'"
);

/// Notes that something succeeded in a queue.
pub fn note_well(client: &mut SpiClient<'_>, queue_id: QueueId) -> Result<(), Failure> {
    WELL.with(|statement| statement.run(client, &[queue_id.into()]))?;
    Ok(())
}

statement!(
    LOAD_FAILING,
    "select s.queue_id, s.failing_since, s.last_failure_at
     from hooks.queue_state as s
     where s.state not in ('held', 'disabled') and s.failing_since is not null and s.last_failure_at is not null"
);

/// What earlier leaders noted of queues that only fail. One that was held begins anew.
pub fn load_failing(client: &mut SpiClient<'_>) -> Result<HashMap<QueueId, Failing>, Failure> {
    LOAD_FAILING
        .with(|statement| statement.read(client, &[]))?
        .map(|row| {
            let (since, last) = (from_postgres(column(&row, 2)?), from_postgres(column(&row, 3)?));
            Ok((column(&row, 1)?, Failing::noted(since, last)))
        })
        .collect()
}
