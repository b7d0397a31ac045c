-- Lists for people and their tools: page by page, the newest first.
--
-- A page goes on from a cursor, which is the place of a row in the order of the list, and so costs the same
-- however many rows there are before it. The query of a page is made as text: with the conditions that were
-- given and no others, so that each has the plan that suits it.

create function hooks.page_cursor(at timestamptz, id bigint)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$ select format('%s-%s', (extract(epoch from at) * 1000000)::bigint, id) $$;
comment on function hooks.page_cursor(timestamptz, bigint) is 'The place of a row in a list: where the next page begins.';

create function hooks.page_range(
  at text,
  id text,
  from_time timestamptz,
  to_time timestamptz,
  after_cursor text,
  before_cursor text
)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set datestyle = 'ISO'
as $$
declare
  place constant text := coalesce(after_cursor, before_cursor);
  range text := '';
begin
  if from_time is not null then
    range := range || format(' and %s >= %L::timestamptz', at, from_time);
  end if;
  if to_time is not null then
    range := range || format(' and %s < %L::timestamptz', at, to_time);
  end if;
  if place is null then
    return range;
  end if;
  if place !~ '^-?[0-9]{1,18}-[0-9]{1,18}$' then
    perform hooks.refuse('page cursor is not valid',
      'Give the page_cursor of a row that the same function listed.');
  end if;
  return range || format(' and (%s, %s) %s (%L::timestamptz, %L::bigint)', at, id,
    case when before_cursor is null then '<' else '>' end,
    timestamptz 'epoch' + substring(place from '^-?[0-9]+')::bigint * interval '1 microsecond',
    substring(place from '[0-9]+$'));
end
$$;
comment on function hooks.page_range is 'Condition that rows are within a range of time, and come after or before a cursor in a list that begins with the newest.';

create function hooks.check_page(
  from_time timestamptz,
  to_time timestamptz,
  after_cursor text,
  before_cursor text,
  row_limit integer,
  row_offset integer
)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if row_limit is null or row_limit not between 1 and 1000 then
    perform hooks.refuse('row_limit must be between 1 and 1000',
      'Go on from the page_cursor of the last row with after_cursor.');
  end if;
  if row_offset is null or row_offset not between 0 and 10000 then
    perform hooks.refuse('row_offset must be between 0 and 10000',
      'Rows that are passed over are read all the same; go on from a page_cursor with after_cursor.');
  end if;
  if after_cursor is not null and before_cursor is not null then
    perform hooks.refuse('after_cursor and before_cursor exclude each other',
      'Give after_cursor for older rows, or before_cursor for newer ones.');
  end if;
  if from_time >= to_time then
    perform hooks.refuse('the range of time is empty',
      'Rows are listed from the first time on, up to the second and without it.');
  end if;
end
$$;
comment on function hooks.check_page(timestamptz, timestamptz, text, text, integer, integer) is 'Raises 22023 with a hint unless range, cursors, limit and offset of a page are sound.';

create function hooks.check_error_class(error_class text)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  -- Of attempts, as in src/domain/outcome.rs, and of messages that ended without one.
  known constant text[] := array['auth', 'blocked', 'connect', 'connection_lost', 'dns', 'expired', 'fault',
    'queue_dropped', 'secret', 'status', 'timeout', 'tls', 'unbuildable', 'unreadable', 'worker_died'];
begin
  if error_class <> all (known) then
    perform hooks.refuse(format('error class "%s" is not known', error_class),
      format('Use %s or %s.', array_to_string(known[:cardinality(known) - 1], ', '), known[cardinality(known)]));
  end if;
end
$$;
comment on function hooks.check_error_class(text) is 'Raises 22023 unless dead letters can have this error_class.';

create function hooks.messages_query(
  queue text,
  state text,
  event_pattern text,
  event_id bigint,
  created_from timestamptz,
  created_to timestamptz,
  after_cursor text,
  before_cursor text,
  row_limit integer,
  row_offset integer
)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set datestyle = 'ISO'
as $$
#variable_conflict use_variable
declare
  waiting constant text[] := array['scheduled', 'pending', 'retrying', 'expired'];
  logged constant text[] := array['delivered', 'dead', 'expired', 'cancelled'];
  direction constant text := case when before_cursor is null then 'desc' else 'asc' end;
  paged constant text := format(' order by t.created_at %1$s, t.id %1$s limit %2$s', direction, row_limit + row_offset);
  -- The order of all is made of the orders of each queue: an index for it would cost every message.
  each_queue constant text :=
    'select m.* from hooks.queue as q cross join lateral (';
  wanted constant bigint := hooks.listed_queue(queue);
  -- Of the clock: what the query sees may have been made after the transaction began. A literal, so that it can bound a walk.
  moment constant text := format('%L::timestamptz', clock_timestamp());
  found text := 'true';
  range text;
  arms text[] := '{}';
  arm text;
  waits text;
  ended text;
  of_each text;
begin
  if state is not null and state <> all (waiting || logged) then
    perform hooks.refuse(format('state "%s" is not known', state),
      'Use scheduled, pending, retrying, delivered, dead, expired or cancelled.');
  end if;
  if event_pattern is not null and event_id is not null then
    perform hooks.refuse('event_pattern and event_id exclude each other',
      'Give the id of one event, or the pattern of the types of many.');
  end if;
  perform hooks.check_page(created_from, created_to, after_cursor, before_cursor, row_limit, row_offset);
  if queue is not null then
    found := found || format(' and t.queue_id = %L::bigint', wanted);
  end if;
  if event_id is not null then
    found := found || format(' and t.event_id = %L::bigint', event_id);
  end if;
  if event_pattern is not null then
    perform hooks.pattern_key(convert_to(event_pattern, 'UTF8'));
    found := found || format(' and exists (select from hooks.event as e
      where e.id = t.event_id and hooks.pattern_matches(%L, e.type))', event_pattern);
  end if;
  range := hooks.page_range('t.created_at', 't.id', created_from, created_to, after_cursor, before_cursor);
  if state is null or state = any (waiting) then
    waits := 'select t.id, t.queue_id, t.event_id,
         case when t.expires_at <= ' || moment || ' then ''expired''
              when t.due_at > ' || moment || ' and t.attempt = t.attempts_before then ''scheduled''
              when t.attempt > t.attempts_before then ''retrying''
              else ''pending'' end as state,
         t.attempt as attempts, t.due_at, t.created_at, null::timestamptz as finished_at,
         null::smallint as last_status, null::text as last_error, false as kept
       from hooks.message as t where ' || found || case state
         when 'expired' then ' and t.expires_at <= ' || moment
         when 'scheduled' then ' and t.due_at > ' || moment || ' and t.attempt = t.attempts_before'
         when 'retrying' then ' and t.attempt > t.attempts_before'
         when 'pending' then ' and t.due_at <= ' || moment || ' and t.attempt = t.attempts_before'
         else '' end
       || case when state <> 'expired' then ' and (t.expires_at is null or t.expires_at > ' || moment || ')' else '' end;
    if event_id is not null then
      arms := arms || (waits || range || paged);
    else
      of_each := case when queue is null then ' and t.queue_id = q.id' else '' end;
      -- Most are due since they were made. Those are in the order of message_by_due, so that no message pays for
      -- an index for lists but the others, which have one of their own.
      arm := waits || range || of_each || case when state = 'retrying' then '' else ' and t.due_at <> t.created_at' end
        || paged;
      arms := arms || case when queue is null then each_queue || arm || ') as m' else arm end;
      if state is null or state in ('pending', 'expired') then
        arm := waits || hooks.page_range('t.due_at', 't.id', created_from, created_to, after_cursor, before_cursor) || of_each
          || ' and t.due_at = t.created_at and t.due_at <= ' || moment
          || replace(paged, 't.created_at', 't.due_at');
        arms := arms || case when queue is null then each_queue || arm || ') as m' else arm end;
      end if;
    end if;
  end if;
  if state is null or state = 'dead' then
    arms := arms || ('select t.id, t.queue_id, t.event_id, ''dead'' as state, t.attempts, t.due_at, t.created_at,
         t.dead_at as finished_at, t.last_status, t.last_error, true as kept
       from hooks.dead_letter as t where ' || found || range || paged);
  end if;
  if state is null or state = any (logged) then
    ended := 'select t.id, t.queue_id, t.event_id, t.state, t.attempts, t.due_at, t.created_at, t.finished_at,
         t.last_status, null::text as last_error, t.kept
       from hooks.message_log as t where ' || found || range;
    if queue is not null or event_id is not null then
      arms := arms || (ended || case
        when state = 'delivered' then ' and t.state = ''delivered'''
        when state is not null then format(' and t.state <> ''delivered'' and t.state = %L', state)
        else '' end || paged);
    else
      if state is null or state = 'delivered' then
        arm := ended || ' and t.state = ''delivered'' and t.queue_id = q.id' || paged;
        arms := arms || (each_queue || arm || ') as m');
      end if;
      -- Few are not delivered, and these have an index of their own; it has those of dropped queues too.
      if state is distinct from 'delivered' then
        arms := arms || (ended || ' and t.state <> ''delivered''' || case when state is not null then format(' and t.state = %L', state) else '' end
          || paged);
      end if;
    end if;
  end if;
  return format(
    'select p.id, q.name, p.event_id, e.type, p.state, p.attempts, p.due_at, p.created_at, p.finished_at,
            coalesce(p.last_status, a.status), coalesce(p.last_error, a.error), p.kept,
            hooks.page_cursor(p.created_at, p.id)
     from (select * from ((%s)) as u order by u.created_at %s, u.id %2$s limit %s offset %s) as p
     left join hooks.queue as q on q.id = p.queue_id
     left join hooks.event as e on e.id = p.event_id
     left join lateral (
       select l.status, l.error
       from hooks.attempt as l
       where l.message_id = p.id and p.state = ''retrying''
       order by l.attempt desc
       limit 1
     ) as a on true
     order by p.created_at desc, p.id desc',
    array_to_string(arms, ') union all ('), direction, row_limit, row_offset);
end
$$;
comment on function hooks.messages_query is 'The query of hooks.list_messages() with these arguments, for EXPLAIN too.';

create function hooks.list_messages(
  queue text default null,
  state text default null,
  event_pattern text default null,
  event_id bigint default null,
  created_from timestamptz default null,
  created_to timestamptz default null,
  after_cursor text default null,
  before_cursor text default null,
  row_limit integer default 100,
  row_offset integer default 0,
  out id bigint,
  out queue_name text,
  out of_event bigint,
  out event_type text,
  out message_state text,
  out attempts integer,
  out due_at timestamptz,
  out created_at timestamptz,
  out finished_at timestamptz,
  out last_status smallint,
  out last_error text,
  out has_content boolean,
  out page_cursor text
)
returns setof record
language hooks_plpgsql
stable
set datestyle = 'ISO'
as $$
begin
  return query execute hooks.messages_query($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);
end
$$;
comment on function hooks.list_messages is 'Messages in any state, waiting, dead or finished, the newest first by created_at: those of a queue, in a state, of an event or of types that match a pattern, made within a range of time. after_cursor goes on with older ones from the page_cursor of a row, before_cursor with newer ones. Without what they say: has_content tells whether that is kept of a message that is dead or finished. An unknown queue raises 42704, any other wrong argument 22023.';

create function hooks.attempts_query(
  message_id bigint,
  queue text,
  success boolean,
  status integer,
  attempted_from timestamptz,
  attempted_to timestamptz,
  after_cursor text,
  before_cursor text,
  row_limit integer,
  row_offset integer
)
returns text
language hooks_plpgsql
stable
set datestyle = 'ISO'
as $$
#variable_conflict use_variable
declare
  direction constant text := case when before_cursor is null then 'desc' else 'asc' end;
  wanted constant bigint := hooks.listed_queue(queue);
  -- What requests said is for who may read it in the table, and for owners of the queue.
  shows_requests constant boolean := coalesce(hooks.may(wanted, 'manage'), false)
    or has_column_privilege(hooks.caller(), 'hooks.attempt', 'request_headers', 'select')
       and has_column_privilege(hooks.caller(), 'hooks.attempt', 'url', 'select');
  found text := 'true';
  rows_of text;
begin
  perform hooks.check_page(attempted_from, attempted_to, after_cursor, before_cursor, row_limit, row_offset);
  if status not between 100 and 999 then
    perform hooks.refuse('status must be between 100 and 999',
      'Give the status of an answer, such as 503, or success => false for all failures.');
  end if;
  if message_id is not null then
    found := found || format(' and t.message_id = %L::bigint', message_id);
  end if;
  if queue is not null then
    found := found || format(' and t.queue_id = %L::bigint', wanted);
  end if;
  if success is not null then
    found := found || case when success then ' and t.error_class is null' else ' and t.error_class is not null' end;
  end if;
  if status is not null then
    found := found || format(' and t.status = %L::smallint', status);
  end if;
  found := found || hooks.page_range('t.attempted_at', 't.message_id', attempted_from, attempted_to, after_cursor, before_cursor);
  rows_of := format(
    'select t.message_id, t.attempt, t.queue_id, t.attempted_at, t.status, t.error_class, t.error, t.method, %s,
            t.response_headers, t.response, t.truncated, t.address, t.reused,
            t.duration_ms, t.resolve_ms, t.connect_ms, t.tls_ms, t.first_byte_ms
     from hooks.attempt as t
     where %s',
    case when shows_requests then 't.url, t.request_headers' else 'null::text as url, null::json as request_headers' end,
    found);
  -- As in hooks.messages_query(); failures are few, and have an index of their own.
  if message_id is null and queue is null and success is distinct from false then
    rows_of := format(
      'select m.* from hooks.queue_ids() as q(id) cross join lateral (
         %s and t.queue_id = q.id order by t.attempted_at %s, t.message_id %2$s limit %s) as m',
      rows_of, direction, row_limit + row_offset);
  end if;
  return format(
    'select p.message_id, p.attempt, hooks.queue_name(p.queue_id), p.attempted_at, p.error_class is null, p.status,
            p.error_class, p.error, p.method, p.url, p.request_headers, p.response_headers, p.response, p.truncated, p.address, p.reused,
            p.duration_ms, p.resolve_ms, p.connect_ms, p.tls_ms, p.first_byte_ms,
            hooks.page_cursor(p.attempted_at, p.message_id)
     from (%1$s
           order by attempted_at %2$s, message_id %2$s
           limit %3$s offset %4$s) as p
     order by p.attempted_at desc, p.message_id desc',
    rows_of, direction, row_limit, row_offset);
end
$$;
comment on function hooks.attempts_query is 'The query of hooks.list_attempts() with these arguments, for EXPLAIN too.';

create function hooks.queue_name(queue_id bigint)
returns text
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$ select q.name from hooks.queue as q where q.id = queue_name.queue_id $$;
comment on function hooks.queue_name(bigint) is 'Name of the queue of this id; null when there is none.';

create function hooks.queue_ids()
returns setof bigint
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$ select q.id from hooks.queue as q $$;
comment on function hooks.queue_ids() is 'Ids of all queues.';

create function hooks.list_attempts(
  message_id bigint default null,
  queue text default null,
  success boolean default null,
  status integer default null,
  attempted_from timestamptz default null,
  attempted_to timestamptz default null,
  after_cursor text default null,
  before_cursor text default null,
  row_limit integer default 100,
  row_offset integer default 0,
  out of_message bigint,
  out attempt integer,
  out queue_name text,
  out attempted_at timestamptz,
  out succeeded boolean,
  out response_status smallint,
  out error_class text,
  out error text,
  out method text,
  out url text,
  out request_headers json,
  out response_headers json,
  out response bytea,
  out truncated boolean,
  out address text,
  out reused boolean,
  out duration_ms double precision,
  out resolve_ms real,
  out connect_ms real,
  out tls_ms real,
  out first_byte_ms real,
  out page_cursor text
)
returns setof record
language hooks_plpgsql
stable
set datestyle = 'ISO'
as $$
begin
  return query execute hooks.attempts_query($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);
end
$$;
comment on function hooks.list_attempts is 'Attempts, the newest first: those of a message, of a queue, that succeeded or failed, with a status, made within a range of time. after_cursor goes on with older ones from the page_cursor of a row, before_cursor with newer ones. URL and headers of the request are null for those who neither own the queue nor may read them in hooks.attempt. An unknown queue raises 42704, any other wrong argument 22023.';

create function hooks.dead_letters_query(
  queue text,
  error_class text,
  dead_from timestamptz,
  dead_to timestamptz,
  after_cursor text,
  before_cursor text,
  row_limit integer,
  row_offset integer
)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set datestyle = 'ISO'
as $$
#variable_conflict use_variable
declare
  direction constant text := case when before_cursor is null then 'desc' else 'asc' end;
  wanted constant bigint := hooks.listed_queue(queue);
  found text := 'true';
begin
  perform hooks.check_page(dead_from, dead_to, after_cursor, before_cursor, row_limit, row_offset);
  if queue is not null then
    found := found || format(' and t.queue_id = %L::bigint', wanted);
  end if;
  if error_class is not null then
    perform hooks.check_error_class(error_class);
    found := found || format(' and t.error_class = %L', error_class);
  end if;
  found := found || hooks.page_range('t.dead_at', 't.id', dead_from, dead_to, after_cursor, before_cursor);
  return format(
    'select p.id, q.name, p.event_id, e.type, p.attempts, p.last_status, p.error_class, p.last_error,
            p.created_at, p.due_at, p.dead_at, hooks.page_cursor(p.dead_at, p.id)
     from (select t.id, t.queue_id, t.event_id, t.attempts, t.last_status, t.error_class, t.last_error,
                  t.created_at, t.due_at, t.dead_at
           from hooks.dead_letter as t
           where %s
           order by t.dead_at %s, t.id %2$s
           limit %s offset %s) as p
     left join hooks.queue as q on q.id = p.queue_id
     left join hooks.event as e on e.id = p.event_id
     order by p.dead_at desc, p.id desc',
    found, direction, row_limit, row_offset);
end
$$;
comment on function hooks.dead_letters_query is 'The query of hooks.list_dead_letters() with these arguments, for EXPLAIN too.';

create function hooks.list_dead_letters(
  queue text default null,
  error_class text default null,
  dead_from timestamptz default null,
  dead_to timestamptz default null,
  after_cursor text default null,
  before_cursor text default null,
  row_limit integer default 100,
  row_offset integer default 0,
  out id bigint,
  out queue_name text,
  out event_id bigint,
  out event_type text,
  out attempts integer,
  out last_status smallint,
  out last_error_class text,
  out last_error text,
  out created_at timestamptz,
  out due_at timestamptz,
  out dead_at timestamptz,
  out page_cursor text
)
returns setof record
language hooks_plpgsql
stable
set datestyle = 'ISO'
as $$
begin
  return query execute hooks.dead_letters_query($1, $2, $3, $4, $5, $6, $7, $8);
end
$$;
comment on function hooks.list_dead_letters is 'Dead letters, those that died last first: those of a queue, of a kind of failure, that died within a range of time. after_cursor goes on with older ones from the page_cursor of a row, before_cursor with newer ones. Without what they say, which hooks.dead_letter holds. An unknown queue raises 42704, any other wrong argument 22023.';

create function hooks.list_queues(
  name_prefix text default null,
  active boolean default null,
  after_name text default null,
  row_limit integer default 100,
  row_offset integer default 0,
  out id bigint,
  out name text,
  out method text,
  out origin text,
  out is_active boolean,
  out state text,
  out reason text,
  out dead_letter_queue text,
  out max_in_flight integer,
  out keep_bodies boolean,
  out keep_attempts text,
  out description text,
  out created_at timestamptz,
  out updated_at timestamptz
)
returns setof record
language hooks_plpgsql
stable
as $$
#variable_conflict use_column
declare
  reads_all constant boolean := hooks.may_read_all();
begin
  perform hooks.check_page(null, null, null, null, row_limit, row_offset);
  return query
  select q.id, q.name, q.method, case when reads_all or hooks.may(q.id, 'manage') then substring(q.url from '^[a-zA-Z]+://[^/?#]*') end,
         q.active, s.state, s.reason, d.name,
         q.max_in_flight, q.keep_bodies, q.keep_attempts, q.description, q.created_at, q.updated_at
  from hooks.queue as q
  left join hooks.queue_state as s on s.queue_id = q.id
  left join hooks.queue as d on d.id = q.dead_letter_queue_id
  where (name_prefix is null or starts_with(q.name, name_prefix))
    and (list_queues.active is null or q.active = list_queues.active)
    and (reads_all or q.id = any (array(
           select g.queue_id from hooks.queue_grant as g
           where pg_has_role(hooks.caller(), g.grantee, 'usage') and hooks.may(g.queue_id, 'read'))))
    and (after_name is null or q.name > after_name)
  order by q.name
  limit row_limit offset row_offset;
end
$$;
comment on function hooks.list_queues is 'Queues by name, from behind after_name on: those whose name begins with a prefix, and that are active or not. Those that the caller may read, and of the URL what comes before the path, for readers of all queues and owners. A wrong argument raises 22023.';
