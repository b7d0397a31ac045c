-- Messages. Functions in C are in src/api; they are declared here so that names, defaults, privileges
-- and comments of the whole interface are read in one place.

create function hooks.traced(headers jsonb)
returns jsonb
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select case
    when coalesce(current_setting('hooks.traceparent', true), '') = ''
      or exists (select from jsonb_object_keys(case jsonb_typeof(headers) when 'object' then headers else '{}' end) as k(name)
                 where lower(k.name) = 'traceparent') then headers
    else coalesce(headers, '{}') || jsonb_build_object('traceparent', current_setting('hooks.traceparent'))
  end
$$;
comment on function hooks.traced(jsonb) is 'Headers with the traceparent of hooks.traceparent, unless they have one.';

create function hooks.send(
  queue        text,
  body         text,
  at           timestamptz default null,
  headers      jsonb default null,
  ordering_key text default null,
  expires_at   timestamptz default null,
  idempotency_key text default null
)
returns bigint
language c
volatile
as 'MODULE_PATHNAME', 'send_text_wrapper';
comment on function hooks.send(text, text, timestamptz, jsonb, text, timestamptz, text) is 'Stores a message for the queue; it is sent when the transaction commits, or at the given time if that is later. Messages of one ordering key are sent one after the other; after expires_at no attempt starts. With an idempotency_key that was given for this queue within hooks.idempotency_window it stores nothing and returns the id of the first. If the queue has a transform, the body is what that makes of it. Returns its id; null if the transform wanted no message.';

-- Plain SQL, so that the planner puts its body in place of the call.
create function hooks.send(
  queue        text,
  body         jsonb,
  at           timestamptz default null,
  headers      jsonb default null,
  ordering_key text default null,
  expires_at   timestamptz default null,
  idempotency_key text default null
)
returns bigint
language sql
volatile
as $$ select hooks.send($1, $2::pg_catalog.text, $3, $4, $5, $6, $7) $$;
comment on function hooks.send(text, jsonb, timestamptz, jsonb, text, timestamptz, text) is 'As hooks.send(text, text), with a JSON body.';

create function hooks.send(
  queue        text,
  body         json,
  at           timestamptz default null,
  headers      jsonb default null,
  ordering_key text default null,
  expires_at   timestamptz default null,
  idempotency_key text default null
)
returns bigint
language sql
volatile
as $$ select hooks.send($1, $2::pg_catalog.text, $3, $4, $5, $6, $7) $$;
comment on function hooks.send(text, json, timestamptz, jsonb, text, timestamptz, text) is 'As hooks.send(text, text), with a JSON body, whose text is kept as it is.';

create function hooks.send(
  queue        text,
  body         bytea,
  at           timestamptz default null,
  headers      jsonb default null,
  ordering_key text default null,
  expires_at   timestamptz default null,
  idempotency_key text default null
)
returns bigint
language c
volatile
as 'MODULE_PATHNAME', 'send_bytea_wrapper';
comment on function hooks.send(text, bytea, timestamptz, jsonb, text, timestamptz, text) is 'As hooks.send(text, text), with a binary body.';

create function hooks.send_batch(
  queue        text,
  bodies       text[],
  at           timestamptz default null,
  headers      jsonb default null,
  ordering_key text default null,
  expires_at   timestamptz default null,
  idempotency_keys text[] default null
)
returns setof bigint
language c
volatile
as 'MODULE_PATHNAME', 'send_batch_text_wrapper';
comment on function hooks.send_batch(text, text[], timestamptz, jsonb, text, timestamptz, text[]) is 'Stores one message for each body, with an idempotency key for each if these are given. Returns their ids in the order of the bodies; null where the transform of the queue wanted no message.';

create function hooks.send_batch(
  queue        text,
  bodies       jsonb[],
  at           timestamptz default null,
  headers      jsonb default null,
  ordering_key text default null,
  expires_at   timestamptz default null,
  idempotency_keys text[] default null
)
returns setof bigint
language sql
volatile
as $$ select hooks.send_batch($1, $2::pg_catalog.text[], $3, $4, $5, $6, $7) $$;
comment on function hooks.send_batch(text, jsonb[], timestamptz, jsonb, text, timestamptz, text[]) is 'As hooks.send_batch(text, text[]), with JSON bodies.';

create function hooks.send_batch(
  queue        text,
  bodies       json[],
  at           timestamptz default null,
  headers      jsonb default null,
  ordering_key text default null,
  expires_at   timestamptz default null,
  idempotency_keys text[] default null
)
returns setof bigint
language sql
volatile
as $$ select hooks.send_batch($1, $2::pg_catalog.text[], $3, $4, $5, $6, $7) $$;
comment on function hooks.send_batch(text, json[], timestamptz, jsonb, text, timestamptz, text[]) is 'As hooks.send_batch(text, text[]), with JSON bodies, whose text is kept as it is.';

create function hooks.send_batch(
  queue        text,
  bodies       bytea[],
  at           timestamptz default null,
  headers      jsonb default null,
  ordering_key text default null,
  expires_at   timestamptz default null,
  idempotency_keys text[] default null
)
returns setof bigint
language c
volatile
as 'MODULE_PATHNAME', 'send_batch_bytea_wrapper';
comment on function hooks.send_batch(text, bytea[], timestamptz, jsonb, text, timestamptz, text[]) is 'As hooks.send_batch(text, text[]), with binary bodies.';

create function hooks.cancel(id bigint)
returns boolean
language hooks_plpgsql
volatile
as $$
#variable_conflict use_column
begin
  with gone as (
    delete from hooks.message as m where m.id = cancel.id and hooks.may(m.queue_id, 'manage')
    returning m.id, m.queue_id, m.attempt, m.created_at, m.due_at, m.event_id
  )
  insert into hooks.message_log (id, queue_id, state, attempts, created_at, due_at, finished_at, event_id)
  select g.id, g.queue_id, 'cancelled', g.attempt, g.created_at, g.due_at, now(), g.event_id
  from gone as g;
  return found;
end
$$;
comment on function hooks.cancel(bigint) is 'Cancels a message that is not finished. Returns false when there is none of that id. An attempt that is on the wire may still arrive.';

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
language hooks_plpgsql
stable
as $$
#variable_conflict use_column
begin
  return query
  select found.id, q.name, found.state, found.attempts, found.due_at, found.created_at, found.finished_at,
         coalesce(found.last_status, last.status), coalesce(found.last_error, last.error)
  from hooks.message_state as found
  left join hooks.queue as q on q.id = found.queue_id
  left join lateral (
    select a.status, a.error
    from hooks.attempt as a
    where a.message_id = found.id
    order by a.attempt desc
    limit 1
  ) as last on true
  where found.id = status.message_id
    and hooks.may(found.queue_id, 'read');
end
$$;
comment on function hooks.status(bigint) is 'Where a message stands: scheduled, pending, retrying, delivered, dead, expired or cancelled. No row for an id that never was or is past its retention.';
