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
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  source constant bigint := hooks.queue_id(queue);
  target constant bigint := hooks.queue_id(coalesce(to_queue, queue));
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
comment on function hooks.replay is 'Sends the messages of a queue once more that were delivered from since on, and before until, as far as their bodies were kept: as new messages, in the order in which they were delivered, to another queue if to_queue is given, from at on, and at a rate of so many per interval. Returns how many.';
