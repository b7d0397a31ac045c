-- The partitions of the history, one for each day in UTC. The leader makes and drops them.
--
-- Nobody may wait behind us: every lock is taken without waiting, or the whole is left for another time.

create function hooks.history_partition(relation text, day date)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$ select format('%s_%s', relation, to_char(day, 'YYYYMMDD')) $$;
comment on function hooks.history_partition(text, date) is 'Name of the partition of hooks.attempt or hooks.message_log for this day in UTC.';

create function hooks.is_member(relation oid)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select exists (select from pg_depend as d
                 where d.classid = 'pg_class'::regclass and d.objid = relation
                   and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e')
$$;
comment on function hooks.is_member(oid) is 'Whether a table belongs to an extension, which for the partitions of the history is this one.';

create function hooks.history_work(
  message_seconds integer,
  attempt_seconds integer,
  out relation text,
  out day date,
  out is_over boolean
)
returns setof record
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  with kept(relation, seconds) as (
    values ('message_log', message_seconds), ('attempt', attempt_seconds)
  ), made as (
    select k.relation, k.seconds, to_date(right(c.relname, 8), 'YYYYMMDD') as day,
           hooks.is_member(c.oid) as is_ours
    from kept as k
    join pg_inherits as i on i.inhparent = to_regclass('hooks.' || k.relation)
    join pg_class as c on c.oid = i.inhrelid
    where c.relname ~ ('^' || k.relation || '_[0-9]{8}$')
  )
  select m.relation, m.day, true
  from made as m
  where m.seconds >= 0
    and m.is_ours
    and (m.day + 1)::timestamp at time zone 'UTC' <= now() - make_interval(secs => m.seconds)
  union all
  select k.relation, w.day, false
  from kept as k
  cross join generate_series(0, 3) as ahead
  cross join lateral (select (now() at time zone 'UTC')::date + ahead) as w(day)
  where not exists (select from made as m where m.relation = k.relation and m.day = w.day)
$$;
comment on function hooks.history_work(integer, integer) is 'Days of hooks.message_log and hooks.attempt whose partition is to be dropped, as it is older than so many seconds (negative: never) and was not taken out of the extension, and days, today and three ahead, that have none yet.';

create function hooks.add_history_day(relation text, day date)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
set datestyle = 'ISO'
as $$
declare
  rest constant text := relation || '_default';
  made constant text := hooks.history_partition(relation, day);
  -- Rows that came before their partition move into it, if that is a matter of a moment.
  most_bytes constant bigint := 268435456;
  most_rows constant bigint := 10000;
  placed constant text := case relation when 'attempt' then 'attempted_at' else 'finished_at' end;
  begins constant timestamptz := day::timestamp at time zone 'UTC';
  ends constant timestamptz := (day + 1)::timestamp at time zone 'UTC';
  early bigint;
  given record;
begin
  execute format('lock table only hooks.%I in share update exclusive mode nowait', relation);
  execute format('lock table hooks.%I in access exclusive mode nowait', rest);
  execute format('select count(*) from (select from hooks.%I where %I >= $1 and %2$I < $2 limit $3) as e', rest, placed)
    into early using begins, ends, most_rows + 1;
  if early > most_rows or pg_relation_size(format('hooks.%I', rest)::regclass) > most_bytes then
    return false;
  end if;
  execute format('create table hooks.%I (like hooks.%I including all)', made, relation);
  -- LIKE copies it not.
  execute format('alter table hooks.%I replica identity full', made);
  if early > 0 then
    execute format(
      'with moved as (delete from hooks.%I where %I >= $1 and %2$I < $2 returning *)
       insert into hooks.%I select * from moved', rest, placed, made)
      using begins, ends;
  end if;
  execute format('alter table hooks.%I attach partition hooks.%I for values from (%L) to (%L)',
    relation, made, begins, ends);
  -- As in privileges.sql: what ALTER DEFAULT PRIVILEGES gave away is taken back.
  for given in
    select distinct a.grantee as role
    from pg_class as c
    cross join lateral aclexplode(c.relacl) as a
    where c.oid = format('hooks.%I', made)::regclass and a.grantee <> c.relowner
  loop
    execute format('revoke all on table hooks.%I from %s', made,
      case when given.role = 0 then 'public' else quote_ident(pg_get_userbyid(given.role)) end);
  end loop;
  execute format('alter table hooks.%I owner to %I', made, (
    select pg_get_userbyid(c.relowner) from pg_class as c where c.oid = format('hooks.%I', relation)::regclass));
  execute format('comment on table hooks.%I is %L', made, format('The rows of hooks.%s of %s in UTC.', relation, day));
  -- In the install script it is a member already.
  if not hooks.is_member(format('hooks.%I', made)::regclass) then
    execute format('alter extension pg_hooks add table hooks.%I', made);
  end if;
  return true;
end
$$;
comment on function hooks.add_history_day(text, date) is 'Makes the partition of hooks.attempt or hooks.message_log for this day in UTC. Returns false when that would take long, as hooks.attempt_default or hooks.message_log_default holds much; raises 55P03 when somebody holds a lock in its way.';

create function hooks.drop_history_day(relation text, day date, patient boolean)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  gone constant text := hooks.history_partition(relation, day);
  mode constant text := 'access exclusive mode' || case when patient then '' else ' nowait' end;
begin
  execute format('lock table only hooks.%I in ', relation) || mode;
  execute format('lock table hooks.%I in ', relation || '_default') || mode;
  execute format('lock table hooks.%I in ', gone) || mode;
  -- Who takes it out of the extension wants to keep it.
  if not hooks.is_member(format('hooks.%I', gone)::regclass) then
    return;
  end if;
  execute format('alter extension pg_hooks drop table hooks.%I', gone);
  execute format('drop table hooks.%I', gone);
end
$$;
comment on function hooks.drop_history_day(text, date, boolean) is 'Drops the partition of hooks.attempt or hooks.message_log for this day in UTC, unless it was taken out of the extension; raises 55P03 when somebody holds a lock in its way, at once or, if patient, after lock_timeout.';
