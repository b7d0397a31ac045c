-- Subscriptions: which events go to which queue. Functions in C are in src/api; they are declared here so that names, defaults, privileges
-- and comments of the whole interface are read in one place.

create function hooks.pattern_key(pattern bytea)
returns text
language c
immutable strict
as 'MODULE_PATHNAME', 'pattern_key_wrapper';
comment on function hooks.pattern_key(bytea) is 'What hooks.subscription.match_key is for this pattern; raises 22023 with a hint when it is none.';

create function hooks.check_transform(transform text, required boolean)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  parts text[];
  qualified text;
begin
  begin
    parts := parse_ident(transform);
  exception
    when invalid_parameter_value then null;
  end;
  select format('%I.%I', n.nspname, p.proname) into qualified
  from pg_proc as p
  join pg_namespace as n on n.oid = p.pronamespace
  where cardinality(parts) = 2
    and n.nspname = parts[1]
    and p.proname = parts[2]
    and p.proargtypes = format('%s %s', 'jsonb'::regtype::oid, 'jsonb'::regtype::oid)::oidvector
    and p.prorettype = 'jsonb'::regtype
    and p.prokind = 'f'
    and not p.proretset;
  if qualified is null and cardinality(parts) = 2 and not required then
    raise warning using
      message = format('transform %s(jsonb, jsonb) does not exist', transform),
      hint = 'Create it before the subscription or queue is made active.';
    return format('%I.%I', parts[1], parts[2]);
  end if;
  if qualified is null then
    perform hooks.refuse(format('"%s" is not a function (jsonb, jsonb) that returns jsonb', transform),
      'Name it with its schema and without arguments, such as public.without_prices.');
  end if;
  return qualified;
end
$$;
comment on function hooks.check_transform(text, boolean) is 'The function of that name, quoted where need be; raises 22023 with a hint when there is none of the right kind, or warns of that if it is not required.';

create function hooks.check_filter(filter text)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  path text;
  unknown text;
begin
  begin
    path := filter::jsonpath::text;
  exception
    when others then
      perform hooks.refuse(format('filter is not a jsonpath: %s', sqlerrm),
        'Give a path such as $.amount > 100 or $.items[*] ? (@.price > 10).');
  end;
  -- As PostgreSQL writes a path, names and strings are in double quotes, and only those of variables come
  -- right after a dollar sign.
  select m.token[1] into unknown
  from regexp_matches(path, E'[$]?"(?:[^"\\\\]|\\\\.)*"', 'g') as m(token)
  where starts_with(m.token[1], '$')
    and m.token[1] not in ('$"type"', '$"metadata"')
  limit 1;
  if unknown is not null then
    perform hooks.refuse(format('filter uses the variable %s, which is not known', unknown),
      'It may use $type and $metadata.');
  end if;
end
$$;
comment on function hooks.check_filter(text) is 'Raises 22023 with a hint unless the text is a jsonpath that uses no other variables than $type and $metadata.';

create function hooks.check_subscription()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_relid is distinct from 'hooks.subscription'::regclass::oid then
    raise exception using errcode = 'feature_not_supported',
      message = 'this function can only be a trigger of hooks.subscription',
      hint = 'Change subscriptions with hooks.subscribe() and hooks.alter_subscription().';
  end if;
  if new.id is null or new.pattern is null or new.queue_id is null or new.active is null then
    perform hooks.refuse('id, pattern, queue_id and active must not be null',
      'Give event pattern and queue, and leave out what is to have its default.');
  end if;
  new.match_key := hooks.pattern_key(convert_to(new.pattern, 'UTF8'));
  if new.headers is not null then
    perform hooks.check_headers(convert_to(new.headers::text, 'UTF8'));
  end if;
  if new.envelope is null or new.envelope not in ('raw', 'standard', 'cloudevents', 'cloudevents-binary') then
    perform hooks.refuse(format('envelope %s is not known', coalesce(format('"%s"', new.envelope), 'null')),
      'Use raw, standard, cloudevents or cloudevents-binary.');
  end if;
  if new.filter is distinct from old.filter then
    perform hooks.check_filter(new.filter);
  end if;
  -- A restore brings back what refers to a function that is gone, if nothing needs it.
  if new.transform is not null
     and (new.transform is distinct from old.transform or (new.active and new.active is distinct from old.active)) then
    new.transform := hooks.check_transform(new.transform, new.active);
  end if;
  if not exists (select from hooks.queue as q where q.id = new.queue_id) then
    raise exception using errcode = 'undefined_object',
      message = format('queue with id %s does not exist', new.queue_id),
      hint = 'Look for its id in hooks.queue.';
  end if;
  new.created_at := coalesce(new.created_at, now());
  new.updated_at := clock_timestamp();
  return new;
end
$$;
comment on function hooks.check_subscription() is 'Trigger: validates a subscription before it is stored.';

create trigger check_subscription
  before insert or update on hooks.subscription
  for each row when (not hooks.restoring('hooks.subscription')) execute function hooks.check_subscription();

create function hooks.subscribe(
  event_pattern text,
  queue         text,
  filter        text default null,
  headers       jsonb default null,
  envelope      text default 'raw',
  transform     text default null,
  active        boolean default true,
  description   text default null
)
returns bigint
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
  insert into hooks.subscription (pattern, queue_id, filter, headers, envelope, transform, active, description)
  values (subscribe.event_pattern, hooks.queue_id(subscribe.queue), subscribe.filter, subscribe.headers,
    subscribe.envelope, subscribe.transform, subscribe.active, subscribe.description)
  returning id
$$;
comment on function hooks.subscribe is 'Has the queue get a message for each event whose type matches the pattern and whose payload passes the filter. Returns the id of the subscription.';

create function hooks.unsubscribe(id bigint)
returns boolean
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
  with gone as (
    delete from hooks.subscription as s where s.id = unsubscribe.id returning 1
  )
  select exists (select from gone)
$$;
comment on function hooks.unsubscribe(bigint) is 'Removes a subscription; messages that it made are sent. Returns false when there is none of that id.';

create function hooks.alter_subscription(
  id            bigint,
  event_pattern text default null,
  queue         text default null,
  filter        text default null,
  headers       jsonb default null,
  envelope      text default null,
  transform     text default null,
  active        boolean default null,
  description   text default null,
  reset         text[] default '{}'
)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  resettable constant text[] := array['filter', 'headers', 'transform', 'description'];
  unknown text;
begin
  reset := array_remove(coalesce(reset, '{}'), null);
  select r.field into unknown from unnest(reset) as r(field) where r.field <> all (resettable) limit 1;
  if unknown is not null then
    perform hooks.refuse(format('"%s" cannot be reset', unknown),
      format('reset takes %s.', array_to_string(resettable, ', ')));
  end if;
  update hooks.subscription as s set
    pattern = coalesce(event_pattern, s.pattern),
    queue_id = case when queue is not null then hooks.queue_id(queue) else s.queue_id end,
    filter = coalesce(filter, case when not 'filter' = any (reset) then s.filter end),
    headers = coalesce(headers, case when not 'headers' = any (reset) then s.headers end),
    envelope = coalesce(envelope, s.envelope),
    transform = coalesce(transform, case when not 'transform' = any (reset) then s.transform end),
    active = coalesce(active, s.active),
    description = coalesce(description, case when not 'description' = any (reset) then s.description end)
  where s.id = alter_subscription.id;
  if not found then
    raise exception using errcode = 'undefined_object',
      message = format('subscription %s does not exist', coalesce(id::text, 'null')),
      hint = 'Look for its id with hooks.list_subscriptions().';
  end if;
end
$$;
comment on function hooks.alter_subscription is 'Changes what is given of a subscription and leaves the rest. reset names what goes back to none: filter, headers, transform, description.';

create function hooks.list_subscriptions(
  prefix    text default null,
  active    boolean default null,
  queue     text default null,
  row_limit integer default 100,
  after_id  bigint default 0,
  out id bigint,
  out pattern text,
  out to_queue text,
  out filter text,
  out headers jsonb,
  out envelope text,
  out transform text,
  out is_active boolean,
  out description text,
  out created_at timestamptz,
  out updated_at timestamptz
)
returns setof record
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  wanted constant bigint := case when queue is not null then hooks.queue_id(queue) end;
begin
  if row_limit is null or row_limit not between 1 and 10000 then
    perform hooks.refuse('row_limit must be between 1 and 10000',
      'Go on from the last id of a page with after_id.');
  end if;
  return query
  select s.id, s.pattern, q.name, s.filter, s.headers, s.envelope, s.transform, s.active, s.description,
         s.created_at, s.updated_at
  from hooks.subscription as s
  join hooks.queue as q on q.id = s.queue_id
  where s.id > coalesce(after_id, 0)
    and (prefix is null or starts_with(s.pattern, prefix))
    and (list_subscriptions.active is null or s.active = list_subscriptions.active)
    and (wanted is null or s.queue_id = wanted)
  order by s.id
  limit row_limit;
end
$$;
comment on function hooks.list_subscriptions is 'Subscriptions in the order of their ids, from behind after_id on: those whose pattern begins with the prefix, that are active or not, that go to a queue.';
