-- Dead letters: looking at one, sending them again, clearing them away.

create function hooks.times_redriven(headers jsonb)
returns integer
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(max(case when h.value #>> '{}' ~ '^[0-9]{1,6}$' then (h.value #>> '{}')::integer end), 0)
  from jsonb_each(case when jsonb_typeof(headers) = 'object' then headers else '{}' end) as h
  where lower(h.key) = 'hooks-redriven'
$$;
comment on function hooks.times_redriven(jsonb) is 'What the header Hooks-Redriven says; 0 without it.';

create function hooks.show_dead_letter(
  id bigint,
  out queue text,
  out attempts integer,
  out last_status smallint,
  out error_class text,
  out last_error text,
  out created_at timestamptz,
  out due_at timestamptz,
  out dead_at timestamptz,
  out redriven integer,
  out headers jsonb,
  out body text,
  out body_bytes bytea,
  out ordering_key text,
  out event_id bigint,
  out event_type text,
  out event_payload text
)
returns setof record
language hooks_plpgsql
stable
as $$
#variable_conflict use_column
begin
  return query
  select q.name, d.attempts, d.last_status, d.error_class, d.last_error, d.created_at, d.due_at, d.dead_at,
         hooks.times_redriven(d.headers), d.headers, d.body, d.body_bytes, d.ordering_key,
         d.event_id, e.type, e.payload
  from hooks.dead_letter as d
  left join hooks.queue as q on q.id = d.queue_id
  left join hooks.event as e on e.id = d.event_id
  where d.id = show_dead_letter.id
    and hooks.may(d.queue_id, 'manage');
end
$$;

comment on function hooks.show_dead_letter(bigint) is 'One dead letter with everything that is known of it; its attempts are in hooks.attempt. No row when there is none of that id.';

-- Headers that are no object are left as they are, and refused when they are stored.
create function hooks.redriven_headers(headers jsonb)
returns jsonb
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
  select case when jsonb_typeof(headers) is distinct from 'object' and headers is not null then headers
              else (select coalesce(jsonb_object_agg(h.key, h.value), '{}')
                    from jsonb_each(headers) as h
                    where lower(h.key) <> 'hooks-redriven')
                   || jsonb_build_object('hooks-redriven', (hooks.times_redriven(headers) + 1)::text) end
$$;
comment on function hooks.redriven_headers(jsonb) is 'Headers of a message that is redriven once more.';

create function hooks.redrive_batch(
  ids      bigint[],
  target   bigint,
  first_at timestamptz,
  pause    interval,
  place    bigint
)
returns bigint
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
  with revived as (
    delete from hooks.dead_letter as d where d.id = any (redrive_batch.ids)
    returning d.*
  ), stored as (
    insert into hooks.message (id, queue_id, due_at, attempt, attempts_before, created_at, headers, body, body_bytes,
      ordering_key, event_id, envelope)
    select r.id, coalesce(redrive_batch.target, r.queue_id),
           redrive_batch.first_at
             + redrive_batch.pause * (redrive_batch.place + row_number() over (order by r.dead_at, r.id) - 1),
           r.attempts, r.attempts, r.created_at,
           case when r.headers is null then '{"hooks-redriven": "1"}' else hooks.redriven_headers(r.headers) end,
           r.body, r.body_bytes, r.ordering_key, r.event_id, r.envelope
    from revived as r
    returning 1
  )
  select count(*) from stored
$$;
comment on function hooks.redrive_batch is 'Makes messages of these dead letters; place is how many come before them in the order of due times. Returns how many.';

create function hooks.purge_batch(ids bigint[])
returns bigint
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
  with gone as (
    delete from hooks.dead_letter as d where d.id = any (purge_batch.ids)
    returning d.id, d.queue_id, d.attempts, d.last_status, d.created_at, d.due_at, d.event_id
  ), logged as (
    insert into hooks.message_log (id, queue_id, state, attempts, last_status, created_at, due_at, finished_at, event_id)
    select g.id, g.queue_id, 'dead', g.attempts, g.last_status, g.created_at, g.due_at, now(), g.event_id
    from gone as g
    returning 1
  )
  select count(*) from logged
$$;
comment on function hooks.purge_batch(bigint[]) is 'Removes these dead letters and logs that. Returns how many.';

-- Jumps from queue to queue in the index.
create function hooks.dead_letter_queues(existing boolean)
returns setof bigint
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  with recursive present(queue_id) as (
    (select d.queue_id from hooks.dead_letter as d order by d.queue_id limit 1)
    union all
    select (select d.queue_id
            from hooks.dead_letter as d
            where d.queue_id > p.queue_id
            order by d.queue_id
            limit 1)
    from present as p
    where p.queue_id is not null
  )
  select p.queue_id
  from present as p
  where p.queue_id is not null
    and (not existing or exists (select from hooks.queue as q where q.id = p.queue_id))
$$;
comment on function hooks.dead_letter_queues(boolean) is 'The queues that dead letters name; only those that exist, or also those that were dropped.';

create function hooks.check_selection(
  id          bigint,
  ids         bigint[],
  queue       text,
  since       timestamptz,
  until       timestamptz,
  error_class text,
  row_limit   bigint
)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
begin
  if num_nonnulls(id, ids, queue, since, until) = 0 then
    perform hooks.refuse('it is not said which dead letters are meant',
      'Give id, ids, queue, since or until; since => ''-infinity'' means all.');
  end if;
  if num_nonnulls(id, ids) > 0 and num_nonnulls(id, ids, queue, since, until, error_class, row_limit) > 1 then
    perform hooks.refuse('id and ids exclude each other and every other selection',
      'Give one of them alone, or queue, since, until, error_class and row_limit.');
  end if;
  if since >= until then
    perform hooks.refuse('since must be before until', 'Exchange the two values.');
  end if;
  if row_limit < 1 then
    perform hooks.refuse('row_limit must be at least 1', 'Leave it out for all.');
  end if;
  perform hooks.check_error_class(error_class);
end
$$;
comment on function hooks.check_selection is 'Raises 22023 with a hint unless this says which dead letters are meant.';

-- Some at a time, so that neither memory nor the undoing of a failure grows with their number. Letters that
-- another call is taking are left to it, but for those that are named: these it waits for.
create function hooks.lock_dead_letters(
  id          bigint,
  ids         bigint[],
  queue       text,
  since       timestamptz,
  until       timestamptz,
  error_class text,
  row_limit   bigint,
  of_dropped  boolean
)
returns setof bigint[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  slice constant integer := 1000;
  wanted constant bigint := case when queue is not null then hooks.allowed_queue(queue, 'manage') end;
  named bigint[];
  letters bigint[];
  found text;
  after_at timestamptz := coalesce(since, '-infinity');
  after_id bigint := -9223372036854775808;
  last_at timestamptz;
  last_id bigint;
  left_over bigint := coalesce(row_limit, 9223372036854775807);
begin
  perform hooks.check_selection(id, ids, queue, since, until, error_class, row_limit);
  named := array(select distinct n.id from unnest(array_append(ids, id)) as n(id) where n.id is not null order by n.id);
  while cardinality(named) > 0 loop
    select array_agg(d.id) into letters
    from (select d.id from hooks.dead_letter as d where d.id = any (named[:slice]) and hooks.may(d.queue_id, 'manage')
          order by d.id for update) as d;
    if letters is not null then
      return next letters;
    end if;
    named := named[slice + 1:];
  end loop;
  if num_nonnulls(id, ids) > 0 then
    return;
  end if;
  -- Of one queue, or of all that there are, in the order of their deaths.
  found := case when wanted is not null then format('d.queue_id = %s', wanted)
                else 'hooks.may(d.queue_id, ''manage'')'
                  || case when of_dropped then ''
                          else ' and exists (select from hooks.queue as q where q.id = d.queue_id)' end
           end || case when error_class is null then '' else format(' and d.error_class = %L', error_class) end;
  -- What dies meanwhile is left for another time.
  execute 'select d.dead_at, d.id from hooks.dead_letter as d where d.dead_at < $1'
    || case when wanted is null then '' else format(' and d.queue_id = %s', wanted) end || ' order by d.dead_at desc, d.id desc limit 1'
    into last_at, last_id
    using coalesce(until, 'infinity');
  while last_at is not null and left_over > 0 loop
    execute format(
      'select (array_agg(p.dead_at order by p.dead_at desc, p.id desc))[1],
              (array_agg(p.id order by p.dead_at desc, p.id desc))[1],
              array_agg(p.id order by p.dead_at, p.id)
       from (
         select d.dead_at, d.id
         from hooks.dead_letter as d
         where (d.dead_at, d.id) > ($1, $2)
           and (d.dead_at, d.id) <= ($3, $4)
           and %s
         order by d.dead_at, d.id
         limit $5
         for update of d skip locked
       ) as p', found)
      into after_at, after_id, letters
      using after_at, after_id, last_at, last_id, least(slice, left_over);
    exit when letters is null;
    left_over := left_over - cardinality(letters);
    return next letters;
  end loop;
end
$$;
comment on function hooks.lock_dead_letters is 'Locks the dead letters that are meant, and gives their ids some at a time, in the order of their deaths.';

create function hooks.redrive_some(
  letters  bigint[],
  target   bigint,
  first_at timestamptz,
  pause    interval,
  place    bigint,
  named    boolean
)
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  letter bigint;
  redriven bigint := 0;
  problem text;
begin
  if named then
    return hooks.redrive_batch(letters, target, first_at, pause, place);
  end if;
  -- Where there may be room for some of them only, each is tried alone.
  if not exists (select from hooks.queue as q
                 where q.id in (select coalesce(target, d.queue_id) from hooks.dead_letter as d where d.id = any (letters))
                   and num_nonnulls(q.max_messages, q.max_bytes) > 0) then
    begin
      return hooks.redrive_batch(letters, target, first_at, pause, place);
    exception
      when invalid_parameter_value or undefined_object or unique_violation or configuration_limit_exceeded then null;
    end;
  end if;
  -- One of them cannot be sent as it is, or finds no room, and must not keep the others.
  foreach letter in array letters loop
    begin
      redriven := redriven + hooks.redrive_batch(array[letter], target, first_at, pause, place + redriven);
    exception
      when invalid_parameter_value or undefined_object or unique_violation or configuration_limit_exceeded then
        problem := coalesce(problem, format('dead letter %s is not redriven: %s', letter, sqlerrm));
    end;
  end loop;
  if problem is not null then
    raise warning using
      message = problem,
      detail = format('%s of %s letters that were taken together stay.', cardinality(letters) - redriven, cardinality(letters)),
      hint = 'Redrive it by its id to see what is wrong, or purge it; if the queue is full, redrive it when there is room.';
  end if;
  return redriven;
end
$$;
comment on function hooks.redrive_some is 'As hooks.redrive_batch(), but letters that cannot be sent as they are, or for which a full queue has no room, stay, with a warning, unless there is one and it is named.';

create function hooks.pause_between(rate integer, per interval)
returns interval
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if rate is null then
    return '0';
  end if;
  if rate not between 1 and 1000000 then
    perform hooks.refuse('rate must be between 1 and 1000000', 'Leave it out to have all sent as soon as possible.');
  end if;
  if per is null or extract(epoch from per) not between 0.001 and 86400 then
    perform hooks.refuse('per must be between 1 millisecond and 1 day',
      'Give an interval such as ''1 second'' or ''1 minute''.');
  end if;
  return make_interval(secs => (extract(epoch from per) / rate)::double precision);
end
$$;
comment on function hooks.pause_between(integer, interval) is 'Time between the due times of messages that go at this rate; 0 without one.';

create function hooks.redrive(
  id          bigint default null,
  ids         bigint[] default null,
  queue       text default null,
  since       timestamptz default null,
  until       timestamptz default null,
  error_class text default null,
  to_queue    text default null,
  at          timestamptz default null,
  rate        integer default null,
  per         interval default '1 second',
  row_limit   bigint default null
)
returns bigint
language hooks_plpgsql
volatile
as $$
#variable_conflict use_variable
declare
  target constant bigint := case when to_queue is not null then hooks.allowed_queue(to_queue, 'send') end;
  -- At a rate, what the call itself takes must not come due at once.
  first_at constant timestamptz := greatest(at, case when rate is null then now() else clock_timestamp() end);
  pause constant interval := hooks.pause_between(rate, per);
  redriven bigint := 0;
  letters bigint[];
begin
  if at = 'infinity' then
    perform hooks.refuse('due time must not be infinite', 'Give the time at which to send.');
  end if;
  for letters in
    select hooks.lock_dead_letters(id, ids, queue, since, until, error_class, row_limit, target is not null)
  loop
    redriven := redriven + hooks.redrive_some(letters, target, first_at, pause, redriven, id is not null);
  end loop;
  return redriven;
end
$$;
comment on function hooks.redrive is 'Sends dead letters again, each under its id, with a fresh budget of attempts and without an end: the one of that id, those of these ids, or those of a queue, a time of death (from since on, before until) and an error class, at most row_limit of them and the oldest first. To another queue if to_queue is given, from at on, and at a rate of so many per interval. Returns how many. Raises 22023 when nothing is selected.';

create function hooks.purge(
  id          bigint default null,
  ids         bigint[] default null,
  queue       text default null,
  since       timestamptz default null,
  until       timestamptz default null,
  error_class text default null,
  row_limit   bigint default null
)
returns bigint
language hooks_plpgsql
volatile
as $$
#variable_conflict use_variable
declare
  purged bigint := 0;
  letters bigint[];
begin
  for letters in select hooks.lock_dead_letters(id, ids, queue, since, until, error_class, row_limit, true) loop
    purged := purged + hooks.purge_batch(letters);
  end loop;
  return purged;
end
$$;
comment on function hooks.purge is 'Removes dead letters with their bodies, and leaves a row of state dead in hooks.message_log for each. Which ones is said as for hooks.redrive(). Returns how many. Raises 22023 when nothing is selected.';
