-- The worker, and the health of all. Functions in C are in src/api; they are declared here so that names, defaults, privileges
-- and comments of the whole interface are read in one place.

create function hooks.preloaded()
returns boolean
language c
stable
as 'MODULE_PATHNAME', 'preloaded_wrapper';
comment on function hooks.preloaded() is 'Whether the server was started with pg_hooks in shared_preload_libraries.';

create function hooks.workers(
  out pid integer,
  out leader boolean,
  out started_at timestamptz,
  out leader_since timestamptz,
  out in_flight integer
)
returns setof record
language c
volatile
as 'MODULE_PATHNAME', 'workers_wrapper';
comment on function hooks.workers() is 'The background workers of this database; hooks.worker shows them.';

create function hooks.announce()
returns void
language c
volatile
as 'MODULE_PATHNAME', 'announce_wrapper';
comment on function hooks.announce() is 'Has the launcher look for a worker of this database at commit.';

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
  select 'worker',
         case when w.leaders > 0 then 'ok' else 'fail' end,
         case when w.leaders > 0 then format('process %s leads since %s', w.pid, w.leader_since)
              else 'no worker leads in this database' end,
         case when w.leaders = 0 then 'Look for "pg_hooks" in the server log; raise max_worker_processes if it is used up.' end
  from (select count(*) as leaders, min(pid) as pid, min(leader_since) as leader_since
        from hooks.workers() where leader) as w
  union all
  select 'lag',
         case when o.oldest > interval '1 minute' then 'warn' else 'ok' end,
         case when o.oldest is null then 'nothing is due'
              else format('the oldest due message of an active queue waits for %s', o.oldest) end,
         case when o.oldest > interval '1 minute'
              then 'See hooks.attempt for the last outcomes of that queue.' end
  from (select now() - min(m.due_at) as oldest
        from hooks.queue as q
        cross join lateral (
          select m.due_at from hooks.message as m
          where m.queue_id = q.id and m.due_at <= now()
          order by m.due_at, m.id
          limit 1
        ) as m
        where q.active) as o
$$;
comment on function hooks.health() is 'One row for each check with ok, warn or fail, what was seen, and what to do.';
