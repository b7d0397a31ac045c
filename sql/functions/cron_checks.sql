-- Entries of hooks.cron are validated and planned by a trigger, so that a plain INSERT, UPDATE or DELETE does
-- what the functions do. Functions in C are in src/api.

create function hooks.note_cron(cron_id bigint)
returns void
language c
volatile strict
as 'MODULE_PATHNAME', 'note_cron_wrapper';
comment on function hooks.note_cron(bigint) is 'Tells the worker at commit that this entry of hooks.cron was made, changed or dropped.';

create function hooks.refuse_unknown_schedule(name text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if name is null then
    perform hooks.refuse('name of a schedule must not be null',
      'hooks.cron_status lists the names.');
  end if;
  raise exception using errcode = 'undefined_object',
    message = format('schedule "%s" does not exist', name),
    hint = 'hooks.cron_status lists those there are; make one with hooks.schedule().';
end
$$;
comment on function hooks.refuse_unknown_schedule(text) is 'Raises 42704 for an entry of hooks.cron that does not exist.';

create function hooks.may_publish(role oid)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$ select pg_has_role(role, 'hooks_sender', 'usage') or pg_has_role(role, 'hooks_admin', 'usage') $$;
comment on function hooks.may_publish(oid) is 'Whether a role may publish events, which go to queues that it does not name.';

create function hooks.may_change_schedule(owner oid, owner_name text)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select pg_has_role(hooks.caller(), 'hooks_admin', 'usage')
      or (hooks.role_is(owner, owner_name) and pg_has_role(hooks.caller(), owner, 'usage'))
$$;
comment on function hooks.may_change_schedule(oid, text) is 'Whether the caller may change a schedule of this owner.';

create function hooks.deny_schedule(name text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception using errcode = 'insufficient_privilege',
    message = format('permission denied for schedule "%s"', name),
    hint = 'Its owner and members of hooks_admin may. Names of schedules are unique in the database.';
end
$$;
comment on function hooks.deny_schedule(text) is 'Raises 42501 for a schedule of somebody else.';

create function hooks.allowed_schedule(name text)
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  found_id bigint;
  allowed boolean;
begin
  select c.id, hooks.may_change_schedule(c.owner, c.owner_name) into found_id, allowed
  from hooks.cron as c where c.name = name;
  if found_id is null then
    perform hooks.refuse_unknown_schedule(name);
  end if;
  if not allowed then
    perform hooks.deny_schedule(name);
  end if;
  return found_id;
end
$$;
comment on function hooks.allowed_schedule(text) is 'Id of the schedule of that name; raises 42704 when there is none, and 42501 unless the caller may change it.';

create function hooks.switch_schedule(name text, active boolean)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  switched constant bigint := hooks.allowed_schedule(name);
begin
  update hooks.cron as c set active = active where c.id = switched;
end
$$;
comment on function hooks.switch_schedule(text, boolean) is 'Makes an entry of hooks.cron run or not.';

create function hooks.check_cron_table(relation oid)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if relation is distinct from 'hooks.cron'::regclass::oid then
    raise exception using errcode = 'feature_not_supported',
      message = 'this function can only be a trigger of hooks.cron',
      hint = 'Change schedules with hooks.schedule().';
  end if;
end
$$;
comment on function hooks.check_cron_table(oid) is 'Raises 0A000 unless the relation is hooks.cron, as hooks.check_trigger_table() does for hooks.queue.';

create function hooks.require_queue(queue_id bigint)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (select from hooks.queue as q where q.id = require_queue.queue_id) then
    raise exception using errcode = 'undefined_object',
      message = format('queue with id %s does not exist', queue_id),
      hint = 'Look for its id in hooks.queue.';
  end if;
end
$$;
comment on function hooks.require_queue(bigint) is 'Raises 42704 unless there is a queue of that id.';

create function hooks.check_cron_values(entry hooks.cron)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if entry.id is null or entry.name is null or entry.schedule is null or entry.timezone is null or entry.active is null then
    perform hooks.refuse('id, name, schedule, timezone and active of a schedule must not be null',
      'Give name and schedule, and leave out what is to have its default.');
  end if;
  if entry.name = '' or length(entry.name) > 255 then
    perform hooks.refuse('name of a schedule must have 1 to 255 characters',
      'Choose a shorter or non-empty name.');
  end if;
  if (entry.queue_id is null) = (entry.event_type is null) then
    perform hooks.refuse('a schedule has a queue or an event',
      'Give one of them.');
  end if;
  if entry.body is not null and entry.body_bytes is not null then
    perform hooks.refuse('a message has one body',
      'Give body or body_bytes, not both.');
  end if;
  perform hooks.check_body_size(coalesce(octet_length(entry.body), octet_length(entry.body_bytes))::bigint);
  if octet_length(entry.ordering_key) not between 1 and 1000 then
    perform hooks.refuse('ordering key must have 1 to 1000 bytes',
      'Leave it out for messages without order.');
  end if;
  perform hooks.check_headers(convert_to(entry.headers::text, 'UTF8'));
  if exists (select from jsonb_object_keys(entry.headers) as h(name) where lower(h.name) like 'hooks-cron-%') then
    perform hooks.refuse('headers that begin with hooks-cron- are reserved',
      'The worker adds hooks-cron-name and hooks-cron-tick to each message.');
  end if;
  if (select count(*) from jsonb_object_keys(entry.headers)) > 61 then
    perform hooks.refuse('a schedule has at most 61 headers',
      'The worker adds hooks-cron-name, hooks-cron-tick and hooks-cron-late; a message has at most 64.');
  end if;
  if entry.missed is null or entry.missed not in ('skip', 'once', 'all') then
    perform hooks.refuse(format('missed policy %s is not known', coalesce('"' || entry.missed || '"', 'null')),
      'Use skip, once or all.');
  end if;
  if entry.missed_limit is null or entry.missed_limit not between 1 and 1000 then
    perform hooks.refuse('missed_limit must be between 1 and 1000',
      'Leave it out to make up for at most 100 ticks.');
  end if;
  if entry.overlap is null or entry.overlap not in ('allow', 'skip') then
    perform hooks.refuse(format('overlap %s is not known', coalesce('"' || entry.overlap || '"', 'null')),
      'Use allow, or skip to leave a tick out while a message of the entry is unfinished.');
  end if;
  if entry.next_run_at in ('infinity', '-infinity') then
    perform hooks.refuse('next_run_at must not be infinite',
      'Use hooks.pause_schedule() to have an entry wait.');
  end if;
end
$$;
comment on function hooks.check_cron_values(hooks.cron) is 'Raises 22023 unless the values of an entry are in range, but for its schedule and target.';

create function hooks.check_cron_event(entry hooks.cron)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform hooks.event_keys(convert_to(entry.event_type, 'UTF8'));
  perform hooks.check_published_event(convert_to(entry.event_type, 'UTF8'));
  if entry.body_bytes is not null then
    perform hooks.refuse('the payload of an event is JSON',
      'Give it as body.');
  end if;
  perform entry.body::jsonb;
exception
  when invalid_text_representation or untranslatable_character then
    perform hooks.refuse('the payload of an event is JSON',
      'Give valid JSON as body, or leave it out for {}.');
end
$$;
comment on function hooks.check_cron_event(hooks.cron) is 'Raises 22023 unless an entry that publishes an event has a type and a payload for it.';

create function hooks.check_cron()
returns trigger
language hooks_plpgsql
as $$
declare
  after timestamptz := clock_timestamp();
begin
  perform hooks.check_cron_table(tg_relid);
  new.headers := coalesce(new.headers, '{}');
  perform hooks.check_cron_values(new);
  if new.event_type is not null then
    new.body := coalesce(new.body, '{}');
    perform hooks.check_cron_event(new);
  elsif tg_op = 'INSERT' or new.queue_id is distinct from old.queue_id then
    perform hooks.require_queue(new.queue_id);
  end if;
  if tg_op = 'INSERT' or (new.schedule, new.timezone) is distinct from (old.schedule, old.timezone) then
    perform hooks.cron_preview(new.schedule, new.timezone, n => 1);
  end if;
  if tg_op = 'UPDATE' and new.id <> old.id then
    perform hooks.refuse('the id of a schedule cannot be changed',
      'Make a new one with hooks.schedule().');
  end if;
  -- Who changes an entry whose owner is gone takes it over.
  if tg_op = 'INSERT'
     or (new.owner is not distinct from old.owner and not hooks.role_is(old.owner, old.owner_name)) then
    new.owner := hooks.caller();
  end if;
  select r.rolname into new.owner_name from pg_roles as r where r.oid = new.owner;
  if tg_op = 'UPDATE' then
    -- A clock that was set back must not bring a tick again. Whoever asks for a new plan has his reasons.
    if new.next_run_at is not null or old.next_run_at is null then
      after := greatest(after, old.last_run_at);
    end if;
    if (new.schedule, new.timezone) is distinct from (old.schedule, old.timezone)
       and new.next_run_at is not distinct from old.next_run_at then
      new.next_run_at := null;
    end if;
    new.updated_at := clock_timestamp();
  end if;
  if not new.active then
    new.next_run_at := null;
  elsif new.next_run_at is null then
    select p.at into new.next_run_at
    from hooks.cron_preview(new.schedule, new.timezone, after, 1) as p(at);
  end if;
  new.created_at := coalesce(new.created_at, now());
  new.updated_at := coalesce(new.updated_at, now());
  perform hooks.note_cron(new.id);
  return new;
end
$$;
comment on function hooks.check_cron() is 'Trigger: validates an entry before it is stored, plans its next run and tells the worker.';

create function hooks.note_cron_dropped()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform hooks.check_cron_table(tg_relid);
  perform hooks.note_cron(old.id);
  return null;
end
$$;
comment on function hooks.note_cron_dropped() is 'Trigger: tells the worker that an entry is gone.';

create function hooks.note_cron_truncated()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform hooks.check_cron_table(tg_relid);
  perform hooks.announce();
  return null;
end
$$;
comment on function hooks.note_cron_truncated() is 'Trigger: has the worker look at all entries anew.';

create trigger check_cron
  before insert or update on hooks.cron
  for each row when (not hooks.restoring('hooks.cron')) execute function hooks.check_cron();

create trigger note_cron_dropped
  after delete on hooks.cron
  for each row execute function hooks.note_cron_dropped();

create trigger note_cron_truncated
  after truncate on hooks.cron
  for each statement execute function hooks.note_cron_truncated();
