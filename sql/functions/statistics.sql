-- Statistics: what the leader counts, and the views on it. docs/architecture.md, "Statistics".

-- One row for each batch that the leader recorded, in the same transaction, until it is folded into the
-- tables below. Nothing is ever updated here, so an old snapshot makes it no slower.
create table hooks.tally_log (
  id         bigint generated always as identity,
  counted_at timestamptz not null,
  tally      bytea not null,
  constraint tally_log_pkey
    primary key (id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

comment on table hooks.tally_log is 'What the worker counted and has not folded into hooks.queue_total and hooks.tally yet: some seconds of it.';
comment on column hooks.tally_log.id is 'In the order of recording.';
comment on column hooks.tally_log.counted_at is 'When the batch was recorded.';
comment on column hooks.tally_log.tally is 'Counts of each queue, in a form that the worker reads.';

-- One row for each queue; 0 stands for all. Updated every second at most, within the page.
create table hooks.queue_total (
  queue_id         bigint not null,
  attempts         bigint not null default 0,
  failed           bigint not null default 0,
  delivered        bigint not null default 0,
  dead             bigint not null default 0,
  expired          bigint not null default 0,
  cancelled        bigint not null default 0,
  latency_micros   bigint not null default 0,
  duration_micros  bigint not null default 0,
  last_success_at  timestamptz,
  last_failure_at  timestamptz,
  last_status      smallint,
  last_error_class text,
  last_error       text,
  counted_since    timestamptz not null default now(),
  constraint queue_total_pkey
    primary key (queue_id)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_threshold = 1000);

comment on table hooks.queue_total is 'Counts since the queue was made. Use hooks.queue_stats and hooks.stats, which add what was cancelled and is not added up yet.';
comment on column hooks.queue_total.queue_id is 'The queue; 0 for all together, those that were dropped included.';
comment on column hooks.queue_total.attempts is 'Attempts made.';
comment on column hooks.queue_total.failed is 'Attempts that failed.';
comment on column hooks.queue_total.delivered is 'Messages delivered.';
comment on column hooks.queue_total.dead is 'Messages that became dead letters; one that is redriven and dies again counts again.';
comment on column hooks.queue_total.expired is 'Messages that expired and were not buried.';
comment on column hooks.queue_total.cancelled is 'Messages cancelled.';
comment on column hooks.queue_total.latency_micros is 'Sum of the latencies of the delivered messages.';
comment on column hooks.queue_total.duration_micros is 'Sum of the durations of the attempts.';
comment on column hooks.queue_total.last_success_at is 'When a message was last accepted.';
comment on column hooks.queue_total.last_failure_at is 'When the last attempt that failed began.';
comment on column hooks.queue_total.last_status is 'HTTP status of that attempt, if there was an answer.';
comment on column hooks.queue_total.last_error_class is 'Kind of that failure, as in hooks.attempt.';
comment on column hooks.queue_total.last_error is 'What went wrong then, for people.';
comment on column hooks.queue_total.counted_since is 'When counting began.';

create table hooks.tally (
  queue_id        bigint not null,
  span            text not null,
  at              timestamptz not null,
  attempts        bigint not null,
  failed          bigint not null,
  delivered       bigint not null,
  dead            bigint not null,
  expired         bigint not null,
  latency_micros  bigint not null,
  duration_micros bigint not null,
  latency         bytea not null,
  duration        bytea not null,
  constraint tally_pkey
    primary key (queue_id, span, at),
  constraint known_span
    check (span in ('minute', 'hour'))
) with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_threshold = 1000);

create index tally_by_time on hooks.tally (span, at);

comment on table hooks.tally is 'Counts of each queue by minute, and by hour for what is older than two hours; of the last day. hooks.window_stats() sums them up.';
comment on column hooks.tally.queue_id is 'The queue; 0 for all together.';
comment on column hooks.tally.span is 'minute or hour.';
comment on column hooks.tally.at is 'When it begins.';
comment on column hooks.tally.attempts is 'Attempts made.';
comment on column hooks.tally.failed is 'Attempts that failed.';
comment on column hooks.tally.delivered is 'Messages delivered.';
comment on column hooks.tally.dead is 'Messages that became dead letters.';
comment on column hooks.tally.expired is 'Messages that expired and were not buried.';
comment on column hooks.tally.latency_micros is 'Sum of the latencies of the delivered messages.';
comment on column hooks.tally.duration_micros is 'Sum of the durations of the attempts.';
comment on column hooks.tally.latency is 'Histogram of the latencies; see hooks.histogram_quantiles().';
comment on column hooks.tally.duration is 'Histogram of the durations.';

-- Cancelling is done by many sessions: each adds a row, so that none waits for another.
create table hooks.tally_cancelled (
  queue_id  bigint not null,
  cancelled bigint not null
);

create index tally_cancelled_by_queue on hooks.tally_cancelled (queue_id);
-- As for hooks.attempt_default.
alter table hooks.tally_cancelled replica identity full;

comment on table hooks.tally_cancelled is 'Cancelled messages that the worker has not added to hooks.queue_total yet.';
comment on column hooks.tally_cancelled.queue_id is 'Their queue.';
comment on column hooks.tally_cancelled.cancelled is 'How many.';

create table hooks.activity (
  at            timestamptz not null,
  messages      bigint not null,
  events        bigint not null,
  subscriptions bigint not null,
  constraint activity_pkey
    primary key (at)
);

comment on table hooks.activity is 'How many messages, events and subscriptions had been made at times of the last day, as their ids tell.';
comment on column hooks.activity.at is 'When that was seen: once a minute while something happens, and at each rescan.';
comment on column hooks.activity.messages is 'The last id of hooks.message.';
comment on column hooks.activity.events is 'The last id of hooks.event.';
comment on column hooks.activity.subscriptions is 'The last id of hooks.subscription.';

create function hooks.merge_histograms(histograms bytea[])
returns bytea
language c
immutable
parallel safe
as 'MODULE_PATHNAME', 'merge_histograms_wrapper';
comment on function hooks.merge_histograms(bytea[]) is 'The histogram of all that these histograms counted.';

create function hooks.histogram_quantiles(histogram bytea, shares double precision[])
returns double precision[]
language c
strict
immutable
parallel safe
as 'MODULE_PATHNAME', 'histogram_quantiles_wrapper';
comment on function hooks.histogram_quantiles(bytea, double precision[]) is 'For each share, 0 to 1, the milliseconds that this share of what was counted did not exceed, give or take 6.25 %; null when nothing was counted.';

-- Only sessions of users cancel: this does not fire for the worker.
create function hooks.count_cancelled()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into hooks.tally_cancelled (queue_id, cancelled)
  select l.queue_id, count(*)
  from logged as l
  where l.state = 'cancelled'
  group by l.queue_id;
  return null;
end
$$;
comment on function hooks.count_cancelled() is 'Trigger of hooks.message_log: counts what is cancelled.';

create trigger count_cancelled
  after insert on hooks.message_log
  referencing new table as logged
  for each statement
  execute function hooks.count_cancelled();

create function hooks.window_stats(
  queue_id bigint default 0,
  out period interval,
  out since timestamptz,
  out attempts bigint,
  out failed bigint,
  out delivered bigint,
  out dead bigint,
  out expired bigint,
  out success_rate double precision,
  out attempts_per_delivery double precision,
  out delivered_per_minute double precision,
  out latency_mean_ms double precision,
  out latency_p50_ms double precision,
  out latency_p95_ms double precision,
  out latency_p99_ms double precision,
  out duration_mean_ms double precision,
  out duration_p50_ms double precision,
  out duration_p95_ms double precision,
  out duration_p99_ms double precision
)
returns setof record
language sql
stable
security definer
rows 3
set search_path = pg_catalog, pg_temp
as $$
  select w.period, w.since, s.attempts, s.failed, s.delivered, s.dead, s.expired,
         (s.attempts - s.failed)::double precision / nullif(s.attempts, 0),
         s.attempts::double precision / nullif(s.delivered, 0),
         s.delivered * 60 / greatest(extract(epoch from clock_timestamp() - w.since), 1)::double precision,
         s.latency_micros / 1000.0::double precision / nullif(s.delivered, 0),
         l.ms[1], l.ms[2], l.ms[3],
         s.duration_micros / 1000.0::double precision / nullif(s.attempts, 0),
         d.ms[1], d.ms[2], d.ms[3]
  from (values (interval '1 minute', date_bin('1 minute', now() - interval '1 minute', 'epoch'), '{minute}'::text[]),
               (interval '15 minutes', date_bin('1 minute', now() - interval '15 minutes', 'epoch'), '{minute}'),
               (interval '24 hours', date_bin('1 hour', now() - interval '24 hours', 'epoch'), '{minute,hour}'))
    as w(period, since, spans)
  cross join lateral (
    select coalesce(sum(t.attempts), 0)::bigint as attempts,
           coalesce(sum(t.failed), 0)::bigint as failed,
           coalesce(sum(t.delivered), 0)::bigint as delivered,
           coalesce(sum(t.dead), 0)::bigint as dead,
           coalesce(sum(t.expired), 0)::bigint as expired,
           sum(t.latency_micros)::double precision as latency_micros,
           sum(t.duration_micros)::double precision as duration_micros,
           hooks.merge_histograms(array_agg(t.latency)) as latency,
           hooks.merge_histograms(array_agg(t.duration)) as duration
    from hooks.tally as t
    where t.queue_id = window_stats.queue_id
      and t.span = any (w.spans)
      and t.at >= w.since
      -- What was counted before the clock was set back is not of this time.
      and t.at <= clock_timestamp()
  ) as s
  cross join lateral (select hooks.histogram_quantiles(s.latency, '{0.5,0.95,0.99}') as ms) as l
  cross join lateral (select hooks.histogram_quantiles(s.duration, '{0.5,0.95,0.99}') as ms) as d
$$;
comment on function hooks.window_stats(bigint) is 'What happened to a queue, or to all without an argument, within the last minute, 15 minutes and 24 hours. Each period reaches back to the start of a minute, or hour, and is as long as since says.';

create function hooks.backlog(
  queue_id bigint,
  at_most integer default 100000,
  out due bigint,
  out scheduled bigint,
  out retrying bigint,
  out oldest_due_at timestamptz,
  out capped boolean
)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
  select d.n, l.scheduled, l.retrying, d.oldest, d.n >= backlog.at_most or l.n >= backlog.at_most
  -- Of the clock, and one for both: a message that was stored after the transaction began is due.
  from (select clock_timestamp() as moment) as c
  cross join lateral (
    select count(*) as n, min(m.due_at) as oldest
    from (select m.due_at from hooks.message as m
          where m.queue_id = backlog.queue_id and m.due_at <= c.moment
          order by m.due_at, m.id
          limit backlog.at_most) as m
  ) as d
  cross join lateral (
    select count(*) as n,
           count(*) filter (where m.attempt = m.attempts_before) as scheduled,
           count(*) filter (where m.attempt > m.attempts_before) as retrying
    from (select m.attempt, m.attempts_before from hooks.message as m
          where m.queue_id = backlog.queue_id and m.due_at > c.moment
          order by m.due_at, m.id
          limit backlog.at_most) as m
  ) as l
$$;
comment on function hooks.backlog(bigint, integer) is 'Messages of a queue that are not finished: due, to be sent first at a later time, and waiting for another attempt. Counts at most so many of those due and of the others; capped says that there may be more.';

create view hooks.queue_stats as
select q.id as queue_id,
       q.name as queue,
       case when q.active or s.state = 'disabled' then coalesce(s.state, 'active') else 'paused' end as state,
       b.due + b.scheduled + b.retrying as live,
       b.due, b.scheduled, b.retrying,
       coalesce(f.in_flight, 0) as in_flight,
       b.capped,
       b.oldest_due_at,
       hooks.moment() - b.oldest_due_at as oldest_due_age,
       coalesce(t.attempts, 0) as attempts,
       coalesce(t.failed, 0) as failed,
       coalesce(t.delivered, 0) as delivered,
       coalesce(t.dead, 0) as dead,
       coalesce(t.expired, 0) as expired,
       coalesce(t.cancelled, 0) + coalesce(c.cancelled, 0) as cancelled,
       (t.attempts - t.failed)::double precision / nullif(t.attempts, 0) as success_rate,
       t.attempts::double precision / nullif(t.delivered, 0) as attempts_per_delivery,
       t.latency_micros / 1000.0::double precision / nullif(t.delivered, 0) as latency_mean_ms,
       t.duration_micros / 1000.0::double precision / nullif(t.attempts, 0) as duration_mean_ms,
       t.last_success_at, t.last_failure_at, t.last_status, t.last_error_class, t.last_error
from hooks.queue as q
left join hooks.queue_state as s on s.queue_id = q.id
left join hooks.queue_total as t on t.queue_id = q.id
left join hooks.queues_in_flight() as f on f.queue_id = q.id
cross join lateral hooks.backlog(q.id) as b
left join lateral (
  select pg_catalog.sum(c.cancelled)::bigint as cancelled from hooks.tally_cancelled as c where c.queue_id = q.id
) as c on true;

comment on view hooks.queue_stats is 'Each queue with its state, its backlog and its totals. Reading one queue costs one: ask for it by name or id.';
comment on column hooks.queue_stats.queue_id is 'The queue.';
comment on column hooks.queue_stats.queue is 'Its name.';
comment on column hooks.queue_stats.state is 'active; paused; failing: nothing has succeeded for a minute or more; open: its circuit breaker stops it for a while; held: its row or its secrets cannot be used, as hooks.queue_state says; disabled: the worker switched it off.';
comment on column hooks.queue_stats.live is 'Messages that are not finished: due, scheduled and retrying.';
comment on column hooks.queue_stats.due is 'Messages that are due, those on the wire included.';
comment on column hooks.queue_stats.scheduled is 'Messages whose first attempt is at a later time.';
comment on column hooks.queue_stats.retrying is 'Messages that wait for another attempt.';
comment on column hooks.queue_stats.in_flight is 'Those of the due ones that are on the wire, or whose result is not recorded yet; a tenth of a second old at most.';
comment on column hooks.queue_stats.capped is 'Whether counting stopped at 100,000 due messages or 100,000 others: there may be more.';
comment on column hooks.queue_stats.oldest_due_at is 'When the message that is due longest became so.';
comment on column hooks.queue_stats.oldest_due_age is 'For how long.';
comment on column hooks.queue_stats.attempts is 'Attempts made.';
comment on column hooks.queue_stats.failed is 'Attempts that failed.';
comment on column hooks.queue_stats.delivered is 'Messages delivered.';
comment on column hooks.queue_stats.dead is 'Messages that became dead letters; one that is redriven and dies again counts again.';
comment on column hooks.queue_stats.expired is 'Messages that expired and were not buried.';
comment on column hooks.queue_stats.cancelled is 'Messages cancelled.';
comment on column hooks.queue_stats.success_rate is 'Share of the attempts that succeeded; null before the first.';
comment on column hooks.queue_stats.attempts_per_delivery is 'Attempts made for each message delivered.';
comment on column hooks.queue_stats.latency_mean_ms is 'Mean time to its delivery from the start of the transaction that sent a message, or from when it was to be sent.';
comment on column hooks.queue_stats.duration_mean_ms is 'Mean time that an attempt took.';
comment on column hooks.queue_stats.last_success_at is 'When a message was last accepted.';
comment on column hooks.queue_stats.last_failure_at is 'When the last attempt that failed began.';
comment on column hooks.queue_stats.last_status is 'HTTP status of that attempt, if there was an answer.';
comment on column hooks.queue_stats.last_error_class is 'Kind of that failure, as in hooks.attempt.';
comment on column hooks.queue_stats.last_error is 'What went wrong then, for people.';

create view hooks.queue_windows as
select q.id as queue_id, q.name as queue, w.*
from hooks.queue as q
cross join lateral hooks.window_stats(q.id) as w;

comment on view hooks.queue_windows is 'What happened to each queue within the last minute, 15 minutes and 24 hours.';
comment on column hooks.queue_windows.queue_id is 'The queue.';
comment on column hooks.queue_windows.queue is 'Its name.';

create view hooks.windows as
select w.* from hooks.window_stats(0) as w;

comment on view hooks.windows is 'What happened to all queues together within the last minute, 15 minutes and 24 hours.';

-- Both views have the columns of the function.
do $$
declare
  relation text;
  described text[];
begin
  foreach relation in array array['queue_windows', 'windows'] loop
    foreach described slice 1 in array array[
      ['period', '1 minute, 15 minutes or 24 hours.'],
      ['since', 'Where it begins: at the start of a minute, or of an hour for the longest.'],
      ['attempts', 'Attempts made.'],
      ['failed', 'Attempts that failed.'],
      ['delivered', 'Messages delivered.'],
      ['dead', 'Messages that became dead letters.'],
      ['expired', 'Messages that expired and were not buried.'],
      ['success_rate', 'Share of the attempts that succeeded; null when there was none.'],
      ['attempts_per_delivery', 'Attempts made for each message delivered.'],
      ['delivered_per_minute', 'Messages delivered in each minute.'],
      ['latency_mean_ms', 'Mean time to its delivery from the start of the transaction that sent a message, or from when it was to be sent.'],
      ['latency_p50_ms', 'Half of the messages took no longer; this and the others give or take 6.25 %.'],
      ['latency_p95_ms', '95 % of the messages took no longer.'],
      ['latency_p99_ms', '99 % of the messages took no longer.'],
      ['duration_mean_ms', 'Mean time that an attempt took.'],
      ['duration_p50_ms', 'Half of the attempts took no longer.'],
      ['duration_p95_ms', '95 % of the attempts took no longer.'],
      ['duration_p99_ms', '99 % of the attempts took no longer.']]
    loop
      execute pg_catalog.format('comment on column hooks.%I.%I is %L', relation, described[1], described[2]);
    end loop;
  end loop;
end
$$;

create view hooks.stats as
select (select pg_catalog.count(*) from hooks.queue) as queues,
       (select pg_catalog.count(*) from hooks.subscription) as subscriptions,
       coalesce((select pg_catalog.sum(w.in_flight) from hooks.workers() as w), 0) as in_flight,
       b.live, b.due, b.scheduled, b.retrying,
       b.live >= 100000 as capped,
       o.oldest_due_at,
       c.moment - o.oldest_due_at as oldest_due_age,
       (select pg_catalog.count(*)
        from hooks.queue as q
        where not q.active
          and not exists (select from hooks.queue_state as s where s.queue_id = q.id and s.state = 'disabled')) as queues_paused,
       x.queues_failing, x.queues_open, x.queues_held, x.queues_disabled,
       coalesce(t.attempts, 0) as attempts,
       coalesce(t.failed, 0) as failed,
       coalesce(t.delivered, 0) as delivered,
       coalesce(t.dead, 0) as dead,
       coalesce(t.expired, 0) as expired,
       coalesce(t.cancelled, 0) + coalesce((select pg_catalog.sum(c.cancelled) from hooks.tally_cancelled as c), 0)::bigint
         as cancelled,
       (t.attempts - t.failed)::double precision / nullif(t.attempts, 0) as success_rate,
       t.attempts::double precision / nullif(t.delivered, 0) as attempts_per_delivery,
       t.latency_micros / 1000.0::double precision / nullif(t.delivered, 0) as latency_mean_ms,
       t.duration_micros / 1000.0::double precision / nullif(t.attempts, 0) as duration_mean_ms,
       t.last_success_at, t.last_failure_at, t.last_status, t.last_error_class, t.last_error,
       a.messages_per_minute, a.events_per_minute, a.subscriptions_per_minute
from (select pg_catalog.clock_timestamp() as moment) as c
cross join lateral (
  select pg_catalog.count(*) as live,
         pg_catalog.count(*) filter (where m.due_at <= c.moment) as due,
         pg_catalog.count(*) filter (where m.due_at > c.moment and m.attempt = m.attempts_before) as scheduled,
         pg_catalog.count(*) filter (where m.due_at > c.moment and m.attempt > m.attempts_before) as retrying
  from (select m.due_at, m.attempt, m.attempts_before
        from hooks.message as m
        order by m.queue_id, m.due_at, m.id
        limit 100000) as m
) as b
left join hooks.queue_total as t on t.queue_id = 0
cross join (
  select pg_catalog.count(*) filter (where s.state = 'failing') as queues_failing,
         pg_catalog.count(*) filter (where s.state = 'open') as queues_open,
         pg_catalog.count(*) filter (where s.state = 'held') as queues_held,
         pg_catalog.count(*) filter (where s.state = 'disabled') as queues_disabled
  from hooks.queue_state as s
  join hooks.queue as q on q.id = s.queue_id
  where q.active or s.state = 'disabled'
) as x
-- By jumps from queue to queue in the index, and one look for each.
left join lateral (
  with recursive present(queue_id, place) as (
    (select m.queue_id, 1 from hooks.message as m order by m.queue_id limit 1)
    union all
    select (select m.queue_id from hooks.message as m where m.queue_id > p.queue_id order by m.queue_id limit 1),
           p.place + 1
    from present as p
    where p.queue_id is not null and p.place < 10000
  )
  select pg_catalog.min(m.due_at) as oldest_due_at
  from present as p
  cross join lateral (
    select m.due_at
    from hooks.message as m
    where m.queue_id = p.queue_id and m.due_at <= c.moment
    order by m.due_at, m.id
    limit 1
  ) as m
) as o on true
left join lateral (
  select (m.last - o.messages) * f.minutes as messages_per_minute,
         (e.last - o.events) * f.minutes as events_per_minute,
         (s.last - o.subscriptions) * f.minutes as subscriptions_per_minute
  from (select a.* from hooks.activity as a
        where a.at <= c.moment - interval '1 minute'
        order by a.at desc
        limit 1) as o
  -- No row is added at a rescan while nothing has been made: an older one holds until then.
  cross join lateral (
    select 60 / extract(epoch from least(
      c.moment - o.at,
      interval '1 minute' + coalesce(pg_catalog.current_setting('hooks.rescan_interval', true)::interval, '30 seconds')
    ))::double precision as minutes
  ) as f
  cross join (select case when is_called then last_value else 0 end as last from hooks.message_id_seq) as m
  cross join (select case when is_called then last_value else 0 end as last from hooks.event_id_seq) as e
  cross join (select case when is_called then last_value else 0 end as last from hooks.subscription_id_seq) as s
) as a on true;

comment on view hooks.stats is 'All queues together: one row.';
comment on column hooks.stats.queues is 'How many queues there are.';
comment on column hooks.stats.subscriptions is 'How many subscriptions there are.';
comment on column hooks.stats.in_flight is 'Messages on the wire, or whose result is not recorded yet.';
comment on column hooks.stats.live is 'Messages that are not finished; counting stops at 100,000.';
comment on column hooks.stats.due is 'Those that are due, among those counted.';
comment on column hooks.stats.scheduled is 'Those whose first attempt is at a later time, among those counted.';
comment on column hooks.stats.retrying is 'Those that wait for another attempt, among those counted.';
comment on column hooks.stats.capped is 'Whether counting stopped: there may be more.';
comment on column hooks.stats.oldest_due_at is 'When the message that is due longest became so, those of paused queues included; of the first 10,000 queues that have messages.';
comment on column hooks.stats.oldest_due_age is 'For how long.';
comment on column hooks.stats.queues_paused is 'Queues that somebody paused.';
comment on column hooks.stats.queues_failing is 'Queues of which nothing has succeeded for a minute or more.';
comment on column hooks.stats.queues_open is 'Queues that their circuit breakers stop for a while.';
comment on column hooks.stats.queues_held is 'Queues whose rows or secrets cannot be used.';
comment on column hooks.stats.queues_disabled is 'Queues that the worker switched off.';
comment on column hooks.stats.attempts is 'Attempts made.';
comment on column hooks.stats.failed is 'Attempts that failed.';
comment on column hooks.stats.delivered is 'Messages delivered.';
comment on column hooks.stats.dead is 'Messages that became dead letters; one that is redriven and dies again counts again.';
comment on column hooks.stats.expired is 'Messages that expired and were not buried.';
comment on column hooks.stats.cancelled is 'Messages cancelled.';
comment on column hooks.stats.success_rate is 'Share of the attempts that succeeded; null before the first.';
comment on column hooks.stats.attempts_per_delivery is 'Attempts made for each message delivered.';
comment on column hooks.stats.latency_mean_ms is 'Mean time to its delivery from the start of the transaction that sent a message, or from when it was to be sent.';
comment on column hooks.stats.duration_mean_ms is 'Mean time that an attempt took.';
comment on column hooks.stats.last_success_at is 'When a message was last accepted.';
comment on column hooks.stats.last_failure_at is 'When the last attempt that failed began.';
comment on column hooks.stats.last_status is 'HTTP status of that attempt, if there was an answer.';
comment on column hooks.stats.last_error_class is 'Kind of that failure, as in hooks.attempt.';
comment on column hooks.stats.last_error is 'What went wrong then, for people.';
comment on column hooks.stats.messages_per_minute is 'Messages stored in each of the last minutes, as their ids tell: those of transactions that rolled back count too. Null in the first minute.';
comment on column hooks.stats.events_per_minute is 'Events published, likewise.';
comment on column hooks.stats.subscriptions_per_minute is 'Subscriptions made, likewise.';

create function hooks.show_queue(queue text)
returns setof hooks.queue_stats
language hooks_plpgsql
stable
as $$ begin return query select s.* from hooks.queue_stats as s where s.queue_id = hooks.allowed_queue($1, 'read'); end $$;
comment on function hooks.show_queue(text) is 'The row of hooks.queue_stats of one queue, for all who may read it.';

create function hooks.show_windows(queue text)
returns setof hooks.queue_windows
language hooks_plpgsql
stable
as $$ begin return query select w.* from hooks.queue_windows as w where w.queue_id = hooks.allowed_queue($1, 'read'); end $$;
comment on function hooks.show_windows(text) is 'The rows of hooks.queue_windows of one queue, for all who may read it.';
