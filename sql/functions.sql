-- Functions. Those in C are in src/api; they are declared here so that names, defaults, privileges and
-- comments of the whole interface are read in one place.

-- Validation --------------------------------------------------------------------------------------

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
  if new.dead_letter_queue_id is distinct from old.dead_letter_queue_id then
    perform hooks.check_dead_letter_queue(new.id, new.dead_letter_queue_id);
  end if;
  if tg_op = 'UPDATE' then
    if new.id <> old.id then
      perform hooks.refuse('the id of a queue cannot be changed',
        'Make a new queue with hooks.create_queue().');
    end if;
    new.updated_at := clock_timestamp();
    if new.active and not old.active then
      delete from hooks.queue_state as s where s.queue_id = new.id;
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
security definer
set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'check_message';
comment on function hooks.check_message() is 'Trigger: validates a message before it is stored and wakes the worker at commit.';

create trigger check_queue
  before insert or update on hooks.queue
  for each row execute function hooks.check_queue();

create trigger note_queue_dropped
  after delete on hooks.queue
  for each row execute function hooks.note_queue_dropped();

create trigger note_queues_truncated
  after truncate on hooks.queue
  for each statement execute function hooks.note_queues_truncated();

create trigger check_message
  before insert or update on hooks.message
  for each row execute function hooks.check_message();

-- Queues ------------------------------------------------------------------------------------------

create function hooks.queue_id(queue text)
returns bigint
language c
stable
as 'MODULE_PATHNAME', 'queue_id_wrapper';
comment on function hooks.queue_id(text) is 'Id of the queue of that name; raises 42704 when there is none.';

create function hooks.create_queue(
  name              text,
  url               text,
  method            text default 'POST',
  headers           jsonb default null,
  timeout           interval default '15 seconds',
  accepted_statuses integer[] default null,
  max_attempts      integer default 10,
  retry_schedule    interval[] default null,
  min_backoff       interval default null,
  max_backoff       interval default null,
  dead_letter_queue text default null,
  max_in_flight     integer default 64,
  active            boolean default true,
  description       text default null,
  rate_limit        integer default null,
  rate_interval     interval default '1 second',
  rate_burst        integer default null,
  breaker_threshold real default 0.7,
  breaker_window    interval default '5 minutes',
  breaker_min_requests integer default 10,
  breaker_open_time interval default '30 seconds',
  breaker_max_probes integer default 10
)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  made bigint;
begin
  insert into hooks.queue (name, url, method, headers, timeout, accepted_statuses, max_attempts,
    retry_schedule, min_backoff, max_backoff, dead_letter_queue_id, max_in_flight, active, description,
    rate_limit, rate_interval, rate_burst,
    breaker_threshold, breaker_window, breaker_min_requests, breaker_open_time, breaker_max_probes)
  values (name, url, method, coalesce(headers, '{}'), timeout, accepted_statuses, max_attempts,
    retry_schedule, min_backoff, max_backoff,
    case when dead_letter_queue is not null then hooks.queue_id(dead_letter_queue) end,
    max_in_flight, active, description,
    rate_limit, rate_interval, rate_burst,
    breaker_threshold, breaker_window, breaker_min_requests, breaker_open_time, breaker_max_probes)
  returning id into made;
  return made;
exception
  when unique_violation then
    raise exception using errcode = 'duplicate_object',
      message = format('queue "%s" already exists', name),
      hint = 'Change it with hooks.alter_queue(), or choose another name.';
end
$$;
comment on function hooks.create_queue(text, text, text, jsonb, interval, integer[], integer, interval[], interval, interval, text, integer, boolean, text,
  integer, interval, integer, real, interval, integer, interval, integer)
  is 'Makes a queue: an HTTP endpoint with its delivery policy. Returns its id. Raises 42710 when the name is taken, 22023 for a bad argument.';

create function hooks.alter_queue(
  queue             text,
  name              text default null,
  url               text default null,
  method            text default null,
  headers           jsonb default null,
  timeout           interval default null,
  accepted_statuses integer[] default null,
  max_attempts      integer default null,
  retry_schedule    interval[] default null,
  min_backoff       interval default null,
  max_backoff       interval default null,
  dead_letter_queue text default null,
  max_in_flight     integer default null,
  active            boolean default null,
  description       text default null,
  reset             text[] default '{}',
  rate_limit        integer default null,
  rate_interval     interval default null,
  rate_burst        integer default null,
  breaker_threshold real default null,
  breaker_window    interval default null,
  breaker_min_requests integer default null,
  breaker_open_time interval default null,
  breaker_max_probes integer default null
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  changed constant bigint := hooks.queue_id(queue);
  resettable constant text[] := array['headers', 'accepted_statuses', 'retry', 'dead_letter_queue', 'description', 'rate', 'breaker'];
  unknown text;
  schedule_given constant boolean := retry_schedule is not null;
  backoff_given constant boolean := min_backoff is not null or max_backoff is not null;
begin
  reset := array_remove(coalesce(reset, '{}'), null);
  select r.field into unknown from unnest(reset) as r(field) where r.field <> all (resettable) limit 1;
  if unknown is not null then
    perform hooks.refuse(format('"%s" cannot be reset', unknown),
      format('reset takes %s.', array_to_string(resettable, ', ')));
  end if;
  update hooks.queue as q set
    name = coalesce(name, q.name),
    url = coalesce(url, q.url),
    method = coalesce(method, q.method),
    headers = coalesce(headers, case when 'headers' = any (reset) then '{}' else q.headers end),
    timeout = coalesce(timeout, q.timeout),
    accepted_statuses = coalesce(accepted_statuses,
      case when not 'accepted_statuses' = any (reset) then q.accepted_statuses end),
    max_attempts = coalesce(max_attempts, q.max_attempts),
    retry_schedule = case when schedule_given then retry_schedule
      when not (backoff_given or 'retry' = any (reset)) then q.retry_schedule end,
    min_backoff = coalesce(min_backoff, case when not (schedule_given or 'retry' = any (reset)) then q.min_backoff end),
    max_backoff = coalesce(max_backoff, case when not (schedule_given or 'retry' = any (reset)) then q.max_backoff end),
    dead_letter_queue_id = case when dead_letter_queue is not null then hooks.queue_id(dead_letter_queue)
      when not 'dead_letter_queue' = any (reset) then q.dead_letter_queue_id end,
    max_in_flight = coalesce(max_in_flight, q.max_in_flight),
    active = coalesce(active, q.active),
    description = coalesce(description, case when not 'description' = any (reset) then q.description end),
    rate_limit = coalesce(rate_limit, case when not 'rate' = any (reset) then q.rate_limit end),
    rate_interval = coalesce(rate_interval, q.rate_interval),
    rate_burst = coalesce(rate_burst, case when not 'rate' = any (reset) then q.rate_burst end),
    breaker_threshold = coalesce(breaker_threshold, case when not 'breaker' = any (reset) then q.breaker_threshold end),
    breaker_window = coalesce(breaker_window, q.breaker_window),
    breaker_min_requests = coalesce(breaker_min_requests, q.breaker_min_requests),
    breaker_open_time = coalesce(breaker_open_time, q.breaker_open_time),
    breaker_max_probes = coalesce(breaker_max_probes, q.breaker_max_probes)
  where q.id = changed;
exception
  when unique_violation then
    raise exception using errcode = 'duplicate_object',
      message = format('queue "%s" already exists', name),
      hint = 'Choose another name.';
end
$$;
comment on function hooks.alter_queue(text, text, text, text, jsonb, interval, integer[], integer, interval[], interval, interval, text, integer, boolean, text, text[],
  integer, interval, integer, real, interval, integer, interval, integer)
  is 'Changes what is given of a queue and leaves the rest. reset names what goes back to its default: headers, accepted_statuses, retry, dead_letter_queue, description, and, to none, rate and breaker.';

create function hooks.drop_queue(queue text, cancel_messages boolean default false)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  dropped constant bigint := hooks.queue_id(queue);
  source text;
  cancelled bigint;
begin
  select q.name into source from hooks.queue as q where q.dead_letter_queue_id = dropped limit 1;
  if source is not null then
    raise exception using errcode = 'dependent_objects_still_exist',
      message = format('queue "%s" is the dead-letter queue of "%s"', queue, source),
      hint = 'Give that queue another one with hooks.alter_queue() first.';
  end if;
  if cancel_messages is null then
    perform hooks.refuse('cancel_messages must not be null',
      'Give true to cancel the messages of the queue, or false to refuse while it has some.');
  end if;
  if not cancel_messages and exists (select from hooks.message as m where m.queue_id = dropped) then
    raise exception using errcode = 'dependent_objects_still_exist',
      message = format('queue "%s" still has messages', queue),
      hint = 'Wait until they are delivered, or call hooks.drop_queue() with cancel_messages => true.';
  end if;
  delete from hooks.queue as q where q.id = dropped;
  with gone as (
    delete from hooks.message as m where m.queue_id = dropped and cancel_messages
    returning m.id, m.queue_id, m.attempt, m.created_at, m.due_at
  )
  insert into hooks.message_log (id, queue_id, state, attempts, created_at, due_at, finished_at)
  select g.id, g.queue_id, 'cancelled', g.attempt, g.created_at, g.due_at, now()
  from gone as g;
  get diagnostics cancelled = row_count;
  return cancelled;
end
$$;
comment on function hooks.drop_queue(text, boolean) is 'Drops a queue. Refuses with 2BP01 while it has messages, unless told to cancel them. Returns how many were cancelled. A message that another transaction adds meanwhile becomes a dead letter.';

create function hooks.pause(queue text)
returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$ select hooks.alter_queue(pause.queue, active => false) $$;
comment on function hooks.pause(text) is 'Stops delivery of a queue; its messages are kept. What is on the wire is finished.';

create function hooks.resume(queue text)
returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$ select hooks.alter_queue(resume.queue, active => true) $$;
comment on function hooks.resume(text) is 'Starts delivery of a queue again.';

-- Messages ----------------------------------------------------------------------------------------

create function hooks.send(queue text, body text, at timestamptz default null, headers jsonb default null)
returns bigint
language c
volatile
security definer
set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'send_text_wrapper';
comment on function hooks.send(text, text, timestamptz, jsonb) is 'Stores a message for the queue; it is sent when the transaction commits, or at the given time if that is later. Returns its id.';

-- Plain SQL, so that the planner puts its body in place of the call.
create function hooks.send(queue text, body jsonb, at timestamptz default null, headers jsonb default null)
returns bigint
language sql
volatile
as $$ select hooks.send($1, $2::pg_catalog.text, $3, $4) $$;
comment on function hooks.send(text, jsonb, timestamptz, jsonb) is 'As hooks.send(text, text), with a JSON body.';

create function hooks.send(queue text, body json, at timestamptz default null, headers jsonb default null)
returns bigint
language sql
volatile
as $$ select hooks.send($1, $2::pg_catalog.text, $3, $4) $$;
comment on function hooks.send(text, json, timestamptz, jsonb) is 'As hooks.send(text, text), with a JSON body, whose text is kept as it is.';

create function hooks.send(queue text, body bytea, at timestamptz default null, headers jsonb default null)
returns bigint
language c
volatile
security definer
set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'send_bytea_wrapper';
comment on function hooks.send(text, bytea, timestamptz, jsonb) is 'As hooks.send(text, text), with a binary body.';

create function hooks.send_batch(queue text, bodies text[], at timestamptz default null, headers jsonb default null)
returns setof bigint
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
  -- An unknown queue is an error, also for an empty batch.
  select hooks.queue_id(send_batch.queue);
  insert into hooks.message (queue_id, due_at, headers, body)
  select q.id, send_batch.at, send_batch.headers, b.body
  from (select hooks.queue_id(send_batch.queue) as id offset 0) as q,
       unnest(send_batch.bodies) with ordinality as b(body, place)
  order by b.place
  returning id
$$;
comment on function hooks.send_batch(text, text[], timestamptz, jsonb) is 'Stores one message for each body. Returns their ids in the order of the bodies.';

create function hooks.send_batch(queue text, bodies jsonb[], at timestamptz default null, headers jsonb default null)
returns setof bigint
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$ select hooks.send_batch(send_batch.queue, send_batch.bodies::text[], send_batch.at, send_batch.headers) $$;
comment on function hooks.send_batch(text, jsonb[], timestamptz, jsonb) is 'As hooks.send_batch(text, text[]), with JSON bodies.';

create function hooks.send_batch(queue text, bodies json[], at timestamptz default null, headers jsonb default null)
returns setof bigint
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$ select hooks.send_batch(send_batch.queue, send_batch.bodies::text[], send_batch.at, send_batch.headers) $$;
comment on function hooks.send_batch(text, json[], timestamptz, jsonb) is 'As hooks.send_batch(text, text[]), with JSON bodies, whose text is kept as it is.';

create function hooks.send_batch(queue text, bodies bytea[], at timestamptz default null, headers jsonb default null)
returns setof bigint
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
  -- An unknown queue is an error, also for an empty batch.
  select hooks.queue_id(send_batch.queue);
  insert into hooks.message (queue_id, due_at, headers, body_bytes)
  select q.id, send_batch.at, send_batch.headers, b.body
  from (select hooks.queue_id(send_batch.queue) as id offset 0) as q,
       unnest(send_batch.bodies) with ordinality as b(body, place)
  order by b.place
  returning id
$$;
comment on function hooks.send_batch(text, bytea[], timestamptz, jsonb) is 'As hooks.send_batch(text, text[]), with binary bodies.';

create function hooks.cancel(id bigint)
returns boolean
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
  with gone as (
    delete from hooks.message as m where m.id = cancel.id
    returning m.id, m.queue_id, m.attempt, m.created_at, m.due_at
  ), logged as (
    insert into hooks.message_log (id, queue_id, state, attempts, created_at, due_at, finished_at)
    select g.id, g.queue_id, 'cancelled', g.attempt, g.created_at, g.due_at, now()
    from gone as g
    returning 1
  )
  select exists (select from logged)
$$;
comment on function hooks.cancel(bigint) is 'Cancels a message that is not finished. Returns false when there is none of that id. An attempt that is on the wire may still arrive.';

create function hooks.redrive(id bigint)
returns boolean
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
  with revived as (
    delete from hooks.dead_letter as d where d.id = redrive.id
    returning d.*
  ), stored as (
    insert into hooks.message (id, queue_id, due_at, attempt, attempts_before, created_at, headers, body, body_bytes)
    select r.id, r.queue_id, now(), r.attempts, r.attempts, r.created_at, r.headers, r.body, r.body_bytes
    from revived as r
    returning 1
  )
  select exists (select from stored)
$$;
comment on function hooks.redrive(bigint) is 'Sends a dead letter again, under its id and with a fresh budget of attempts. Returns false when there is none of that id.';

create function hooks.status(
  message_id bigint,
  out id bigint,
  out queue text,
  out state text,
  out attempts integer,
  out due_at timestamptz,
  out created_at timestamptz,
  out finished_at timestamptz,
  out last_status smallint,
  out last_error text
)
returns setof record
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
  select found.id, q.name, found.state, found.attempts, found.due_at, found.created_at, found.finished_at,
         coalesce(found.last_status, last.status), coalesce(found.last_error, last.error)
  from (
    select m.id, m.queue_id,
           case when m.due_at > now() and m.attempt = m.attempts_before then 'scheduled'
                when m.attempt > m.attempts_before then 'retrying'
                else 'pending' end as state,
           m.attempt as attempts, m.due_at, m.created_at, null::timestamptz as finished_at,
           null::smallint as last_status, null::text as last_error
    from hooks.message as m
    where m.id = status.message_id
    union all
    select d.id, d.queue_id, 'dead', d.attempts, d.due_at, d.created_at, d.dead_at, d.last_status, d.last_error
    from hooks.dead_letter as d
    where d.id = status.message_id
    union all
    select l.id, l.queue_id, l.state, l.attempts, l.due_at, l.created_at, l.finished_at, l.last_status, null
    from hooks.message_log as l
    where l.id = status.message_id
  ) as found
  left join hooks.queue as q on q.id = found.queue_id
  left join lateral (
    select a.status, a.error
    from hooks.attempt as a
    where a.message_id = found.id
    order by a.attempt desc
    limit 1
  ) as last on true
$$;
comment on function hooks.status(bigint) is 'Where a message stands: scheduled, pending, retrying, delivered, dead, expired or cancelled. No row for an id that never was or is past its retention.';

-- The worker --------------------------------------------------------------------------------------

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
