-- Copies: why nothing is sent, and how to have it sent.

create function hooks.library_version()
returns text
language c
stable
as 'MODULE_PATHNAME', 'library_version_wrapper';
comment on function hooks.library_version() is 'Version of the library that the server has loaded. It serves an extension of this version only.';

-- The worker asks before it leads. The names are those of domain::hold::Hold.
create function hooks.hold()
returns text
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
  select case
           when e.extversion <> hooks.library_version() then 'version'
           when i.place <> hooks.place() then 'copied'
           when exists (select from hooks.queue as q where q.home <> here.home) then 'restored'
           when coalesce(current_setting('hooks.start_paused', true)::boolean, false)
                and i.opened_at is distinct from pg_postmaster_start_time() then 'paused'
         end
  from hooks.installation as i
  cross join (select hooks.home() as home offset 0) as here
  cross join (select x.extversion from pg_extension as x where x.extname = 'pg_hooks') as e
$$;
comment on function hooks.hold() is 'Why nothing is sent from this database: copied, restored, paused or version; null when messages are sent.';

create function hooks.held_messages(at_most integer)
returns bigint
language sql
stable
set search_path = pg_catalog, pg_temp
as $$ select count(*) from (select from hooks.message limit at_most) as m $$;
comment on function hooks.held_messages(integer) is 'How many messages wait; at_most when there are that many or more.';

-- Without triggers, for a superuser: what is restored need not be valid here, and is not changed otherwise.
create function hooks.take_queues()
returns bigint
language sql
volatile
set search_path = pg_catalog, pg_temp
set session_replication_role = replica
as $$
  with taken as (
    update hooks.queue as q
    set home = here.home
    from (select hooks.home() as home offset 0) as here
    where q.home <> here.home
    returning 1
  )
  select count(*) from taken
$$;
comment on function hooks.take_queues() is 'Has all queues belong to this database; returns how many did not.';

-- Replication brings no sequences, and no ids of what was finished.
create function hooks.advance_sequences(gap bigint default 0)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  -- Read before the sequences, which somebody may be using: then only one that is behind is set.
  message constant bigint := (select greatest((select max(m.id) from hooks.message as m),
                                              (select max(d.id) from hooks.dead_letter as d),
                                              (select max(l.id) from hooks.message_log as l)));
  event constant bigint := (select max(e.id) from hooks.event as e);
  queue constant bigint := (select max(q.id) from hooks.queue as q);
  subscription constant bigint := (select max(b.id) from hooks.subscription as b);
  cron constant bigint := (select max(c.id) from hooks.cron as c);
begin
  perform setval('hooks.message_id_seq', message)
  from hooks.message_id_seq as s where message > s.last_value or message = s.last_value and not s.is_called;
  perform setval('hooks.event_id_seq', event)
  from hooks.event_id_seq as s where event > s.last_value or event = s.last_value and not s.is_called;
  perform setval('hooks.queue_id_seq', queue)
  from hooks.queue_id_seq as s where queue > s.last_value or queue = s.last_value and not s.is_called;
  perform setval('hooks.subscription_id_seq', subscription)
  from hooks.subscription_id_seq as s where subscription > s.last_value or subscription = s.last_value and not s.is_called;
  perform setval('hooks.cron_id_seq', cron)
  from hooks.cron_id_seq as s where cron > s.last_value or cron = s.last_value and not s.is_called;
  if gap > 0 then
    perform setval('hooks.message_id_seq', s.last_value + gap)
    from hooks.message_id_seq as s where s.last_value < 9000000000000000000;
    perform setval('hooks.event_id_seq', s.last_value + gap)
    from hooks.event_id_seq as s where s.last_value < 9000000000000000000;
    -- How many were made in a minute is read off these sequences.
    delete from hooks.activity;
  end if;
end
$$;
comment on function hooks.advance_sequences(bigint) is 'Has ids go on behind the highest that is in use, those of messages and events with a gap.';

create function hooks.cancel_waiting()
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  cancelled bigint;
  entry record;
begin
  with gone as (
    delete from hooks.message as m
    returning m.id, m.queue_id, m.attempt, m.created_at, m.due_at, m.event_id
  ), logged as (
    insert into hooks.message_log (id, queue_id, state, attempts, created_at, due_at, finished_at, event_id)
    select g.id, g.queue_id, 'cancelled', g.attempt, g.created_at, g.due_at, now(), g.event_id
    from gone as g
    returning 1
  )
  select count(*) into cancelled from logged;
  -- What was missed is not made up for. An entry that is not valid here stays as it is, as it does not run.
  for entry in select c.id, c.name from hooks.cron as c where c.active and c.next_run_at < now() order by c.id loop
    begin
      update hooks.cron as c set next_run_at = null where c.id = entry.id;
    exception
      when others then
        raise warning 'schedule "%" keeps the runs that it missed: %', entry.name, sqlerrm;
    end;
  end loop;
  return cancelled;
end
$$;
comment on function hooks.cancel_waiting() is 'Cancels every message that waits, and has schedules forget the runs that they missed; returns how many messages.';

create function hooks.adopt(
  waiting text default 'send',
  out was text,
  out queues bigint,
  out to_send bigint,
  out cancelled bigint
)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  -- More ids than the original can have given since, and a millionth of what 64 bits hold.
  gap constant bigint := 1000000000000;
  own_key text;
  origin text;
begin
  if waiting is null or waiting not in ('send', 'cancel') then
    perform hooks.refuse(format('what to do with waiting messages is %s, which is not known', coalesce('"' || waiting || '"', 'null')),
      'Give send to have them sent from here, or cancel.');
  end if;
  if pg_is_in_recovery() then
    raise exception using errcode = 'object_not_in_prerequisite_state',
      message = 'a standby cannot be adopted',
      hint = 'Nothing is sent from it. After a promotion it takes over by itself.';
  end if;
  -- One call at a time, and no queue that is being made says that it belongs where it did before.
  lock table hooks.queue in share row exclusive mode;
  select i.webhook_key into own_key from hooks.installation as i for update;
  was := hooks.hold();
  if was = 'version' then
    raise exception using errcode = 'object_not_in_prerequisite_state',
      message = 'the extension and the library of the server are of different versions',
      hint = 'See hooks.health() for what to do; then call hooks.adopt() again.';
  end if;
  if was is null and waiting = 'cancel' then
    raise exception using errcode = 'object_not_in_prerequisite_state',
      message = 'this database is no copy, as far as can be told, so nothing is cancelled',
      hint = 'Start a server that was copied as a whole with hooks.start_paused = on.';
  end if;
  queues := 0;
  cancelled := 0;
  if was is not null then
    -- A database that has queues of its own has sent under its key, and goes on to.
    select k.webhook_key into origin
    from (select split_part(q.home, '@', 1) as webhook_key from hooks.queue as q) as k
    group by 1
    order by k.webhook_key = own_key desc, count(*) desc, 1
    limit 1;
    update hooks.installation as i
    set place = hooks.place(),
        opened_at = pg_postmaster_start_time(),
        -- Whoever takes the place of another goes on under its ids. Beside another, ids would name two messages.
        webhook_key = case waiting when 'send' then coalesce(origin, own_key)
                                   else left(replace(gen_random_uuid()::text, '-', ''), 12) end;
    queues := hooks.take_queues();
    -- Whose key is that of another one leaves it the ids that it gave and that did not come along.
    perform hooks.advance_sequences(case when waiting = 'send' and (was <> 'restored' or origin <> own_key) then gap else 0 end);
    if waiting = 'cancel' then
      cancelled := hooks.cancel_waiting();
    end if;
  end if;
  to_send := hooks.held_messages(null);
  -- The worker looks again, and sessions forget what they know of queues. A clone may have none yet.
  perform hooks.note_queue(0);
  if not exists (select from hooks.workers()) then
    perform hooks.announce();
  end if;
end
$$;
comment on function hooks.adopt(text) is 'Says that this database, a copy of another one, is to send. Messages that wait are sent, or cancelled: then it becomes one beside the other, whose webhook ids it does not use. Returns what it was held for, and how many queues it took, messages wait and were cancelled.';

create function hooks.stand_aside(seconds double precision)
returns void
language c
volatile strict
as 'MODULE_PATHNAME', 'stand_aside_wrapper';
comment on function hooks.stand_aside(double precision) is 'Has no worker of this database start for so long.';

create function hooks.release(duration interval default '30 seconds')
returns timestamptz
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  seconds constant double precision := extract(epoch from duration);
  patience constant timestamptz := clock_timestamp() + interval '10 seconds';
begin
  if seconds is null or seconds not between 0 and 600 then
    perform hooks.refuse('duration must be between 0 and 10 minutes',
      'Give an interval such as ''30 seconds''; 0 has the worker come back at once.');
  end if;
  perform hooks.stand_aside(seconds);
  while seconds > 0 and exists (select from hooks.workers()) loop
    if clock_timestamp() > patience then
      raise exception using errcode = 'object_not_in_prerequisite_state',
        message = 'the workers of this database have not ended within 10 s',
        hint = 'See hooks.worker and the server log; then try again.';
    end if;
    perform pg_terminate_backend(w.pid, 5000) from hooks.workers() as w;
  end loop;
  return clock_timestamp() + duration;
end
$$;
comment on function hooks.release(interval) is 'Has the workers of this database leave it for so long, so that it can be the template of another one, be renamed or dropped. Messages wait meanwhile. Returns when a worker comes back.';
