-- The health of all, for people and for machines. Every check reads a bounded number of rows.

-- Queues that have messages, by jumps in the index; at most ten thousand of them.
create function hooks.lag(
  out queue text,
  out oldest timestamptz,
  out more boolean
)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  with recursive present(queue_id, place) as (
    (select m.queue_id, 1 from hooks.message as m order by m.queue_id limit 1)
    union all
    select (select m.queue_id from hooks.message as m where m.queue_id > p.queue_id order by m.queue_id limit 1),
           p.place + 1
    from present as p
    where p.queue_id is not null and p.place <= 10000
  ), late as (
    select q.id, q.name, q.timeout, q.ordering_policy
    from present as p
    join hooks.queue as q on q.id = p.queue_id
    cross join lateral (
      select m.due_at from hooks.message as m where m.queue_id = q.id order by m.due_at, m.id limit 1
    ) as m
    where q.active
      and m.due_at < now() - interval '1 minute' - q.timeout
      -- What is held back is not late: by its breaker, its rate, or what its receiver asked for.
      and q.rate_limit is null
      and not exists (select from hooks.queue_state as s where s.queue_id = q.id and s.state in ('open', 'held', 'disabled'))
      and not exists (
        select
        from hooks.queue_total as t
        where t.queue_id = q.id
          and t.last_status in (429, 503)
          and t.last_failure_at > coalesce(t.last_success_at, '-infinity')
          and t.last_failure_at > now() - interval '1 hour')
  ), waiting as (
    select l.name, m.due_at
    from late as l
    cross join lateral (
      select m.due_at
      from (select m.id, m.due_at, m.ordering_key
            from hooks.message as m
            where m.queue_id = l.id and m.due_at < now() - interval '1 minute' - l.timeout
            order by m.due_at, m.id
            limit 100) as m
      -- One that comes after another of its ordering key is not late either.
      where m.ordering_key is null
         or not exists (
              select
              from hooks.message as p
              where p.queue_id = l.id
                and hashtextextended(p.ordering_key, 0) = hashtextextended(m.ordering_key, 0)
                and p.ordering_key is not null
                and p.id < m.id)
            and not (l.ordering_policy = 'block' and exists (
              select
              from hooks.dead_letter as d
              where d.queue_id = l.id
                and hashtextextended(d.ordering_key, 0) = hashtextextended(m.ordering_key, 0)
                and d.ordering_key is not null
                and d.id < m.id))
      order by m.due_at
      limit 1
    ) as m
  )
  select w.name, w.due_at, (select max(p.place) > 10000 from present as p where p.queue_id is not null)
  from waiting as w
  order by w.due_at
  limit 1
$$;
comment on function hooks.lag() is 'The queue whose oldest message should have been sent longest ago, if any should have been a minute and a timeout ago.';

create function hooks.snapshot_holder(
  for_longer_than interval,
  further_than bigint default 1000000,
  out holder text,
  out since timestamptz,
  out remedy text
)
returns setof record
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select h.holder, h.since, h.remedy
  from (
    select format('process %s (%s)', a.pid, coalesce(a.usename, a.backend_type)) as holder, a.xact_start as since,
           format('End its transaction, or call pg_terminate_backend(%s).', a.pid) as remedy
    from pg_stat_activity as a
    where a.xact_start <= now() - for_longer_than
      -- One that has written and is idle has no snapshot, but an id, and that counts as well.
      and coalesce(a.backend_xmin, a.backend_xid) is not null
      and a.pid <> pg_backend_pid()
      and a.backend_type not in ('autovacuum worker')
      and (a.datname = current_database() or a.datname is null)
    union all
    select format('prepared transaction "%s"', p.gid), p.prepared,
           format('COMMIT PREPARED %L or ROLLBACK PREPARED it, connected to database %s.', p.gid, p.database)
    from pg_prepared_xacts as p
    where p.prepared <= now() - for_longer_than and p.database = current_database()
    -- What standbys ask to be kept, by hot_standby_feedback, has no time: it counts in transactions.
    union all
    select format('process %s of standby "%s", %s transactions behind,', a.pid, a.application_name, age(a.backend_xmin)), null,
           'End what runs on that standby for so long, or switch its hot_standby_feedback off.'
    from pg_stat_activity as a
    where a.backend_type = 'walsender' and a.datname is null and age(a.backend_xmin) > further_than
    union all
    select format('replication slot "%s", %s transactions behind,', r.slot_name, age(r.xmin)), null,
           format('End what runs on its standby for so long; if that is gone for good, call pg_drop_replication_slot(%L).', r.slot_name)
    from pg_replication_slots as r
    where age(r.xmin) > further_than
  ) as h
  order by h.since, h.holder
  limit 1
$$;
comment on function hooks.snapshot_holder(interval, bigint) is 'Who has kept dead rows from being removed longest, if for longer than this or, for standbys, by more transactions than this, and how to end that.';

create function hooks.wraparound_status(age bigint, freeze_max_age bigint)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$ select case when age > 1500000000 then 'fail' when age > 2 * freeze_max_age then 'warn' else 'ok' end $$;
comment on function hooks.wraparound_status(bigint, bigint) is 'What it means for the health that the oldest transaction id is of this age.';

create function hooks.health(
  out check_name text,
  out status text,
  out detail text,
  out hint text
)
returns setof record
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
  select 'preloaded',
         case when hooks.preloaded() then 'ok' else 'fail' end,
         case when hooks.preloaded() then 'pg_hooks is loaded at server start'
              else 'messages are stored, but nothing is sent: pg_hooks is not in shared_preload_libraries' end,
         case when not hooks.preloaded()
              then 'Add pg_hooks to shared_preload_libraries and restart the server.' end
  union all
  select 'database',
         case when pg_is_in_recovery() then 'warn' else 'ok' end,
         case when pg_is_in_recovery() then 'this is a standby: nothing is sent from it'
              else 'the database answers and can be written to' end,
         case when pg_is_in_recovery() then 'Ask the primary. After a promotion this server takes over.' end
  union all
  select 'copy',
         case when h.hold is null then 'ok' else 'fail' end,
         case h.hold
           when 'copied' then 'this database is a copy of another one'
           when 'restored' then 'there are queues of another database, as a restore or replication brings them'
           when 'paused' then 'hooks.start_paused is on'
           when 'version' then format('the library is of version %s, and the extension of another one', hooks.library_version())
           else 'this database is no copy, as far as can be told' end
           || case when h.hold is not null
                   then format(': nothing is sent, and %s messages are held',
                               case when h.held > 100000 then 'more than 100000' else h.held::text end)
                   else '' end,
         case when h.hold = 'version'
              then 'Run ALTER EXTENSION pg_hooks UPDATE, and restart the server if it was started before the new library was installed.'
              when h.hold is not null
              then 'When messages shall be sent from here, call hooks.adopt(); hooks.adopt(waiting => ''cancel'') drops those that wait.' end
  from (select w.hold, case when w.hold is not null then hooks.held_messages(100001) end as held
        from (select hooks.hold() as hold offset 0) as w) as h
  union all
  select 'worker',
         case when w.leaders > 0 or pg_is_in_recovery() then 'ok' else 'fail' end,
         case when w.leaders > 0 then format('process %s leads since %s', w.pid, w.leader_since)
              when pg_is_in_recovery() then 'this is a standby: no worker runs on it'
              else 'no worker leads in this database' end,
         case when pg_is_in_recovery() then null
              when w.leaders = 0 and hooks.hold() is not null then 'See the check "copy".'
              when w.leaders = 0 then 'Look for "pg_hooks" in the server log; raise max_worker_processes if it is used up.' end
  from (select count(*) as leaders, min(pid) as pid, min(leader_since) as leader_since
        from hooks.workers() where leader) as w
  union all
  select 'worker_slots',
         case when w.present < w.wanted and not pg_is_in_recovery() then 'warn' else 'ok' end,
         case when pg_is_in_recovery() then 'this is a standby: no worker runs on it'
              else format('%s of %s workers run in this database', w.present, w.wanted) end,
         case when w.present < w.wanted and not pg_is_in_recovery()
              then 'Raise max_worker_processes and restart the server, or lower hooks.workers.' end
  from (select count(*) as present, coalesce(current_setting('hooks.workers', true)::integer, 1) as wanted
        from hooks.workers()) as w
  union all
  select 'lag',
         case when l.oldest is null then 'ok'
              when l.oldest < now() - interval '10 minutes' and a.last < now() - interval '5 minutes' then 'fail'
              else 'warn' end,
         case when l.oldest is null then 'nothing waits that should have been sent'
              else format('the oldest due message of queue "%s" waits for %s', l.queue, now() - l.oldest) end,
         case when l.oldest is not null
              then 'See hooks.queue_stats and hooks.attempt for that queue: its receiver may be slow or failing.' end
  from (select) as one
  left join hooks.lag() as l on true
  cross join (select coalesce(max(greatest(t.last_success_at, t.last_failure_at)), '-infinity') as last
              from hooks.queue_total as t
              where t.queue_id = 0) as a
  union all
  select 'dead_letters',
         case when w.dead > 0 then 'warn' else 'ok' end,
         format('%s messages became dead letters within 15 minutes', w.dead),
         case when w.dead > 0 then 'See hooks.dead_letter; correct what is wrong, then redrive them.' end
  from hooks.window_stats(0) as w
  where w.period = interval '15 minutes'
  union all
  select 'queues',
         case when s.n > 0 then 'warn' else 'ok' end,
         case when s.n > 0 then format('%s queues send nothing because of their receivers: %s', s.n, s.names)
              else 'no queue is disabled or stopped by its circuit breaker' end,
         case when s.n > 0 then 'See hooks.queue_state; when the receiver is well, hooks.resume() switches a disabled queue on.' end
  from (select count(*) as n,
               string_agg(format('"%s" (%s)', q.name, s.state), ', ' order by s.since, q.id) filter (where s.place <= 5)
                 || case when count(*) > 5 then ', ...' else '' end as names
        from (select s.*, row_number() over (order by s.since, s.queue_id) as place
              from (select s.*
                    from hooks.queue_state as s
                    join hooks.queue as q on q.id = s.queue_id
                    where s.state = 'disabled' or s.state = 'open' and q.active
                    limit 1000) as s) as s
        join hooks.queue as q on q.id = s.queue_id) as s
  union all
  select 'held',
         case when s.n > 0 then 'warn' else 'ok' end,
         case when s.n > 0 then format('%s queues hold their messages: %s', s.n, s.names)
              else 'no queue is held' end,
         case when s.n > 0 then 'Put right what is said of them in hooks.queue_state; they go on by themselves then.' end
  from (select count(*) as n,
               string_agg(format('"%s" (%s)', q.name, left(s.reason, 200)), ', ' order by s.since, q.id) filter (where s.place <= 5)
                 || case when count(*) > 5 then ', ...' else '' end as names
        from (select s.*, row_number() over (order by s.since, s.queue_id) as place
              from (select s.*
                    from hooks.queue_state as s
                    join hooks.queue as q on q.id = s.queue_id
                    where s.state = 'held' and q.active
                    limit 1000) as s) as s
        join hooks.queue as q on q.id = s.queue_id) as s
  union all
  select 'secrets',
         case when s.n > 0 then 'warn' else 'ok' end,
         case when s.n > 0 then format('%s secrets are missing, and messages wait for them: %s', s.n, s.names)
              else 'no queue lacks a secret' end,
         case when s.n > 0 then 'Set them with hooks.set_secret(); dumps hold none.' end
  from (select count(*) as n,
               string_agg(format('"%s" (%s)', l.name, l.purpose), ', ' order by l.place) filter (where l.place <= 5)
                 || case when count(*) > 5 then ', ...' else '' end as names
        from (select q.name, w.purpose, row_number() over (order by q.id, w.purpose) as place
              from (select q.id, q.name, q.signatures, q.active from hooks.queue as q order by q.id limit 10000) as q
              cross join lateral (
                select distinct case n.name when 'v1a' then 'signing_ed25519' else 'signing' end as purpose
                from unnest(q.signatures) as n(name)
                union all
                select hooks.auth_purpose(a.scheme) from hooks.auth as a where a.queue_id = q.id
              ) as w
              where q.active
                and not exists (
                  select
                  from hooks.secret as s
                  where s.queue_id = q.id and s.purpose = w.purpose
                    and (s.expires_at is null or s.expires_at > now()))) as l) as s
  union all
  select 'watches',
         case when w.n > 0 then 'warn' else 'ok' end,
         case when w.n > 0 then format('%s watches do not send: %s', w.n, w.names) else 'every table that is watched sends' end,
         case when w.n > 0 then 'See problem and stopped in hooks.watches; watch the table anew, or give the right back.' end
  from (select count(*) as n,
               string_agg(format('%s (%s)', w.relation, w.why), ', ' order by w.place) filter (where w.place <= 5)
                 || case when count(*) > 5 then ', ...' else '' end as names
        from (select w.relation, coalesce(w.problem, w.stopped) as why, row_number() over (order by w.relation, w.name) as place
              from hooks.watches as w
              where w.enabled and coalesce(w.problem, w.stopped) is not null) as w) as w
  union all
  select 'bloat',
         case when b.dead > 100000 and b.dead > 4 * b.live then 'warn' else 'ok' end,
         format('%s has %s dead rows and %s live ones', b.relation, b.dead, b.live),
         case when b.dead > 100000 and b.dead > 4 * b.live
              then 'Look at the check "snapshots" first; then VACUUM the table, and see that autovacuum has workers free for it.' end
  from (select c.oid::regclass as relation, pg_stat_get_dead_tuples(c.oid) as dead, pg_stat_get_live_tuples(c.oid) as live
        from unnest('{hooks.message,hooks.queue_total,hooks.tally,hooks.tally_log}'::regclass[]) as c(oid)
        order by pg_stat_get_dead_tuples(c.oid) desc
        limit 1) as b
  union all
  select 'snapshots',
         case when s.holder is null then 'ok' else 'warn' end,
         coalesce(s.holder || ' keeps dead rows from being removed' || coalesce(' since ' || s.since, ''),
                  'nobody keeps dead rows from being removed for long'),
         s.remedy
  from (select) as one
  left join lateral (
    select h.holder, h.since, h.remedy from hooks.snapshot_holder('10 minutes') as h
  ) as s on true
  union all
  select 'prepared',
         case when p.n > 0 then 'warn' else 'ok' end,
         case when p.n > 0 then format('%s prepared transactions hold messages for more than a minute, the oldest is "%s"', p.n, p.gid)
              else 'no prepared transaction holds messages for long' end,
         case when p.n > 0 then format('COMMIT PREPARED %L, or ROLLBACK PREPARED it.', p.gid) end
  from (select count(*) as n, (array_agg(p.gid order by p.prepared))[1] as gid
        from pg_prepared_xacts as p
        where p.database = current_database()
          and p.prepared < now() - interval '1 minute'
          and exists (
            select
            from pg_locks as l
            where l.relation = 'hooks.message'::regclass
              and l.mode = 'RowExclusiveLock'
              and l.pid is null
              and l.virtualtransaction = (
                select t.virtualtransaction
                from pg_locks as t
                where t.locktype = 'transactionid' and t.pid is null and t.transactionid = p.transaction))) as p
  union all
  select 'retention',
         case when r.n > 0 then 'warn' else 'ok' end,
         case when r.n > 0 then format('the history is behind: %s', r.behind) else 'the history is kept as long as it should be' end,
         case when r.n > 0 then 'Something may hold a lock on hooks.message_log or hooks.attempt for long; look for it in the server log and pg_locks.' end
  from (select count(*) as n,
               string_agg(format(case when h.is_over then '%s of %s should be gone' else '%s has no partition for %s' end,
                                 h.relation, h.day), ', ' order by h.day, h.relation) as behind
        from (select h.*
              from unnest(array[(select s.setting::integer from pg_settings as s where s.name = 'hooks.history_retention')],
                          array[(select s.setting::integer from pg_settings as s where s.name = 'hooks.attempt_retention')])
                as kept(messages, attempts)
              cross join lateral hooks.history_work(kept.messages, kept.attempts) as h
              -- What an idle worker does at its next look is not behind.
              where case when h.is_over
                         then (h.day + 2)::timestamp at time zone 'UTC'
                                < now() - make_interval(secs => case h.relation when 'attempt' then kept.attempts else kept.messages end)
                         else h.day <= (now() at time zone 'UTC')::date
                           and exists (select from hooks.workers() as w where w.leader_since < now() - interval '1 hour') end
              order by h.day
              limit 5) as h) as r
  union all
  select 'wraparound',
         hooks.wraparound_status(d.age, d.freeze_max_age),
         format('the oldest transaction id of this database is %s transactions old', d.age),
         case when hooks.wraparound_status(d.age, d.freeze_max_age) <> 'ok'
              then 'VACUUM the database, and find out what keeps autovacuum from it: see the check "snapshots".' end
  from (select age(d.datfrozenxid)::bigint as age, current_setting('autovacuum_freeze_max_age')::bigint as freeze_max_age
        from pg_database as d
        where d.datname = current_database()) as d
$$;
comment on function hooks.health() is 'One row for each check with ok, warn or fail, what was seen, and what to do.';

create function hooks.is_healthy()
returns boolean
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$ select not exists (select from hooks.health() as h where h.status = 'fail') $$;
comment on function hooks.is_healthy() is 'Whether no check of hooks.health() fails; warnings do not count. For load balancers and probes.';
