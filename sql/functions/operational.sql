-- Operational events: what the worker publishes of what happens to messages, queues and schedules.

-- Whatever goes wrong here must not undo what it tells of. Transforms are functions of users, and not run.
-- Only patterns that name these events get them: who subscribes to everything means everything of his own.
create function hooks.tell(
  types       text[],
  queue_ids   bigint[],
  message_ids bigint[],
  cron_ids    bigint[],
  facts       text[]
)
returns setof bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  b record;
  content jsonb;
begin
  for b in
    select t.type, t.queue_id, t.facts, d.id as message_id, d.attempts, d.last_status, d.error_class, d.last_error,
           d.created_at, d.dead_at, q.name as queue, c.name as schedule
    from unnest(types, queue_ids, message_ids, cron_ids, facts) as t(type, queue_id, message_id, cron_id, facts)
    left join hooks.dead_letter as d on d.id = t.message_id
    left join hooks.event as e on e.id = d.event_id
    left join hooks.queue as q on q.id = t.queue_id
    left join hooks.cron as c on c.id = t.cron_id
    -- Of the death of one of its own kind nothing is told.
    where e.type is null or not starts_with(e.type, 'hooks.')
  loop
    content := jsonb_strip_nulls(jsonb_build_object('queue', b.queue, 'schedule', b.schedule,
      'message_id', b.message_id, 'attempts', b.attempts, 'last_status', b.last_status,
      'error_class', b.error_class, 'error', b.last_error, 'created_at', b.created_at, 'dead_at', b.dead_at)
      || b.facts::jsonb);
    begin
      return query
      with goes_to as materialized (
        select m.queue_id, m.headers, m.envelope
        from hooks.subscriptions_told(b.type, content, true, b.queue_id) as m
      ), published as (
        insert into hooks.event (type, payload)
        select b.type, content::text
        where exists (select from goes_to)
        returning id
      )
      insert into hooks.message as m (queue_id, due_at, headers, event_id, envelope)
      select g.queue_id, now(), g.headers, p.id, nullif(g.envelope, 'raw')
      from goes_to as g
      cross join published as p
      returning m.queue_id;
    exception when others then
      raise warning '[PGH309] could not publish %: %', b.type, sqlerrm;
    end;
  end loop;
end
$$;
comment on function hooks.tell is 'Publishes operational events for the worker; returns the queues that got messages.';
