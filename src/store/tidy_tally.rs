//! Statistics that have served their time, and what others add to them.

use pgrx::spi::SpiClient;

use super::{column, optional, statement};
use crate::domain::queue::QueueId;
use crate::session::Failure;

// Nothing is written while nothing happens.
statement!(
    ACTIVITY,
    "insert into hooks.activity (at, messages, events, subscriptions)
     select now(), m.last, e.last, s.last
     from (select case when is_called then last_value else 0 end as last from hooks.message_id_seq) as m,
          (select case when is_called then last_value else 0 end as last from hooks.event_id_seq) as e,
          (select case when is_called then last_value else 0 end as last from hooks.subscription_id_seq) as s
     where not exists (
       select
       from (select a.* from hooks.activity as a order by a.at desc limit 1) as a
       where (a.messages, a.events, a.subscriptions) = (m.last, e.last, s.last))
     on conflict (at) do nothing"
);

/// Notes how many messages, events and subscriptions have been made so far.
pub fn note_activity(client: &mut SpiClient<'_>) -> Result<(), Failure> {
    ACTIVITY.with(|statement| statement.run(client, &[]))?;
    Ok(())
}

statement!(
    CANCELLED,
    "with gone as (
       delete from hooks.tally_cancelled as c
       where c.ctid = any (array(
         select o.ctid
         from hooks.tally_cancelled as o
         order by o.queue_id
         limit 1000
         for update skip locked))
       returning c.queue_id, c.cancelled
     ), added as (
       insert into hooks.queue_total as t (queue_id, cancelled)
       select coalesce(g.queue_id, 0), sum(g.cancelled)
       from gone as g
       group by grouping sets ((g.queue_id), ())
       having count(*) > 0
          and (grouping(g.queue_id) = 1 or g.queue_id <> 0)
       on conflict (queue_id) do update set cancelled = t.cancelled + excluded.cancelled
     )
     select count(*) from gone"
);

/// Adds up to 1000 counts of cancelled messages to the totals. Returns how many.
pub fn add_cancelled(client: &mut SpiClient<'_>) -> Result<i64, Failure> {
    let rows = CANCELLED.with(|statement| statement.run(client, &[]))?;
    rows.into_iter().next().map_or(Ok(0), |row| column(&row, 1))
}

statement!(
    MERGE,
    "with gone as (
       delete from hooks.tally as t
       where t.ctid = any (array(
         select o.ctid
         from hooks.tally as o
         where o.span = 'minute' and o.at < date_bin('1 hour', now() - interval '2 hours', 'epoch')
         order by o.at
         limit 1000
         for update skip locked))
       returning t.*
     ), merged as (
       insert into hooks.tally as t (queue_id, span, at, attempts, failed, delivered, dead, expired,
         latency_micros, duration_micros, latency, duration)
       select g.queue_id, 'hour', date_bin('1 hour', g.at, 'epoch'), sum(g.attempts), sum(g.failed), sum(g.delivered),
              sum(g.dead), sum(g.expired),
              least(sum(g.latency_micros), 9223372036854775807), least(sum(g.duration_micros), 9223372036854775807),
              hooks.merge_histograms(array_agg(g.latency)), hooks.merge_histograms(array_agg(g.duration))
       from gone as g
       group by g.queue_id, date_bin('1 hour', g.at, 'epoch')
       on conflict (queue_id, span, at) do update
       set attempts = t.attempts + excluded.attempts,
           failed = t.failed + excluded.failed,
           delivered = t.delivered + excluded.delivered,
           dead = t.dead + excluded.dead,
           expired = t.expired + excluded.expired,
           latency_micros = least(t.latency_micros::numeric + excluded.latency_micros, 9223372036854775807)::bigint,
           duration_micros = least(t.duration_micros::numeric + excluded.duration_micros, 9223372036854775807)::bigint,
           latency = hooks.merge_histograms(array[t.latency, excluded.latency]),
           duration = hooks.merge_histograms(array[t.duration, excluded.duration])
     )
     select count(*) from gone"
);

/// Merges up to 1000 counts of minutes into those of their hours. Returns how many.
pub fn merge_minutes(client: &mut SpiClient<'_>) -> Result<i64, Failure> {
    let rows = MERGE.with(|statement| statement.run(client, &[]))?;
    rows.into_iter().next().map_or(Ok(0), |row| column(&row, 1))
}

statement!(
    FORGET_HOURS,
    "with gone as (
       delete from hooks.tally as t
       where t.ctid = any (array(
         select o.ctid
         from hooks.tally as o
         where o.span = 'hour' and o.at < now() - interval '25 hours'
         order by o.at
         limit 1000
         for update skip locked))
       returning 1
     ), noted as (
       delete from hooks.activity as a where a.at < now() - interval '25 hours'
     )
     select count(*) from gone"
);

/// Removes up to 1000 counts of hours that nobody asks for any more. Returns how many.
pub fn forget_hours(client: &mut SpiClient<'_>) -> Result<i64, Failure> {
    let rows = FORGET_HOURS.with(|statement| statement.run(client, &[]))?;
    rows.into_iter().next().map_or(Ok(0), |row| column(&row, 1))
}

statement!(
    FORGET_QUEUES,
    "with step as (
       select t.queue_id
       from hooks.queue_total as t
       where t.queue_id > $1
       order by t.queue_id
       limit 1000
     ), gone as (
       delete from hooks.queue_total as t
       where t.queue_id = any (array(
         select s.queue_id
         from step as s
         where s.queue_id <> 0
           and not exists (select from hooks.queue as q where q.id = s.queue_id)))
     )
     select case when count(*) = 1000 then max(s.queue_id) end from step as s"
);

/// Removes the totals of queues that were dropped, among the 1000 behind this id. Returns the last of them
/// if there may be more.
pub fn forget_dropped_queues(client: &mut SpiClient<'_>, after: QueueId) -> Result<Option<QueueId>, Failure> {
    let rows = FORGET_QUEUES.with(|statement| statement.run(client, &[after.into()]))?;
    rows.into_iter().next().map_or(Ok(None), |row| optional(&row, 1))
}
