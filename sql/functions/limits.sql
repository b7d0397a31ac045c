-- What a queue may hold. src/api/room.rs counts.

create function hooks.check_room(queue hooks.queue)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if queue.max_messages < 1 or queue.max_bytes < 1 then
    perform hooks.refuse('max_messages and max_bytes must be at least 1',
      'Leave them out for no limit; use hooks.pause() to send nothing.');
  end if;
  if queue.overflow is null or queue.overflow not in ('refuse', 'drop_oldest') then
    perform hooks.refuse(format('overflow %s is not known', coalesce('"' || queue.overflow || '"', 'null')),
      'Use refuse, so that sending to a full queue fails, or drop_oldest.');
  end if;
end
$$;
comment on function hooks.check_room(hooks.queue) is 'Raises 22023 unless the limits of what a queue may hold are in range.';

-- Some at a time: what is locked here, the worker cannot finish before this transaction ends.
create function hooks.drop_oldest(queue_id bigint, messages bigint, bytes bigint)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  oldest record;
  chosen bigint[] := '{}';
  chosen_bytes bigint := 0;
  dropped bigint;
begin
  for oldest in
    select m.id, coalesce(octet_length(m.body), octet_length(m.body_bytes), 0) as bytes
    from hooks.message as m
    where m.queue_id = drop_oldest.queue_id
    order by m.due_at, m.id
    limit greatest(drop_oldest.messages, case when drop_oldest.bytes > 0 then 10000 else 0 end)
    for update skip locked
  loop
    exit when cardinality(chosen) >= drop_oldest.messages and chosen_bytes >= drop_oldest.bytes;
    chosen := chosen || oldest.id;
    chosen_bytes := chosen_bytes + oldest.bytes;
  end loop;
  with gone as (
    delete from hooks.message as m
    where m.id = any (chosen)
    returning m.id, m.queue_id, m.attempt, m.created_at, m.due_at, m.event_id
  )
  insert into hooks.message_log (id, queue_id, state, attempts, created_at, due_at, finished_at, event_id)
  select g.id, g.queue_id, 'cancelled', g.attempt, g.created_at, g.due_at, now(), g.event_id
  from gone as g;
  get diagnostics dropped = row_count;
  return dropped;
end
$$;
comment on function hooks.drop_oldest(bigint, bigint, bigint) is 'Cancels so many messages of a queue that are due first, or as many as hold so many bytes, but for those that somebody has locked. Returns how many.';
