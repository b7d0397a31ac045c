-- Triggers that send what changes in a table. Functions in C are in src/api; they are declared here so that names, defaults, privileges
-- and comments of the whole interface are read in one place.

-- Runs as whoever changes the table: rendering its rows may run code of users. It stores messages as its
-- owner by itself.
create function hooks.emit()
returns trigger
language c
as 'MODULE_PATHNAME', 'emit';
comment on function hooks.emit() is 'Trigger: sends each changed row of the table it is put on, or that it was truncated. Arguments: a queue or event type, and columns=, exclude=, ordering_key=, headers=. hooks.watch() makes such triggers.';

create function hooks.emit_options(arguments bytea)
returns bytea
language c
immutable strict
as 'MODULE_PATHNAME', 'emit_options_wrapper';
comment on function hooks.emit_options(bytea) is 'The arguments of a trigger of hooks.emit(), from pg_trigger.tgargs, as JSON in the encoding of the database.';

-- Read from the triggers themselves: whoever drops or renames one has changed the watch.
create function hooks.list_watches(
  out relation regclass,
  out name text,
  out queue text,
  out event_type text,
  out operations text[],
  out for_each text,
  out columns text[],
  out exclude text[],
  out ordering_key text[],
  out headers text[],
  out condition text,
  out enabled boolean,
  out triggers name[],
  out problem text,
  out owner name,
  out stopped text
)
returns setof record
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
  with emitting as (
    select t.oid, t.tgrelid, t.tgname, t.tgtype, t.tgenabled,
           substring(t.tgname::text, '^hooks_watch:(.*):(?:insert|update|delete|truncate)$') as watch,
           convert_from(hooks.emit_options(t.tgargs), getdatabaseencoding())::jsonb as options,
           coalesce(o.owner, c.relowner) as owner, o.owner_name
    from pg_trigger as t
    join pg_class as c on c.oid = t.tgrelid
    left join hooks.watch_owner as o
      on o.relation = t.tgrelid and o.trigger_name = t.tgname and o.arguments = t.tgargs
    where t.tgfoid = 'hooks.emit'::regproc and t.tgparentid = 0
  ), watches as (
    select e.tgrelid, e.watch, e.options, e.owner, coalesce(e.owner_name, r.rolname::text) as owner_name,
           array_agg(o.operation order by o.place) as operations,
           -- A TRUNCATE has no rows.
           case when bool_or(e.tgtype::integer & 1 = 1) then 'row' else 'statement' end as level,
           max(substring(pg_get_triggerdef(e.oid), ' WHEN [(](.*)[)] EXECUTE FUNCTION ')) as condition,
           bool_and(e.tgenabled <> 'D') as enabled,
           array_agg(distinct e.tgname) as triggers
    from emitting as e
    join (values (1, 4, 'insert'), (2, 16, 'update'), (3, 8, 'delete'), (4, 32, 'truncate')) as o(place, bit, operation)
      on e.tgtype::integer & o.bit <> 0
    left join pg_roles as r on r.oid = e.owner
    group by e.tgrelid, e.watch, e.options, e.owner, e.owner_name, r.rolname, case when e.watch is null then e.tgname end
  ), judged as (
    select w.*, q.id as queue_id,
           coalesce(w.options ->> 'problem',
             case when w.options ? 'event' then hooks.event_problem(w.tgrelid, w.options ->> 'event', w.operations)
                  when q.id is null then format('queue "%s" does not exist', w.options ->> 'queue') end,
             hooks.missing_column(w.tgrelid, w.options)) as problem
    from watches as w
    left join hooks.queue as q on q.name = w.options ->> 'queue'
  )
  select w.tgrelid::regclass, w.watch, w.options ->> 'queue', w.options ->> 'event', w.operations, w.level,
         hooks.json_names(w.options -> 'columns'), hooks.json_names(w.options -> 'exclude'),
         hooks.json_names(w.options -> 'ordering_key'), hooks.json_names(w.options -> 'headers'), w.condition, w.enabled, w.triggers,
         w.problem, w.owner_name::name,
         case when w.problem is null then hooks.owner_problem(w.owner, w.owner_name, w.queue_id) end
  from judged as w
$$;
comment on function hooks.list_watches is 'The triggers that send what changes in tables; hooks.watches shows them.';

create function hooks.json_names(list jsonb)
returns text[]
language sql
immutable strict
set search_path = pg_catalog, pg_temp
as $$ select array(select jsonb_array_elements_text(list)) $$;
comment on function hooks.json_names(jsonb) is 'The elements of a JSON array of strings.';

create function hooks.event_problem(relation oid, template text, operations text[])
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select hooks.event_type_problem(convert_to(
           replace(replace(replace(template, '{op}', o.operation), '{schema}', n.nspname), '{table}', c.relname), 'UTF8'))
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  cross join unnest(operations) as o(operation)
  where c.oid = relation
  order by 1
  limit 1
$$;
comment on function hooks.event_problem(oid, text, text[]) is 'Why a trigger of hooks.emit() on this table would make no event type, if so.';

create function hooks.missing_column(relation oid, options jsonb)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select format('column "%s" does not exist', n.name)
  from unnest(array['columns', 'exclude', 'ordering_key']) as o(name)
  cross join lateral unnest(hooks.json_names(options -> o.name)) as n(name)
  where not exists (select from pg_attribute as a
                    where a.attrelid = relation and a.attname = n.name and a.attnum > 0 and not a.attisdropped
                      and a.attgenerated <> 'v')
  limit 1
$$;
comment on function hooks.missing_column(oid, jsonb) is 'That a column which a trigger of hooks.emit() names is not there, if so.';

-- Plain SQL, so that the search_path is that of the caller: the condition is read in it.
create function hooks.watch(
  relation     regclass,
  target       text,
  operations   text[] default null,
  columns      text[] default null,
  exclude      text[] default null,
  ordering_key text[] default null,
  headers      jsonb default null,
  condition    text default null,
  for_each     text default null,
  name         text default null
)
returns text
language sql
volatile
as $$ select hooks.create_watch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, pg_catalog.current_setting('search_path')) $$;
comment on function hooks.watch is 'Makes the triggers that send what changes in a table to a queue, or as events. Operations are insert, update, delete and truncate; for_each is statement or row; the condition is that of WHEN. Returns the name of the watch. Raises 42710 when the table has a watch of that name.';

create function hooks.create_watch(
  relation     regclass,
  target       text,
  operations   text[],
  columns      text[],
  exclude      text[],
  ordering_key text[],
  headers      jsonb,
  condition    text,
  for_each     text,
  name         text,
  path         text
)
returns text
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  watch constant text := coalesce(name, target);
  level constant text := coalesce(for_each, case when condition is null then hooks.watch_level(relation) else 'row' end);
  wanted constant text[] := coalesce(operations,
    array['insert', 'update', 'delete']
      || case when condition is null and hooks.can_watch_truncate(relation) then array['truncate'] end);
  arguments constant text := hooks.emit_arguments(target, columns, exclude, ordering_key, headers);
  statements text[];
  statement text;
begin
  perform hooks.check_watch(relation, watch, wanted, condition, level);
  -- With its schema: a temporary table is found without it here, and may not be in the path of the caller.
  select array_agg(format('create trigger %I after %s on %I.%I %s %s execute function hooks.emit(%s)',
                     format('hooks_watch:%s:%s', watch, o.operation), o.operation, n.nspname, c.relname,
                     hooks.trigger_level(o.operation, level), 'when (' || condition || ')', arguments))
  into statements
  from (select distinct unnest(wanted) as operation) as o
  cross join pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  where c.oid = relation;
  -- The condition is read as the caller reads it. The path is given back at the end of the function.
  perform set_config('search_path', path, true);
  foreach statement in array statements loop
    execute statement;
  end loop;
  perform hooks.own_watch(relation, watch);
  perform hooks.check_watch_made(relation, watch);
  return watch;
end
$$;
comment on function hooks.create_watch is 'What hooks.watch() does, told the search_path of its caller.';

-- Whoever may put triggers on the table could have made these.
create function hooks.own_watch(relation regclass, watch text)
returns void
language hooks_plpgsql
as $$
#variable_conflict use_variable
begin
  if not has_table_privilege(hooks.caller(), relation, 'trigger') then
    raise exception using errcode = 'insufficient_privilege',
      message = format('permission denied for table %s', relation),
      hint = 'Watch tables that you own.';
  end if;
  delete from hooks.watch_owner as o
  where not exists (select from pg_class as c where c.oid = o.relation);
  insert into hooks.watch_owner as o (relation, trigger_name, arguments, owner, owner_name)
  select t.tgrelid, t.tgname, t.tgargs, r.oid, r.rolname
  from pg_trigger as t
  join pg_roles as r on r.oid = hooks.caller()
  where t.tgrelid = relation
    and t.tgparentid = 0
    and t.tgfoid = 'hooks.emit'::regproc
    and substring(t.tgname::text, '^hooks_watch:(.*):(?:insert|update|delete|truncate)$') = watch
  on conflict on constraint watch_owner_pkey do update
  set (arguments, owner, owner_name) = row(excluded.arguments, excluded.owner, excluded.owner_name);
  if not found then
    raise exception using errcode = 'undefined_object',
      message = format('table %s is not watched as "%s"', relation, watch),
      hint = 'Make the watch with hooks.watch(); an event trigger must not drop its triggers.';
  end if;
end
$$;
comment on function hooks.own_watch(regclass, text) is 'Notes that the caller made the triggers of a watch.';

create function hooks.forget_watches(relation regclass)
returns void
language hooks_plpgsql
as $$
#variable_conflict use_variable
begin
  delete from hooks.watch_owner as o
  where o.relation = relation
    and not exists (select from pg_trigger as t where t.tgrelid = relation and t.tgname = o.trigger_name);
end
$$;
comment on function hooks.forget_watches(regclass) is 'Removes what was noted of triggers of a table that are gone.';

create function hooks.can_watch_truncate(relation regclass)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select current_setting('server_version_num')::integer >= 160000
      or not exists (select from pg_class as c where c.oid = relation and c.relkind = 'f')
$$;
comment on function hooks.can_watch_truncate(regclass) is 'Whether the table can have a trigger of TRUNCATE; foreign tables can from PostgreSQL 16 on.';

create function hooks.watch_level(relation regclass)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select case when c.relkind in ('p', 'f') or exists (select from pg_inherits as i where i.inhrelid = c.oid)
              then 'row' else 'statement' end
  from pg_class as c
  where c.oid = watch_level.relation
$$;
comment on function hooks.watch_level(regclass) is 'Level of trigger that sees every change of a table: row if statements that name another table may change its rows.';

create function hooks.trigger_level(operation text, level text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
  select case
    when operation = 'truncate' then 'for each statement'
    when level = 'row' then 'for each row'
    else 'referencing ' || case operation
      when 'insert' then 'new table as new_rows'
      when 'delete' then 'old table as old_rows'
      else 'old table as old_rows new table as new_rows' end || ' for each statement'
  end
$$;
comment on function hooks.trigger_level(text, text) is 'The words of CREATE TRIGGER that say for what it fires.';

create function hooks.emit_arguments(
  target       text,
  columns      text[],
  exclude      text[],
  ordering_key text[],
  headers      jsonb
)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select string_agg(quote_literal(a.argument), ', ' order by a.place)
  from (values (1, target),
               (2, 'columns=' || hooks.name_list(columns)),
               (3, 'exclude=' || hooks.name_list(exclude)),
               (4, 'ordering_key=' || hooks.name_list(ordering_key)),
               (5, 'headers=' || headers::text)) as a(place, argument)
  where a.argument is not null
$$;
comment on function hooks.emit_arguments is 'The arguments of hooks.emit() as CREATE TRIGGER takes them.';

create function hooks.name_list(names text[])
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(string_agg(format('"%s"', replace(n.name, '"', '""')), ',' order by n.place), '')
  from unnest(names) with ordinality as n(name, place)
  having names is not null
$$;
comment on function hooks.name_list(text[]) is 'Column names as hooks.emit() reads them, each in double quotes.';

create function hooks.check_watch(
  relation   regclass,
  watch      text,
  operations text[],
  condition  text,
  level      text
)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if relation is null or watch is null then
    perform hooks.refuse('relation and target must not be null',
      'Give a table and a queue or event type, as in hooks.watch(''orders'', ''billing'').');
  end if;
  if not exists (select from pg_class as c where c.oid = relation and c.relkind in ('r', 'p', 'f')) then
    raise exception using errcode = 'wrong_object_type',
      message = format('"%s" is not a table', relation),
      hint = 'Watch the tables that it takes its rows from.';
  end if;
  if cardinality(operations) = 0 or exists (select from unnest(operations) as o(operation)
     where o.operation is null or o.operation not in ('insert', 'update', 'delete', 'truncate')) then
    perform hooks.refuse('operations must be of insert, update, delete and truncate',
      'Give an array such as ''{insert,update}'', or leave it out for all.');
  end if;
  if level not in ('row', 'statement') then
    perform hooks.refuse('for_each must be row or statement', 'Leave it out for what fits the table.');
  end if;
  if condition is not null and 'truncate' = any (operations) then
    perform hooks.refuse('a condition cannot be asked of truncate, which has no rows',
      'Watch truncate under another name, without a condition.');
  end if;
  if 'truncate' = any (operations) and not hooks.can_watch_truncate(relation) then
    raise exception using errcode = 'feature_not_supported',
      message = format('truncate of foreign table "%s" cannot be watched', relation),
      hint = 'Leave it out of the operations; foreign tables have such triggers from PostgreSQL 16 on.';
  end if;
  -- Longer names of triggers are cut off.
  if octet_length(watch) not between 1 and 42 then
    perform hooks.refuse('watch name must have 1 to 42 bytes', 'Give a shorter name => to hooks.watch().');
  end if;
  if exists (select from hooks.watches as w where w.relation = check_watch.relation and w.name = watch) then
    raise exception using errcode = 'duplicate_object',
      message = format('table %s is already watched as "%s"', relation, watch),
      hint = 'Remove it with hooks.unwatch(), or give another name => to hooks.watch().';
  end if;
end
$$;
comment on function hooks.check_watch is 'Raises an error with a hint unless hooks.watch() can make this watch.';

create function hooks.check_watch_made(relation regclass, watch text)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  flaw text;
begin
  select w.problem into flaw
  from hooks.watches as w
  where w.relation = check_watch_made.relation and w.name = watch;
  if flaw is not null then
    raise exception using message = flaw,
      errcode = case
        when flaw like 'queue %' then 'undefined_object'
        when flaw like 'column %' then 'undefined_column'
        else 'invalid_parameter_value' end,
      hint = 'Correct the arguments of hooks.watch(); nothing was made.';
  end if;
end
$$;
comment on function hooks.check_watch_made(regclass, text) is 'Raises an error if the triggers of a watch would fail.';

create function hooks.unwatch(relation regclass, name text default null)
returns integer
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  made record;
  dropped integer := 0;
begin
  for made in
    select t.triggers
    from hooks.watches as t
    where t.relation = unwatch.relation and t.name = coalesce(unwatch.name, t.name)
  loop
    for i in 1 .. cardinality(made.triggers) loop
      execute format('drop trigger %I on %s', made.triggers[i], relation);
    end loop;
    dropped := dropped + 1;
  end loop;
  perform hooks.forget_watches(relation);
  if dropped = 0 and name is not null then
    raise exception using errcode = 'undefined_object',
      message = format('table %s is not watched as "%s"', relation, name),
      hint = 'Look for its name in hooks.watches.';
  end if;
  return dropped;
end
$$;
comment on function hooks.unwatch(regclass, text) is 'Drops the triggers of one watch of a table, or of all that hooks.watch() made. Returns how many watches there were. Raises 42704 when there is none of that name.';
