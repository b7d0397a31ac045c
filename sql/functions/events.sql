-- Events: publishing, and what became of them. Functions in C are in src/api; they are declared here so that names, defaults, privileges
-- and comments of the whole interface are read in one place.

create function hooks.event_keys(event_type bytea)
returns text[]
language c
immutable
as 'MODULE_PATHNAME', 'event_keys_wrapper';
comment on function hooks.event_keys(bytea) is 'Every hooks.subscription.match_key that a pattern which matches this event type can have; raises 22023 with a hint when it is none.';

create function hooks.event_type_problem(event_type bytea)
returns text
language c
immutable strict
as 'MODULE_PATHNAME', 'event_type_problem_wrapper';
comment on function hooks.event_type_problem(bytea) is 'Why this is no event type; null when it is one.';

create function hooks.check_published_event(event_type bytea)
returns void
language c
immutable strict
as 'MODULE_PATHNAME', 'check_published_event_wrapper';
comment on function hooks.check_published_event(bytea) is 'Raises 22023 with a hint unless users may publish events of this type.';

create function hooks.pattern_matches(pattern text, event_type text)
returns boolean
language c
immutable strict
as 'MODULE_PATHNAME', 'pattern_matches_wrapper';
comment on function hooks.pattern_matches(text, text) is 'Whether an event type matches a pattern, both of which were checked.';

create function hooks.check_metadata(metadata bytea)
returns void
language c
immutable strict
as 'MODULE_PATHNAME', 'check_metadata_wrapper';
comment on function hooks.check_metadata(bytea) is 'Raises 22023 with a hint unless the value is a JSON object of strings that can go out as headers.';

create function hooks.accepts(filter text, payload jsonb, variables jsonb)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce(jsonb_path_query_first_tz(payload, filter::jsonpath, variables, true) not in ('false', 'null'), false);
exception
  -- A variable that is not known, in a filter that was stored unchecked.
  when undefined_object then
    return false;
end
$$;
comment on function hooks.accepts(text, jsonb, jsonb) is 'Whether the first result of a jsonpath on the payload is there and neither false nor null. What the path cannot compute does not pass.';

-- One look into the index for each key of the type; a pattern is tried only if its key fits.
create function hooks.matching_subscriptions(
  event_type text,
  payload    jsonb,
  metadata   jsonb,
  out id bigint,
  out queue_id bigint,
  out headers jsonb,
  out envelope text,
  out transform text
)
returns setof record
language plpgsql
stable
rows 10
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  keys constant text[] := hooks.event_keys(convert_to(event_type, 'UTF8'));
  variables constant jsonb := jsonb_build_object('type', event_type, 'metadata', coalesce(metadata, '{}'));
begin
  return query
  select s.id, s.queue_id, s.headers, s.envelope, s.transform
  from unnest(keys) as k(match_key)
  cross join lateral (
    select *
    from hooks.subscription as c
    where c.match_key = k.match_key
      and c.active
    offset 0
  ) as s
  where hooks.pattern_matches(s.pattern, event_type)
    and (s.filter is null or hooks.accepts(s.filter, payload, variables));
end
$$;
comment on function hooks.matching_subscriptions(text, jsonb, jsonb) is 'The active subscriptions that an event goes to.';

create function hooks.transforms_of(
  event_type text,
  payload    jsonb,
  metadata   jsonb,
  out subscription_id bigint,
  out call text,
  out function_id oid,
  out context jsonb
)
returns setof record
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  keys constant text[] := hooks.event_keys(convert_to(event_type, 'UTF8'));
begin
  -- Mostly there is none, which the index of those that have one tells at once.
  if not exists (select from unnest(keys) as k(match_key)
                 cross join lateral (
                   select from hooks.subscription as c
                   where c.match_key = k.match_key and c.active and c.transform is not null
                   limit 1) as s) then
    return;
  end if;
  return query
  select s.id, s.transform, to_regprocedure(s.transform || '(pg_catalog.jsonb, pg_catalog.jsonb)')::oid,
         jsonb_build_object('type', event_type, 'metadata', coalesce(metadata, '{}'),
           'subscription_id', s.id, 'queue', q.name)
  from hooks.matching_subscriptions(event_type, payload, metadata) as s
  join hooks.queue as q on q.id = s.queue_id
  where s.transform is not null
  order by s.id;
end
$$;
comment on function hooks.transforms_of(text, jsonb, jsonb) is 'The functions that hooks.publish() runs for an event, each with its oid, null for one that is not there, and what it is told besides the payload.';

-- A subscription makes whoever publishes run its function. That is no way to what its owner may not do:
-- he is asked for right before the call, by oid, as an earlier transform may have replaced what the name
-- stands for.
create function hooks.run_transform(
  call        text,
  function_id oid,
  payload     jsonb,
  context     jsonb
)
returns jsonb
language c
volatile
as 'MODULE_PATHNAME', 'run_transform';
comment on function hooks.run_transform is 'Runs a transform as the current user. Raises 42501 unless its owner is the current user, a superuser or a role that may act as the current user, and unless that user may execute it.';

-- It runs as whoever publishes, and in their search_path, as the functions that it calls expect. So it
-- names the schema of everything.
create function hooks.run_transforms(
  event_type text,
  payload    jsonb,
  metadata   jsonb,
  out ids bigint[],
  out bodies text[]
)
returns record
language plpgsql
volatile
as $$
declare
  t record;
  has_news boolean := true;
begin
  -- Subscriptions may get transforms while others run. That ends here even if these make further ones.
  for look in 1..4 loop
    exit when not has_news;
    has_news := false;
    for t in select * from hooks.transforms_of(event_type, payload, metadata) loop
      continue when t.subscription_id operator(pg_catalog.=) any (ids);
      has_news := true;
      ids := pg_catalog.array_append(ids, t.subscription_id);
      bodies := pg_catalog.array_append(bodies,
        hooks.run_transform(t.call, t.function_id, payload, t.context)::pg_catalog.text);
    end loop;
  end loop;
end
$$;
comment on function hooks.run_transforms(text, jsonb, jsonb) is 'Runs the transforms of an event as the current user. Returns the subscriptions whose transform ran, and what each gave, null for no message.';

create function hooks.refuse_untransformed(event_type text)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception using errcode = 'serialization_failure',
    message = format('a subscription to "%s" got a transform while the event was published', event_type),
    hint = 'Run the transaction again.';
end
$$;
comment on function hooks.refuse_untransformed(text) is 'Raises 40001: an event would not reach a subscription whose transform did not run.';

create function hooks.store_event(
  event_type      text,
  payload         jsonb,
  ttl             interval,
  metadata        jsonb,
  headers         jsonb,
  ordering_key    text,
  idempotency_key text,
  transformed     bigint[],
  bodies          text[],
  out event_id bigint,
  out messages integer
)
returns record
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  ends constant timestamptz := now() + ttl;
  content constant text := payload::text;
  first boolean;
begin
  if content is null then
    perform hooks.refuse('payload must not be null', 'Give JSON, such as ''{}'' or, for its null, ''null''.');
  end if;
  if ends <= now() then
    perform hooks.refuse('ttl must be more than 0', 'Leave it out for an event that does not expire.');
  end if;
  perform hooks.check_published_event(convert_to(event_type, 'UTF8'));
  if current_setting('hooks.traceparent', true) <> '' then
    headers := hooks.traced(headers);
  end if;
  perform hooks.check_body_size(octet_length(content));
  if headers is not null then
    perform hooks.check_headers(convert_to(headers::text, 'UTF8'));
  end if;
  if metadata is not null then
    perform hooks.check_metadata(convert_to(metadata::text, 'UTF8'));
  end if;
  if idempotency_key is not null then
    select c.id, c.first into event_id, first
    from hooks.claim_key(event_type, idempotency_key, 'hooks.event_id_seq') as c;
    if not first then
      messages := 0;
      return;
    end if;
  else
    event_id := nextval('hooks.event_id_seq');
  end if;
  insert into hooks.event (id, type, payload, expires_at, metadata, headers)
  values (event_id, event_type, content, ends, metadata, headers);
  insert into hooks.message (queue_id, headers, body, ordering_key, expires_at, event_id, envelope)
  select s.queue_id, s.headers, t.body, ordering_key, ends, event_id, nullif(s.envelope, 'raw')
  from hooks.matching_subscriptions(event_type, payload, metadata) as s
  left join unnest(transformed, bodies) as t(id, body) on t.id = s.id
  where case when t.id is not null then t.body is not null
             else s.transform is null or hooks.refuse_untransformed(event_type) end;
  get diagnostics messages = row_count;
end
$$;
comment on function hooks.store_event is 'Stores an event and a message for each subscription that it goes to; the second half of hooks.publish(), which runs the transforms as its caller first.';

create function hooks.emitted_payload(body text, trigger_named text)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return body::jsonb;
exception when data_exception or program_limit_exceeded then
  raise exception using errcode = sqlstate,
    message = format('row cannot be published as an event: %s', sqlerrm),
    detail = trigger_named,
    hint = 'Leave the column out with exclude=, or send the row to a queue.';
end
$$;
comment on function hooks.emitted_payload(text, text) is 'What hooks.emit() renders of a row as jsonb, which cannot hold all that JSON can. An error says of which trigger.';

create function hooks.emitted_transforms(
  event_type    text,
  body          text,
  trigger_named text,
  out subscription_id bigint,
  out call text,
  out function_id oid,
  out context jsonb
)
returns setof record
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  content constant jsonb := hooks.emitted_payload(body, trigger_named);
begin
  return query
  select t.subscription_id, t.call, t.function_id, t.context
  from hooks.transforms_of(event_type, content, null) as t;
end
$$;
comment on function hooks.emitted_transforms is 'The functions that hooks.emit() runs for an event, as whoever changes the table.';

create function hooks.has_transforms(event_type text)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select exists (
    select from unnest(hooks.event_keys(convert_to(event_type, 'UTF8'))) as k(match_key)
    join hooks.subscription as s on s.match_key = k.match_key
    where s.active and s.transform is not null and hooks.pattern_matches(s.pattern, event_type)
  )
$$;
comment on function hooks.has_transforms(text) is 'Whether events of this type may have to be transformed.';

create function hooks.publish(
  event_type      text,
  payload         jsonb,
  ttl             interval default null,
  metadata        jsonb default null,
  headers         jsonb default null,
  ordering_key    text default null,
  idempotency_key text default null,
  out event_id bigint,
  out messages integer
)
returns record
language plpgsql
volatile
as $$
declare
  made record;
begin
  -- As in run_transforms: the search_path is that of the caller.
  select s.event_id, s.messages into made
  from hooks.run_transforms($1, $2, $4) as t,
       hooks.store_event($1, $2, $3, $4, $5, $6, $7, t.ids, t.bodies) as s;
  event_id := made.event_id;
  messages := made.messages;
end
$$;
comment on function hooks.publish is 'Publishes an event in the transaction of the caller: one message for each active subscription that it goes to, sent after the commit. Returns the id of the event and how many messages there are; none is no error. With an idempotency_key that was given for this type within hooks.idempotency_window it makes nothing and returns the id of the first.';

create function hooks.event_status(
  event_id bigint,
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
  where found.event_id = event_status.event_id
    and hooks.may(found.queue_id, 'read')
  order by found.id;
end
$$;
comment on function hooks.event_status(bigint) is 'Where each message of an event stands, as hooks.status() says it of one.';

create function hooks.queue_messages(
  queue     text,
  state     text default null,
  row_limit integer default 100,
  before_id bigint default null,
  out id bigint,
  out event_id bigint,
  out message_state text,
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
#variable_conflict use_variable
declare
  wanted constant bigint := hooks.allowed_queue(queue, 'read');
begin
  if row_limit is null or row_limit not between 1 and 10000 then
    perform hooks.refuse('row_limit must be between 1 and 10000',
      'Go on from the last id of a page with before_id.');
  end if;
  return query
  select found.id, found.event_id, found.state, found.attempts, found.due_at, found.created_at, found.finished_at,
         coalesce(found.last_status, last.status), coalesce(found.last_error, last.error)
  from (
    select m.*
    from hooks.message_state as m
    where m.queue_id = wanted
      and (before_id is null or m.id < before_id)
      and (queue_messages.state is null or m.state = queue_messages.state)
    order by m.id desc
    limit row_limit
  ) as found
  left join lateral (
    select a.status, a.error
    from hooks.attempt as a
    where a.message_id = found.id
    order by a.attempt desc
    limit 1
  ) as last on true
  order by found.id desc;
end
$$;
comment on function hooks.queue_messages is 'Where the messages of a queue stand, the newest first, from before before_id on; only those of one state if that is given. It passes over the newer messages of all other queues, and all that are kept when it finds fewer than row_limit: for looking into, not for polling.';
