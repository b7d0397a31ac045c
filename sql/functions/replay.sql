-- Sending delivered messages once more, where their bodies are kept.

create function hooks.replayed_headers(headers jsonb, webhook_id text)
returns jsonb
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
  select (select coalesce(jsonb_object_agg(h.key, h.value), '{}')
          from jsonb_each(coalesce(headers, '{}')) as h
          where lower(h.key) not in ('hooks-redriven', 'hooks-replay-of'))
         || jsonb_build_object('hooks-replay-of', webhook_id)
$$;
comment on function hooks.replayed_headers(jsonb, text) is 'Headers of a message that repeats the one of this webhook id.';

-- One by one: in a queue with a limit, the first for which there is no room is where the next call goes on; and a message
-- that may not be stored any more, as the settings are others than when it was sent, must not keep the rest.
create function hooks.replay_what_fits(
  source    bigint,
  target    bigint,
  since     timestamptz,
  ends      timestamptz,
  first_at  timestamptz,
  pause     interval,
  row_limit bigint
)
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  key constant text := (select i.webhook_key from hooks.installation as i);
  most_bytes constant bigint := (select q.max_bytes from hooks.queue as q where q.id = target);
  message record;
  replayed bigint := 0;
  refused bigint := 0;
  problem text;
begin
  for message in
    select l.id, l.finished_at, l.headers, l.body, l.body_bytes, l.ordering_key, l.event_id, l.envelope
    from hooks.message_log as l
    where l.queue_id = source
      and l.state = 'delivered'
      and l.kept
      and l.finished_at >= since
      and l.finished_at < ends
    order by l.finished_at, l.id
    limit row_limit
  loop
    begin
      insert into hooks.message (queue_id, due_at, headers, body, body_bytes, ordering_key, event_id, envelope)
      values (target, first_at + pause * replayed,
              hooks.replayed_headers(message.headers, concat('msg_', key, '_', message.id)),
              message.body, message.body_bytes, message.ordering_key, message.event_id, message.envelope);
      replayed := replayed + 1;
    exception
      when configuration_limit_exceeded then
        if coalesce(octet_length(message.body), octet_length(message.body_bytes), 0) > most_bytes then
          raise warning using
            message = format('message %s is not replayed: it is larger than the queue may hold', message.id),
            hint = 'Raise max_bytes of the queue, or replay to another one.';
          continue;
        end if;
        raise warning using
          message = format('the queue is full: %s messages are replayed, and those that were delivered from %s on are not',
            replayed, message.finished_at),
          hint = format('When there is room, go on with since => %L.', message.finished_at);
        exit;
      when invalid_parameter_value then
        refused := refused + 1;
        problem := coalesce(problem, format('message %s is not replayed: %s', message.id, sqlerrm));
    end;
  end loop;
  if problem is not null then
    raise warning using
      message = problem,
      detail = format('%s messages cannot be stored as they are; %s are replayed.', refused, replayed),
      hint = 'Send what they say anew, or change what refuses them and replay them alone.';
  end if;
  return replayed;
end
$$;
comment on function hooks.replay_what_fits is 'What hooks.replay() does where a queue refuses what is beyond its limits, or one message cannot be stored: stores what fits, the oldest first, and warns of the rest.';

create function hooks.replay(
  queue     text,
  since     timestamptz,
  until     timestamptz default null,
  to_queue  text default null,
  at        timestamptz default null,
  rate      integer default null,
  per       interval default '1 second',
  row_limit bigint default null
)
returns bigint
language hooks_plpgsql
volatile
as $$
#variable_conflict use_variable
declare
  source constant bigint := hooks.allowed_queue(queue, 'manage');
  target constant bigint := case when to_queue is null then source else hooks.allowed_queue(to_queue, 'send') end;
  key constant text := (select i.webhook_key from hooks.installation as i);
  first_at constant timestamptz := greatest(at, case when rate is null then now() else clock_timestamp() end);
  ends constant timestamptz := coalesce(until, now());
  pause constant interval := hooks.pause_between(rate, per);
  replayed bigint;
begin
  if since is null then
    perform hooks.refuse('since must not be null', 'Give the time from which on messages were delivered.');
  end if;
  if since >= until then
    perform hooks.refuse('since must be before until', 'Exchange the two values.');
  end if;
  if row_limit < 1 then
    perform hooks.refuse('row_limit must be at least 1', 'Leave it out for all.');
  end if;
  if at = 'infinity' then
    perform hooks.refuse('due time must not be infinite', 'Give the time at which to send.');
  end if;
  if not exists (select from hooks.queue as q
                 where q.id = target and q.overflow = 'refuse' and num_nonnulls(q.max_messages, q.max_bytes) > 0) then
    begin
      insert into hooks.message (queue_id, due_at, headers, body, body_bytes, ordering_key, event_id, envelope)
      select target, first_at + pause * (row_number() over (order by l.finished_at, l.id) - 1),
             hooks.replayed_headers(l.headers, concat('msg_', key, '_', l.id)),
             l.body, l.body_bytes, l.ordering_key, l.event_id, l.envelope
      from hooks.message_log as l
      where l.queue_id = source
        and l.state = 'delivered'
        and l.kept
        and l.finished_at >= since
        and l.finished_at < ends
      order by l.finished_at, l.id
      limit row_limit;
      get diagnostics replayed = row_count;
    exception
      -- One that drops the oldest refuses what is larger than all that it may hold.
      when invalid_parameter_value or configuration_limit_exceeded then null;
    end;
  end if;
  if replayed is null then
    replayed := hooks.replay_what_fits(source, target, since, ends, first_at, pause, row_limit);
  end if;
  if exists (select from hooks.message_log as l
             where l.queue_id = source and l.state = 'delivered' and not l.kept
               and l.finished_at >= since and l.finished_at < ends) then
    raise warning using
      message = format('some messages of queue "%s" that were delivered then are not replayed: their bodies were not kept', queue),
      hint = 'Have bodies kept from now on with hooks.alter_queue(..., keep_bodies => true).';
  end if;
  return replayed;
end
$$;
comment on function hooks.replay is 'Sends the messages of a queue once more that were delivered from since on, and before until, as far as their bodies were kept: as new messages, in the order in which they were delivered, to another queue if to_queue is given, from at on, and at a rate of so many per interval. A full queue gets what fits, and a warning says from when on to go on. Returns how many.';
