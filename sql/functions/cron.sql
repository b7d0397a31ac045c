-- Schedules. Functions in C are in src/api; they are declared here so that names, defaults, privileges
-- and comments of the whole interface are read in one place.

create function hooks.cron_preview(
  schedule text,
  timezone text default 'UTC',
  "from"   timestamptz default now(),
  n        integer default 10
)
returns setof timestamptz
language c
stable
as 'MODULE_PATHNAME', 'cron_preview_wrapper';
comment on function hooks.cron_preview(text, text, timestamptz, integer) is 'The next n runs of a schedule, 1 to 10000; fewer when it ends. Raises 22023 for a schedule or time zone that hooks.cron would not take.';

create function hooks.put_schedule(
  name         text,
  queue        text,
  event        text,
  schedule     text,
  timezone     text,
  body         text,
  body_bytes   bytea,
  headers      jsonb,
  ordering_key text,
  missed       text,
  missed_limit integer,
  overlap      text,
  active       boolean,
  description  text
)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  made bigint;
begin
  if event is not null and not hooks.may_publish(hooks.caller()) then
    raise exception using errcode = 'insufficient_privilege',
      message = 'permission denied to publish events',
      hint = 'Members of hooks_sender and hooks_admin may. Name a queue instead.';
  end if;
  insert into hooks.cron as c (name, queue_id, event_type, schedule, timezone, body, body_bytes, headers,
    ordering_key, missed, missed_limit, overlap, active, description)
  values (name, case when queue is not null then hooks.allowed_queue(queue, 'send') end, event, schedule, timezone,
    body, body_bytes, headers, ordering_key, missed, missed_limit, overlap, coalesce(active, true), description)
  on conflict on constraint cron_name_is_unique do update
  set (queue_id, event_type, schedule, timezone, body, body_bytes, headers,
       ordering_key, missed, missed_limit, overlap, active, description)
    = row(excluded.queue_id, excluded.event_type, excluded.schedule, excluded.timezone, excluded.body,
          excluded.body_bytes, excluded.headers, excluded.ordering_key, excluded.missed,
          excluded.missed_limit, excluded.overlap, coalesce(active, c.active), excluded.description)
  where hooks.may_change_schedule(c.owner, c.owner_name)
  returning c.id into made;
  if made is null then
    perform hooks.deny_schedule(name);
  end if;
  return made;
end
$$;
comment on function hooks.put_schedule is 'What all forms of hooks.schedule() come down to.';

create function hooks.schedule(
  name         text,
  queue        text default null,
  schedule     text default null,
  body         text default null,
  timezone     text default 'UTC',
  headers      jsonb default null,
  event        text default null,
  ordering_key text default null,
  missed       text default 'once',
  missed_limit integer default 100,
  overlap      text default 'allow',
  active       boolean default null,
  description  text default null
)
returns bigint
language hooks_plpgsql
volatile
as $$ begin return hooks.put_schedule($1, $2, $7, $3, $5, $4, null, $6, $8, $9, $10, $11, $12, $13); end $$;
comment on function hooks.schedule(text, text, text, text, text, jsonb, text, text, text, integer, text, boolean, text) is 'Makes the entry of that name, or replaces it: what is left out has its default, and only active stays as it was. A message goes to the queue, or an event is published, at each tick. Returns its id.';

create function hooks.schedule(
  name         text,
  queue        text,
  schedule     text,
  body         json,
  timezone     text default 'UTC',
  headers      jsonb default null,
  event        text default null,
  ordering_key text default null,
  missed       text default 'once',
  missed_limit integer default 100,
  overlap      text default 'allow',
  active       boolean default null,
  description  text default null
)
returns bigint
language hooks_plpgsql
volatile
as $$ begin return hooks.put_schedule($1, $2, $7, $3, $5, $4::text, null, $6, $8, $9, $10, $11, $12, $13); end $$;
comment on function hooks.schedule(text, text, text, json, text, jsonb, text, text, text, integer, text, boolean, text) is 'As hooks.schedule with a text body, with JSON whose text is kept as it is; give null for the queue if there is an event.';

create function hooks.schedule(
  name         text,
  queue        text,
  schedule     text,
  body         jsonb,
  timezone     text default 'UTC',
  headers      jsonb default null,
  event        text default null,
  ordering_key text default null,
  missed       text default 'once',
  missed_limit integer default 100,
  overlap      text default 'allow',
  active       boolean default null,
  description  text default null
)
returns bigint
language hooks_plpgsql
volatile
as $$ begin return hooks.put_schedule($1, $2, $7, $3, $5, $4::text, null, $6, $8, $9, $10, $11, $12, $13); end $$;
comment on function hooks.schedule(text, text, text, jsonb, text, jsonb, text, text, text, integer, text, boolean, text) is 'As hooks.schedule with a text body, with a JSON body; give null for the queue if there is an event.';

create function hooks.schedule(
  name         text,
  queue        text,
  schedule     text,
  body         bytea,
  timezone     text default 'UTC',
  headers      jsonb default null,
  event        text default null,
  ordering_key text default null,
  missed       text default 'once',
  missed_limit integer default 100,
  overlap      text default 'allow',
  active       boolean default null,
  description  text default null
)
returns bigint
language hooks_plpgsql
volatile
as $$ begin return hooks.put_schedule($1, $2, $7, $3, $5, null, $4, $6, $8, $9, $10, $11, $12, $13); end $$;
comment on function hooks.schedule(text, text, text, bytea, text, jsonb, text, text, text, integer, text, boolean, text) is 'As hooks.schedule with a text body, with a binary body; give null for the queue if there is an event.';

create function hooks.unschedule(name text, cancel_waiting boolean default false)
returns bigint
language hooks_plpgsql
as $$
#variable_conflict use_variable
declare
  removed bigint;
  cancelled bigint;
begin
  if cancel_waiting is null then
    perform hooks.refuse('cancel_waiting must not be null',
      'Give true to cancel the messages that the entry made and that are not finished, or false to have them sent.');
  end if;
  removed := hooks.allowed_schedule(name);
  delete from hooks.cron as c where c.id = removed;
  with gone as (
    delete from hooks.message as m where m.cron_id = removed and cancel_waiting
    returning m.id, m.queue_id, m.attempt, m.created_at, m.due_at, m.event_id
  )
  insert into hooks.message_log (id, queue_id, state, attempts, created_at, due_at, finished_at, event_id)
  select g.id, g.queue_id, 'cancelled', g.attempt, g.created_at, g.due_at, now(), g.event_id
  from gone as g;
  get diagnostics cancelled = row_count;
  return cancelled;
end
$$;
comment on function hooks.unschedule(text, boolean) is 'Removes the entry of that name and, if told to, cancels its messages that are not finished. Returns how many were cancelled. Raises 42704 when there is no such entry.';

create function hooks.pause_schedule(name text)
returns void
language hooks_plpgsql
volatile
as $$ begin perform hooks.switch_schedule($1, false); end $$;
comment on function hooks.pause_schedule(text) is 'Has the entry of that name make no messages until hooks.resume_schedule(). What it made is sent.';

create function hooks.resume_schedule(name text)
returns void
language hooks_plpgsql
volatile
as $$ begin perform hooks.switch_schedule($1, true); end $$;
comment on function hooks.resume_schedule(text) is 'Has the entry of that name run again from now on; ticks while it was paused are not made up for.';
