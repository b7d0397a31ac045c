-- Queues. Functions in C are in src/api; they are declared here so that names, defaults, privileges
-- and comments of the whole interface are read in one place.

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
  breaker_max_probes integer default 10,
  ordering_policy   text default 'skip',
  bury_expired      boolean default false,
  transform         text default null,
  keep_bodies       boolean default false,
  keep_attempts     text default 'all',
  signatures        text[] default '{}',
  max_messages      bigint default null,
  max_bytes         bigint default null,
  overflow          text default 'refuse'
)
returns bigint
language hooks_plpgsql
as $$
#variable_conflict use_variable
declare
  made bigint;
begin
  insert into hooks.queue (name, url, method, headers, timeout, accepted_statuses, max_attempts,
    retry_schedule, min_backoff, max_backoff, dead_letter_queue_id, max_in_flight, active, description,
    rate_limit, rate_interval, rate_burst,
    breaker_threshold, breaker_window, breaker_min_requests, breaker_open_time, breaker_max_probes,
    ordering_policy, bury_expired, transform, keep_bodies, keep_attempts, signatures,
    max_messages, max_bytes, overflow)
  values (name, url, method, coalesce(headers, '{}'), timeout, accepted_statuses, max_attempts,
    retry_schedule, min_backoff, max_backoff,
    case when dead_letter_queue is not null then hooks.allowed_queue(dead_letter_queue, 'send') end,
    max_in_flight, active, description,
    rate_limit, rate_interval, rate_burst,
    breaker_threshold, breaker_window, breaker_min_requests, breaker_open_time, breaker_max_probes,
    ordering_policy, bury_expired, transform, keep_bodies, keep_attempts, signatures,
    max_messages, max_bytes, overflow)
  returning id into made;
  return made;
exception
  when unique_violation then
    raise exception using errcode = 'duplicate_object',
      message = format('queue "%s" already exists', name),
      hint = 'Change it with hooks.alter_queue(), or choose another name.';
end
$$;
comment on function hooks.create_queue is 'Makes a queue: an HTTP endpoint with its delivery policy. Returns its id. Raises 42710 when the name is taken, 22023 for a bad argument.';

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
  breaker_max_probes integer default null,
  ordering_policy   text default null,
  bury_expired      boolean default null,
  transform         text default null,
  keep_bodies       boolean default null,
  keep_attempts     text default null,
  signatures        text[] default null,
  max_messages      bigint default null,
  max_bytes         bigint default null,
  overflow          text default null
)
returns void
language hooks_plpgsql
as $$
#variable_conflict use_variable
declare
  changed constant bigint := hooks.allowed_queue(queue, 'manage');
  resettable constant text[] := array['headers', 'accepted_statuses', 'retry', 'dead_letter_queue', 'description', 'rate', 'breaker', 'transform', 'limits'];
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
    dead_letter_queue_id = case when dead_letter_queue is not null then hooks.allowed_queue(dead_letter_queue, 'send')
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
    breaker_max_probes = coalesce(breaker_max_probes, q.breaker_max_probes),
    ordering_policy = coalesce(ordering_policy, q.ordering_policy),
    bury_expired = coalesce(bury_expired, q.bury_expired),
    transform = coalesce(transform, case when not 'transform' = any (reset) then q.transform end),
    keep_bodies = coalesce(keep_bodies, q.keep_bodies),
    keep_attempts = coalesce(keep_attempts, q.keep_attempts),
    signatures = coalesce(signatures, q.signatures),
    max_messages = coalesce(max_messages, case when not 'limits' = any (reset) then q.max_messages end),
    max_bytes = coalesce(max_bytes, case when not 'limits' = any (reset) then q.max_bytes end),
    overflow = coalesce(overflow, q.overflow)
  where q.id = changed;
exception
  when unique_violation then
    raise exception using errcode = 'duplicate_object',
      message = format('queue "%s" already exists', name),
      hint = 'Choose another name.';
end
$$;
comment on function hooks.alter_queue is 'Changes what is given of a queue and leaves the rest. reset names what goes back to its default: headers, accepted_statuses, retry, dead_letter_queue, description, and, to none, limits, rate, breaker and transform.';

create function hooks.drop_queue(queue text, cancel_messages boolean default false)
returns bigint
language hooks_plpgsql
as $$
#variable_conflict use_variable
declare
  dropped constant bigint := hooks.allowed_queue(queue, 'manage');
  source text;
  cancelled bigint;
begin
  select q.name into source from hooks.queue as q where q.dead_letter_queue_id = dropped limit 1;
  if source is not null then
    raise exception using errcode = 'dependent_objects_still_exist',
      message = format('queue "%s" is the dead-letter queue of "%s"', queue, source),
      hint = 'Give that queue another one with hooks.alter_queue() first.';
  end if;
  if exists (select from hooks.subscription as s where s.queue_id = dropped) then
    raise exception using errcode = 'dependent_objects_still_exist',
      message = format('queue "%s" still has subscriptions', queue),
      hint = 'Remove them with hooks.unsubscribe(), or move them with hooks.alter_subscription(), first.';
  end if;
  select c.name into source from hooks.cron as c where c.queue_id = dropped limit 1;
  if source is not null then
    raise exception using errcode = 'dependent_objects_still_exist',
      message = format('schedule "%s" sends to queue "%s"', source, queue),
      hint = 'Remove it with hooks.unschedule(), or have it send elsewhere with hooks.schedule().';
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
    returning m.id, m.queue_id, m.attempt, m.created_at, m.due_at, m.event_id
  )
  insert into hooks.message_log (id, queue_id, state, attempts, created_at, due_at, finished_at, event_id)
  select g.id, g.queue_id, 'cancelled', g.attempt, g.created_at, g.due_at, now(), g.event_id
  from gone as g;
  get diagnostics cancelled = row_count;
  return cancelled;
end
$$;
comment on function hooks.drop_queue(text, boolean) is 'Drops a queue. Refuses with 2BP01 while it has subscriptions, and while it has messages, unless told to cancel them. Returns how many were cancelled. A message that another transaction adds meanwhile becomes a dead letter.';

create function hooks.pause(queue text)
returns void
language hooks_plpgsql
as $$ begin perform hooks.alter_queue($1, active => false); end $$;
comment on function hooks.pause(text) is 'Stops delivery of a queue; its messages are kept. What is on the wire is finished.';

create function hooks.resume(queue text)
returns void
language hooks_plpgsql
as $$ begin perform hooks.alter_queue($1, active => true); end $$;
comment on function hooks.resume(text) is 'Starts delivery of a queue again.';
