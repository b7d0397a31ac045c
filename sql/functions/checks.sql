-- Validation, and the triggers of our own tables. Functions in C are in src/api; they are declared here so that names, defaults, privileges
-- and comments of the whole interface are read in one place.

create function hooks.check_url(url bytea)
returns void
language c
stable strict
as 'MODULE_PATHNAME', 'check_url_wrapper';
comment on function hooks.check_url(bytea) is 'Raises 22023 with a hint unless the URL may be the endpoint of a queue.';

create function hooks.check_headers(headers bytea)
returns void
language c
immutable strict
as 'MODULE_PATHNAME', 'check_headers_wrapper';
comment on function hooks.check_headers(bytea) is 'Raises 22023 with a hint unless the value is a JSON object of valid header names and values.';

create function hooks.check_body_size(bytes bigint)
returns void
language c
stable strict
as 'MODULE_PATHNAME', 'check_body_size_wrapper';
comment on function hooks.check_body_size(bigint) is 'Raises 22023 with a hint when a body of so many bytes exceeds hooks.max_body_size.';

create function hooks.refuse(message text, hint text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception using errcode = 'invalid_parameter_value', message = refuse.message, hint = refuse.hint;
end
$$;
comment on function hooks.refuse(text, text) is 'Raises 22023 with this message and hint.';

create function hooks.note_queue(queue_id bigint)
returns void
language c
volatile strict
as 'MODULE_PATHNAME', 'note_queue_wrapper';
comment on function hooks.note_queue(bigint) is 'Tells the worker at commit that this queue was made, changed or dropped.';

create function hooks.note_backlog(queue_id bigint)
returns void
language c
volatile strict
as 'MODULE_PATHNAME', 'note_backlog_wrapper';
comment on function hooks.note_backlog(bigint) is 'Has the worker look at commit for messages of this queue from the earliest on.';

create function hooks.check_trigger_table(relation oid)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if relation is distinct from 'hooks.queue'::regclass::oid then
    raise exception using errcode = 'feature_not_supported',
      message = 'this function can only be a trigger of hooks.queue',
      hint = 'Change queues with hooks.create_queue() and hooks.alter_queue().';
  end if;
end
$$;
comment on function hooks.check_trigger_table(oid) is 'Raises 0A000 unless the relation is hooks.queue: on another table the columns a trigger reads may be of types whose casts run the code of others.';

create function hooks.check_limits(queue hooks.queue)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if queue.rate_interval is null or queue.breaker_window is null or queue.breaker_min_requests is null
     or queue.breaker_open_time is null or queue.breaker_max_probes is null then
    perform hooks.refuse('rate_interval, breaker_window, breaker_min_requests, breaker_open_time and breaker_max_probes must not be null',
      'Leave out what is to have its default. A null rate_limit or breaker_threshold means none.');
  end if;
  if queue.rate_limit not between 1 and 1000000 or queue.rate_burst not between 1 and 1000000 then
    perform hooks.refuse('rate_limit and rate_burst must be between 1 and 1000000',
      'Leave rate_limit out for no limit; use hooks.pause() to send nothing.');
  end if;
  if extract(epoch from queue.rate_interval) not between 0.001 and 86400 then
    perform hooks.refuse('rate_interval must be between 1 millisecond and 1 day',
      'Give an interval such as ''1 second'' or ''1 minute''.');
  end if;
  if not (queue.breaker_threshold > 0 and queue.breaker_threshold <= 1) then
    perform hooks.refuse('breaker_threshold must be above 0 and at most 1',
      'Give the share of failures that opens the breaker, such as 0.7, or null for no breaker.');
  end if;
  if extract(epoch from queue.breaker_window) not between 1 and 86400
     or extract(epoch from queue.breaker_open_time) not between 1 and 86400 then
    perform hooks.refuse('breaker_window and breaker_open_time must be between 1 second and 1 day',
      'Give intervals such as ''5 minutes'' and ''30 seconds''.');
  end if;
  if queue.breaker_min_requests not between 1 and 1000000 or queue.breaker_max_probes not between 1 and 1000000 then
    perform hooks.refuse('breaker_min_requests and breaker_max_probes must be between 1 and 1000000',
      'The defaults are 10 and 10.');
  end if;
end
$$;
comment on function hooks.check_limits(hooks.queue) is 'Raises 22023 unless rate limit and circuit breaker of a queue are in range.';

create function hooks.check_queue()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform hooks.check_trigger_table(tg_relid);
  if new.id is null or new.name is null or new.url is null or new.method is null or new.timeout is null
     or new.max_attempts is null or new.max_in_flight is null or new.active is null then
    perform hooks.refuse('id, name, url, method, timeout, max_attempts, max_in_flight and active must not be null',
      'Give name and url, and leave out what is to have its default.');
  end if;
  if new.id < 1 then
    perform hooks.refuse('id of a queue must be 1 or more',
      'Leave it out to have it chosen.');
  end if;
  if new.name = '' or length(new.name) > 255 then
    perform hooks.refuse('queue name must have 1 to 255 characters',
      'Choose a shorter or non-empty name.');
  end if;
  -- An address that is no longer allowed must not keep a queue from being paused.
  if new.url is distinct from old.url then
    perform hooks.check_url(convert_to(new.url, 'UTF8'));
  end if;
  if new.method not in ('GET', 'POST', 'PUT', 'PATCH', 'DELETE') then
    perform hooks.refuse(format('method "%s" is not supported', new.method),
      'Use GET, POST, PUT, PATCH or DELETE, in upper case.');
  end if;
  new.headers := coalesce(new.headers, '{}');
  perform hooks.check_headers(convert_to(new.headers::text, 'UTF8'));
  -- Seconds, as the worker counts them: comparing intervals takes each month for 30 days.
  if extract(epoch from new.timeout) not between 1 and 300 then
    perform hooks.refuse('timeout must be between 1 and 300 seconds',
      'Give an interval such as ''15 seconds''.');
  end if;
  if new.accepted_statuses is not null
     and (cardinality(new.accepted_statuses) not between 1 and 100
          or exists (select from unnest(new.accepted_statuses) as s(status)
                     where s.status is null or s.status not between 200 and 599)) then
    perform hooks.refuse('accepted statuses must be between 200 and 599',
      'Give 1 to 100 statuses, or null for every 2xx.');
  end if;
  if new.max_attempts not between 1 and 100 then
    perform hooks.refuse('max_attempts must be between 1 and 100',
      'Use 1 for a single attempt without retries.');
  end if;
  if new.retry_schedule is not null and new.min_backoff is not null then
    perform hooks.refuse('retry_schedule and backoff exclude each other',
      'Give either retry_schedule or min_backoff and max_backoff.');
  end if;
  if new.retry_schedule is not null
     and (cardinality(new.retry_schedule) not between 1 and 100
          or exists (select from unnest(new.retry_schedule) as d(delay)
                     where d.delay is null or extract(epoch from d.delay) not between 0 and 2592000)) then
    perform hooks.refuse('retry_schedule must hold 1 to 100 delays of 0 to 30 days',
      'Give intervals such as array[''5 seconds'', ''5 minutes'']::interval[].');
  end if;
  if (new.min_backoff is null) <> (new.max_backoff is null) then
    perform hooks.refuse('min_backoff and max_backoff go together',
      'Give both, or neither for the schedule of Standard Webhooks.');
  end if;
  if extract(epoch from new.min_backoff) > extract(epoch from new.max_backoff) then
    perform hooks.refuse('min_backoff must not exceed max_backoff',
      'Exchange the two values.');
  end if;
  if extract(epoch from new.min_backoff) <= 0 or extract(epoch from new.max_backoff) > 2592000 then
    perform hooks.refuse('backoff must be more than 0 and at most 30 days',
      'Give intervals such as ''1 second'' and ''1 hour''.');
  end if;
  if new.max_in_flight not between 1 and 4096 then
    perform hooks.refuse('max_in_flight must be between 1 and 4096',
      'Use 1 to have one message on the wire at a time.');
  end if;
  perform hooks.check_limits(new);
  perform hooks.check_room(new);
  if new.ordering_policy is null or new.ordering_policy not in ('skip', 'block') then
    perform hooks.refuse(format('ordering policy %s is not known', coalesce('"' || new.ordering_policy || '"', 'null')),
      'Use skip, so that a dead letter lets the next message of its ordering key go, or block.');
  end if;
  if new.bury_expired is null then
    perform hooks.refuse('bury_expired must not be null',
      'Give true to keep expired messages as dead letters, or false.');
  end if;
  if new.transform is not null
     and (new.transform is distinct from old.transform or (new.active and new.active is distinct from old.active)) then
    new.transform := hooks.check_transform(new.transform, new.active);
  end if;
  if new.keep_bodies is null or new.keep_attempts is null
     or new.keep_attempts not in ('all', 'failures', 'none') then
    perform hooks.refuse('keep_bodies must be true or false, and keep_attempts all, failures or none',
      'Give keep_attempts => ''failures'' to record only the attempts that failed, or ''none'' for none.');
  end if;
  if new.dead_letter_queue_id is distinct from old.dead_letter_queue_id then
    perform hooks.check_dead_letter_queue(new.id, new.dead_letter_queue_id);
  end if;
  if tg_op = 'UPDATE' then
    if new.id <> old.id then
      perform hooks.refuse('the id of a queue cannot be changed',
        'Make a new queue with hooks.create_queue().');
    end if;
    new.updated_at := clock_timestamp();
    if new.url <> old.url then
      -- What the old receiver failed to do is not held against the new one.
      delete from hooks.queue_state as s where s.queue_id = new.id and s.state = 'failing';
      update hooks.queue_state as s
      set failing_since = null, last_failure_at = null
      where s.queue_id = new.id and s.failing_since is not null;
    end if;
    if new.active and not old.active then
      -- That it is held is for the worker to say.
      delete from hooks.queue_state as s where s.queue_id = new.id and s.state <> 'held';
    elsif new.active and new.breaker_threshold is null then
      -- Without a breaker nothing is open; since when it fails is kept, as hooks.disable_after counts from there.
      delete from hooks.queue_state as s
      where s.queue_id = new.id and s.state = 'open' and s.failing_since is null;
      update hooks.queue_state as s
      set state = 'failing', since = s.failing_since, until = null, reason = 'every attempt failed'
      where s.queue_id = new.id and s.state = 'open';
    end if;
  end if;
  new.created_at := coalesce(new.created_at, now());
  new.updated_at := coalesce(new.updated_at, now());
  perform hooks.note_queue(new.id);
  return new;
end
$$;
comment on function hooks.check_queue() is 'Trigger: validates a queue before it is stored and tells the worker.';

create function hooks.check_dead_letter_queue(queue_id bigint, dead_letter_queue_id bigint)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  chain bigint[] := '{}';
  link bigint := dead_letter_queue_id;
begin
  while link is not null and link <> all (chain) loop
    if link = queue_id then
      perform hooks.refuse('dead-letter queues must not form a cycle',
        'Name a dead-letter queue whose own dead letters do not come back to this queue.');
    end if;
    chain := chain || link;
    -- The lock keeps another transaction from adding the other half of a cycle unseen.
    select q.dead_letter_queue_id into link from hooks.queue as q where q.id = link for share;
  end loop;
end
$$;
comment on function hooks.check_dead_letter_queue(bigint, bigint) is 'Raises 22023 when the dead letters of a queue would come back to it.';

create function hooks.note_queue_dropped()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform hooks.check_trigger_table(tg_relid);
  delete from hooks.queue_state as s where s.queue_id = old.id;
  perform hooks.note_queue(old.id);
  return old;
end
$$;
comment on function hooks.note_queue_dropped() is 'Trigger: tells the worker that a queue is gone.';

create function hooks.note_queues_truncated()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform hooks.check_trigger_table(tg_relid);
  delete from hooks.queue_state;
  perform hooks.announce();
  return null;
end
$$;
comment on function hooks.note_queues_truncated() is 'Trigger: has the worker look at all queues anew.';

create function hooks.check_message()
returns trigger
language c
as 'MODULE_PATHNAME', 'check_message';
comment on function hooks.check_message() is 'Trigger: validates a message before it is stored and wakes the worker at commit.';

create trigger check_queue
  before insert or update on hooks.queue
  for each row when (not hooks.restoring('hooks.queue')) execute function hooks.check_queue();

create trigger note_queue_dropped
  after delete on hooks.queue
  for each row execute function hooks.note_queue_dropped();

create trigger note_queues_truncated
  after truncate on hooks.queue
  for each statement execute function hooks.note_queues_truncated();

create trigger check_message
  before insert or update on hooks.message
  for each row execute function hooks.check_message();

create function hooks.note_dead_letters_truncated()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform hooks.announce();
  return null;
end
$$;
comment on function hooks.note_dead_letters_truncated() is 'Trigger: has the worker look at all queues for messages that dead letters held back.';

create trigger note_dead_letters_truncated
  after truncate on hooks.dead_letter
  for each statement execute function hooks.note_dead_letters_truncated();

-- What comes after it in the order of its key waits for a row that is gone or moved: the worker looks
-- for it. The worker itself needs no telling, and its session fires no triggers.
create function hooks.note_order_changed()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_relid not in ('hooks.message'::regclass::oid, 'hooks.dead_letter'::regclass::oid) then
    raise exception using errcode = 'feature_not_supported',
      message = 'this function can only be a trigger of hooks.message and hooks.dead_letter',
      hint = 'Send messages with hooks.send().';
  end if;
  perform hooks.note_backlog(old.queue_id);
  return null;
end
$$;
comment on function hooks.note_order_changed() is 'Trigger: tells the worker that a message of an ordering key is gone.';

create trigger note_order_changed
  after delete or update of queue_id, ordering_key on hooks.message
  for each row when (old.ordering_key is not null) execute function hooks.note_order_changed();

create trigger note_order_changed
  after delete or update of queue_id, ordering_key on hooks.dead_letter
  for each row when (old.ordering_key is not null) execute function hooks.note_order_changed();
