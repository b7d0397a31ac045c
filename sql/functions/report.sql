-- A page about everything, for people.

-- Counts of a queue in each minute of the last hour.
create function hooks.hour_by_minutes(queue_id bigint)
returns jsonb
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select jsonb_build_object(
    'delivered', jsonb_agg(coalesce(t.delivered, 0) order by m.at),
    'failed', jsonb_agg(coalesce(t.failed, 0) order by m.at),
    'latency_p95_ms', jsonb_agg((hooks.histogram_quantiles(t.latency, '{0.95}'))[1] order by m.at))
  from generate_series(date_bin('1 minute', now() - interval '59 minutes', 'epoch'), now(), '1 minute') as m(at)
  left join hooks.tally as t on t.queue_id = hour_by_minutes.queue_id and t.span = 'minute' and t.at = m.at
$$;
comment on function hooks.hour_by_minutes(bigint) is 'Deliveries, failures and latencies of a queue by the minute, for hooks.report().';

create function hooks.report_data()
returns jsonb
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  -- What was counted last: a bounded stretch of it, however many queues there are.
  with busy as (
    select t.queue_id, sum(t.attempts) as attempts, sum(t.failed) as failed
    from (select t.queue_id, t.attempts, t.failed
          from hooks.tally as t
          where t.span = 'minute' and t.at > now() - interval '1 hour'
          order by t.span desc, t.at desc
          limit 20000) as t
    group by t.queue_id
  ), troubled as (
    select s.queue_id from hooks.queue_state as s order by s.since desc limit 10
  ), chosen as (
    select q.id, q.name, max(c.rank) as rank
    from (select t.queue_id, 1e18 as rank from troubled as t
          union all
          (select b.queue_id, b.attempts from busy as b where b.queue_id <> 0 order by b.attempts desc limit 24)
          union all
          (select q.id, -1 from hooks.queue as q order by q.id desc limit 24)) as c(queue_id, rank)
    join hooks.queue as q on q.id = c.queue_id
    group by q.id, q.name
    order by max(c.rank) desc, q.name
    limit 24
  )
  select jsonb_build_object(
    'database', current_database(),
    'version', (select e.extversion from pg_extension as e where e.extname = 'pg_hooks'),
    'made_at', to_char(now() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'),
    'checks', (select jsonb_agg(to_jsonb(h)) from hooks.health() as h),
    'totals', (select to_jsonb(s) from hooks.stats as s),
    'windows', (select jsonb_agg(to_jsonb(w) || jsonb_build_object('period',
                  case w.period when interval '1 minute' then 'The last minute'
                                when interval '15 minutes' then 'The last 15 minutes'
                                else 'The last 24 hours' end) order by w.period)
                from hooks.windows as w),
    'minutes', hooks.hour_by_minutes(0),
    'queues', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'name', c.name,
        'state', case when q.active or s.state = 'disabled' then coalesce(s.state, 'active') else 'paused' end,
        'reason', case when q.active or s.state = 'disabled' then s.reason end,
        'due', b.due, 'scheduled', b.scheduled, 'retrying', b.retrying, 'capped', b.capped,
        'oldest_due', date_trunc('second', clock_timestamp() - b.oldest_due_at)::text,
        'delivered', coalesce(t.delivered, 0), 'dead', coalesce(t.dead, 0),
        'window', (select to_jsonb(w) from hooks.window_stats(c.id) as w where w.period = interval '15 minutes'),
        'minutes', hooks.hour_by_minutes(c.id)) order by c.rank desc, c.name), '[]')
      from chosen as c
      join hooks.queue as q on q.id = c.id
      left join hooks.queue_state as s on s.queue_id = c.id
      left join hooks.queue_total as t on t.queue_id = c.id
      cross join lateral hooks.backlog(c.id, 10000) as b),
    'queue_count', (select count(*) from hooks.queue),
    'dead_letters', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'id', d.id, 'queue', q.name, 'dead_at', to_char(d.dead_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
        'attempts', d.attempts, 'error_class', d.error_class, 'last_error', left(d.last_error, 1000)) order by d.id desc), '[]')
      from (select d.* from hooks.dead_letter as d order by d.id desc limit 20) as d
      left join hooks.queue as q on q.id = d.queue_id),
    'dead_letter_count', (select count(*) from (select from hooks.dead_letter limit 10000) as d),
    'dead_letters_capped', (select count(*) = 10000 from (select from hooks.dead_letter limit 10000) as d),
    'failures', (
      select coalesce(jsonb_agg(f.failure order by f.last_failure_at desc), '[]')
      from (select t.last_failure_at, jsonb_build_object(
                     'queue', q.name, 'at', to_char(t.last_failure_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
                     'error_class', t.last_error_class, 'error', left(t.last_error, 1000)) as failure
            from busy as b
            join hooks.queue as q on q.id = b.queue_id
            join hooks.queue_total as t on t.queue_id = b.queue_id
            where b.failed > 0 and t.last_failure_at is not null
            order by t.last_failure_at desc
            limit 20) as f),
    'schedules', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'name', c.name, 'target', coalesce(q.name, 'event ' || c.event_type), 'schedule', c.schedule,
        'timezone', c.timezone, 'active', c.active,
        'next_run', to_char(c.next_run_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'),
        'last_run', to_char(c.last_run_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"')) order by c.next_run_at, c.id), '[]')
      from (select c.* from hooks.cron as c order by c.next_run_at, c.id limit 20) as c
      left join hooks.queue as q on q.id = c.queue_id),
    'schedule_count', (select count(*) from hooks.cron))
$$;
comment on function hooks.report_data() is 'What hooks.report() shows.';

create function hooks.render_report(data bytea)
returns text
language c
strict
immutable
as 'MODULE_PATHNAME', 'render_report_wrapper';
comment on function hooks.render_report(bytea) is 'Makes a page of what hooks.report_data() gives, in UTF-8.';

create function hooks.report()
returns text
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$ select hooks.render_report(convert_to(hooks.report_data()::text, 'UTF8')) $$;
comment on function hooks.report() is 'A page of HTML about everything: health, queues, throughput, latencies, failures, dead letters and schedules. Complete in itself, without scripts, in ASCII.';
